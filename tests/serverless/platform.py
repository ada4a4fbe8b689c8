"""RunPod's side of a worker, on loopback: hands out jobs, hears progress, results and pings."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

WORKER = "worker-1"
KEY = "key-of-the-platform"
POLL_SECONDS = 0.2
"""How long the platform holds a call that has nothing to say."""


@dataclass(frozen=True)
class Message:
    """What the worker posted of a job, in the order of arrival."""

    job_id: str
    body: dict[str, Any]
    is_progress: bool
    finished: float = field(default_factory=time.monotonic)


class Platform:
    """The platform's HTTP side; a context manager.

    Attributes:
        messages: all that was posted, in the order of arrival.
        taken: ids of the jobs that the worker took.
        pings: queries of the pings.
        unauthorised: paths that were called without the worker's key.
        slow_progress: seconds that it takes to accept a report of progress.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.taken: list[str] = []
        self.pings: list[dict[str, list[str]]] = []
        self.unauthorised: list[str] = []
        self.slow_progress = 0.0
        self._jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stops: queue.Queue[str] = queue.Queue()
        self._heard = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What RunPod sets in a worker's environment."""
        base = f"http://127.0.0.1:{self._server.server_address[1]}/v2/endpoint"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=x",
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_POD_ID": WORKER,
            "RUNPOD_AI_API_KEY": KEY,
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }

    def submit(self, job_id: str, job_input: Mapping[str, Any]) -> None:
        """Queue a job."""
        self._jobs.put({"id": job_id, "input": dict(job_input)})

    def stop(self, job_id: str) -> None:
        """Have the worker stop a job, as a client's cancellation does."""
        self._stops.put(job_id)

    def result(self, job_id: str, timeout: float = 60) -> dict[str, Any]:
        """Wait for what the worker posts as the job's end."""

        def found() -> dict[str, Any] | None:
            ends = (m.body for m in self.messages if m.job_id == job_id and not m.is_progress)
            return next(ends, None)

        with self._heard:
            assert self._heard.wait_for(found, timeout), f"no result of {job_id}: {self.messages}"
        body = found()
        assert body is not None
        return body

    def progress(self, job_id: str) -> list[dict[str, Any]]:
        """The reports of a job so far."""
        found = [m for m in self.messages if m.job_id == job_id and m.is_progress]
        return [message.body["output"]["progress"] for message in found]

    def wait_for_progress(self, job_id: str, timeout: float = 60) -> None:
        """Wait for the first report of a job."""
        with self._heard:
            assert self._heard.wait_for(lambda: bool(self.progress(job_id)), timeout)

    # Called by the server's threads ---------------------------------------------------------

    def take(self, count: int) -> list[dict[str, Any]]:
        """Up to `count` jobs, after a while none."""
        jobs = []
        try:
            jobs.append(self._jobs.get(timeout=POLL_SECONDS))
            while len(jobs) < count:
                jobs.append(self._jobs.get_nowait())
        except queue.Empty:
            pass
        self.taken += [job["id"] for job in jobs]
        return jobs

    def take_stops(self) -> list[str]:
        """Ids of jobs to stop, after a while none."""
        try:
            return [self._stops.get(timeout=POLL_SECONDS)]
        except queue.Empty:
            return []

    def hear(self, job_id: str, body: dict[str, Any]) -> None:
        """Note what the worker posted, once it is accepted."""
        is_progress = body.get("status") == "IN_PROGRESS"
        if is_progress:
            time.sleep(self.slow_progress)
        with self._heard:
            self.messages.append(Message(job_id, body, is_progress))
            self._heard.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            """The routes that a worker calls."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Take jobs, take stops, ping."""
                url = urlsplit(self.path)
                query = parse_qs(url.query)
                what = url.path.split("/")[3]
                if self.headers.get("Authorization") != KEY:
                    platform.unauthorised.append(self.path)
                if what == "job-take":
                    jobs = platform.take(1)
                    self._answer(jobs[0] if jobs else None)
                elif what == "job-take-batch":
                    self._answer(platform.take(int(query["batch_size"][0])) or None)
                elif what == "job-stop":
                    stops = platform.take_stops()
                    self._answer({"jobsToStop": stops} if stops else None)
                else:
                    platform.pings.append(query)
                    self._answer({})

            def do_POST(self) -> None:
                """Hear progress and results."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                platform.hear(urlsplit(self.path).path.split("/")[5], json.loads(body))
                self._answer({})

            def _answer(self, value: object | None) -> None:
                body = b"" if value is None else json.dumps(value).encode()
                self.send_response(204 if value is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler
