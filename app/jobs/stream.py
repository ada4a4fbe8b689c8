"""What is new of a job since a client last asked, for those that ask in a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.jobs.answers import Document, final_output, progress_output
from app.jobs.bell import heard_within
from app.jobs.durable import DurableJob, JobState
from app.jobs.news import News
from app.jobs.queue import JobQueue

HOLD = 1.0
"""Seconds to wait for news: some clients ask again without a pause."""


class JobStream:
    """Hands out the progress of jobs, step by step, and their output as the last piece."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._news = News()

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
                pieces = await self._pieces(job)
                if pieces or job.state.is_final or loop.time() >= end or self._queue.is_closed:
                    return job.state, pieces
                await heard_within(heard, end - loop.time())

    async def _pieces(self, job: DurableJob) -> Sequence[Document]:
        if job.state is JobState.IN_PROGRESS:
            progress = self._queue.progress(job.id)
            if progress and progress.step and self._news.is_new(job.id, progress.step):
                return (progress_output(progress),)
            return ()
        if not self._news.is_new(job.id, job.state) or job.state is not JobState.COMPLETED:
            return ()
        files = await self._queue.files(job.id)
        return (await asyncio.to_thread(final_output, job, files),)
