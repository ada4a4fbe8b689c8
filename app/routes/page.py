"""The web page: static files, read and compressed once, revalidated by ETag."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Self

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).parents[1] / "page"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served; files of other kinds stay private to the repository."""

HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked for each time: a 304 is one round trip
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    ),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file, ready to be sent plain or compressed."""

    plain: bytes
    gzipped: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and compress a file."""
        plain = path.read_bytes()
        # Weak: it names the content, whichever way it is encoded.
        etag = f'W/"{hashlib.sha256(plain).hexdigest()[:20]}"'
        return cls(plain, gzip.compress(plain, mtime=0), MEDIA_TYPES[path.suffix], etag)

    def response(self, request: Request) -> Response:
        """The file, or 304 if the client has it."""
        headers = {**HEADERS, "ETag": self.etag}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self.plain, headers=headers, media_type=self.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(self.gzipped, headers=headers, media_type=self.media_type)


def read_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """The page's files by their path below `folder`."""
    return {
        PurePath(path.relative_to(folder)).as_posix(): PageFile.read(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


def router() -> APIRouter:
    """`/`, and what the page loads from `/page/`."""
    files = read_files()

    async def index(request: Request) -> Response:
        return files["index.html"].response(request)

    async def file(request: Request, path: str) -> Response:
        if path not in files:
            raise HTTPException(404, f"The page has no file {path}.")
        return files[path].response(request)

    routes = APIRouter(include_in_schema=False)
    routes.get("/")(index)
    routes.get("/page/{path:path}")(file)
    return routes
