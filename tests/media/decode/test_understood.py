"""Every usual picture comes out as a viewer shows it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from app.media.decode import decode_image
from tests.media.decode.files import (
    MAX_PIXELS,
    chunk,
    decode,
    gradient,
    png,
    save,
    swapped_profile,
)

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_formats_are_exact(kind: str, options: dict[str, bool]) -> None:
    pixels = decode(save(Image.fromarray(gradient()), kind, **options))
    np.testing.assert_array_equal(pixels, gradient())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_are_close(kind: str) -> None:
    pixels = decode(save(Image.fromarray(gradient()), kind, quality=95))
    assert np.abs(pixels.astype(int) - gradient()).mean() < 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_the_array_is_ready_for_use(mode: str) -> None:
    pixels = decode(save(Image.fromarray(gradient()).convert(mode), "PNG"))
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_one_pixel_is_a_picture(kind: str) -> None:
    assert decode(save(Image.new("RGB", (1, 1)), kind)).shape == (1, 1, 3)


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_a_long_strip_is_a_picture(size: tuple[int, int]) -> None:
    assert decode(save(Image.new("RGB", size), "PNG")).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_is_widened(mode: str) -> None:
    pixels = decode(save(Image.new(mode, (2, 2), 255), "PNG"))
    assert (pixels == 255).all()


def test_sixteen_bit_grey_is_scaled() -> None:
    samples = [0, 128, 257, 1000, 32768, 65535]
    rows = b"\0" + struct.pack(">6H", *samples)
    pixels = decode(png(6, 1, 16, 0, rows))
    assert pixels[0, :, 0].tolist() == [round(sample / 257) for sample in samples]
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize(("colour", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_is_scaled(colour: int, samples: int) -> None:
    rows = b"\0" + struct.pack(f">{samples}H", *[0x80FF] * (samples - 1), 0xFFFF)
    pixels = decode(png(1, 1, 16, colour, rows))
    assert abs(int(pixels[0, 0, 0]) - 0x80) <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 51)])
    assert decode(save(image.convert(mode), "PNG"))[0, :, 0].tolist() == [255, 0, 204]


def test_webp_transparency_lies_on_white() -> None:
    assert (decode(save(Image.new("RGBA", (4, 4)), "WEBP", lossless=True)) == 255).all()


def test_a_palette_with_one_transparent_entry() -> None:
    palette = (b"PLTE", bytes([*RED, 0, 0, 0]))
    pixels = decode(png(2, 1, 8, 3, b"\0\0\1", palette, (b"tRNS", b"\xff\0")))
    assert pixels.tolist() == [[list(RED), list(WHITE)]]


def test_a_palette_with_half_transparent_entries() -> None:
    palette = (b"PLTE", bytes([*RED, 0, 0, 0]))
    pixels = decode(png(2, 1, 8, 3, b"\0\0\1", palette, (b"tRNS", b"\x80\x33")))
    assert pixels.tolist() == [[[255, 127, 127], [204, 204, 204]]]


@pytest.mark.parametrize(
    ("depth", "colour", "rows", "transparent"),
    [
        (1, 0, b"\0\x80", (1,)),
        (2, 0, b"\0\x80", (2,)),
        (4, 0, b"\0\x70", (7,)),
        (8, 0, b"\0\x70\x00", (0x70,)),
        (16, 0, b"\0\x70\x12\0\0", (0x7012,)),
        (8, 2, b"\0\x10\x20\x30\0\0\0", (0x10, 0x20, 0x30)),
        (16, 2, b"\0\x10\1\x20\2\x30\3\0\0\0\0\0\0", (0x1001, 0x2002, 0x3003)),
    ],
)
def test_a_transparent_colour_is_white_at_every_depth(
    depth: int, colour: int, rows: bytes, transparent: tuple[int, ...]
) -> None:
    chunk_body = struct.pack(f">{len(transparent)}H", *transparent)
    pixels = decode(png(2, 1, depth, colour, rows, (b"tRNS", chunk_body)))
    assert pixels.tolist() == [[list(WHITE), [0, 0, 0]]]


@pytest.mark.parametrize(("ink", "expected"), [((0, 255, 255, 0), RED), ((0, 0, 0, 0), WHITE)])
def test_cmyk_is_not_inverted(ink: tuple[int, ...], expected: tuple[int, ...]) -> None:
    pixels = decode(save(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    assert np.abs(pixels[8, 8].astype(int) - expected).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_turned_upright(kind: str, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = 250
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = save(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif.tobytes())
    pixels = decode(data)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_unreadable_exif_is_ignored(exif: bytes) -> None:
    data = save(Image.fromarray(gradient()), "PNG")
    end = data.index(b"IEND") - 4
    data = data[:end] + chunk(b"eXIf", exif) + data[end:]
    np.testing.assert_array_equal(decode_image(data, max_pixels=MAX_PIXELS), gradient())


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_go_through_the_profile(mode: str) -> None:
    image = Image.new("RGB", (4, 4), RED).convert(mode)
    pixels = decode(save(image, "PNG", icc_profile=swapped_profile()))
    assert np.abs(pixels[0, 0].astype(int) - (0, 0, 255)).max() <= 2


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = save(Image.fromarray(gradient()), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(decode(data), gradient())


@pytest.mark.parametrize(
    "profile", [b"garbage", swapped_profile()[:200], bytes(200), bytes(5_000_000)]
)
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    image = Image.fromarray(gradient())
    with_profile = decode(save(image, "JPEG", icc_profile=profile))
    np.testing.assert_array_equal(with_profile, decode(save(image, "JPEG")))


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    data = save(Image.new("L", (4, 4), 90), "PNG", icc_profile=swapped_profile())
    assert (decode(data) == 90).all()


def test_a_phones_multi_picture_file_gives_its_first_picture() -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (8, 8))
    data = save(first, "MPO", save_all=True, append_images=[second])
    pixels = decode(data)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[8, 8].astype(int) - RED).max() <= 3


def test_ordinary_metadata_is_welcome() -> None:
    text = PngInfo()
    for number in range(50):
        text.add_text(f"key {number}", "value" * 100, zip=number % 2 == 0)
    data = save(Image.fromarray(gradient()), "PNG", pnginfo=text)
    np.testing.assert_array_equal(decode(data), gradient())
