"""Stops the work of a client that has left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request

Result = TypeVar("Result")


async def unless_client_leaves(
    request: Request, work: Awaitable[Result], leave: Callable[[], object]
) -> Result:
    """Await `work`; when the client disconnects first, call `leave`, which makes `work` end.

    The request's body must have been read: what comes after it is the disconnection. Some servers
    (Ray's) cancel the request instead; then, too, `work` comes to its end, with nobody waiting.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            leave()
            await asyncio.wait({working})
    except asyncio.CancelledError:
        working.add_done_callback(_forget)
        leave()
        raise
    finally:
        watching.cancel()
    return await working


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _forget(work: asyncio.Future[Result]) -> None:
    """Look at the outcome, so that asyncio does not complain that nobody did."""
    if not work.cancelled():
        work.exception()
