"""JPEG and WebP, by Pillow: lossy, for clients that would rather have small files."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from app.media.pixels import check_image

if TYPE_CHECKING:
    from app.media.pixels import Pixels

_MAX_JPEG_SIDE = 65_535
_MAX_WEBP_SIDE = 16_383
# Of 0 (fast) to 6 (small). Pillow's default, 4, takes three to four times as long for files about a
# tenth smaller on photographs, at the same PSNR; on grainy pictures 1 is the smaller one as well.
_WEBP_METHOD = 1


def encode_jpeg(pixels: Pixels, quality: int = 95) -> bytes:
    """Encode (height, width, 3) uint8 RGB `pixels` as a JPEG of `quality` 1 to 100.

    Raises:
        ValueError: not such an array, `quality` out of range, or a side over 65535.
    """
    _check(pixels, quality, _MAX_JPEG_SIDE)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def encode_webp(pixels: Pixels, quality: int = 80) -> bytes:
    """Encode (height, width, 3) uint8 RGB `pixels` as a lossy WebP of `quality` 1 to 100.

    Raises:
        ValueError: not such an array, `quality` out of range, or a side over 16383.
    """
    _check(pixels, quality, _MAX_WEBP_SIDE)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=_WEBP_METHOD)
    return buffer.getvalue()


def _check(pixels: Pixels, quality: int, max_side: int) -> None:
    check_image(pixels)
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, got {quality}")
    if max(pixels.shape) > max_side:
        raise ValueError(f"this format holds at most {max_side} pixels a side, got {pixels.shape}")
