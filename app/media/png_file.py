"""A PNG file around its pixels: what writing and reading have in common.

Format: PNG specification, third edition, https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from isal import isal_zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ZLIB_HEADER = b"\x78\x01"
"""RFC 1950: deflate, a window of 15 bits, the fastest level."""
_COLOUR_TYPE = {3: 2, 4: 6}
"""By channels: truecolour, and truecolour with alpha (PNG, 11.2.1)."""


def chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """A chunk in its parts: length, kind, body, checksum (PNG, 5.3)."""
    checksum = isal_zlib.crc32(body, isal_zlib.crc32(kind))
    return struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)


END = b"".join(chunk(b"IEND", b""))


def png_file(
    width: int, height: int, channels: int, stream: bytes, texts: Iterable[bytes] = ()
) -> bytes:
    """A PNG of 8 bits a sample, 3 or 4 of them a pixel, not interlaced.

    Args:
        width: in pixels.
        height: in pixels.
        channels: samples of a pixel.
        stream: the zlib stream of the filtered lines.
        texts: chunks of metadata, or their parts.
    """
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    return b"".join([SIGNATURE, *chunk(b"IHDR", header), *texts, *chunk(b"IDAT", stream), END])
