"""Media that clients fetch by URL: files in a folder that never outgrows its limit."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

logger = logging.getLogger(__name__)

ID_BYTES = 16
"""Randomness of an id: who does not know it cannot guess it."""
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4"}
MEDIA_TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()}
SWEEP = 60.0
"""Seconds between looks for files that are too old."""
_UNFINISHED = ".part"

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class MediaShelf:
    """Keeps files for a while: the oldest make room for new ones.

    The folder is made on first use, and all work on it is done in one thread.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int,
        retention: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Touch nothing yet.

        Args:
            folder: where the files are.
            limit_bytes: of all files together.
            retention: seconds that a file is kept at most.
            clock: seconds since 1970.
        """
        self._folder = folder
        self._limit = limit_bytes
        self.retention = retention
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "media-shelf")
        self._sizes: dict[str, int] | None = None  # by name, the oldest first

    @property
    def stored_bytes(self) -> int:
        """Size of the files kept, as far as they were looked at yet."""
        return sum(list((self._sizes or {}).values()))

    async def put(self, data: bytes, media_type: str) -> str | None:
        """Keep a file under a new name, which nobody can guess; None if there is no room for it.

        Args:
            data: the file's bytes.
            media_type: a key of `EXTENSIONS`.
        """
        return await self._run(self._put, data, media_type)

    async def find(self, name: str) -> Path | None:
        """Where the file of this name is, None if it never was or is no longer kept."""
        return await self._run(self._find, name)

    async def sweep(self) -> None:
        """Remove what is too old."""
        await self._run(self._sweep)

    async def sweep_for_ever(self) -> None:
        """Remove what is too old every minute, until cancelled."""
        while True:
            try:
                await self.sweep()
            except OSError as error:  # tried again in a minute
                logger.warning("old media in %s cannot be removed: %s", self._folder, error)
            await asyncio.sleep(SWEEP)

    def close(self) -> None:
        """Finish what was begun."""
        self._thread.shutdown(wait=True)

    async def _run(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    def _put(self, data: bytes, media_type: str) -> str | None:
        if len(data) > self._limit:
            return None
        name = f"{secrets.token_hex(ID_BYTES)}.{EXTENSIONS[media_type]}"
        try:
            if not self._folder.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                _flush_names(self._folder.parent)
            self._make_room(len(data))
            self._write(name, data)
        except OSError as error:
            logger.warning("media cannot be kept in %s: %s", self._folder, error)
            return None
        self._known()[name] = len(data)
        return name

    def _write(self, name: str, data: bytes) -> None:
        """Whole or not at all: readers never meet half a file, and power cuts take none back.

        A job is noted as completed next, for good.
        """
        unfinished = self._folder / (name + _UNFINISHED)
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            now = self._clock()
            os.utime(unfinished, (now, now))
            unfinished.replace(self._folder / name)
            _flush_names(self._folder)
        finally:
            unfinished.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        known = self._known()
        total = sum(known.values()) + size
        for name in list(known):
            if total <= self._limit:
                return
            total -= known[name]
            self._remove(name)

    def _find(self, name: str) -> Path | None:
        path = self._folder / name
        try:
            is_kept = path.stat().st_mtime + self.retention > self._clock()
        except OSError:
            return None
        return path if is_kept else None

    def _sweep(self) -> None:
        for name in list(self._known()):
            if self._find(name):
                return  # the rest is younger
            self._remove(name)

    def _remove(self, name: str) -> None:
        self._known().pop(name, None)
        (self._folder / name).unlink(missing_ok=True)

    def _known(self) -> dict[str, int]:
        """Sizes of the files; those of an earlier process are read at first."""
        if self._sizes is None:
            found = []
            for path in self._folder.iterdir() if self._folder.exists() else ():
                if path.suffix == _UNFINISHED:
                    path.unlink(missing_ok=True)
                else:
                    status = path.stat()
                    found.append((status.st_mtime, path.name, status.st_size))
            self._sizes = {name: size for _, name, size in sorted(found)}
        return self._sizes


def _flush_names(folder: Path) -> None:
    """Have the disk know the names in a folder; flushing a file says nothing of its name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
