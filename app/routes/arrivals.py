"""The requests' bodies that are on their way here, all together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import BodyOverdue, Overloaded, RequestTooLarge, ShuttingDown
from app.settings import MEBIBYTE

LONGEST_PAUSE = 30.0
"""Seconds between two parts of a body."""
BODIES_AT_ONCE = 8
"""Arriving bodies may together be as large as this many of the largest; bodies that have arrived
are bounded by the queue's limit."""


class Arrivals:
    """Bounds what bodies take and how long they may pause. Belongs to the event loop's thread.

    Attributes:
        max_bytes: of one body.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._bytes = 0
        self._pauses: set[asyncio.Timeout] = set()
        self._is_closed = False

    def make_room(self, size: int) -> None:
        """Count arriving bytes; a negative size takes those of a body that has arrived off again.

        Raises:
            Overloaded: too much is on its way.
        """
        self._bytes += size
        if size > 0 and self._bytes > BODIES_AT_ONCE * self.max_bytes:
            raise Overloaded("too many large requests arrive at once.", retry_after=1)

    @asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Around the wait for a body's next part.

        Raises:
            BodyOverdue: it takes too long.
            ShuttingDown: the server is to end.
        """
        try:
            async with asyncio.timeout(0 if self._is_closed else LONGEST_PAUSE) as limit:
                self._pauses.add(limit)
                yield
        except TimeoutError as error:
            raise ShuttingDown if self._is_closed else BodyOverdue(LONGEST_PAUSE) from error
        finally:
            self._pauses.discard(limit)

    def close(self) -> None:
        """Wait no longer for any body: the server is to end."""
        self._is_closed = True
        now = asyncio.get_running_loop().time()
        for limit in self._pauses:
            if not limit.expired():
                limit.reschedule(now)

    def too_large(self) -> RequestTooLarge:
        """Say what the limit of one body is."""
        limit = self.max_bytes / MEBIBYTE
        return RequestTooLarge(f"The request is larger than {limit:g} MiB (MAX_UPLOAD_MB).")
