"""The worker's log: sent to the API process, so that one process formats, writes and keeps it."""

from __future__ import annotations

import contextlib
import logging

from app.engine.channel import Channel
from app.engine.messages import Logged


class ChannelHandler(logging.Handler):
    """Sends every line; what libraries print by themselves still goes to standard error."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line; without an API process nobody is left to read it."""
        line = Logged(record.name, record.levelno, self.format(record), record.created)
        with contextlib.suppress(OSError):
            self._channel.send(line)


def quieten_transformers() -> None:
    """Silence its remarks on optional packages, made while its classes are imported."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()


def log_to(channel: Channel) -> None:
    """Make the channel the only way out of the log."""
    logging.getLogger().handlers[:] = [ChannelHandler(channel)]
