"""PNG encoding: what Pillow reads back is what went in."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, iTXt

from app.media.png import encode_png

SIDES = st.integers(1, 40)
IMAGES = st.tuples(SIDES, SIDES, st.just(3)).flatmap(lambda shape: hnp.arrays(np.uint8, shape))
VALUES = st.text(max_size=200)


def read(png: bytes) -> PngImageFile:
    Image.open(BytesIO(png)).verify()
    image = Image.open(BytesIO(png))
    assert isinstance(image, PngImageFile)
    image.load()
    return image


@given(IMAGES)
def test_pixels_survive_exactly(pixels: np.ndarray) -> None:
    image = read(encode_png(pixels))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 4097), (4097, 1), (2, 999_999), (767, 1023), (1024, 1024)]
)
@pytest.mark.parametrize("cores", [1, 2, 16])
def test_noise_of_any_size_survives(
    size: tuple[int, int], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    png = encode_png(pixels)
    np.testing.assert_array_equal(np.asarray(read(png)), pixels)
    assert len(png) < (pixels.nbytes + len(pixels)) * 1.01 + 1000


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::2],
        lambda a: a[..., ::-1],
        lambda a: a.transpose(1, 0, 2),
        np.asfortranarray,
        lambda a: np.broadcast_to(a[:1], a.shape),
    ],
)
def test_any_memory_layout_is_accepted(view: Callable[[np.ndarray], np.ndarray]) -> None:
    pixels = view(np.random.default_rng(1).integers(0, 256, (30, 20, 3), np.uint8))
    np.testing.assert_array_equal(np.asarray(read(encode_png(pixels))), pixels)


def test_the_input_is_left_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 20, 3), np.uint8)
    pixels.flags.writeable = False
    encode_png(pixels)


def test_parameters_travel_in_the_file() -> None:
    text = {"prompt": "a cat\nin a hat", "seed": "42", "empty": ""}
    assert read(encode_png(np.zeros((2, 2, 3), np.uint8), text=text)).text == text


def test_a_prompt_in_any_script_travels_in_the_file() -> None:
    prompt = "Ein Kätzchen, 猫, 🐈"
    value = read(encode_png(np.zeros((2, 2, 3), np.uint8), text={"prompt": prompt})).text["prompt"]
    assert value == prompt
    assert isinstance(value, iTXt)


@given(VALUES)
@settings(max_examples=50)
def test_every_text_is_kept_but_for_nul(value: str) -> None:
    png = encode_png(np.zeros((1, 1, 3), np.uint8), text={"prompt": value})
    assert read(png).text["prompt"] == value.replace("\0", "\ufffd")


def test_what_utf8_cannot_hold_is_replaced() -> None:
    png = encode_png(np.zeros((1, 1, 3), np.uint8), text={"prompt": "é\ud800"})
    assert read(png).text["prompt"] == "é?"


@pytest.mark.parametrize(
    "keyword", ["", " a", "a ", "a  b", "a\nb", "a\0b", "猫", "k" * 80, "\xa0"]
)
def test_a_keyword_that_png_forbids_is_an_error(keyword: str) -> None:
    with pytest.raises(ValueError, match="keyword"):
        encode_png(np.zeros((1, 1, 3), np.uint8), text={keyword: "value"})


@pytest.mark.parametrize("keyword", ["k" * 79, "a b", "Größe"])
def test_a_keyword_that_png_allows_is_kept(keyword: str) -> None:
    png = encode_png(np.zeros((1, 1, 3), np.uint8), text={keyword: "value"})
    assert read(png).text == {keyword: "value"}


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
        np.zeros((2, 2, 3), np.float32),
    ],
)
def test_anything_but_rgb_bytes_is_an_error(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a non-empty uint8 array"):
        encode_png(array)
