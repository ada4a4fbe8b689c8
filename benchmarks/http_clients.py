"""Clients of a real server process: threads with the standard library's HTTP, and their times.

The machine is shared by server and clients, so clients have to be cheap.
"""

from __future__ import annotations

import http.client
import json
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.work import Work
from tests.server import ServerProcess

PIPELINE = "text-to-image"
TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Model:
    """What a server is to serve: MODEL_ID and the MODEL_DIR that it is in."""

    model_id: str
    model_dir: Path

    def server(self) -> ServerProcess:
        """A server of this model on a free port; to be entered, and ended."""
        return ServerProcess(
            {
                "PIPELINE": PIPELINE,
                "MODEL_ID": self.model_id,
                "MODEL_DIR": self.model_dir,
                "SAFETY_CHECKER": "off",
                "QUEUE_LIMIT": 1000,
            }
        )


class Client:
    """One connection to the server, kept open."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)

    def generate(self, work: Work) -> float:
        """Seconds until the whole answer is there."""
        body = json.dumps(
            {
                "prompt": "a red circle on a blue background",
                "width": work.width,
                "height": work.height,
                "num_inference_steps": work.num_inference_steps,
                "seed": work.seed,
            }
        )
        return self._ask("POST", f"/{PIPELINE}", body)

    def health(self) -> float:
        """Seconds until /health has answered."""
        return self._ask("GET", "/health")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None = None) -> float:
        start = time.perf_counter()
        headers = {"Content-Type": "application/json"} if body else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:500]!r}")
        return time.perf_counter() - start


def together(url: str, works: Iterable[Work], clients: int) -> float:
    """Seconds in which so many clients, one request each at a time, get all answers."""
    waiting: queue.SimpleQueue[Work] = queue.SimpleQueue()
    for work in works:
        waiting.put(work)

    def run() -> None:
        client = Client(url)
        try:
            while True:
                client.generate(waiting.get_nowait())
        except queue.Empty:
            client.close()

    return timed_threads([run] * clients)


def timed_threads(bodies: Sequence[Callable[[], object]]) -> float:
    """Seconds until all of these functions, each in a thread, are done; raises what one raised."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(bodies)) as pool:
        futures = [pool.submit(body) for body in bodies]
    seconds = time.perf_counter() - start
    for future in futures:
        future.result()
    return seconds
