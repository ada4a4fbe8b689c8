"""Server-sent events about work that ends when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.routes.json_body import fragments

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Neither kept nor held back by what is between us and the client."""


def event(name: str, data: object) -> bytes:
    """One event; its data is JSON, in which there is no line break."""
    return b"".join([b"event: ", name.encode(), b"\ndata: ", *fragments(data), b"\n\n"])


class EventStream(StreamingResponse):
    """Sends events; leaving it ends the work that they tell of.

    Args:
        events: what `event` returned, one by one.
        work: what the events are about; its outcome is for them to tell.
        leave: makes `work` end; does nothing if it has.
        headers: further ones.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        work: asyncio.Future[Any],
        leave: Callable[[], object],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(events, headers={**HEADERS, **headers})
        self._work = work
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; the client may be gone before the first."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
            await asyncio.gather(self._work, return_exceptions=True)
