"""Files of pictures, and their way through `decode_image`."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from app.media.decode import decode_image

MAX_PIXELS = 1_000_000


def gradient(height: int = 20, width: int = 30) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, 255 * (x + y) / (height + width)]
    return np.stack(channels, -1).astype(np.uint8)


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return decode_image(data, max_pixels=MAX_PIXELS)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *(chunk(kind, body) for kind, body in extra),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def swapped_profile() -> bytes:
    """An sRGB profile whose red and blue are exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    return profile.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))
