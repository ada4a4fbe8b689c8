"""The last lines of the log, kept in memory for whoever looks at the service from afar."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice

LOG_LINES = 2000
_JOB = re.compile(r"\bjob[= ]([A-Za-z0-9._:-]+)")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log; `time` is in seconds since the epoch, `job` empty for most."""

    time: float
    level: str
    logger: str
    job: str
    text: str


class LogTail(logging.Handler):
    """Keeps the last lines of the log."""

    def __init__(self, lines: int = LOG_LINES) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=lines)
        self._changing = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, with the job it names."""
        text = _without_prompt(record)
        job = _JOB.search(text)
        line = LogLine(record.created, record.levelname, record.name, job[1] if job else "", text)
        with self._changing:
            self._lines.append(line)

    def find(self, job: str = "", text: str = "", limit: int = 300) -> list[LogLine]:
        """The last lines of a job (or of all) that contain `text`, oldest first."""
        with self._changing:
            lines = list(self._lines)
        wanted = text.casefold()
        found = (
            line
            for line in reversed(lines)
            if job in ("", line.job) and wanted in line.text.casefold()
        )
        return list(islice(found, limit))[::-1]


def _without_prompt(record: logging.LogRecord) -> str:
    """The line; prompts, where LOG_PROMPTS lets them into the log, are not kept here."""
    fields: dict[str, object] | None = getattr(record, "fields", None)
    if fields is None:
        return record.getMessage()
    return " ".join(f"{name}={value}" for name, value in fields.items() if name != "prompt")
