"""ASGI gates before the generating routes: where a request comes from, and its token.

They are plain ASGI and not dependencies, since a dependency runs after the body was read.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import CrossSite, InvalidToken, RunnerError
from app.routes.paths import routed_path

ErrorResponse = Callable[[RunnerError, str], Response]
"""The response to an error at a path."""
Guard = Callable[[str, str], bool]
"""Whether a method and a `routed_path` are for those with the token."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


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


class CrossSiteGate:
    """Answers 400 where a page of another site has a browser send what that page could not read.

    A browser asks first, by CORS, whether a page may send JSON or a token elsewhere; plain forms
    and files it just sends. Without this, any page could empty the queue of a server on 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, respond: ErrorResponse) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "http" and _is_sent_unasked(scope):
            await self._respond(CrossSite(), routed_path(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_sent_unasked(scope: Scope) -> bool:
    """Whether it comes from another site, changes something, and needed no leave (Fetch, 4.10)."""
    headers = Headers(scope=scope)
    return (
        _is_from_another_site(headers)
        and scope["method"] not in SAFE_METHODS
        and "authorization" not in headers
        and not headers.get("content-type", "").lower().startswith("application/json")
    )


def _is_from_another_site(headers: Headers) -> bool:
    """By what browsers say themselves; over plain HTTP that is the page's origin only."""
    if site := headers.get("sec-fetch-site"):
        return site == "cross-site"
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
