"""The local backend: queue and worker of this machine, joined."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence

from app import errors
from app.engine.backend import Health, Status
from app.engine.job import Generation, Intake, Job, JobOptions, Progress, State
from app.engine.messages import (
    Cancel,
    Cancelled,
    Failed,
    Finished,
    FromWorker,
    Inputs,
    Ready,
    Run,
    Started,
    Step,
    Usage,
)
from app.engine.process import WORKER_COMMAND, WorkerProcess
from app.engine.scheduler import Scheduler
from app.engine.supervisor import Supervisor
from app.settings import Settings

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""A job whose worker died is tried once more."""
TICK = 0.25
"""Seconds between looks at deadlines and at a silent worker."""
NOT_CARRIED = "The pixels could not be carried between the server's processes"
RECENT = 0.2
"""Weight of the newest job in the running mean of job times."""


class LocalService:
    """Accepts jobs, hands them to the worker in turn, and ends each exactly once.

    All methods belong to the event loop's thread. `clock` counts seconds from anywhere;
    `first_worker` is one that runs already.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        worker_command: Sequence[str] = WORKER_COMMAND,
        first_worker: WorkerProcess | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._intake = Intake(settings.request_timeout, self.find, clock)
        self._queue = Scheduler(settings.queue_limit)
        self._running: dict[str, Job] = {}
        self._supervisor = Supervisor(settings, self, worker_command, first_worker)
        self._ticker: asyncio.Task[None] | None = None
        self._draining = False
        self._heard = 0.0
        self._mean_seconds = 0.0
        self._error = ""
        self._usage = Usage()
        self._report_failure: Callable[[], object] = lambda: None

    # The backend's side -----------------------------------------------------------------

    async def start(self, on_failure: Callable[[], object]) -> None:
        """Begin to load the model; returns at once. See `Backend.start`."""
        self._report_failure = on_failure
        self._supervisor.start()
        self._ticker = asyncio.create_task(self._tick())

    def submit(self, inputs: Inputs, image: memoryview | None, options: JobOptions) -> Job:
        """Accept a job; see `Backend.submit`."""
        self.check_room()
        job = self._intake.job(inputs, image, options)
        self._queue.add(job)
        self._dispatch()
        return job

    def check_room(self) -> None:
        """See `Backend.check_room`."""
        if self._draining:
            raise errors.ShuttingDown
        if self._error:
            raise errors.ModelNotLoaded(self._error)
        if not self._queue.has_room(self._free_slots()):
            raise errors.Overloaded(
                f"{len(self._queue)} jobs are waiting (QUEUE_LIMIT={self._settings.queue_limit}); "
                f"try again in {self._retry_after()} s.",
                self._retry_after(),
            )

    def find(self, job_id: str) -> Job | None:
        """The job of this id, while it waits or runs."""
        waiting = (job for job in self._queue if job.id == job_id)
        return self._running.get(job_id) or next(waiting, None)

    def position(self, job_id: str) -> int | None:
        """How many jobs run before this one; None once it is no longer waiting."""
        return self._queue.position(job_id)

    def cancel(self, job_id: str) -> bool:
        """Stop a job: at once if it waits, at its next step if it runs."""
        return self._stop_job(job_id, errors.JobCancelled(), State.CANCELLED)

    def status(self) -> Status:
        """How the service is.

        A worker that is being replaced does not make the service unhealthy: its jobs wait and
        are served, while an orchestrator that saw a failure would destroy them.
        """
        if self._error:
            health = Health.ERROR
        elif self._supervisor.ready is None:
            health = Health.LOADING
        else:
            health = Health.OK
        return Status(
            health=health,
            waiting=len(self._queue),
            running=len(self._running),
            restarts=self._supervisor.restarts,
            worker=self._supervisor.ready,
            error=self._error,
            usage=self._usage,
            has_room=self._queue.has_room(self._free_slots()),
        )

    async def drain(self) -> None:
        """Take no new jobs, fail the waiting ones, give the running ones DRAIN_SECONDS."""
        self._draining = True
        for job in list(self._queue):
            self._stop_job(job.id, errors.ShuttingDown())
        ends = [asyncio.ensure_future(job.result()) for job in self._running.values()]
        try:
            if ends:
                await asyncio.wait(ends, timeout=self._settings.drain_seconds)
        finally:  # also where nobody wants to wait any longer
            for job in list(self._running.values()):
                self._stop_job(job.id, errors.ShuttingDown())
        await asyncio.gather(*ends, return_exceptions=True)

    async def stop(self) -> None:
        """End the worker; jobs that are left fail."""
        self._draining = True
        if self._ticker:
            self._ticker.cancel()
        for job in [*self._queue, *self._running.values()]:
            self._stop_job(job.id, errors.ShuttingDown())
        await self._supervisor.stop()

    # The worker's side ------------------------------------------------------------------

    def on_message(self, message: FromWorker, pixels: memoryview | None) -> None:
        """Follow what the worker says."""
        self._heard = self._clock()
        if isinstance(message, Ready | Finished):
            self._usage = message.usage
        if isinstance(message, Ready):
            logger.info(
                "ready after %.1f s on %s (%s)%s",
                message.load_seconds,
                message.device,
                message.dtype,
                f", {', '.join(message.accelerators)}" if message.accelerators else "",
            )
            self._dispatch()
            return
        job = self._running.get(getattr(message, "job_id", ""))
        if job is not None:
            self._follow(job, message, pixels)

    def on_death(self, reason: str) -> None:
        """Try the interrupted jobs once more, or fail them.

        Of several, each is tried alone: else the one that ended the worker would end all others.
        """
        interrupted, self._running = list(self._running.values()), {}
        retried = []
        for job in interrupted:
            if job.state.is_final:
                continue
            if self._draining:
                job.fail(errors.ShuttingDown(), self._clock())
            elif job.attempts < MAX_ATTEMPTS:
                job.runs_alone = job.runs_alone or len(interrupted) > 1
                job.update(Progress(State.QUEUED))
                retried.append(job)
            else:
                job.fail(errors.WorkerDied(job.attempts, reason), self._clock())
        self._queue.put_back(retried)

    def on_failure(self, message: str) -> None:
        """Fail everything: there will be no worker."""
        self._error = message
        logger.error("%s", message)
        for job in [*self._queue, *self._running.values()]:
            self._stop_job(job.id, errors.ModelNotLoaded(message))
        self._report_failure()

    # Inside -----------------------------------------------------------------------------

    def _retry_after(self) -> int:
        """Seconds until a place in the queue is likely: the time of the job that runs."""
        worker = self._supervisor.ready
        concurrency = worker.concurrency if worker else 1
        return min(max(1, math.ceil(self._mean_seconds / concurrency)), 3600)

    def _free_slots(self) -> int:
        worker = self._supervisor.ready
        if worker is None or not self._supervisor.takes_jobs:
            return 0
        if any(job.runs_alone for job in self._running.values()):
            return 0
        return worker.concurrency - len(self._running)

    def _dispatch(self) -> None:
        """Give the worker as many jobs as it takes."""
        now = self._clock()
        while job := self._queue.next(now, self._free_slots(), is_idle=not self._running):
            job.attempts += 1
            job.started = now if job.started is None else job.started
            if not self._running:  # else the worker's silence began before this job
                self._heard = now
            self._running[job.id] = job
            job.update(Progress(State.RUNNING))
            self._order(job)

    def _order(self, job: Job) -> None:
        try:
            self._supervisor.send(Run(job.id, job.inputs, job.preview_every), job.image)
        except OSError as error:
            del self._running[job.id]
            logger.error("job %s could not be handed to the worker: %s", job.id, error)
            job.fail(errors.JobFailed(f"{NOT_CARRIED} ({error.strerror})."), self._clock())

    def _follow(self, job: Job, message: FromWorker, pixels: memoryview | None) -> None:
        match message:
            case Started():
                return
            case Step(step=step, steps=steps, preview_shape=shape):
                preview = pixels.cast("B", shape) if pixels is not None and shape else None
                if not job.state.is_final:
                    job.update(Progress(State.RUNNING, step, steps, preview))
                return
            case Finished():
                self._finish(job, message, pixels)
            case Failed(error=error):
                if not job.state.is_final:
                    job.fail(error, self._clock())
            case Cancelled():
                if not job.state.is_final:
                    job.fail(errors.JobCancelled(), self._clock(), State.CANCELLED)
            case _:
                return
        del self._running[job.id]
        self._dispatch()

    def _finish(self, job: Job, message: Finished, pixels: memoryview | None) -> None:
        self._note_duration(message.inference_seconds)
        if job.state.is_final:
            return
        if pixels is None:  # the system had no descriptor left for them
            job.fail(errors.JobFailed(f"{NOT_CARRIED}."), self._clock())
            return
        job.inference_seconds = message.inference_seconds
        job.rows = message.rows
        job.usage = message.usage
        generation = Generation.from_pixels(
            pixels, message.shape, message.seeds, message.nsfw, message.warnings
        )
        job.succeed(generation, self._clock())

    def _note_duration(self, seconds: float) -> None:
        known = self._mean_seconds
        self._mean_seconds = known + RECENT * (seconds - known) if known else seconds

    def _stop_job(
        self, job_id: str, error: errors.RunnerError, state: State = State.FAILED
    ) -> bool:
        """End a job for its client now; a running one leaves its place at the next step."""
        job = self._queue.remove(job_id) or self._running.get(job_id)
        if job is None or job.state.is_final:
            return False
        if job_id in self._running:
            self._supervisor.send(Cancel(job_id))
        job.fail(error, self._clock(), state)
        return True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._expire()
            self._replace_if_hung()

    def _expire(self) -> None:
        now = self._clock()
        for job in self._queue.take_expired(now):
            job.fail(errors.DeadlineExceeded(self._settings.request_timeout), now)
        for job in [job for job in self._running.values() if job.deadline <= now]:
            self._stop_job(job.id, errors.DeadlineExceeded(self._settings.request_timeout))

    def _replace_if_hung(self) -> None:
        silent, limit = self._clock() - self._heard, self._settings.step_timeout
        if self._running and silent > limit:
            self._supervisor.replace(
                f"no denoising step for {silent:.0f} s (STEP_TIMEOUT={limit:g})"
            )
