"""Errors to HTTP, once for all doors; each door may word them in its own dialect."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import InvalidToken, Overloaded, RunnerError
from app.routes.paths import routed_path
from app.schemas import error_body
from app.validation import refusal, reworded, unreadable

logger = logging.getLogger(__name__)


class AsciiJson(JSONResponse):
    """JSON of what a client sent, too: half a pair of surrogates cannot be written as UTF-8."""

    def render(self, content: Any) -> bytes:
        """Escape all that is not ASCII."""
        return json.dumps(content, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a door words errors where it differs from the Livepeer way.

    Attributes:
        speaks_at: whether a `routed_path` is the door's.
        status: HTTP status of an error, given the one that the table would send.
        body: JSON of an error, given its final status.
    """

    speaks_at: Callable[[str], bool]
    status: Callable[[RunnerError, int], int]
    body: Callable[[RunnerError, int], Mapping[str, Any]]


class ErrorTable:
    """Turns each kind of exception into its JSON response."""

    def __init__(self, overload_status: int, dialects: Sequence[Dialect] = ()) -> None:
        self._overload_status = overload_status
        self._dialects = dialects

    def install(self, app: FastAPI) -> None:
        """Register a handler for everything that can be raised."""

        async def runner_error(request: Request, error: Exception) -> JSONResponse:
            assert isinstance(error, RunnerError)
            return self.response(error, routed_path(request.scope))

        app.add_exception_handler(RunnerError, runner_error)
        app.add_exception_handler(RequestValidationError, self._validation_error)
        app.add_exception_handler(HTTPException, self._http_exception)
        app.add_exception_handler(Exception, self._unexpected)

    def response(self, error: RunnerError, path: str = "") -> JSONResponse:
        """The response of one of our own errors, in the dialect of the door at `path`."""
        status, headers = error.status, {}
        if isinstance(error, Overloaded):
            status, headers = self._overload_status, {"Retry-After": str(error.retry_after)}
        if isinstance(error, InvalidToken):
            headers = {"WWW-Authenticate": "Bearer"}
        dialect = self._dialect(path)
        if dialect is None:
            return AsciiJson(error_body(error.message), status, headers)
        status = dialect.status(error, status)
        return AsciiJson(dialect.body(error, status), status, headers)

    def _dialect(self, path: str) -> Dialect | None:
        return next((dialect for dialect in self._dialects if dialect.speaks_at(path)), None)

    async def _http_exception(self, request: Request, error: Exception) -> JSONResponse:
        """404, 405, a body that cannot be read: the framework's own refusals."""
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, RunnerError):
            return self.response(error.__cause__, routed_path(request.scope))
        worded = RunnerError(unreadable(error.__cause__) or str(error.detail))
        worded.status = error.status_code
        response = self.response(worded, routed_path(request.scope))
        response.headers.update(error.headers or {})
        return response

    async def _validation_error(self, request: Request, error: Exception) -> JSONResponse:
        """422: FastAPI's list, without the input (which may be large, or no JSON at all)."""
        assert isinstance(error, RequestValidationError)
        path, issues = routed_path(request.scope), [reworded(issue) for issue in error.errors()]
        if self._dialect(path):
            return self.response(refusal(issues), path)
        return AsciiJson({"detail": issues}, 422)

    async def _unexpected(self, request: Request, error: Exception) -> JSONResponse:
        """A fault of ours: the client gets JSON, the log the traceback (from the server)."""
        logger.error("%s %s failed: %r", request.method, request.url.path, error)
        return self.response(RunnerError("Internal server error."), routed_path(request.scope))
