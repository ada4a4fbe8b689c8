"""Feeds the durable queue to the engine.

The rule: the engine holds as many asynchronous jobs as the worker takes at a time, and one more
that is ready for the next free place (none more where QUEUE_LIMIT is below 2). So a client of
the synchronous doors meets at most that one job in front of it however long the queue on disk
is, the worker never waits for the disk, and neither side starves the other: in the engine, all
are served in the order of their arrival. Jobs leave the disk in the order in which they were
queued, those of low priority last. A job that the engine has no room for stays where it is.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from pydantic import ValidationError

from app import errors
from app.engine.backend import Health
from app.engine.job import Job, JobOptions
from app.engine.messages import Ready
from app.engine.runner import Runner
from app.jobs.bell import Bell, heard_within
from app.jobs.durable import DurableJob, JobState
from app.jobs.follower import UNEXPECTED, Follower, QueuedRun
from app.jobs.publishing import Publisher
from app.jobs.store import JobStore
from app.jobs.store_thread import StoreThread
from app.validation import describe_issues

logger = logging.getLogger(__name__)

TICK = 0.2
"""Seconds between looks at a worker that loads, or an engine that is full."""


class Feeder:
    """Runs the jobs of the store. Belongs to the event loop's thread.

    Attributes:
        runs: the jobs that the engine has, or whose result is being encoded, by id.
    """

    def __init__(
        self,
        runner: Runner,
        store: StoreThread,
        publisher: Publisher,
        bell: Bell,
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._store = store
        self._follower = Follower(runner, store, publisher, bell, clock)
        self._bell = bell
        self._clock = clock
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.runs: dict[str, QueuedRun] = {}

    def start(self) -> None:
        """Begin to feed."""
        self._task = asyncio.create_task(self._feed())

    def wake(self) -> None:
        """There may be something to feed."""
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Take a job from the engine; what becomes of it on disk is the caller's."""
        run = self.runs.get(job_id)
        if run is not None:
            self._runner.backend.cancel(run.job.id)

    async def close(self, patience: float) -> None:
        """Feed no more, and wait a while until what became of the running jobs is written."""
        if self._task:
            self._task.cancel()
        tasks = [run.task for run in self.runs.values() if run.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience)
            for task in late:  # on disk these jobs run still: the next process runs them again
                task.cancel()

    # Feeding ----------------------------------------------------------------------------

    async def _feed(self) -> None:
        while True:
            self._wake.clear()
            try:
                while self._store.is_open and self._has_room() and await self._launch_next():
                    pass
            except Exception:  # the edge of the task: it must not end
                logger.exception("the queue of jobs cannot be fed")
            await heard_within(self._wake, TICK)

    def _has_room(self) -> bool:
        """See the rule above. Results that wait to be encoded slow the feeding down, too."""
        status = self._runner.backend.status()
        if status.health is not Health.OK or not status.has_room:
            return False
        window = self._window(status.worker)
        generating = sum(not run.job.state.is_final for run in self.runs.values())
        return generating < window and len(self.runs) < 2 * window

    def _window(self, worker: Ready | None) -> int:
        """Jobs that the engine may hold; without a worker it is another host that queues them."""
        limit = self._runner.settings.queue_limit
        if worker is None:
            return max(1, limit)
        return worker.concurrency + (1 if limit > 1 else 0)

    async def _launch_next(self) -> bool:
        """Give the next job to the engine; False if there is none, or no room for it."""
        durable = await self._store.call(
            JobStore.next_waiting, self._runner.pipeline.name, tuple(self.runs), self._clock()
        )
        if durable is None:
            return False
        image = await self._store.call(JobStore.image, durable.id)
        try:
            job = await self._submit(durable, image)
        except (errors.Overloaded, errors.ModelNotLoaded):
            return False
        except errors.RunnerError as error:
            await self._follower.end(durable.id, JobState.FAILED, error.message)
            return True
        except Exception:  # it must not stand in the way of those behind it
            logger.exception("job %s", durable.id)
            await self._follower.end(durable.id, JobState.FAILED, UNEXPECTED)
            return True
        run = QueuedRun(durable, job, job.watch(), durable.attempts)
        self.runs[durable.id] = run
        run.task = asyncio.create_task(self._follow(run))
        self._bell.ring(durable.id)
        return True

    async def _submit(self, durable: DurableJob, image: bytes | None) -> Job:
        pipeline = self._runner.pipeline
        try:
            params = pipeline.params.model_validate_json(durable.params)
        except ValidationError as error:
            reason = describe_issues(error.errors())
            raise errors.BadRequest(f"The job no longer fits {pipeline.name}: {reason}.") from error
        options = JobOptions(
            durable.door,
            job_id=_engine_id(durable),
            preview_every=int(self._runner.settings.previews),
            time_limit=math.inf,  # it has its own, from its start
            runs_alone=durable.attempts > 0,
        )
        return await self._runner.submit(params, image, options)

    async def _follow(self, run: QueuedRun) -> None:
        """See a job through to its end, and have the next one fed."""
        try:
            await self._follower.follow(run)
        finally:
            del self.runs[run.durable.id]
            self._bell.ring(run.durable.id)
            self.wake()


def _engine_id(durable: DurableJob) -> str:
    """The job's id, with a suffix of its own when it is started again.

    So a cancellation of an earlier start that reaches the worker late does not hit a later one.
    """
    if durable.attempts or durable.retries:
        return f"{durable.id}.{durable.retries}.{durable.attempts}"
    return durable.id
