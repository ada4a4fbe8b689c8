"""A Backend whose jobs run on another host, behind a queue that is not ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from app.engine.backend import Health, Status
from app.engine.elsewhere import JobsElsewhere, Pixels
from app.engine.job import Job, Progress, State
from app.engine.messages import Inputs
from app.settings import Settings


class CallNotFound(Exception):
    """The host knows no call of this id, or its result has expired."""


class CallNotFinished(Exception):
    """The call had not ended when the time to wait for it was over."""


class CallCancelled(Exception):
    """The call was cancelled."""


class RemoteCalls(Protocol):
    """The other host's queue. A call is known by the host's own id from the moment it is queued."""

    async def paint(self, inputs: Inputs, image: bytes | None) -> str:
        """Queue a generation; its result will be Pixels."""

    async def generate(self, given: dict[str, Any]) -> str:
        """Queue a job as RunPod's clients word it; its result will be the job's output."""

    async def result(self, call_id: str, seconds: float | None) -> Any:
        """The result of a call, waited for so long, or for ever.

        Raises:
            RunnerError: the call failed so.
            CallNotFinished, CallNotFound, CallCancelled: see there.
        """

    async def progress(self, call_id: str) -> dict[str, Any] | None:
        """How far a call is, in the words of /status; None before its first step."""

    async def cancel(self, call_id: str) -> None:
        """Stop a call, wherever it is."""


class RemoteBackend(JobsElsewhere):
    """Runs jobs through RemoteCalls; there are no previews.

    The host has a queue of its own: jobs count as running as soon as they are in it.
    """

    def __init__(
        self,
        settings: Settings,
        calls: RemoteCalls,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, clock=clock)
        self._calls = calls

    async def start(self, on_failure: Callable[[], object]) -> None:
        """Nothing is to be loaded here."""

    def position(self, job_id: str) -> int | None:  # noqa: ARG002  # the protocol's
        """The host does not tell."""
        return None

    def status(self) -> Status:
        """Always able to serve: the host starts a container where none is."""
        return Status(
            health=Health.OK,
            waiting=0,
            running=len(self._jobs),
            restarts=0,
            worker=None,
            has_room=self._has_room(),
        )

    async def _paint(self, job: Job) -> Pixels:
        image = None if job.image is None else job.image.tobytes()
        queueing = asyncio.ensure_future(self._calls.paint(job.inputs, image))
        try:
            call_id = await asyncio.shield(queueing)
            job.started = self._clock()
            job.attempts = 1
            job.update(Progress(State.RUNNING))
            result: Pixels = await self._calls.result(call_id, None)
        except asyncio.CancelledError:
            await self._calls.cancel(await queueing)
            raise
        return result
