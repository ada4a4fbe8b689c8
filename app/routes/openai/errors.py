"""Errors in OpenAI's words."""

from __future__ import annotations

import re
from typing import Any

from app.error_table import Dialect
from app.errors import BadRequest, InvalidToken, RunnerError
from app.routes.openai.schemas import Error, ErrorResponse

PREFIX = "/v1"

_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_PLAIN = (RunnerError, BadRequest)
"""Kinds that say no more than their status."""

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in ("4XX", "5XX")
}
"""What routes declare in the OpenAPI document."""


def error_body(error: RunnerError, status: int) -> dict[str, Any]:
    """The error as OpenAI words it."""
    other = "server_error" if status >= 500 else "invalid_request_error"
    details = Error(
        message=error.message,
        type=_TYPES.get(status, other),
        param=getattr(error, "field", None),
        code=code_of(error),
    )
    return ErrorResponse(error=details).model_dump()


def code_of(error: RunnerError) -> str | None:
    """The kind of error for programs: the name of its class, as in `out_of_memory`."""
    if type(error) in _PLAIN:
        return None
    if isinstance(error, InvalidToken):
        return "invalid_api_key"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


DIALECT = Dialect(
    speaks_at=lambda path: path == PREFIX or path.startswith(f"{PREFIX}/"),
    status=lambda _, status: status,
    body=error_body,
)
