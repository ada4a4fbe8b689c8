"""A real server process for tests: started on a free port, heard until it serves, ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
REAL = ("-m", "app")
FAKE = ("-m", "tests.serve_fake")
"""The service with `tests.fake_worker` for a worker: no torch, up in a second."""
PATIENCE = 60.0
"""Seconds that an answer may take on a machine that does other things."""
_LISTENING = re.compile(r"Uvicorn running on (http://\S+)")


def settings_of(
    folder: Path, pipeline: str = "text-to-image", /, **settings: object
) -> dict[str, object]:
    """Settings of a service whose models and data lie in `folder`."""
    values = {
        "PIPELINE": pipeline,
        "MODEL_ID": "some/model",
        "MODEL_DIR": folder,
        "DATA_DIR": folder / "data",
    }
    return values | settings


class ServerProcess:
    """`python -m app` (or its stand-in) with settings of its own; a context manager.

    Attributes:
        url: where it listens, known as soon as the port is bound.
    """

    def __init__(self, settings: Mapping[str, object], command: Sequence[str] = REAL) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        environment |= {"HOST": "127.0.0.1", "PORT": "0", "HF_HUB_OFFLINE": "1"}
        environment |= {name: str(value) for name, value in settings.items()}
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines: list[str] = []
        self._listening = threading.Event()
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return "".join(self.lines)

    def __enter__(self) -> Self:
        assert self._listening.wait(60), f"the server did not listen:\n{self.log}"
        assert self.url, f"the server ended:\n{self.log}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def client(self) -> httpx.Client:
        """A client with the patience that a slow machine needs; each request connects anew."""
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.url, timeout=PATIENCE, limits=limits)

    def wait_ready(self, timeout: float = 120) -> Self:
        """Wait until /health answers 200."""
        with self.client() as client:
            wait_until(lambda: self._is_ready(client), timeout)
        return self

    def wait_exit(self, timeout: float = 60) -> int:
        """Wait for the process to end by itself; its exit code."""
        code = self.process.wait(timeout)
        self._reader.join(10)
        return code

    def stop(self) -> None:
        """End it, gently at first."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def children(self) -> list[int]:
        """Process ids of its children."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def _is_ready(self, client: httpx.Client) -> bool:
        assert self.process.poll() is None, f"the server ended:\n{self.log}"
        try:
            return client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := _LISTENING.search(line):
                self.url = match[1]
                self._listening.set()
        self._listening.set()


def fake_server(
    folder: Path, pipeline: str = "text-to-image", /, **settings: object
) -> ServerProcess:
    """The service with the fake worker, and with folders of its own; to be entered."""
    return ServerProcess(settings_of(folder, pipeline, **settings), FAKE)
