"""What is left of a job when it is over: one record, for the log, the page and the metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.engine.job import Job
from app.errors import RunnerError

logger = logging.getLogger("app.jobs")

OK = "ok"
"""Outcome of a job that was served; of any other it is the name of the error's class."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One finished job. Times are in seconds.

    Attributes:
        id: of the job.
        door: the protocol it came through.
        pipeline: its name.
        size: (width, height) of the output, in pixels; of the input image where a request has
            no size of its own.
        steps: denoising steps it was to take.
        images: outputs it was to make.
        queue_seconds: how long it waited.
        inference_seconds: what the pipeline call took; 0 if it did not end.
        encode_seconds: what its files took.
        outcome: `OK`, or the name of the error's class.
        finished_at: seconds since the epoch.
        rows: outputs in its forward passes, those of other jobs included, on average.
        prompt: what its client wrote; empty unless LOG_PROMPTS is set.
    """

    id: str
    door: str
    pipeline: str
    size: tuple[int, int]
    steps: int
    images: int
    queue_seconds: float
    inference_seconds: float
    encode_seconds: float
    outcome: str
    finished_at: float
    rows: float
    prompt: str = ""


Observer = Callable[[JobRecord], object]
"""Told of each job once, on the event loop: it must neither wait nor raise."""

OnRefusal = Callable[[str, RunnerError], object]
"""Told the door and the reason of each request that never became a job."""


def ignore_refusal(_door: str, _error: RunnerError) -> None:
    """An `OnRefusal` for hosts that count none."""


def record_of(
    job: Job, outcome: str, encode_seconds: float = 0.0, *, with_prompt: bool = False
) -> JobRecord:
    """The record of a job that is over now."""
    params = job.inputs.params
    images = len(job.inputs.seeds)
    return JobRecord(
        id=job.id,
        door=job.door,
        pipeline=job.inputs.pipeline,
        size=job.inputs.size,
        steps=job.steps,
        images=images,
        queue_seconds=job.queue_seconds,
        inference_seconds=job.inference_seconds,
        encode_seconds=encode_seconds,
        outcome=outcome,
        finished_at=time.time(),
        rows=job.rows or images,
        prompt=getattr(params, "prompt", "") if with_prompt else "",
    )


def log_record(record: JobRecord) -> None:
    """The one line that a job leaves in the log; its fields also go to structured logs."""
    width, height = record.size
    fields: dict[str, object] = {
        "job": record.id,
        "door": record.door,
        "size": f"{width}x{height}",
        "steps": record.steps,
        "images": record.images,
        "rows": round(record.rows, 1),
        "queue_ms": round(1000 * record.queue_seconds),
        "inference_ms": round(1000 * record.inference_seconds),
        "encode_ms": round(1000 * record.encode_seconds),
        "outcome": record.outcome,
    }
    if record.prompt:
        fields["prompt"] = record.prompt
    text = " ".join(
        f"{name}={value!r}" if name == "prompt" else f"{name}={value}"
        for name, value in fields.items()
    )
    logger.info("%s", text, extra={"fields": fields})
