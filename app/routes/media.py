"""Media by URL: files with ranges, so that a browser can seek in a video."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from app.errors import MediaNotFound
from app.jobs.publishing import PATH
from app.media.convert import convert_png
from app.media.formats import ImageFormat
from app.media.pool import CodecPool
from app.media.shelf import MEDIA_TYPES, MediaShelf
from app.routes.byte_ranges import is_understood, unsatisfiable

CONVERSIONS = {"jpg": ImageFormat.JPEG, "webp": ImageFormat.WEBP}
"""Formats that are made of a stored PNG when they are asked for."""
_ID = re.compile(r"[0-9a-f]{32}")


class SeekableFile(FileResponse):
    """A file or parts of it: FileResponse, but for ranges that are none or beyond the end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a range that is not understood is no range (RFC 9110, section 14.2)."""
        if not is_understood(Headers(scope=scope).get("range", "")):
            headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
            scope = {**scope, "headers": headers}

        async def send_unless_refused(message: Message) -> None:
            if message.get("status") == 416:  # its body would be empty text
                size = Headers(raw=message["headers"])["content-range"].removeprefix("bytes */")
                raise unsatisfiable(int(size))
            await send(message)

        await super().__call__(scope, receive, send_unless_refused)


class MediaDoor:
    """GET and HEAD /stream/{id}.{extension}; they need no token, as the id cannot be guessed."""

    def __init__(self, shelf: MediaShelf, codecs: CodecPool) -> None:
        self._shelf = shelf
        self._codecs = codecs

    def router(self) -> APIRouter:
        """The route, before which no other may claim names with a dot under /stream."""
        routes = APIRouter(tags=["media"])
        routes.get(
            PATH + "/{media_id}.{extension}",
            summary="A generated image or video",
            operation_id="getMedia",
            response_class=FileResponse,
        )(self.serve)
        return routes

    async def serve(self, request: Request, media_id: str, extension: str) -> Response:
        """The file, or a part of it; the same name always means the same bytes."""
        name = f"{media_id}.{extension}"
        if not _ID.fullmatch(media_id) or extension not in MEDIA_TYPES:
            raise MediaNotFound(name)
        headers = self._headers(name)
        if path := await self._shelf.find(name):
            if _knows(request, headers["ETag"]):
                return Response(status_code=304, headers=headers)
            return SeekableFile(path, media_type=MEDIA_TYPES[extension], headers=headers)
        original = await self._shelf.find(f"{media_id}.png")
        if original is None or extension not in CONVERSIONS:
            raise MediaNotFound(name)
        if _knows(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return await self._converted(original, extension, headers)

    async def _converted(self, png: Path, extension: str, headers: dict[str, str]) -> Response:
        try:
            data = await self._codecs.run(convert_png, png, CONVERSIONS[extension])
        except FileNotFoundError as error:
            raise MediaNotFound(png.name) from error
        return Response(data, media_type=MEDIA_TYPES[extension], headers=headers)

    def _headers(self, name: str) -> dict[str, str]:
        return {
            "ETag": f'"{name}"',
            "Cache-Control": f"private, max-age={int(self._shelf.retention)}, immutable",
            "Content-Disposition": f'inline; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        }


def _knows(request: Request, etag: str) -> bool:
    """Whether the client has the file already (RFC 9110, section 13.1.2)."""
    known = request.headers.get("if-none-match", "")
    tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
    return etag in tags or "*" in tags
