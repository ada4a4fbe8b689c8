"""Sees each job that the engine has through to its end, and writes down what became of it."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from app import errors
from app.engine.encoding import File
from app.engine.job import Job, Progress, State
from app.engine.runner import Runner, Served
from app.jobs.bell import Bell
from app.jobs.durable import ByUrl, DurableJob, JobState
from app.jobs.publishing import Publisher
from app.jobs.store import JobStore
from app.jobs.store_thread import StoreThread

logger = logging.getLogger(__name__)

TIMED_OUT = "execution timeout"
UNEXPECTED = "Internal server error."


@dataclass(slots=True, eq=False)
class QueuedRun:
    """A job of the queue that the engine has.

    Attributes:
        durable: the job on disk, as it was when the engine got it.
        job: the same in the engine.
        changes: all that happens to it there, from its submission on.
        attempts: starts so far, those of earlier processes included.
        starts: the starts that this run saw.
        verdict: what it counts as when the engine says that it was cancelled, and the error.
        timer: ends its execution time.
        task: sees it through to its end.
    """

    durable: DurableJob
    job: Job
    changes: AsyncIterator[Progress]
    attempts: int
    starts: int = 0
    verdict: tuple[JobState, str] = (JobState.CANCELLED, "")
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Follower:
    """Follows runs. Belongs to the event loop's thread."""

    def __init__(
        self,
        runner: Runner,
        store: StoreThread,
        publisher: Publisher,
        bell: Bell,
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._backend = runner.backend
        self._most_attempts = runner.settings.job_attempts
        self._results_limit = runner.settings.results_limit_bytes
        self._store = store
        self._publisher = publisher
        self._bell = bell
        self._clock = clock

    async def follow(self, run: QueuedRun) -> None:
        """Return when the job has ended on disk, or waits there again."""
        try:
            await self._follow(run)
        except Exception:
            logger.exception("job %s", run.durable.id)
            await self.end(run.durable.id, JobState.FAILED, UNEXPECTED)
        finally:
            if run.timer:
                run.timer.cancel()

    async def end(self, job_id: str, state: JobState, error: str) -> None:
        """Write down that a job ended without a result."""
        await self._store.persist(JobStore.end, job_id, state, error, self._clock())
        self._bell.ring(job_id)

    async def _follow(self, run: QueuedRun) -> None:
        job_id = run.durable.id
        try:
            served = await self._attend(run)
        except (errors.ShuttingDown, errors.ModelNotLoaded):
            # Not the job's fault: it waits on disk for the next process.
            await self._store.persist(JobStore.requeue, job_id, run.starts)
        except errors.WorkerDied as error:
            if run.attempts < self._most_attempts:
                await self._store.persist(JobStore.requeue, job_id)
            else:
                await self.end(job_id, JobState.FAILED, error.message)
        except errors.JobCancelled:
            await self.end(job_id, *run.verdict)
        except errors.RunnerError as error:
            await self.end(job_id, JobState.FAILED, error.message)
        else:
            await self._complete(run, served)

    async def _attend(self, run: QueuedRun) -> Served:
        """Wait for the outcome, and until the job's starts are written down."""
        watching = asyncio.create_task(self._watch(run))
        try:
            return await self._runner.finish(run.job, with_frames=False)
        finally:
            await watching

    async def _watch(self, run: QueuedRun) -> None:
        async for progress in run.changes:
            try:
                await self._note(run, progress)
            except sqlite3.Error as error:  # the job goes on, and this start is not counted
                logger.error("job %s: its start cannot be written: %s", run.durable.id, error)
            self._bell.ring(run.durable.id)

    async def _note(self, run: QueuedRun, progress: Progress) -> None:
        if progress.state is State.RUNNING and run.job.attempts > run.starts:
            run.starts = run.job.attempts
            self._limit_time(run)
            run.attempts = await self._store.call(JobStore.start, run.durable.id, self._clock())
            if run.attempts == 0:  # it was cancelled on its way to the worker
                self._backend.cancel(run.job.id)
        elif progress.state is State.QUEUED and run.starts and run.attempts >= self._most_attempts:
            # The worker died; the engine would start the job once more with the next one.
            died = errors.WorkerDied(run.attempts, "at its last start")
            self._stop(run, JobState.FAILED, died.message)

    def _limit_time(self, run: QueuedRun) -> None:
        """Begin to count the execution time, at the first start that this process sees."""
        if run.timer is None:
            loop, seconds = asyncio.get_running_loop(), run.durable.execution_timeout
            run.timer = loop.call_later(seconds, self._stop, run, JobState.TIMED_OUT, TIMED_OUT)

    def _stop(self, run: QueuedRun, state: JobState, error: str) -> None:
        if self._backend.cancel(run.job.id):
            run.verdict = state, error

    async def _complete(self, run: QueuedRun, served: Served) -> None:
        durable, files = run.durable, served.output.images
        limit = min(durable.result_limit, self._results_limit)
        is_large = result_size(files) > limit
        if durable.by_url is ByUrl.ALWAYS or (durable.by_url is ByUrl.IF_LARGE and is_large):
            files = await self._publisher.publish_all(files, durable.base_url)
        if (size := result_size(files)) > limit:
            await self.end(durable.id, JobState.FAILED, _too_large(durable, size, limit))
            return
        warnings = json.dumps([*json.loads(durable.warnings), *served.warnings])
        await self._store.persist(_complete_or_fail, durable.id, files, warnings, self._clock())


def _complete_or_fail(
    store: JobStore, job_id: str, files: tuple[File, ...], warnings: str, now: float
) -> None:
    """End a job with its result, or without one that SQLite will never take."""
    try:
        store.complete(job_id, files, warnings, now)
    except (sqlite3.DataError, sqlite3.IntegrityError) as error:  # a blob of a gigabyte, or a bug
        logger.exception("job %s", job_id)
        reason = f"The result could not be written to DATA_DIR: {error}."
        store.end(job_id, JobState.FAILED, reason, now)


def result_size(files: tuple[File, ...]) -> int:
    """Bytes that the files take in an answer, where they are base64.

    One file is there once; of several, the first is there a second time (`body` and `images`).
    """
    sizes = [4 * -(-len(file.data) // 3) for file in files]
    return sum(sizes) + (sizes[0] if len(sizes) > 1 else 0)


def _too_large(durable: DurableJob, size: int, limit: int) -> str:
    if durable.by_url is ByUrl.NEVER:
        return (
            f"The result takes {size} bytes, more than the {limit} that results may take here "
            "(RESULTS_LIMIT_MB): ask for a smaller one."
        )
    return (
        f"The result takes {size} bytes, more than the {limit} that are answered in one piece, "
        "and there is no room to keep it as a file (MEDIA_LIMIT_MB)."
    )
