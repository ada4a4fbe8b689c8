"""Parts of a file that is in memory, so that a browser can seek in it (RFC 9110, section 14)."""

from __future__ import annotations

import re

from fastapi import Request, Response

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def ranged_response(request: Request, data: bytes, media_type: str) -> Response:
    """The file, or the one range of it that the request asks for.

    Several ranges, or one that is not understood, are answered with the whole file, as the
    standard allows.
    """
    headers = {"Accept-Ranges": "bytes"}
    part = _part(request.headers.get("range", ""), len(data))
    if part is None:
        return Response(data, 200, headers, media_type)
    if not part:
        headers["Content-Range"] = f"bytes */{len(data)}"
        return Response(b"", 416, headers)
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
    return Response(data[part.start : part.stop], 206, headers, media_type)


def _part(header: str, size: int) -> range | None:
    """The bytes that a Range header names: none of them beyond the end; None for the whole."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    stop = min(int(last) + 1, size) if last else size
    return range(min(int(first), size), stop)
