"""RunPod's calls that only a queue of this service's own can answer."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.engine.backend import Backend
from app.error_table import AsciiJson
from app.jobs.answers import Document, brief, workers
from app.jobs.queue import JobQueue


class QueueCalls:
    """Runs failed jobs again, drops those that wait, and counts them all."""

    def __init__(self, queue: JobQueue, backend: Backend) -> None:
        self._queue = queue
        self._backend = backend

    def add_to(self, calls: APIRouter) -> None:
        """Offer what changes jobs."""
        calls.post("/retry/{job_id}", summary="Run a failed job again")(self.retry)
        calls.post("/purge-queue", summary="Remove all jobs that wait")(self.purge_queue)

    async def retry(self, job_id: str) -> Response:
        """Queue a job that failed or timed out again, with the same id and input."""
        return AsciiJson(brief(await self._queue.retry(job_id)))

    async def purge_queue(self) -> Document:
        """Remove the jobs that wait; running ones go on."""
        return {"removed": await self._queue.purge(), "status": "completed"}

    async def health(self) -> Document:
        """How many jobs there are, and whether the worker is ready."""
        counts = await self._queue.counts()
        jobs = {
            "completed": counts.completed,
            "failed": counts.failed,
            "inProgress": counts.running,
            "inQueue": counts.waiting,
            "retried": counts.retried,
        }
        return {"jobs": jobs, "workers": workers(self._backend.status())}
