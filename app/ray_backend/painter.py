"""A replica: the ordinary local service, its worker process on the replica's own GPU."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from app.engine.elsewhere import Pixels
from app.engine.job import Job, State
from app.engine.messages import Ready
from app.engine.process import WORKER_COMMAND
from app.engine.service import LocalService
from app.engine.start import until_loaded
from app.errors import ModelNotLoaded, RunnerError, ShuttingDown
from app.ray_backend.messages import FromReplica, Moved, Painted, Refused, ReplicaOrder
from app.settings import Settings


class Painter:
    """Takes orders for one GPU."""

    def __init__(self, settings: Settings, worker_command: Sequence[str] = WORKER_COMMAND) -> None:
        self._service = LocalService(settings, worker_command=worker_command)

    async def start(self) -> None:
        """Load the model.

        Raises:
            ModelNotLoaded: why it cannot be loaded.
        """
        await self._service.start(on_failure=lambda: None)
        await until_loaded(self._service)

    async def stop(self) -> None:
        """End the worker process."""
        await self._service.stop()

    @property
    def running(self) -> int:
        """Jobs at the worker, those that are about to stop included."""
        return self._service.status().running

    async def ready(self) -> Ready:
        """What the worker said of itself."""
        worker = self._service.status().worker
        if worker is None:
            raise ShuttingDown
        return worker

    async def paint(self, order: ReplicaOrder) -> AsyncGenerator[FromReplica]:
        """See a job through; a caller that leaves stops it at its next step.

        Raises:
            ShuttingDown: this replica is about to end; another will take the job.
        """
        try:
            image = None if order.image is None else memoryview(order.image)
            job = self._service.submit(order.inputs, image, order.options)
        except ShuttingDown:
            raise
        except RunnerError as error:
            yield Refused(error)
            return
        try:
            async for message in _follow(job):
                yield message
        finally:
            self._service.cancel(job.id)  # changes nothing if it is over

    async def check_health(self) -> None:
        """Ray asks now and then, and replaces a replica that raises.

        Raises:
            ModelNotLoaded: there will be no worker.
        """
        if error := self._service.status().error:
            raise ModelNotLoaded(error)


async def _follow(job: Job) -> AsyncGenerator[FromReplica]:
    async for progress in job.watch():
        if progress.state is State.RUNNING:
            yield Moved.of(progress)
    try:
        generation = await job.result()
    except ShuttingDown:
        raise
    except RunnerError as error:
        yield Refused(error)
    else:
        yield Painted(Pixels.of(generation, job.inference_seconds), job.rows, job.usage)
