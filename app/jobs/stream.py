"""What is new of a job since a client last asked, for those that ask in a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.job import Progress
from app.jobs.answers import Document, final_output, progress_output
from app.jobs.bell import heard_within
from app.jobs.durable import DurableJob, JobState
from app.jobs.queue import JobQueue

HOLD = 1.0
"""Seconds to wait for news: some clients ask again without a pause."""
MOST_CURSORS = 4096
"""Jobs whose place is remembered; a client of one that is forgotten hears its output again."""


@dataclass(slots=True)
class Cursor:
    """What a client has heard of a job."""

    step: int = 0
    is_done: bool = False


class JobStream:
    """Hands out the progress of jobs, step by step, and their output as the last piece."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._cursors: dict[str, Cursor] = {}

    async def news(self, job_id: str) -> tuple[JobState, Sequence[Document]]:
        """A job's state, and the pieces that nobody has heard yet.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + HOLD
        while True:
            with self._queue.bell.listen(job_id) as heard:
                job = await self._queue.get(job_id)
                pieces = await self._pieces(job, self._cursor(job))
                if pieces or job.state.is_final or loop.time() >= end or self._queue.is_closed:
                    return job.state, pieces
                await heard_within(heard, end - loop.time())

    async def _pieces(self, job: DurableJob, cursor: Cursor) -> list[Document]:
        if job.state is JobState.COMPLETED and not cursor.is_done:
            cursor.is_done = True
            files = await self._queue.files(job.id)
            return [await asyncio.to_thread(final_output, job, files)]
        progress = self._queue.progress(job.id)
        if job.state is JobState.IN_PROGRESS and progress and _is_news(progress, cursor):
            cursor.step = progress.step
            return [progress_output(progress)]
        return []

    def _cursor(self, job: DurableJob) -> Cursor:
        cursor = self._cursors.pop(job.id, Cursor())
        if job.state is JobState.IN_QUEUE:  # it begins, or begins again
            cursor = Cursor()
        self._cursors[job.id] = cursor
        if len(self._cursors) > MOST_CURSORS:
            del self._cursors[next(iter(self._cursors))]
        return cursor


def _is_news(progress: Progress, cursor: Cursor) -> bool:
    return progress.steps > 0 and progress.step != cursor.step
