"""How the service logs: to standard error, one line a record, as text or as JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from app.settings import LogFormat, Settings

CHATTY = ("httpx", "httpcore", "urllib3", "PIL", "python_multipart", "asyncio")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback stands in its `exception`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line |= fields or {"message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(settings: Settings) -> None:
    """Set up the root logger; VERBOSE_LOGGING lets the libraries speak too."""
    verbose = settings.verbose_logging
    handler = logging.StreamHandler()
    if settings.log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    for name in () if verbose else CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
