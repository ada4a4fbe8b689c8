"""What serves asynchronous jobs and media by URL, put together."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from app.engine.runner import Runner
from app.jobs.local_jobs import LocalJobs
from app.jobs.outbound import Outbound
from app.jobs.publishing import Publisher
from app.jobs.queue import JobQueue
from app.media.shelf import MediaShelf
from app.settings import Settings

logger = logging.getLogger(__name__)

HOUR = 3600.0


def media_shelf(settings: Settings, clock: Callable[[], float] = time.time) -> MediaShelf:
    """The shelf that the settings describe; `clock` counts seconds since 1970."""
    return MediaShelf(
        settings.data_dir / "media",
        limit_bytes=settings.media_limit_bytes,
        retention=settings.media_retention * HOUR,
        clock=clock,
    )


class JobServices:
    """The durable queue, the media shelf, and the calls that they make.

    Nothing is read or written before `start`, and no folder is made before it is needed.
    """

    def __init__(
        self, runner: Runner, shelf: MediaShelf, clock: Callable[[], float] = time.time
    ) -> None:
        """Compose; `clock` counts seconds since 1970."""
        self._backend = runner.backend
        self._data_dir = runner.settings.data_dir
        self._shelf = shelf
        self.publisher = Publisher(shelf)
        self.outbound = Outbound(allow_private=runner.settings.allow_private_urls)
        self.queue = JobQueue(runner, self.publisher, self.outbound, clock=clock)
        self.jobs = LocalJobs(runner, self.queue, self.outbound)
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what an earlier process left. The backend has been started."""
        _warn_of_folder(self._data_dir)
        await self.queue.start()
        self._sweeping = asyncio.create_task(self._shelf.sweep_for_ever())

    async def drain(self) -> None:
        """Drain the backend, and write what became of the jobs; those that wait stay on disk."""
        self.queue.refuse()
        try:
            await self._backend.drain()
        finally:
            await self.queue.settle()

    async def stop(self) -> None:
        """End everything, the backend first."""
        self.queue.refuse()
        await self._backend.stop()
        await self.queue.stop()
        if self._sweeping:
            self._sweeping.cancel()
        await asyncio.to_thread(self._shelf.close)


def _warn_of_folder(folder: Path) -> None:
    """Say at the start what the first job would be told; the other doors need no folder."""
    place = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        logger.warning(
            "DATA_DIR=%s cannot be written: asynchronous jobs and media by URL are refused", folder
        )
