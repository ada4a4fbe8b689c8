"""What is no picture, or costs too much to read, is refused with a reason."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from app.errors import ImageInvalid
from app.media.decode import decode_image
from tests.media.decode.files import decode, gradient, png, save


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The image is empty"),
        (b"hello", "not an image of a known format"),
        (b"\0" * 100, "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read|truncated"),
        (b"\xff\xd8\xff", "cannot be read|truncated"),
        (b"RIFF\0\0\0\0WEBP", "cannot be read|truncated"),
        (b"BM", "cannot be read|truncated"),
        (b"\0\0\0\x18ftypheic", "HEIC, AVIF and video files are not accepted"),
        (save(Image.new("RGB", (4, 4)), "GIF"), "GIF images are not accepted"),
        (save(Image.new("RGB", (4, 4)), "TIFF"), "TIFF images are not accepted"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageInvalid, match=reason):
        decode(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused_with_its_frame_count(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), (n * 80, 0, 0)) for n in range(3)]
    data = save(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageInvalid, match=r"animated \(3 frames\)"):
        decode(data)


def test_the_pixel_limit_is_inclusive() -> None:
    data = save(Image.new("RGB", (10, 10)), "PNG")
    assert decode_image(data, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ImageInvalid, match="10x10 is more than 99 pixels"):
        decode_image(data, max_pixels=99)


def bombs() -> dict[str, bytes]:
    """Small files whose headers claim large pictures."""
    jpeg = save(Image.new("RGB", (8, 8)), "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    bmp = bytearray(save(Image.new("RGB", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<II", 12_000, 12_000)
    return {
        "png": png(12_000, 12_000, 8, 2, bytes(100)),
        "huge png": png(2**31 - 1, 2**31 - 1, 8, 2, bytes(100)),
        "jpeg": jpeg[:frame] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 4 :],
        "bmp": bytes(bmp),
        "webp": save(Image.new("RGB", (5_000, 5_000)), "WEBP", method=0),
    }


BOMBS = bombs()


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_by_its_header(bomb: bytes) -> None:
    with pytest.raises(ImageInvalid, match="The image is too large"):
        decode(bomb)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = save(Image.fromarray(noise), kind)
    with pytest.raises(ImageInvalid, match=r"truncated|cannot be read"):
        decode(data[: int(len(data) * share)])


def test_a_half_sent_file_is_said_to_be_truncated() -> None:
    data = save(Image.fromarray(gradient(200, 200)), "JPEG")
    with pytest.raises(ImageInvalid, match="The image is truncated"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("count", [1, 100])
def test_a_metadata_bomb_is_refused(count: int) -> None:
    size = 2_000_000 if count == 1 else 1_000_000
    bomb = (b"zTXt", b"key\0\0" + zlib.compress(bytes(size)))
    with pytest.raises(ImageInvalid, match="too much metadata"):
        decode(png(1, 1, 8, 2, bytes(4), *[bomb] * count))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = save(Image.fromarray(gradient()), "JPEG", progressive=True)
    assert decode(data).shape == (20, 30, 3)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(ImageInvalid, match="more than 100 scans"):
        decode(data[:-2] + data[last:-2] * 100 + data[-2:])


def test_the_cause_is_kept_for_the_log() -> None:
    with pytest.raises(ImageInvalid) as caught:
        decode(png(4, 4, 8, 2, b""))
    assert caught.value.__cause__ is not None
