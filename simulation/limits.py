"""What is not a GPU: the front end's processor, the store's disk and the network, measured here.

The same code that the service runs is timed on this machine, in seconds of one core; a GPU
server's cores and disks are likely faster, so that the limits err on the safe side.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.engine.encoding import File
from app.jobs.durable import DAY, JobOrder
from app.jobs.store import JobStore
from app.media.data_url import to_data_url
from app.media.png import encode_png
from app.pipelines.text_to_image import TextToImageParams
from simulation.workload import Workload

REPEATS = 5
STORED_JOBS = 30
FRONT_CORES = 8
"""Cores of the front end that the table is for."""
HTTP_SECONDS = 0.002
"""Of one thread, assumed: parsing, checking, logging and hand-over of a request. It holds the
interpreter's lock and does not spread over cores."""
NETWORK_BITS = 10e9
"""Of the front end's network."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A part of the service and the requests per second at which it is full."""

    part: str
    rate: float
    basis: str

    def gpus(self, per_gpu: float) -> int:
        """GPUs that it keeps busy, each of which serves `per_gpu` requests per second."""
        return int(self.rate / per_gpu)


def limits(workload: Workload) -> list[Limit]:
    """Each part's limit, the lowest first."""
    pixels = _picture(workload.width, workload.height)
    png = encode_png(pixels)
    encode = _seconds(lambda: to_data_url(encode_png(pixels), "image/png"))
    answer = len(json.dumps({"url": to_data_url(png, "image/png")}))
    store = _store_seconds(png)
    found = [
        Limit("one front end, HTTP", 1 / HTTP_SECONDS, f"{1000 * HTTP_SECONDS:g} ms, assumed"),
        Limit(
            f"one front end, encoding on {FRONT_CORES} cores",
            FRONT_CORES / encode,
            f"{1000 * encode:.1f} ms a PNG, {len(png) / 2**20:.1f} MiB",
        ),
        Limit("answers over 10 Gbit/s", NETWORK_BITS / 8 / answer, f"{answer / 2**20:.1f} MiB"),
        Limit(
            "pixels from the replicas, 10 Gbit/s", NETWORK_BITS / 8 / pixels.nbytes,
            f"{pixels.nbytes / 2**20:.1f} MiB",
        ),
        Limit("asynchronous jobs, one store", 1 / store, f"{1000 * store:.1f} ms of writing a job"),
    ]  # fmt: skip
    return sorted(found, key=lambda limit: limit.rate)


def _picture(width: int, height: int) -> np.ndarray:
    """Smooth colours with a little noise: neither the best nor the worst case of PNG."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], -1)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of all threads, the least of a few runs: others are not the question."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _store_seconds(png: bytes) -> float:
    """Seconds to accept, start and complete one job, on this machine's disk."""
    order = JobOrder(
        params=TextToImageParams(prompt="a lighthouse"),
        image=None,
        door="simulation",
        execution_timeout=600,
        ttl=DAY,
        retention=1800,
        result_limit=sys.maxsize,
    )
    file = File(png, "image/png", seed=1, nsfw=False)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        connection = sqlite3.connect(Path(folder) / "jobs.sqlite3", isolation_level=None)
        store = JobStore(connection, most_bytes=sys.maxsize)

        def run_one(number: int) -> None:
            job_id = f"job-{number}"
            store.add(job_id, "text-to-image", order, time.time())
            store.start(job_id, time.time())
            store.complete(job_id, (file,), "[]", time.time())

        start = time.perf_counter()
        for number in range(STORED_JOBS):
            run_one(number)
        seconds = (time.perf_counter() - start) / STORED_JOBS
        store.close()
    return seconds
