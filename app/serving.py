"""How the application is served: by uvicorn, until it is told to stop."""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastapi import FastAPI

from app.main import exit_code
from app.routes.state import runner_of


def serve(app: FastAPI) -> int:
    """Serve on HOST and PORT until told to stop; the process's exit code."""
    settings = runner_of(app).settings
    host, port = settings.host, settings.port
    _check_address(host, port)
    uvicorn.run(app, host=host, port=port, access_log=False, log_config=None)
    return exit_code(app)


def _check_address(host: str, port: int) -> None:
    """End the process with one line where nothing can listen, before anything else begins."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        sys.exit(
            f"error: HOST={host} PORT={port} cannot be listened on ({error.strerror}): set others, "
            "or end what listens there."
        )
