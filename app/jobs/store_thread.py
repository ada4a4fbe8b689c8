"""The store's own thread: the event loop never waits for the disk."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import TextIOWrapper
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from app.errors import DataFolderUnusable, Overloaded
from app.jobs.room import NO_ROOM_RETRY
from app.jobs.schema import VERSION, version_of
from app.jobs.store import JobStore

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Result = TypeVar("Result")

RETRY_WRITE = 1.0
"""Seconds between attempts to write to a disk that is full or broken."""


class StoreThread:
    """Opens the store in DATA_DIR on first use and calls it, one transaction at a time.

    One process uses a folder at a time: two would run the same jobs. A lock on a file says
    which; the system drops it however the process ends.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_attempts: int,
        most_bytes: int,
        most_waiting: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Touch nothing yet.

        Args:
            folder: DATA_DIR.
            most_attempts: see `JobStore.recover`.
            most_bytes: see `JobStore`.
            most_waiting: see `JobStore`.
            clock: seconds since 1970.
        """
        self._folder = folder
        self._most_attempts = most_attempts
        self._most_bytes = most_bytes
        self._most_waiting = most_waiting
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "jobs")
        self._lock: TextIOWrapper | None = None
        self._store: JobStore | None = None

    @property
    def exists(self) -> bool:
        """Whether there may be jobs: the store is open, or was made by an earlier process."""
        try:
            return self.is_open or self._path.exists()
        except OSError:  # the folder may not be looked into: opening the store says so
            return True

    @property
    def is_open(self) -> bool:
        """Whether the store was used."""
        return self._store is not None

    async def open(self, patience: float = 0.0) -> None:
        """Open the store, if it exists.

        Args:
            patience: seconds to wait for another service that is just ending.

        Raises:
            DataFolderUnusable: another service uses it, or it cannot be read.
        """
        if self.exists:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._opened, patience)

    async def call(
        self,
        method: Callable[Concatenate[JobStore, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Run a method of the store in its thread; makes the store if there is none.

        Raises:
            DataFolderUnusable: the store cannot be opened.
            sqlite3.Error: the disk is full or broken; nothing was changed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: method(self._opened(), *args, **kwargs)
        )

    async def write(
        self,
        method: Callable[Concatenate[JobStore, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Change the store for a client, who is told if that cannot be done now.

        Raises:
            DataFolderUnusable: the store cannot be opened.
            Overloaded: the disk is full or broken; nothing was changed.
        """
        try:
            return await self.call(method, *args, **kwargs)
        except sqlite3.Error as error:
            raise Overloaded(f"DATA_DIR cannot be written ({error}).", NO_ROOM_RETRY) from error

    async def persist(
        self,
        method: Callable[Concatenate[JobStore, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Write down what has happened, however long the disk takes to have room or be mended."""
        while True:
            try:
                return await self.call(method, *args, **kwargs)
            except sqlite3.Error as error:
                logger.error("DATA_DIR cannot be written, tried again: %s", error)
                await asyncio.sleep(RETRY_WRITE)

    def close(self) -> None:
        """Finish what was begun, close the store and free its folder."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    @property
    def _path(self) -> Path:
        return self._folder / "jobs.sqlite3"

    def _opened(self, patience: float = 0.0) -> JobStore:
        if self._store is None:
            self._store = self._open(patience)
        return self._store

    def _open(self, patience: float) -> JobStore:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._acquire_lock(patience)
            store = JobStore(
                self._connect(), most_bytes=self._most_bytes, most_waiting=self._most_waiting
            )
            again, failed = store.recover(self._most_attempts, self._clock())
            waiting = store.waiting()
        except (OSError, sqlite3.Error) as error:
            raise DataFolderUnusable(
                f"DATA_DIR={self._folder} cannot hold asynchronous jobs: {error}. Let the service "
                "write there, or name another folder."
            ) from error
        logger.info(
            "jobs in %s: %d wait, %d of them were interrupted; %d failed",
            self._path, waiting, again, failed,
        )  # fmt: skip
        return store

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        if (found := version_of(connection)) > VERSION:
            connection.close()
            raise DataFolderUnusable(
                f"{self._path} was written by a later version of this service (schema {found}, "
                f"here {VERSION}): name another DATA_DIR, or remove the file."
            )
        return connection

    def _acquire_lock(self, patience: float) -> None:
        if self._lock is None:
            self._lock = (self._folder / "jobs.lock").open("w")
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise DataFolderUnusable(
                        f"DATA_DIR={self._folder} is in use by another service: give each a "
                        "folder of its own."
                    ) from None
                time.sleep(0.05)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
        if self._lock is not None:
            self._lock.close()
