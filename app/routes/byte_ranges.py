"""Parts of a file, so that a browser can seek in it (RFC 9110, section 14)."""

from __future__ import annotations

import re

from fastapi import HTTPException, Request, Response

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def is_understood(header: str) -> bool:
    """Whether a Range header asks for bytes, and each of its ranges can be one."""
    unit, _, ranges = header.partition("=")
    parts = (f"{unit.strip()}={part.strip()}" for part in ranges.split(","))
    return all(_part(part, size=0) is not None for part in parts)  # of a file of any size


def unsatisfiable(size: int) -> HTTPException:
    """The refusal of a range that is beyond the end of a file of so many bytes."""
    reason = f"The file has {size} bytes: there are none in the range that was asked for."
    return HTTPException(416, reason, {"Content-Range": f"bytes */{size}"})


def ranged_response(request: Request, data: bytes, media_type: str) -> Response:
    """A file that is in memory, or the one range of it that the request asks for.

    Several ranges, or one that is not understood, are answered with the whole file, as the
    standard allows.

    Raises:
        HTTPException: the range is beyond the file's end.
    """
    headers = {"Accept-Ranges": "bytes"}
    part = _part(request.headers.get("range", ""), len(data))
    if part is None:
        return Response(data, 200, headers, media_type)
    if not part:
        raise unsatisfiable(len(data))
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
    return Response(data[part.start : part.stop], 206, headers, media_type)


def _part(header: str, size: int) -> range | None:
    """The bytes that a Range header names: none of them beyond the end; None for the whole."""
    match = _RANGE.fullmatch(header.strip())
    first, last = match.groups() if match else ("", "")
    if not first and not last:
        return None
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    stop = min(int(last) + 1, size) if last else size
    return range(min(int(first), size), stop)
