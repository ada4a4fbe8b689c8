"""PNG: pixel-exact, and fast rather than small.

Every row carries the UP filter (one NumPy subtraction) and the whole is deflated by Intel's ISA-L
at level 1, a large picture in strips side by side. Paeth would make photographs about a tenth
smaller, but it is hundreds of small NumPy calls instead of one, and each has to win the
interpreter lock from the pool's other threads.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from isal import isal_zlib

from app.media.pixels import check_image
from app.media.png_file import ZLIB_HEADER, chunk, png_file

if TYPE_CHECKING:
    from app.media.pixels import Pixels

_FILTER_UP = 2
_LEVEL = 1  # levels 2 and 3 gain less than 2 % of size; level 0 loses 40 %
_STRIP_BYTES = 1024 * 1024  # deflated in 6 ms; less is not worth waking a thread
_WINDOW_BITS = 15
_KEYWORD = re.compile(r"(?! )(?!.* ( |$))[ -~\xa1-\xff]{1,79}")


def encode_png(pixels: Pixels, *, text: Mapping[str, str] | None = None) -> bytes:
    """Encode (height, width, 3) uint8 RGB `pixels` as a PNG whose decoding gives them back exactly.

    Args:
        pixels: any memory layout.
        text: metadata to embed: keywords of 1 to 79 Latin-1 characters and their values. ASCII
            values become tEXt chunks, others iTXt. What UTF-8 or the format cannot hold (lone
            surrogates, NUL) is replaced, never refused: values may come from clients.

    Raises:
        ValueError: `pixels` is not such an array, or a keyword is not one that PNG allows.
    """
    check_image(pixels)
    height, width, _ = pixels.shape
    stream = _deflate(_filter_up(pixels))
    return png_file(width, height, 3, stream, _text_chunks(text or {}))


def _filter_up(pixels: Pixels) -> Pixels:
    """Return the scanlines, (height, 1 + 3 * width): filter type, differences to the row above."""
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, width * 3)
    scanlines = np.empty((height, 1 + width * 3), np.uint8)
    scanlines[:, 0] = _FILTER_UP
    scanlines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=scanlines[1:, 1:])
    return scanlines


def _deflate(scanlines: Pixels) -> bytes:
    """Return the zlib stream of `scanlines`, its strips compressed side by side."""
    count = min(scanlines.nbytes // _STRIP_BYTES, len(scanlines), os.cpu_count() or 1) or 1
    *strips, last = np.array_split(scanlines, count)
    with ThreadPoolExecutor(count) as threads:
        earlier = threads.map(_deflate_strip, strips)
        tail = _deflate_strip(last, isal_zlib.Z_FINISH)
        checksum = struct.pack(">I", isal_zlib.adler32(scanlines))
        return b"".join([ZLIB_HEADER, *earlier, tail, checksum])


def _deflate_strip(strip: Pixels, end: int = isal_zlib.Z_FULL_FLUSH) -> bytes:
    """Return a part of a raw deflate stream that refers to nothing before it."""
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -_WINDOW_BITS)
    return compressor.compress(strip) + compressor.flush(end)


def _text_chunks(text: Mapping[str, str]) -> Iterator[bytes]:
    for keyword, value in text.items():
        name = _keyword(keyword)
        clean = value.replace("\0", "\ufffd")
        if clean.isascii():
            yield from chunk(b"tEXt", name + b"\0" + clean.encode("ascii"))
        else:  # uncompressed, no language, no translated keyword
            yield from chunk(b"iTXt", name + b"\0\0\0\0\0" + clean.encode("utf-8", "replace"))


def _keyword(keyword: str) -> bytes:
    if not _KEYWORD.fullmatch(keyword):
        raise ValueError(
            f"a PNG keyword is 1 to 79 printable Latin-1 characters, without leading, trailing or "
            f"double spaces; got {keyword!r}"
        )
    return keyword.encode("latin-1")
