"""The pixels of a large PNG, twice as fast as Pillow reads them.

libdeflate inflates them and FFmpeg undoes the filters, both with the processor's vector
instructions. Nothing that came from outside reaches FFmpeg but the inflated lines: it gets a file
of our own around them, which need not be inflated. Everything else about a PNG is Pillow's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import deflate
import numpy as np
from isal import isal_zlib
from PIL.PngImagePlugin import PngImageFile

from app.media.png_file import END, ZLIB_HEADER, png_file

if TYPE_CHECKING:
    from app.media.pixels import Pixels

_WORTH = 256 * 256
"""Pixels from which on the detour gains more than it costs."""
_CHANNELS = {"RGB": 3, "RGBA": 4}
"""Of the rawmodes of 8 bits a sample that are read here."""
_LAST_FILTER = 4
"""The filters of a line of pixels are 0 to 4 (PNG, 9.2)."""
_STORED = 65_535
"""Bytes in a block of a deflate stream that is not compressed, at most (RFC 1951, 3.2.4)."""


def quick_pixels(image: PngImageFile, data: bytes) -> Pixels | None:
    """The pixels of a PNG whose header Pillow has read; None where they are better left to it.

    That is a small, an interlaced, a grey or an indexed one, one of 16 bits a sample, one with
    chunks behind its pixels, one of a size that FFmpeg refuses, and a damaged one.

    Args:
        image: as opened, not yet loaded.
        data: the file's bytes.

    Returns:
        (height, width, 3 or 4) uint8, RGB or RGBA as they are in the file.
    """
    width, height = image.size
    _, extents, offset, rawmode = image.tile[0]
    channels = _CHANNELS.get(str(rawmode), 0)
    is_plain = extents == (0, 0, width, height) and not image.info.get("interlace")
    if not (channels and is_plain and width * height >= _WORTH and _is_known(width, height)):
        return None
    lines = _inflate(data, offset, height, 1 + width * channels)
    return None if lines is None else _unfilter(lines, width, channels)


def _is_known(width: int, height: int) -> bool:
    """Whether FFmpeg reads pictures of this size (av_image_check_size2 of its libavutil)."""
    return (width + 128) * (height + 128) * 8 < 2**31


def _inflate(data: bytes, offset: int, height: int, stride: int) -> np.ndarray | None:
    """The filtered lines, (height, stride) uint8, each behind the number of its filter."""
    try:
        file = b"".join(_pixel_chunks(data, offset))
        inflated = deflate.zlib_decompress(file, height * stride)  # never more than that
    except (struct.error, ValueError, deflate.DeflateError):
        return None
    if len(inflated) != height * stride:
        return None
    lines = np.frombuffer(inflated, np.uint8).reshape(height, stride)
    return None if lines[:, 0].max() > _LAST_FILTER else lines


def _pixel_chunks(data: bytes, offset: int) -> Iterator[memoryview]:
    """The bodies of all IDAT chunks, the first one's at `offset`.

    Raises:
        ValueError: something but the end follows them, or a checksum is wrong.
        struct.error: the file ends too early.
    """
    file, start = memoryview(data), offset - 8
    while data[start + 4 : start + 8] == b"IDAT":
        (length,) = struct.unpack_from(">I", file, start)
        end = start + 8 + length
        (checksum,) = struct.unpack_from(">I", file, end)
        if isal_zlib.crc32(file[start + 4 : end]) != checksum:
            raise ValueError("damaged")
        yield file[start + 8 : end]
        start = end + 4
    if not data.startswith(END, start):
        raise ValueError("more follows")


def _unfilter(lines: np.ndarray, width: int, channels: int) -> Pixels | None:
    from av.codec.context import CodecContext  # deferred: it takes a while, and some memory
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

    decoder = CodecContext.create("png", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    (frame,) = [
        *decoder.decode(Packet(_stored_png(lines, width, channels))),
        *decoder.decode(None),
    ]
    return np.ascontiguousarray(frame.to_ndarray(), np.uint8)  # FFmpeg pads the lines


def _stored_png(lines: np.ndarray, width: int, channels: int) -> bytes:
    """A PNG of filtered lines whose deflate stream is not compressed."""
    raw = lines.data.cast("B")
    blocks: list[bytes | memoryview] = [ZLIB_HEADER]
    for start in range(0, len(raw), _STORED):
        block = raw[start : start + _STORED]
        is_last = start + _STORED >= len(raw)
        blocks += [struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF), block]
    blocks.append(struct.pack(">I", isal_zlib.adler32(raw)))
    return png_file(width, len(lines), channels, b"".join(blocks))
