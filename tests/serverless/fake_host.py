"""Another host's queue in this process: the real runner with the fake worker behind it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from app.engine.messages import Inputs
from app.engine.service import LocalService
from app.engine.start import start_runner, until_loaded
from app.serverless.hosted import HostedRunner
from app.serverless.remote import CallCancelled, CallNotFinished, CallNotFound
from app.settings import Settings
from tests.serve_fake import FAKE_WORKER


class FakeHost:
    """RemoteCalls whose calls are tasks.

    Attributes:
        queueing: cleared to hold calls up on their way into the queue.
        cancelled: ids of the calls that were asked to stop.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids = itertools.count(1)
        self._calls: dict[str, asyncio.Task[Any]] = {}
        self._progress: dict[str, dict[str, Any]] = {}
        self._hosted: HostedRunner | None = None
        self.queueing = asyncio.Event()
        self.queueing.set()
        self.cancelled: list[str] = []

    async def paint(self, inputs: Inputs, image: bytes | None) -> str:
        """Queue a generation."""
        return await self._queue(lambda hosted, _: hosted.paint(inputs, image))

    async def generate(self, given: dict[str, Any]) -> str:
        """Queue a job."""

        async def serve(hosted: HostedRunner, call_id: str) -> dict[str, Any]:
            async def report(progress: dict[str, Any]) -> None:
                self._progress[call_id] = progress

            return await hosted.serve(call_id, given, report)

        return await self._queue(serve)

    async def result(self, call_id: str, seconds: float | None) -> Any:
        """Wait for a result."""
        if call_id not in self._calls:
            raise CallNotFound
        call = self._calls[call_id]
        done, _ = await asyncio.wait({call}, timeout=seconds)
        if not done:
            raise CallNotFinished
        if call.cancelled():
            raise CallCancelled
        return call.result()

    async def progress(self, call_id: str) -> dict[str, Any] | None:
        """What was reported last."""
        return self._progress.get(call_id)

    async def cancel(self, call_id: str) -> None:
        """Stop a call."""
        self.cancelled.append(call_id)
        self._calls[call_id].cancel()

    async def close(self) -> None:
        """End the worker."""
        for call in self._calls.values():
            call.cancel()
        if self._hosted:
            await self._hosted.runner.backend.stop()

    async def _queue(self, work: Callable[[HostedRunner, str], Awaitable[Any]]) -> str:
        await self.queueing.wait()
        call_id = f"fc-{next(self._ids)}"
        self._calls[call_id] = asyncio.create_task(self._run(work, call_id))
        return call_id

    async def _run(
        self, work: Callable[[HostedRunner, str], Awaitable[Any]], call_id: str
    ) -> object:
        if self._hosted is None:
            backend = LocalService(self._settings, worker_command=FAKE_WORKER)
            self._hosted = HostedRunner(await start_runner(self._settings, backend), "host")
        await until_loaded(self._hosted.runner.backend)
        return await work(self._hosted, call_id)
