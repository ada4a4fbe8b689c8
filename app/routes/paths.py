"""What of a request's path the routes see."""

from __future__ import annotations

from starlette.types import Scope


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
