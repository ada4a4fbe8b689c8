"""Threads that decode and encode, so that the event loop never does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from app.media.malloc import give_back_freed_memory, keep_freed_memory

IDLE = 10.0
"""Seconds without a picture after which the memory of the last ones is given back."""

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class CodecPool:
    """A pool of threads; the codecs release the interpreter's lock for most of their time."""

    def __init__(self, threads: int | None = None, idle: float = IDLE) -> None:
        keep_freed_memory()
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 2, "codec")
        self._idle = idle
        self._running = 0
        self._rest: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run `function(*arguments)` in a thread of the pool."""
        loop = asyncio.get_running_loop()
        self._running += 1
        try:
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._running -= 1
            self._plan_rest(loop)

    def close(self) -> None:
        """Let the threads end; what they still do is not waited for."""
        self._is_closed = True
        if self._rest:
            self._rest.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _plan_rest(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._rest:
            self._rest.cancel()
        if not self._running and not self._is_closed:
            self._rest = loop.call_later(self._idle, self._threads.submit, give_back_freed_memory)
