"""A Backend whose jobs run on other hosts: what does not depend on how they are reached."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from app import errors
from app.engine.job import Generation, Intake, Job, JobOptions, State
from app.engine.messages import Inputs
from app.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a host sends back of a generation; see `app.engine.messages.Finished`."""

    data: bytes
    shape: tuple[int, ...]
    seeds: tuple[int, ...]
    nsfw: tuple[bool, ...]
    warnings: tuple[str, ...]
    inference_seconds: float

    @classmethod
    def of(cls, generation: Generation, inference_seconds: float) -> Pixels:
        """Copy a generation, to be pickled."""
        samples = generation.samples
        return cls(
            data=b"".join(sample.pixels for sample in samples),
            shape=(len(samples), *(samples[0].pixels.shape or ())),
            seeds=tuple(sample.seed for sample in samples),
            nsfw=tuple(sample.nsfw for sample in samples),
            warnings=generation.warnings,
            inference_seconds=inference_seconds,
        )

    def generation(self) -> Generation:
        """The generation that was copied."""
        view = memoryview(self.data)
        return Generation.from_pixels(view, self.shape, self.seeds, self.nsfw, self.warnings)


class JobsElsewhere(ABC):
    """A Backend whose jobs run on other hosts. All methods belong to the event loop's thread.

    What is left to a subclass: to start, what it knows of the hosts, and `_paint`, which sees one
    job through.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._intake = Intake(settings.request_timeout, self._tasks.get, clock)
        self._closed = False

    def submit(self, inputs: Inputs, image: memoryview | None, options: JobOptions) -> Job:
        """Accept a job; see `Backend.submit`. Whether it runs alone is the hosts' affair."""
        self.check_room()
        job = self._intake.job(inputs, image, options)
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._forget(job))
        return job

    def check_room(self) -> None:
        """See `Backend.check_room`."""
        if self._closed:
            raise errors.ShuttingDown
        if not self._has_room():
            raise errors.Overloaded(
                f"{self._crowd()} jobs are under way (QUEUE_LIMIT={self._settings.queue_limit}); "
                "try again in 1 s.",
                retry_after=1,
            )

    def find(self, job_id: str) -> Job | None:
        """The job of this id, while it waits or runs."""
        return self._jobs.get(job_id)

    def cancel(self, job_id: str) -> bool:
        """Stop a job here at once, and at the host as soon as it hears of it."""
        return self._end(job_id, errors.JobCancelled(), State.CANCELLED)

    async def drain(self) -> None:
        """Take no new jobs, and give those of the host DRAIN_SECONDS to come back."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()), timeout=self._settings.drain_seconds)
        await self.stop()

    async def stop(self) -> None:
        """End everything; what is left at the host is cancelled."""
        self._closed = True
        tasks = list(self._tasks.values())
        for job_id in tuple(self._jobs):
            self._end(job_id, errors.ShuttingDown())
        await asyncio.gather(*tasks, return_exceptions=True)

    @abstractmethod
    async def _paint(self, job: Job) -> Pixels:
        """See a job through, its progress told by `job.update`; cancelled, stop it there, too.

        Raises:
            RunnerError: why there are no pixels.
        """

    def _crowd(self) -> int:
        """Jobs that count against QUEUE_LIMIT: all, where the hosts do not say which still wait."""
        return len(self._jobs)

    def _has_room(self) -> bool:
        return self._crowd() <= self._settings.queue_limit

    def _end(self, job_id: str, error: errors.RunnerError, state: State = State.FAILED) -> bool:
        job = self._jobs.pop(job_id, None)
        if job is None or job.state.is_final:
            return False
        job.fail(error, self._clock(), state)
        self._tasks[job_id].cancel()
        return True

    async def _run(self, job: Job) -> None:
        """See a job through, and cancel it at the host if it is given up here."""
        limit = asyncio.timeout(job.deadline - self._clock())
        try:
            async with limit:
                pixels = await self._paint(job)
        except errors.RunnerError as error:
            self._fail(job, error)
        except Exception:  # one of the host's own, a TimeoutError perhaps
            if limit.expired():
                return self._fail(job, errors.DeadlineExceeded(job.deadline - job.created))
            logger.exception("job %s failed at the host", job.id)
            self._fail(job, errors.JobFailed("The job failed at its host; the log says more."))
        else:
            self._succeed(job, pixels)

    def _succeed(self, job: Job, pixels: Pixels) -> None:
        job.inference_seconds = pixels.inference_seconds
        job.succeed(pixels.generation(), self._clock())

    def _fail(self, job: Job, error: errors.RunnerError) -> None:
        if not job.state.is_final:
            job.fail(error, self._clock())

    def _forget(self, job: Job) -> None:
        del self._tasks[job.id]
        self._jobs.pop(job.id, None)
