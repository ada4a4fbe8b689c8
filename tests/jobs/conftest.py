"""Fixtures of the tests of asynchronous jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.jobs.durable import DAY, ByUrl, JobOrder
from app.settings import MEBIBYTE
from tests.gate import Gate
from tests.server import ServerProcess, fake_server

TINY = {"prompt": "a fox", "width": 16, "height": 16, "num_inference_steps": 2, "seed": 7}
"""An input that the fake worker serves in milliseconds."""


def make_order(**values: object) -> JobOrder:
    """An order for the queue; what is not named is out of the way."""
    usual: dict[str, object] = {
        "image": None,
        "door": "test",
        "by_url": ByUrl.IF_LARGE,
        "base_url": "http://test",
        "execution_timeout": 600.0,
        "ttl": DAY,
        "retention": 1800.0,
        "result_limit": 10 * MEBIBYTE,
    }
    return JobOrder(**{**usual, **values})  # type: ignore[arg-type]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate that is open at first; its folder is MODEL_DIR of the test's services."""
    gate = Gate(tmp_path)
    yield gate
    gate.open()


StartService = Callable[..., ServerProcess]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts real service processes with the fake worker, on one DATA_DIR."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(fake_server(tmp_path, **settings))


class Receiver:
    """An HTTP server on loopback that writes down what it gets, and answers as it is told.

    Attributes:
        requests: (method, path, headers, body) of each request.
        answers: by path, the (status, headers, body) of an answer; others are an empty 200.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.requests.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = receiver.answers.get(self.path, (200, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def submit(client: TestClient, given: Mapping[str, Any] = TINY, **rest: object) -> str:
    """Queue a job; its id."""
    response = client.post("/run", json={"input": dict(given), **rest})
    assert response.status_code == 200, response.text
    assert response.json()["status"] == "IN_QUEUE"
    return str(response.json()["id"])


def finished(client: TestClient, job_id: str) -> dict[str, Any]:
    """The job once it has ended."""
    response = client.get(f"/status-sync/{job_id}", params={"wait": 30_000})
    assert response.status_code == 200, response.text
    return dict(response.json())
