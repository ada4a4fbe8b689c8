"""What a door may ask of whatever runs the jobs: this machine's worker, or another host's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from app.engine.job import Job, JobOptions
from app.engine.messages import Inputs, Ready, Usage


class Health(StrEnum):
    """The service as a whole, as /health words it."""

    LOADING = "LOADING"
    OK = "OK"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot of the backend.

    Attributes:
        health: whether it can serve.
        waiting: jobs in the queue.
        running: jobs at the worker.
        restarts: workers that were replaced.
        worker: what the worker said of itself when it became ready, None before.
        error: why it cannot serve, when it cannot.
        usage: what the present worker has used of its device.
        has_room: whether one more job may come, for as long as it can serve.
    """

    health: Health
    waiting: int
    running: int
    restarts: int
    worker: Ready | None
    error: str = ""
    usage: Usage = field(default_factory=Usage)
    has_room: bool = True


class Backend(Protocol):
    """Runs jobs."""

    def submit(self, inputs: Inputs, image: memoryview | None, options: JobOptions) -> Job:
        """Accept a job.

        Args:
            inputs: what to generate.
            image: bytes of the input image, where there is one.
            options: how to treat the job.

        Raises:
            Overloaded: there is no room; ShuttingDown: there will be none.
            ModelNotLoaded: the model cannot be loaded.
        """

    def check_room(self) -> None:
        """Refuse any job for which there would be no room now, before work is put into it.

        Raises:
            Overloaded: there is no room; ShuttingDown: there will be none.
            ModelNotLoaded: the model cannot be loaded.
        """

    def find(self, job_id: str) -> Job | None:
        """The job of this id, while it waits or runs."""

    def position(self, job_id: str) -> int | None:
        """How many jobs run before this one; None once it is no longer waiting."""

    def cancel(self, job_id: str) -> bool:
        """Stop a job that waits or runs; False if there is none of this id."""

    def status(self) -> Status:
        """How the backend is."""

    async def start(self, on_failure: Callable[[], object]) -> None:
        """Begin to load the model; returns at once.

        Args:
            on_failure: called once, if the model turns out impossible to load.
        """

    async def drain(self) -> None:
        """Take no new jobs, fail the waiting ones, let the running ones finish for a while."""

    async def stop(self) -> None:
        """End everything."""
