"""Of how many parts a file consists. Pillow looks at each in Python, with the interpreter's lock.

Twenty megabytes of empty parts kept a thread busy for half a minute.
"""

from __future__ import annotations

from PIL.JpegImagePlugin import MARKER

from app.errors import ImageInvalid
from app.media.png_file import SIGNATURE

MOST_PARTS = 20_000
"""Pillow writes a chunk for 64 KB of a PNG, libpng for 8; a JPEG has some dozens of segments."""
_START_OF_SCAN = 0xFFDA


def check_png(data: bytes) -> None:
    """Refuse a PNG of too many chunks.

    Raises:
        ImageInvalid: what to do about it.
    """
    place = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        if place >= len(data) or data.startswith(b"IEND", place + 4):
            return
        place += 12 + int.from_bytes(data[place : place + 4])
    raise _too_many("PNG")


def check_jpeg(data: bytes) -> None:
    """Refuse a JPEG of too many segments, fill bytes and other bytes before its first scan.

    It goes through them as Pillow does: what is between two segments is skipped byte by byte.

    Raises:
        ImageInvalid: what to do about it.
    """
    place = 2
    for _ in range(MOST_PARTS):
        marker = int.from_bytes(data[place : place + 2])
        if place >= len(data) or marker == _START_OF_SCAN:
            return
        _, _, read = MARKER.get(marker, ("", "", None))
        if read is not None:
            place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4]))
        else:
            place += 2 if marker in MARKER or marker == 0xFF00 else 1
    raise _too_many("JPEG")


def _too_many(kind: str) -> ImageInvalid:
    return ImageInvalid(f"The {kind} consists of more than {MOST_PARTS} parts: save it anew.")
