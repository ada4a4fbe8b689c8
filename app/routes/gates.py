"""ASGI gates before the generating routes: the token, then the size of the body.

They are plain ASGI and not dependencies, since a dependency runs after the body was read.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InvalidToken, RequestTooLarge, RunnerError
from app.routes.paths import routed_path
from app.settings import MEBIBYTE

ErrorResponse = Callable[[RunnerError, str], Response]
"""The response to an error at a path."""
Guard = Callable[[str, str], bool]
"""Whether a method and a `routed_path` are for those with the token."""


def at(path: str) -> Guard:
    """Guards one path."""
    return lambda _, asked: asked == path


def below(prefix: str) -> Guard:
    """Guards a path and everything under it."""
    return lambda _, asked: asked == prefix or asked.startswith(prefix + "/")


class TokenGate:
    """Answers 401 to requests without the token, before their body is read.

    Args:
        token: expected as `Authorization: Bearer TOKEN`.
        guards: what is protected.
        takes_bare: where the token may come without its scheme, too.
        respond: see `ErrorResponse`.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        guards: Iterable[Guard],
        takes_bare: Guard,
        respond: ErrorResponse,
    ) -> None:
        self._app = app
        self._expected = token.encode()
        self._guards = tuple(guards)
        self._takes_bare = takes_bare
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "http" and not self._admits(scope):
            await self._respond(InvalidToken(), routed_path(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        method, path = scope["method"], routed_path(scope)
        if not any(guard(method, path) for guard in self._guards):
            return True
        given = Headers(scope=scope).get("authorization", "").strip()
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "bearer":
            given = token.strip()
        elif not self._takes_bare(method, path):
            return False
        return hmac.compare_digest(given.encode("latin-1"), self._expected)


class BodyLimit:
    """Refuses a body that is larger than allowed: by its announced length, or while it comes."""

    def __init__(self, app: ASGIApp, max_bytes: int, respond: ErrorResponse) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the application reads."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await self._respond(self._error(), routed_path(scope))(scope, receive, send)
            return
        received = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._error()
            return message

        await self._app(scope, counting_receive, send)

    def _error(self) -> RequestTooLarge:
        limit = self._max_bytes / MEBIBYTE
        return RequestTooLarge(f"The request is larger than {limit:g} MiB (MAX_UPLOAD_MB).")
