"""How the application is served: by uvicorn, until it is told to stop."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from app.engine.runner import Runner
from app.main import exit_code

LAST_ANSWERS = 5
"""Seconds that clients get to read their answers after the last job, before the process ends."""


def serve(app: FastAPI) -> int:
    """Serve on HOST and PORT until told to stop; the process's exit code."""
    runner: Runner = app.state.runner
    uvicorn.run(
        app,
        host=runner.settings.host,
        port=runner.settings.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=LAST_ANSWERS,
    )
    return exit_code(app)
