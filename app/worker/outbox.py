"""What the worker has to say, said by a thread of its own so that the device never waits."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

Errand = Callable[[], None]


class Outbox:
    """Runs errands, such as sending a message, one after the other and in order."""

    def __init__(self, prepare: Callable[[], None] = lambda: None) -> None:
        """Start the thread; `prepare` is called on it first of all."""
        self._prepare = prepare
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def put(self, errand: Errand) -> None:
        """Have something done after all that was put before. What it raises is logged."""
        self._errands.put(errand)

    def flush(self, patience: float) -> None:
        """Let what was put be done, for at most so many seconds; nothing may be put any more."""
        self._errands.put(None)
        self._thread.join(patience)

    def _work(self) -> None:
        self._prepare()
        while errand := self._errands.get():
            try:
                errand()
            except Exception:
                logger.exception("an errand of the outbox failed")
