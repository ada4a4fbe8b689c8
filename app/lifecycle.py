"""Start, drain and end of the process around an ASGI application.

Uvicorn closes its port at once on SIGTERM; the handlers here let it go on answering while the
running jobs finish, and then hand the signal on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

logger = logging.getLogger(__name__)

ERROR_LINGER = 2.0
"""Seconds that /health answers ERROR before the process ends, so that a poller sees it."""

LAST_ANSWERS = 1, 5
"""Least and most whole seconds that clients get to read their answers after the drain. Whoever
sent the signal may end the process 8 s after it (go-livepeer) or 10 (Docker)."""

Handler = Callable[[int, FrameType | None], Any] | int | None


class GracefulExit:
    """Defers SIGTERM and SIGINT until `drain` has returned.

    A second signal cancels it, and a third one does not even wait for the clients.
    """

    def __init__(self, drain: Callable[[], Any], drain_seconds: float) -> None:
        """Prepare; `drain` takes up to `drain_seconds`, and what it leaves goes to the clients."""
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._previous: dict[int, Handler] = {}
        self._task: asyncio.Task[None] | None = None
        self._end = 0.0

    def install(self) -> None:
        """Take over the signals, where this thread may (the main thread of a server)."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._on_signal, number)

    def exit_after(self, seconds: float) -> None:
        """End the server by itself."""
        asyncio.get_running_loop().call_later(seconds, self._pass_on, signal.SIGTERM)

    def _on_signal(self, number: int) -> None:
        if self._task is None:
            logger.info("%s: finishing the running jobs", signal.Signals(number).name)
            self._end = time.monotonic() + self._drain_seconds
            self._task = asyncio.create_task(self._finish(number))
        elif not self._task.cancel():
            self._pass_on(number, at_once=True)

    async def _finish(self, number: int) -> None:
        try:
            await self._drain()
        finally:
            self._pass_on(number)

    def _pass_on(self, number: int, *, at_once: bool = False) -> None:
        """Let the server end; asked directly, uvicorn exits 0 rather than by the signal.

        It still waits until its clients have read their answers, unless it is to end `at_once`.
        """
        handler = self._previous.get(number)
        server = getattr(handler, "__self__", None)
        if isinstance(server, uvicorn.Server):
            least, most = LAST_ANSWERS
            left = math.ceil(self._end - time.monotonic())
            server.config.timeout_graceful_shutdown = max(least, min(left, most))
            server.should_exit = True
            server.force_exit |= at_once
        elif callable(handler):
            handler(number, None)
