"""Jobs in the words of RunPod's API."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from app.engine.backend import Health, Status
from app.engine.encoding import File
from app.engine.job import Progress
from app.jobs.durable import DurableJob, JobState
from app.jobs.output import job_output

Document = dict[str, Any]


def brief(job: DurableJob) -> Document:
    """A job's id and state."""
    return {"id": job.id, "status": job.state}


def job_document(
    job: DurableJob, files: Sequence[File] = (), progress: Progress | None = None
) -> Document:
    """A job as /status answers it. Not for the event loop: results are large.

    Args:
        job: the job on disk.
        files: what it made, if it is completed.
        progress: how far it is, if it runs.
    """
    document = brief(job)
    if job.started is not None:
        document["delayTime"] = _milliseconds(job.created, job.started)
        if job.finished is not None:
            document["executionTime"] = _milliseconds(job.started, job.finished)
        document["workerId"] = socket.gethostname()
    if job.state in (JobState.FAILED, JobState.TIMED_OUT):
        document["error"] = job.error
    if job.state is JobState.COMPLETED:
        document["output"] = final_output(job, files)
    if job.state is JobState.IN_PROGRESS and progress and progress.steps:
        document["output"] = progress_output(progress)
    return document


def progress_output(progress: Progress) -> Document:
    """How far a job is."""
    return {"progress": {"step": progress.step, "steps": progress.steps}}


def final_output(job: DurableJob, files: Sequence[File]) -> Document:
    """What a completed job made."""
    return job_output(files, json.loads(job.warnings))


def workers(status: Status) -> Mapping[str, int]:
    """The state of the one worker, as RunPod counts an endpoint's."""
    is_ready = status.health is Health.OK
    is_running = is_ready and status.running > 0
    return {
        "idle": int(is_ready and not is_running),
        "initializing": int(status.health is Health.LOADING),
        "ready": int(is_ready),
        "running": int(is_running),
        "throttled": 0,
    }


def _milliseconds(start: float, end: float) -> int:
    return max(0, round(1000 * (end - start)))
