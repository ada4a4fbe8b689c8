"""Files of very many parts, each of which Pillow would look at in Python, are refused at once."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.errors import ImageInvalid
from app.media.decode import decode_image
from app.media.png_file import END, SIGNATURE, chunk

MANY = 1_000_000


def saved(kind: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, kind)
    return buffer.getvalue()


def png(*chunks: bytes) -> bytes:
    header = b"".join(chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)))
    return b"".join([SIGNATURE, header, *chunks, END])


PIXELS = b"".join(chunk(b"IDAT", zlib.compress(bytes(8 * 25))))
JPEG = saved("JPEG")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(png(b"".join(chunk(b"IDAT", b"")) * MANY, PIXELS), "PNG", id="empty IDATs"),
        pytest.param(png(b"".join(chunk(b"prIv", b"")) * MANY, PIXELS), "PNG", id="empty chunks"),
        pytest.param(png(PIXELS, b"".join(chunk(b"tIME", b"")) * MANY), "PNG", id="at the end"),
        pytest.param(JPEG[:2] + b"\xff\xef\0\2" * MANY + JPEG[2:], "JPEG", id="empty APP15"),
        pytest.param(JPEG[:2] + b"\xff\xfe\0\2" * MANY + JPEG[2:], "JPEG", id="empty comments"),
        pytest.param(JPEG[:2] + b"\xff" * MANY + JPEG[2:], "JPEG", id="fill bytes"),
        pytest.param(JPEG[:2] + b"\xff\xf0" * MANY + JPEG[2:], "JPEG", id="segments without body"),
        pytest.param(JPEG[:20] + b"j" * MANY + JPEG[20:], "JPEG", id="bytes between segments"),
    ],
)
def test_too_many_parts(data: bytes, says: str) -> None:
    with pytest.raises(ImageInvalid, match=f"The {says} consists of more than 20000 parts"):
        decode_image(data, max_pixels=100)


def test_the_usual_number_of_parts() -> None:
    pixels = zlib.compress(bytes(8 * 25))
    each = b"".join(b"".join(chunk(b"IDAT", pixels[i : i + 1])) for i in range(len(pixels)))
    assert not decode_image(png(each), max_pixels=100).any()
    assert not decode_image(png(PIXELS) + bytes(MANY), max_pixels=100).any()
    filled = JPEG[:2] + b"\xff" * 1000 + JPEG[2:]
    assert np.array_equal(decode_image(filled, max_pixels=100), decode_image(JPEG, max_pixels=100))


def test_a_bmp_of_run_lengths() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    file = b"BM" + struct.pack("<IHHI", start + 2 * MANY, 0, 0, start) + header + bytes(1024)
    with pytest.raises(ImageInvalid, match="The BMP is compressed: save it as a PNG"):
        decode_image(file + b"\0\0" * MANY, max_pixels=100)
