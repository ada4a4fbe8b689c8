"""Whoever waits for work that its client has left: the work ends, and is seen to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from fastapi import Request

from app.routes.disconnect import unless_client_leaves


class Work:
    """Waits until it is told to leave, and then fails, as a cancelled job does."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        await self.left.wait()
        self.ended.set()
        raise RuntimeError("cancelled")


def request(disconnected: asyncio.Event) -> Request:
    async def receive() -> dict[str, str]:
        await disconnected.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_a_client_that_disconnects() -> None:
    async def scenario() -> None:
        work, gone = Work(), asyncio.Event()
        waiting = asyncio.create_task(
            unless_client_leaves(request(gone), work.run(), work.left.set)
        )
        gone.set()
        with pytest.raises(RuntimeError, match="cancelled"):
            await waiting

    asyncio.run(scenario())


def test_a_server_that_cancels_the_request() -> None:
    complaints: list[object] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, it: complaints.append(it))
        work = Work()
        waiting = asyncio.create_task(
            unless_client_leaves(request(asyncio.Event()), work.run(), work.left.set)
        )
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()
        await asyncio.wait_for(work.ended.wait(), 5)

    asyncio.run(scenario())
    assert not complaints
