"""Noticing that nothing has happened for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

Item = TypeVar("Item")


async def with_silences(items: AsyncIterator[Item], seconds: float) -> AsyncIterator[Item | None]:
    """The items, with None after each silence of so many seconds."""
    upcoming = asyncio.ensure_future(anext(items, None))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=seconds)
            if not done:
                yield None
                continue
            item = upcoming.result()
            if item is None:
                return
            upcoming = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        upcoming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await upcoming
