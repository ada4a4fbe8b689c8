"""What happens to a job, as it happens: for asynchronous jobs and for synchronous ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from app.engine.backend import Backend
from app.engine.job import Job, Progress, State
from app.errors import DataFolderUnusable, JobNotFound, RunnerError
from app.jobs.bell import heard_within
from app.jobs.durable import DurableJob, JobState
from app.jobs.queue import JobQueue
from app.jobs.silence import with_silences

APPEARS = 5.0
"""Seconds to wait for a synchronous job whose client listens before it asks."""
LOOK = 0.05
"""Seconds between looks for it."""
POSITION = 1.0
"""Seconds between looks at a job's place in its queue."""

_STATES = {
    JobState.IN_QUEUE: State.QUEUED,
    JobState.IN_PROGRESS: State.RUNNING,
    JobState.COMPLETED: State.SUCCEEDED,
    JobState.FAILED: State.FAILED,
    JobState.TIMED_OUT: State.FAILED,
    JobState.CANCELLED: State.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a job.

    Attributes:
        progress: its state and step, perhaps with a preview.
        position: jobs that run before it, while it waits.
        error: why it failed, if it did.
    """

    progress: Progress
    position: int | None = None
    error: str = ""

    @property
    def is_last(self) -> bool:
        """Whether nothing more will happen."""
        return self.progress.state.is_final


class JobEvents:
    """Finds a job wherever it is, and follows it to its end."""

    def __init__(self, backend: Backend, queue: JobQueue) -> None:
        self._backend = backend
        self._queue = queue

    async def find(self, job_id: str) -> DurableJob | Job:
        """A job; one that is not known yet may appear within some seconds.

        Raises:
            JobNotFound: there is none of this id.
        """
        durable = await self.durable(job_id)
        if durable is not None:
            return durable
        end = asyncio.get_running_loop().time() + APPEARS
        while asyncio.get_running_loop().time() < end:
            if job := self._backend.find(job_id):
                return job
            await asyncio.sleep(LOOK)
        raise JobNotFound(job_id)

    async def durable(self, job_id: str) -> DurableJob | None:
        """An asynchronous job; None if there is none of this id, or none can be read."""
        try:
            return await self._queue.find(job_id)
        except DataFolderUnusable:  # synchronous jobs are served all the same
            return None

    def follow(self, job: DurableJob | Job) -> AsyncIterator[Event]:
        """Each change of a job, its present state first; ends after the last one.

        The stream also ends, without a last event, when the service does or the job expires.
        """
        if isinstance(job, Job):
            return self._follow_engine(job)
        return self._follow_durable(job.id)

    async def _follow_engine(self, job: Job) -> AsyncIterator[Event]:
        async for progress in with_silences(job.watch(), POSITION):
            if progress is None:
                if job.state is State.QUEUED:
                    yield Event(job.progress, self._backend.position(job.id))
                continue
            error = await _error(job) if progress.state.is_final else ""
            yield Event(progress, self._backend.position(job.id), error)

    async def _follow_durable(self, job_id: str) -> AsyncIterator[Event]:
        reached = Progress(State.QUEUED)
        while not self._queue.is_closed:
            live = self._queue.live(job_id)
            if live is not None:
                if not live.state.is_final:
                    async for event in self._follow_engine(live):
                        if not event.is_last:  # its result has yet to be encoded and written
                            yield event
                reached = live.progress  # on disk there is none
            with self._queue.bell.listen(job_id) as heard:
                durable = await self._queue.find(job_id)
                if durable is None:
                    return
                if durable.state.is_final:
                    state = _STATES[durable.state]
                    yield Event(replace(reached, state=state, preview=None), error=durable.error)
                    return
                if self._queue.live(job_id) is None:
                    reached = Progress(State.QUEUED)
                    yield Event(reached, await self._queue.position(durable))
                await heard_within(heard, POSITION)


async def _error(job: Job) -> str:
    try:
        await job.result()
    except RunnerError as error:
        return "" if job.state is State.CANCELLED else error.message
    return ""
