"""Wakes those who wait for news of a job."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Bell:
    """One bell for every id; it belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._silenced = False

    @contextmanager
    def listen(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set at the next ring; listen first, then look whether to wait."""
        heard = asyncio.Event()
        if self._silenced:
            heard.set()
        self._listeners[key].add(heard)
        try:
            yield heard
        finally:
            self._listeners[key].discard(heard)
            if not self._listeners[key]:
                del self._listeners[key]

    def ring(self, key: str) -> None:
        """Wake those who listen."""
        for heard in self._listeners.get(key, ()):
            heard.set()

    def release_all(self) -> None:
        """Wake everyone, now and from now on: there will be no more news."""
        self._silenced = True
        for key in list(self._listeners):
            self.ring(key)


async def heard_within(heard: asyncio.Event, seconds: float) -> None:
    """Wait for a bell, for so many seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await heard.wait()
