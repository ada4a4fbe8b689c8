"""Whatever the bytes: a picture, or a refusal."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from app.errors import ImageInvalid
from tests.media.decode.files import decode, gradient, png, save, swapped_profile


def seeds() -> list[bytes]:
    image = Image.fromarray(gradient(24, 24))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    extras = {"exif": exif.tobytes(), "icc_profile": swapped_profile()}
    frames = {"save_all": True, "append_images": [Image.new("RGB", (24, 24))]}
    return [
        save(image, "PNG"),
        save(image, "PNG", **extras),
        save(image, "PNG", **frames),
        save(image.convert("P"), "PNG", transparency=3),
        save(image.convert("RGBA"), "PNG"),
        png(4, 1, 16, 0, b"\0" + bytes(range(8)), (b"tRNS", b"\0\1")),
        save(image, "JPEG"),
        save(image, "JPEG", progressive=True, **extras),
        save(image.convert("CMYK"), "JPEG", **extras),
        save(image, "MPO", **frames),
        save(image, "WEBP", **extras),
        save(image, "WEBP", lossless=True),
        save(image, "WEBP", **frames),
        save(image, "BMP"),
        save(image.convert("P"), "BMP"),
        save(image.convert("1"), "BMP"),
    ]


SEEDS = seeds()


@settings(max_examples=500)
@given(st.sampled_from(SEEDS), st.data())
def test_damage_gives_a_picture_or_a_refusal(seed: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(seed)
    places = st.one_of(st.integers(0, min(100, len(seed) - 1)), st.integers(0, len(seed) - 1))
    for _ in range(draw.draw(st.integers(1, 6))):
        damaged[draw.draw(places)] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.one_of(st.just(len(seed)), st.integers(0, len(seed))))
    with contextlib.suppress(ImageInvalid):
        pixels = decode(bytes(damaged[:end]))
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3


@settings(max_examples=200)
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBP", b"BM", b""]),
    st.binary(max_size=200),
)
def test_garbage_behind_a_signature_never_breaks_it(signature: bytes, rest: bytes) -> None:
    with contextlib.suppress(ImageInvalid):
        decode(signature + rest)
