"""PNGs that are read without Pillow: the same pixels, or none."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngImageFile

from app.media.png_file import END, SIGNATURE, chunk
from app.media.png_read import quick_pixels

COLOUR_TYPE = {"RGB": 2, "RGBA": 6}


@pytest.fixture(autouse=True, scope="module")
def _any_size() -> object:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("app.media.png_read._WORTH", 1)
        yield


def lines(width: int, height: int, channels: int, filters: tuple[int, ...]) -> bytes:
    """Filtered lines of noise: whatever the bytes, they stand for pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (height, 1 + width * channels), np.uint8)
    noise[:, 0] = np.resize(filters, height)
    return noise.tobytes()


def png(
    width: int,
    height: int,
    stream: bytes,
    *,
    mode: str = "RGB",
    depth: int = 8,
    interlaced: bool = False,
    parts: int = 1,
    behind: bytes = b"",
) -> bytes:
    """A PNG of a deflated stream, in as many chunks as there are to be."""
    header = struct.pack(">IIBBBBB", width, height, depth, COLOUR_TYPE[mode], 0, 0, int(interlaced))
    size = -(-len(stream) // parts)
    pieces = [chunk(b"IDAT", stream[i * size : (i + 1) * size]) for i in range(parts)]
    chunks = [chunk(b"IHDR", header), *pieces, (behind, END)]
    return SIGNATURE + b"".join(part for parts_ in chunks for part in parts_)


def quick(data: bytes) -> np.ndarray | None:
    return quick_pixels(PngImageFile(BytesIO(data)), data)


SMALL = zlib.compress(lines(16, 16, 3, (0, 1, 2, 3, 4)))


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["RGB", "RGBA"]),
    st.lists(st.integers(0, 4), min_size=1, max_size=8).map(tuple),
    st.integers(1, 3),
)
def test_the_pixels_are_those_that_pillow_reads(
    width: int, height: int, mode: str, filters: tuple[int, ...], parts: int
) -> None:
    stream = zlib.compress(lines(width, height, len(mode), filters))
    data = png(width, height, stream, mode=mode, parts=parts)
    pixels = quick(data)
    assert pixels is not None
    assert (pixels.shape, pixels.dtype) == ((height, width, len(mode)), np.uint8)
    assert np.array_equal(pixels, np.asarray(PngImageFile(BytesIO(data))))


def test_more_than_one_stored_block() -> None:
    data = png(300, 200, zlib.compress(lines(300, 200, 3, (4,))))
    pixels = quick(data)
    assert pixels is not None
    assert np.array_equal(pixels, np.asarray(PngImageFile(BytesIO(data))))


def spoilt(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(16, 16, SMALL, interlaced=True), id="interlaced"),
        pytest.param(
            png(16, 16, zlib.compress(lines(16, 16, 6, (0,))), depth=16), id="sixteen bits"
        ),
        pytest.param(
            png(16, 16, SMALL, behind=b"".join(chunk(b"tEXt", b"a\0b"))), id="text behind"
        ),
        pytest.param(png(16, 16, SMALL)[:-13], id="truncated"),
        pytest.param(png(16, 16, SMALL)[:200], id="truncated in the pixels"),
        pytest.param(png(16, 16, SMALL[:-9]), id="a stream that ends early"),
        pytest.param(png(16, 15, SMALL), id="too many lines"),
        pytest.param(png(16, 17, SMALL), id="too few lines"),
        pytest.param(png(16, 16, spoilt(SMALL, len(SMALL) - 1)), id="another checksum"),
        pytest.param(spoilt(png(16, 16, SMALL), 60), id="another checksum of a chunk"),
        pytest.param(png(16, 16, zlib.compress(lines(16, 16, 3, (5,)))), id="an unknown filter"),
    ],
)
def test_what_is_left_to_pillow(data: bytes) -> None:
    assert quick(data) is None


def test_a_stream_that_never_ends_takes_no_memory() -> None:
    data = png(16, 16, zlib.compress(bytes(100_000_000)))
    image = PngImageFile(BytesIO(data))
    tracemalloc.start()
    assert quick_pixels(image, data) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_part_of_the_picture_is_left_to_pillow() -> None:
    frame = struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0)
    whole = png(16, 16, SMALL)
    begin = whole.index(b"IDAT") - 4
    assert quick(whole[:begin] + b"".join(chunk(b"fcTL", frame)) + whole[begin:]) is None


@pytest.mark.parametrize("size", [(4_194_304, 1), (1, 4_194_304)])
def test_very_long_pictures_are_left_to_pillow(size: tuple[int, int]) -> None:
    width, height = size
    assert quick(png(width, height, zlib.compress(bytes(height * (1 + 3 * width))))) is None


def test_small_ones_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.media.png_read._WORTH", 257)
    assert quick(png(16, 16, SMALL)) is None
