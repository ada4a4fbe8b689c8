"""Uploads: every usual picture comes out as a viewer shows it, everything else is refused."""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from app.errors import ImageInvalid
from app.media import png_read
from app.media.decode import decode_image

MAX_PIXELS = 1_000_000
RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture(autouse=True, scope="module", params=["all by Pillow", "what can be, quickly"])
def _worth(request: pytest.FixtureRequest) -> Iterator[None]:
    """From which size on PNGs are read in another way."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        quickly = request.param == "what can be, quickly"
        monkeypatch.setattr(png_read, "_WORTH", 1 if quickly else MAX_PIXELS + 1)
        yield


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


# What is understood


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


def swapped_profile() -> bytes:
    """An sRGB profile whose red and blue are exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    return profile.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


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


# What is refused


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


# Whatever the bytes


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
