"""Asynchronous jobs that survive the process: accept, find, wait for, cancel, retry, purge."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from app import errors
from app.engine.backend import Health
from app.engine.encoding import File
from app.engine.job import Job, Progress
from app.engine.runner import Runner
from app.jobs.bell import Bell, heard_within
from app.jobs.durable import DurableJob, JobOrder, JobState
from app.jobs.feeder import Feeder
from app.jobs.outbound import Outbound
from app.jobs.publishing import Publisher
from app.jobs.store import JobStore
from app.jobs.store_thread import StoreThread
from app.jobs.webhooks import WebhookSender
from app.settings import MEBIBYTE

logger = logging.getLogger(__name__)

SWEEP = 1.0
"""Seconds between looks for expired jobs."""
SETTLE = 5.0
"""Seconds that results get to be encoded and written when the service ends."""
PATIENCE = 2.0
"""Seconds that a service which is just ending gets to leave DATA_DIR."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs of the queue, those whose retention is over excepted."""

    completed: int
    failed: int
    running: int
    waiting: int
    retried: int


class JobQueue:
    """The durable queue. All methods belong to the event loop's thread.

    Attributes:
        bell: rung with a job's id at each change of it.
    """

    def __init__(
        self,
        runner: Runner,
        publisher: Publisher,
        outbound: Outbound,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Compose; nothing is touched before `start`.

        Args:
            runner: runs the jobs.
            publisher: keeps results that are to be fetched by URL.
            outbound: calls webhooks.
            clock: seconds since 1970.
        """
        settings = runner.settings
        self._runner = runner
        self._clock = clock
        self._store = StoreThread(
            settings.data_dir,
            most_attempts=settings.job_attempts,
            most_bytes=settings.results_limit_bytes,
            most_waiting=settings.job_limit,
            clock=clock,
        )
        self.bell = Bell()
        self._feeder = Feeder(runner, self._store, publisher, self.bell, clock)
        self._webhooks = WebhookSender(self._store, outbound, clock)
        self._sweeper: asyncio.Task[None] | None = None
        self._refuses = False
        self._closed = False

    async def start(self) -> None:
        """Take up the jobs that an earlier process left, if there are any."""
        try:
            await self._store.open(PATIENCE)
        except errors.DataFolderUnusable as error:
            # The synchronous doors need no disk; those of jobs say what is wrong.
            logger.error("%s", error)
        self._feeder.start()
        self._webhooks.start()
        self._sweeper = asyncio.create_task(self._sweep())

    def refuse(self) -> None:
        """Take no new jobs."""
        self._refuses = True

    async def settle(self) -> None:
        """After the backend has drained: write what became of the jobs, and let all who wait go."""
        self._refuses = True
        await self._feeder.close(SETTLE)
        self._closed = True
        self.bell.release_all()

    async def stop(self) -> None:
        """End everything; jobs that are not over stay on disk."""
        await self.settle()
        await self._webhooks.stop()
        if self._sweeper:
            self._sweeper.cancel()
        await asyncio.to_thread(self._store.close)

    # Jobs -------------------------------------------------------------------------------

    async def submit(self, order: JobOrder) -> DurableJob:
        """Check a job and write it to disk; from then on it is not lost.

        Raises:
            BadRequest: what is wrong with the request.
            Overloaded: JOB_LIMIT jobs wait, there is no room for the image, the disk is full, or
                the service is ending.
            ModelNotLoaded: the model cannot be loaded.
        """
        job_id, now = secrets.token_hex(16), self._clock()
        with self._runner.telling_refusals(order.door):
            self._refuse_if_closed()
            if self._store.is_open and order.image is not None:
                await self._store.call(JobStore.check_room)  # before it is decoded for nothing
            await self._runner.check(order.params, order.image)
            self._refuse_if_too_large(order.image)
            await self._store.write(JobStore.add, job_id, self._runner.pipeline.name, order, now)
        self._feeder.wake()
        return await self.get(job_id)

    async def find(self, job_id: str) -> DurableJob | None:
        """A job, None if there is none of this id or it has expired."""
        if not self._store.exists:
            return None
        return await self._store.call(JobStore.find, job_id, self._clock())

    async def get(self, job_id: str) -> DurableJob:
        """A job.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
        """
        job = await self.find(job_id)
        if job is None:
            raise errors.JobNotFound(job_id)
        return job

    async def of_door(self, door: str) -> list[DurableJob]:
        """The jobs that came through a door, the newest first."""
        if not self._store.exists:
            return []
        return await self._store.call(JobStore.of_door, door, self._clock())

    async def files(self, job_id: str) -> tuple[File, ...]:
        """What a completed job made."""
        return await self._store.call(JobStore.files, job_id)

    async def position(self, job: DurableJob) -> int:
        """How many asynchronous jobs run before one that waits."""
        return await self._store.call(JobStore.position, job)

    @property
    def is_closed(self) -> bool:
        """Whether the service has done all it will do."""
        return self._closed

    def progress(self, job_id: str) -> Progress | None:
        """How far a job is, None while the engine does not have it."""
        run = self._feeder.runs.get(job_id)
        return None if run is None else run.job.progress

    def live(self, job_id: str) -> Job | None:
        """The job in the engine, None while the engine does not have it."""
        run = self._feeder.runs.get(job_id)
        return None if run is None else run.job

    async def wait(self, job_id: str, seconds: float) -> DurableJob:
        """A job as it is when it ends, or after so many seconds, or when the service ends.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            with self.bell.listen(job_id) as heard:
                job = await self.get(job_id)
                if job.state.is_final or self._closed or loop.time() >= end:
                    return job
                await heard_within(heard, end - loop.time())

    async def cancel(self, job_id: str) -> DurableJob:
        """Cancel a job that waits or runs; one that has ended stays as it is.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
            Overloaded: the disk is full.
        """
        await self.get(job_id)
        await self._store.write(JobStore.end, job_id, JobState.CANCELLED, "", self._clock())
        self._drop(job_id)
        return await self.get(job_id)

    async def retry(self, job_id: str) -> DurableJob:
        """Queue a job that failed or timed out once more.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
            JobNotRetryable: it is in another state.
            Overloaded: JOB_LIMIT jobs wait, the disk is full, or the service is ending.
            ModelNotLoaded: the model cannot be loaded.
        """
        self._refuse_if_closed()
        job = await self.get(job_id)
        if not await self._store.write(JobStore.retry, job_id):
            raise errors.JobNotRetryable(job_id, job.state)
        self._feeder.wake()
        return await self.get(job_id)

    async def remove(self, job_id: str) -> None:
        """Remove a job and its result, whatever its state.

        Raises:
            Overloaded: the disk is full.
        """
        if self._store.exists:
            await self._store.write(JobStore.remove, job_id)
        self._drop(job_id)

    async def purge(self) -> int:
        """Remove all jobs that wait; how many they were.

        Raises:
            Overloaded: the disk is full.
        """
        if not self._store.exists:
            return 0
        removed = await self._store.write(JobStore.purge)
        for job_id in removed:
            self._drop(job_id)
        return len(removed)

    async def counts(self) -> Counts:
        """How many jobs there are."""
        if not self._store.exists:
            return Counts(0, 0, 0, 0, 0)
        states, retried = await self._store.call(JobStore.counts, self._clock())
        return Counts(
            completed=states.get(JobState.COMPLETED, 0),
            failed=states.get(JobState.FAILED, 0) + states.get(JobState.TIMED_OUT, 0),
            running=states.get(JobState.IN_PROGRESS, 0),
            waiting=states.get(JobState.IN_QUEUE, 0),
            retried=retried,
        )

    # Inside -----------------------------------------------------------------------------

    def _refuse_if_closed(self) -> None:
        if self._refuses:
            raise errors.ShuttingDown
        status = self._runner.backend.status()
        if status.health is Health.ERROR:
            raise errors.ModelNotLoaded(status.error)

    def _refuse_if_too_large(self, image: bytes | None) -> None:
        """Refuse an image that there would not be room for if it were the only one."""
        limit = self._runner.settings.results_limit_bytes
        if image is not None and len(image) > limit:
            allowed = f"{limit / MEBIBYTE:g} MiB (RESULTS_LIMIT_MB)"
            raise errors.RequestTooLarge(f"The image takes more than {allowed}.")

    def _drop(self, job_id: str) -> None:
        self._feeder.cancel(job_id)
        self.bell.ring(job_id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            if not self._store.is_open:
                await self._take_up()
                continue
            try:
                expired = await self._store.call(JobStore.remove_expired, self._clock())
            except sqlite3.Error as error:  # tried again in a moment
                logger.warning("expired jobs cannot be removed: %s", error)
                continue
            for job_id in expired:
                self._drop(job_id)

    async def _take_up(self) -> None:
        """Open what another service still held, or a broken disk kept, when this one started."""
        with contextlib.suppress(errors.DataFolderUnusable):  # said at the start
            await self._store.open()
        if self._store.is_open:
            self._feeder.wake()
