"""Threads that decode and encode, so that the event loop never does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from app.media.malloc import keep_freed_memory

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class CodecPool:
    """A pool of threads; the codecs release the interpreter's lock for most of their time."""

    def __init__(self, threads: int | None = None) -> None:
        keep_freed_memory()
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 2, "codec")

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run `function(*arguments)` in a thread of the pool."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """Let the threads end; what they still do is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
