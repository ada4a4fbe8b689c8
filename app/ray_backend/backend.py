"""The front end's backend: every job goes to a replica, and to another one if that is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from app.engine.backend import Health, Status
from app.engine.elsewhere import JobsElsewhere, Pixels
from app.engine.job import Job, JobOptions, Progress, State
from app.engine.messages import Ready
from app.errors import JobFailed, WorkerDied
from app.ray_backend.messages import FromReplica, Moved, Painted, Refused, ReplicaOrder
from app.settings import Settings

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Replicas that a job may lose. One lost with its node is common; a job that ends three is not
the nodes' fault."""


class ReplicaLost(Exception):
    """The replica ended, or cannot be reached, or is about to end."""


class Replicas(Protocol):
    """The fleet."""

    def paint(self, order: ReplicaOrder) -> AsyncGenerator[FromReplica]:
        """Have a replica paint; waits for one that has room. Closing it early stops the job.

        Raises:
            ReplicaLost: the job has to be given to another one.
        """

    async def ready(self) -> Ready:
        """What the first replica that is ready says of itself."""


class RayBackend(JobsElsewhere):
    """Runs jobs on replicas.

    Jobs that found no replica with room count as waiting. What the fleet takes at a time is what
    it may grow to, so that a queue on disk is fed to it and makes it grow.
    """

    def __init__(
        self,
        settings: Settings,
        replicas: Replicas,
        *,
        concurrency: int,
        scales_to_zero: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compose.

        Args:
            settings: of the service; QUEUE_LIMIT counts for all replicas together.
            replicas: the fleet.
            concurrency: jobs that the largest fleet takes at a time.
            scales_to_zero: whether there may be no replica until somebody asks for something.
            clock: seconds from anywhere.
        """
        super().__init__(settings, clock=clock)
        self._replicas = replicas
        self._concurrency = concurrency
        self._worker = Ready("", "", concurrency, load_seconds=0.0) if scales_to_zero else None
        self._lost = 0
        self._asking: asyncio.Task[None] | None = None

    async def start(self, on_failure: Callable[[], object]) -> None:  # noqa: ARG002
        """Ask the first replica what it is; where there may be none, do not start one for that."""
        if self._worker is None:
            self._asking = asyncio.create_task(self._ask())

    async def stop(self) -> None:
        """End everything; what is left at the replicas is cancelled."""
        if self._asking:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking
        await super().stop()

    def position(self, job_id: str) -> int | None:
        """How many jobs run before this one; None once it is no longer waiting."""
        waiting = [job.id for job in self._jobs.values() if job.state is State.QUEUED]
        return waiting.index(job_id) if job_id in waiting else None

    def status(self) -> Status:
        """OK as soon as a replica was ready: one that is lost is replaced, and its jobs wait."""
        waiting = self._crowd()
        return Status(
            health=Health.LOADING if self._worker is None else Health.OK,
            waiting=waiting,
            running=len(self._jobs) - waiting,
            restarts=self._lost,
            worker=self._worker,
            has_room=self._has_room(),
        )

    def _crowd(self) -> int:
        """Jobs that wait for a replica."""
        return [job.state for job in self._jobs.values()].count(State.QUEUED)

    async def _ask(self) -> None:
        ready = await self._replicas.ready()
        self._worker = Ready(
            ready.device,
            ready.dtype,
            self._concurrency,
            ready.load_seconds,
            ready.accelerators,
        )

    async def _paint(self, job: Job) -> Pixels:
        while True:
            job.attempts += 1
            try:
                return await self._paint_once(job)
            except ReplicaLost as lost:
                self._lost += 1
                logger.warning("job %s lost its replica: %s", job.id, lost)
                if job.attempts >= MAX_ATTEMPTS:
                    raise WorkerDied(job.attempts, "its replica was lost") from lost
                job.update(Progress(State.QUEUED))

    async def _paint_once(self, job: Job) -> Pixels:
        image = None if job.image is None else job.image.tobytes()
        options = JobOptions(
            job.door,
            job_id=f"{job.id}.{job.attempts}",  # an earlier attempt may still be ending somewhere
            preview_every=job.preview_every,
            time_limit=job.deadline - self._clock(),
        )
        order = ReplicaOrder(job.inputs, image, options)
        async with aclosing(self._replicas.paint(order)) as messages:
            async for message in messages:
                match message:
                    case Moved(step=step, steps=steps):
                        job.started = job.started or self._clock()
                        view = message.preview_view()
                        job.update(Progress(State.RUNNING, step, steps, view))
                    case Painted(pixels=pixels):
                        job.rows, job.usage = message.rows, message.usage
                        return pixels
                    case Refused(error=error):
                        raise error
        raise JobFailed("The replica ended the job without a result.")
