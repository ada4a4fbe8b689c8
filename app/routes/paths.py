"""What of a request's path the routes see."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class PlainPaths:
    """A slash at the end names nothing else, and HEAD is GET without its body.

    The server leaves the body out. A redirect in place of the first would repeat whatever the
    client said of the host, and loses the body of a POST in many clients.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the routes know."""
        if scope["type"] == "http":
            method, path = scope["method"], scope["path"]
            root = scope.get("root_path", "").rstrip("/")
            plain = path.rstrip("/")
            scope = {
                **scope,
                "method": "GET" if method == "HEAD" else method,
                "path": path if plain == root else plain,
            }
        await self._app(scope, receive, send)


def routed_path(scope: Scope) -> str:
    r"""The path below the application's root, without what the router takes no notice of.

    That is a slash at the end and, as its patterns end in `$`, a line feed: who decides by the
    path what a route will do has to see `/run%0A` as `/run`.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if path.startswith(root + "/"):
        path = path.removeprefix(root)
    return path.rstrip("/\n") or "/"
