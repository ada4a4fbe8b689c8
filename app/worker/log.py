"""The worker's log: sent to the API process, so that one process formats, writes and keeps it."""

from __future__ import annotations

import contextlib
import logging

from app.engine.channel import Channel
from app.engine.messages import Logged

UNSAID = ("Expected types for ", "The following part of your input was truncated")
"""How lines of diffusers begin that go no further: a remark on classes, which the models' own files
name, the demo's too; and one that quotes the prompt."""


class ChannelHandler(logging.Handler):
    """Sends every line but `UNSAID` ones; what libraries print still goes to standard error."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is for others."""
        return not str(record.msg).startswith(UNSAID)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line; a slip in a library's call of its logger is not the job's."""
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        with contextlib.suppress(OSError):  # without an API process nobody is left to read it
            self._channel.send(Logged(record.name, record.levelno, text, record.created))


def quieten_transformers() -> None:
    """Silence its remarks on optional packages, made while its classes are imported."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()


def log_libraries() -> None:
    """Have what diffusers and transformers log go the way of all lines."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_default_handler()
        library.enable_propagation()


def log_to(channel: Channel) -> None:
    """Make the channel the only way out of the log."""
    logging.getLogger().handlers[:] = [ChannelHandler(channel)]
