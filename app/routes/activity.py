"""The activity door: recent jobs, the worker, the GPUs and the log, for the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.activity import Activity, Bucket, Durations, Window, total
from app.engine.backend import Status
from app.engine.records import OK
from app.errors import JobCancelled
from app.hardware import gpu_stats
from app.log_tail import LogTail
from app.routes.state import runner_of
from app.schemas import GPUStats

PATH = "/activity"


class Percentiles(BaseModel):
    """Median and 95th percentile, in seconds; null without a job."""

    p50: float | None
    p95: float | None


class Moment(BaseModel):
    """The jobs that ended within one bucket; `start` is in seconds since the epoch."""

    start: float
    succeeded: int
    failed: int
    cancelled: int
    execution: Percentiles
    queue: Percentiles
    rows: float | None


class Summary(BaseModel):
    """The jobs of the whole window; `rows` is the mean per forward pass."""

    outcomes: dict[str, int]
    execution: Percentiles
    queue: Percentiles
    rows: float | None


class Worker(BaseModel):
    """The worker process and its queue; device and dtype are empty before it is ready."""

    state: str
    error: str
    restarts: int
    waiting: int
    running: int
    device: str
    dtype: str
    concurrency: int
    load_seconds: float
    accelerators: list[str]


class Line(BaseModel):
    """A line of the log; `time` is in seconds since the epoch."""

    time: float
    level: str
    logger: str
    job: str
    text: str


class Report(BaseModel):
    """All that the page's Activity view shows."""

    window: Window
    bucket_seconds: int
    moments: list[Moment]
    summary: Summary
    worker: Worker
    gpus: dict[str, GPUStats]
    log: list[Line]


def router(activity: Activity, log: LogTail) -> APIRouter:
    """/activity."""

    async def report(
        request: Request,
        window: Window = Window.QUARTER_HOUR,
        job: Annotated[str, Query(max_length=128, description="Only the log of this job.")] = "",
        text: Annotated[str, Query(max_length=200, description="Only lines with it.")] = "",
    ) -> Report:
        """Finished jobs over time, the worker's state, the GPUs and the last log lines."""
        buckets = activity.buckets(window)
        return Report(
            window=window,
            bucket_seconds=window.bucket_seconds,
            moments=[_moment(start, bucket) for start, bucket in buckets],
            summary=_summary(total(buckets)),
            worker=_worker(runner_of(request.app).backend.status()),
            gpus=await run_in_threadpool(gpu_stats),
            log=[Line(**asdict(line)) for line in log.find(job, text)],
        )

    routes = APIRouter()
    routes.get(PATH, include_in_schema=False, response_model=Report)(report)
    return routes


def _moment(start: float, bucket: Bucket) -> Moment:
    succeeded, cancelled = bucket.outcomes[OK], bucket.outcomes[JobCancelled.__name__]
    return Moment(
        start=start,
        succeeded=succeeded,
        failed=bucket.outcomes.total() - succeeded - cancelled,
        cancelled=cancelled,
        execution=_percentiles(bucket.execution),
        queue=_percentiles(bucket.queue),
        rows=bucket.mean_rows,
    )


def _summary(bucket: Bucket) -> Summary:
    return Summary(
        outcomes=bucket.outcomes,
        execution=_percentiles(bucket.execution),
        queue=_percentiles(bucket.queue),
        rows=bucket.mean_rows,
    )


def _percentiles(durations: Durations) -> Percentiles:
    return Percentiles(p50=durations.percentile(0.5), p95=durations.percentile(0.95))


def _worker(status: Status) -> Worker:
    ready = status.worker
    return Worker(
        state=status.health,
        error=status.error,
        restarts=status.restarts,
        waiting=status.waiting,
        running=status.running,
        device=ready.device if ready else "",
        dtype=ready.dtype if ready else "",
        concurrency=ready.concurrency if ready else 0,
        load_seconds=ready.load_seconds if ready else 0.0,
        accelerators=list(ready.accelerators) if ready else [],
    )
