"""Lossy stills: they look like what went in, and quality changes their size."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.media.jpeg_webp import encode_jpeg, encode_webp

Encoder = Callable[..., bytes]
BOTH = pytest.mark.parametrize(
    ("encode", "kind"), [(encode_jpeg, "JPEG"), (encode_webp, "WEBP")], ids=["jpeg", "webp"]
)


def gradient(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, 255 * (x + y) / (height + width)]
    return np.stack(channels, -1).astype(np.uint8)


@BOTH
@pytest.mark.parametrize("size", [(1, 1), (33, 61), (256, 256)])
def test_the_picture_looks_the_same(encode: Encoder, kind: str, size: tuple[int, int]) -> None:
    pixels = gradient(*size)
    image = Image.open(BytesIO(encode(pixels)))
    assert image.format == kind
    difference = np.asarray(image.convert("RGB")).astype(int) - pixels
    assert np.abs(difference).mean() < 3


@BOTH
def test_quality_buys_size(encode: Encoder, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode(pixels, quality=20)) < len(encode(pixels, quality=95))


@BOTH
@pytest.mark.parametrize("quality", [0, 101])
def test_quality_has_bounds(encode: Encoder, kind: str, quality: int) -> None:
    with pytest.raises(ValueError, match="quality is 1 to 100"):
        encode(gradient(4, 4), quality=quality)


@BOTH
def test_a_view_is_accepted(encode: Encoder, kind: str) -> None:
    pixels = gradient(64, 64)
    assert encode(pixels[:, ::-1]) == encode(pixels[:, ::-1].copy())


def test_a_side_beyond_the_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most 16383 pixels a side"):
        encode_webp(np.zeros((1, 16_384, 3), np.uint8))
    with pytest.raises(ValueError, match="at most 65535 pixels a side"):
        encode_jpeg(np.zeros((65_536, 1, 3), np.uint8))
