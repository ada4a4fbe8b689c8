"""Waiting for what another thread or process makes true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

LONG = 60.0
"""Seconds that anything may take on a machine that does other things."""


def wait_until(condition: Callable[[], object], timeout: float = 2 * LONG) -> None:
    """Poll until `condition` is true; fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Let the event loop go on until `condition` is true, or what it gives to await."""
    async with asyncio.timeout(LONG):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.01)
