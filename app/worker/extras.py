"""What is nice to have, such as previews: if it fails, no job fails with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from app.worker.memory import is_device_broken

logger = logging.getLogger(__name__)


class Extras:
    """Lets them fail. The log tells of each kind once: the next ones are likely to fail as well."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    @contextmanager
    def attempt(self, kind: str) -> Iterator[None]:
        """Around an extra.

        Args:
            kind: what the log calls it.

        Raises:
            Exception: the device is broken, which concerns everything.
        """
        try:
            yield
        except Exception as error:
            if is_device_broken(error):
                raise
            if kind not in self._failed:
                self._failed.add(kind)
                logger.warning("%s failed; jobs go on without", kind, exc_info=error)
