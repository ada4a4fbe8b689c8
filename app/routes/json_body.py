"""JSON with files in it, as a list of fragments: tens of megabytes never copied into one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

import pybase64
from fastapi.responses import StreamingResponse

_SMALL = 64 * 1024
"""Bytes up to which a fragment is copied rather than sent by itself."""


class Verbatim(bytes):
    """ASCII text without a character that JSON escapes; it goes into the document as it is."""


def base64_text(data: bytes) -> Verbatim:
    """The base64 of a file, as a value of a document."""
    return Verbatim(pybase64.b64encode(data))


def fragments(value: object) -> Iterator[bytes]:
    """The JSON of `value`: mappings, lists and what `json` knows, with `Verbatim` among them."""
    if isinstance(value, Verbatim):
        yield from (b'"', value, b'"')
    elif isinstance(value, Mapping):
        members = ([*fragments(key), b":", *fragments(item)] for key, item in value.items())
        yield from _enclosed(b"{", members, b"}")
    elif isinstance(value, list | tuple):
        yield from _enclosed(b"[", ([*fragments(item)] for item in value), b"]")
    else:
        yield json.dumps(value).encode()


def _enclosed(start: bytes, items: Iterable[list[bytes]], end: bytes) -> Iterator[bytes]:
    yield start
    for index, item in enumerate(items):
        if index:
            yield b","
        yield from item
    yield end


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same with small neighbours in one piece: each piece is sent by itself."""
    small: list[bytes] = []
    for part in parts:
        if len(part) < _SMALL:
            small.append(part)
            continue
        yield b"".join(small)
        small = []
        yield part
    yield b"".join(small)


def json_response(value: object, headers: Mapping[str, str]) -> StreamingResponse:
    """Send `value` as a JSON document of known length."""
    body = list(_joined(fragments(value)))

    async def send() -> AsyncIterator[bytes]:
        for fragment in body:
            yield fragment

    length = str(sum(len(fragment) for fragment in body))
    return StreamingResponse(
        send(), media_type="application/json", headers={**headers, "Content-Length": length}
    )
