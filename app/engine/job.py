"""A job: one generation on its way from a door to its pixels."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from app.engine.messages import Inputs, Usage
from app.errors import RunnerError


class State(StrEnum):
    """Where a job is in its life; it only moves downwards (a retried job goes back once)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Sample:
    """One output of a generation.

    Attributes:
        pixels: uint8 RGB, (height, width, 3) of an image or (frames, height, width, 3).
        seed: the seed that made it.
        nsfw: whether the safety checker flagged it.
    """

    pixels: memoryview
    seed: int
    nsfw: bool


@dataclass(frozen=True, slots=True)
class Generation:
    """What a successful job made."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_pixels(
        cls,
        pixels: memoryview,
        shape: tuple[int, ...],
        seeds: tuple[int, ...],
        nsfw: tuple[bool, ...],
        warnings: tuple[str, ...],
    ) -> Generation:
        """Cut the worker's one block of bytes into samples, without copying."""
        size = math.prod(shape[1:])
        blocks = (pixels[i * size : (i + 1) * size].cast("B", shape[1:]) for i in range(shape[0]))
        samples = tuple(Sample(*sample) for sample in zip(blocks, seeds, nsfw, strict=True))
        return cls(samples, warnings)


@dataclass(frozen=True, slots=True)
class Progress:
    """What happened to a job: its state, and how far it is.

    Attributes:
        step: denoising steps done, 0 before the first.
        steps: denoising steps in all, 0 while unknown.
        preview: how the image looks so far, (height, width, 3) uint8 RGB, if there is one.
    """

    state: State
    step: int = 0
    steps: int = 0
    preview: memoryview | None = None


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job is to be treated, whatever it generates.

    Attributes:
        door: name of the protocol, for the logs.
        job_id: id that the client chose; a taken one is replaced.
        preview_every: bring a preview with every n-th step; 0 for none.
        time_limit: seconds it may take, queueing included; REQUEST_TIMEOUT if None.
        runs_alone: not to run it beside others: it may have ended a worker.
    """

    door: str
    job_id: str | None = None
    preview_every: int = 0
    time_limit: float | None = None
    runs_alone: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """One generation and all that is known of it. Times are seconds of the service's clock.

    Attributes:
        id: unique among the jobs alive.
        door: the protocol it came through, for the logs.
        inputs: what to generate.
        image: bytes of the input image, (height, width, 3) uint8 RGB, or None.
        created: when it was accepted.
        deadline: when it has to be finished.
        preview_every: whether every n-th step brings a preview; 0 for none.
        attempts: how often a worker started it.
        runs_alone: whether nothing may run beside it: a worker died while it ran.
        inference_seconds: what the pipeline call took.
        rows: outputs in its forward passes, those of other jobs included, on average; 0 while
            unknown.
        usage: of the worker, when the job was done.
    """

    id: str
    door: str
    inputs: Inputs
    image: memoryview | None
    created: float
    deadline: float
    preview_every: int = 0
    attempts: int = 0
    runs_alone: bool = False
    progress: Progress = Progress(State.QUEUED)
    started: float | None = None
    finished: float | None = None
    inference_seconds: float = 0.0
    rows: float = 0.0
    usage: Usage = field(default_factory=Usage)
    _outcome: asyncio.Future[Generation] = field(default_factory=asyncio.Future)
    _watchers: list[asyncio.Queue[Progress]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Denoising steps that it takes; before it runs, those that its client asked for."""
        return self.progress.steps or self.inputs.params.num_inference_steps

    @property
    def state(self) -> State:
        """Where the job is in its life."""
        return self.progress.state

    @property
    def queue_seconds(self) -> float:
        """How long it waited (0 while it still does)."""
        return 0.0 if self.started is None else self.started - self.created

    async def result(self) -> Generation:
        """Wait for the job's end.

        Raises:
            RunnerError: why it failed or was cancelled.
        """
        return await asyncio.shield(self._outcome)

    def watch(self) -> AsyncIterator[Progress]:
        """Every change from this call on, the present state first, until the job ends."""
        queue: asyncio.Queue[Progress] = asyncio.Queue()
        queue.put_nowait(self.progress)
        self._watchers.append(queue)
        return self._changes(queue)

    async def _changes(self, queue: asyncio.Queue[Progress]) -> AsyncIterator[Progress]:
        try:
            while True:
                progress = await queue.get()
                yield progress
                if progress.state.is_final:
                    return
        finally:
            self._watchers.remove(queue)

    def update(self, progress: Progress) -> None:
        """Record a change and tell those who watch."""
        self.progress = progress
        for queue in self._watchers:
            queue.put_nowait(progress)

    def succeed(self, generation: Generation, now: float) -> None:
        """End the job with its pixels."""
        self.finished = now
        self._outcome.set_result(generation)
        self.update(Progress(State.SUCCEEDED, self.progress.steps, self.progress.steps))

    def fail(self, error: RunnerError, now: float, state: State = State.FAILED) -> None:
        """End the job with an error (or as cancelled)."""
        self.finished = now
        self._outcome.set_exception(error)
        self._outcome.exception()  # a client that left never asks: asyncio must not complain
        self.update(Progress(state, self.progress.step, self.progress.steps))


@dataclass(frozen=True, slots=True)
class Intake:
    """Makes jobs of what is asked of a backend.

    Attributes:
        request_timeout: seconds that a job may take whose options say nothing of it.
        find: the job of an id that is taken.
        clock: seconds from anywhere.
    """

    request_timeout: float
    find: Callable[[str], object]
    clock: Callable[[], float]

    def job(self, inputs: Inputs, image: memoryview | None, options: JobOptions) -> Job:
        """A new job, which waits."""
        now, seconds = self.clock(), options.time_limit
        job_id = options.job_id
        if job_id is None or self.find(job_id):
            job_id = uuid.uuid4().hex
        return Job(
            job_id,
            options.door,
            inputs,
            image,
            created=now,
            deadline=now + (self.request_timeout if seconds is None else seconds),
            preview_every=options.preview_every,
            runs_alone=options.runs_alone,
        )
