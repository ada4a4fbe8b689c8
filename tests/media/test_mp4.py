"""MP4 encoding: a player shows the frames, the colours and the duration that went in."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.video.plane import VideoPlane

from app.media.mp4 import encode_mp4


def moving_gradient(count: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    frames = [
        np.stack([x + 3 * n, y + 2 * n, x + y], -1) * 255 // (height + width + 3 * count)
        for n in range(count)
    ]
    return np.stack(frames).astype(np.uint8)


def flat(colour: tuple[int, int, int], size: int = 64) -> np.ndarray:
    return np.full((3, size, size, 3), colour, np.uint8)


def decode(mp4: bytes) -> np.ndarray:
    with av.open(BytesIO(mp4), "r") as container:
        frames = [
            frame.to_ndarray(format="rgb24", src_colorspace="ITU709", dst_color_range="JPEG")
            for frame in container.decode(video=0)
        ]
    return np.stack(frames)


def plane_mean(plane: VideoPlane) -> float:
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return float(rows[:, : plane.width].mean())


def atoms(mp4: bytes) -> list[bytes]:
    kinds, position = [], 0
    while position < len(mp4):
        kinds.append(mp4[position + 4 : position + 8])
        position += int.from_bytes(mp4[position : position + 4], "big")
    assert position == len(mp4)
    return kinds


@pytest.mark.parametrize(
    ("count", "height", "width"), [(25, 144, 256), (14, 320, 512), (1, 64, 64), (2, 16, 16)]
)
def test_every_frame_comes_back(count: int, height: int, width: int) -> None:
    frames = moving_gradient(count, height, width)
    decoded = decode(encode_mp4(frames, fps=7))
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 4


@pytest.mark.parametrize("fps", [1, 6, 7, 7.5, 12.34, 24, 23.976, 30000 / 1001, 60])
@pytest.mark.parametrize("count", [1, 2, 25])
def test_rate_and_duration_are_exact(fps: float, count: int) -> None:
    mp4 = encode_mp4(moving_gradient(count, 32, 32), fps=fps)
    with av.open(BytesIO(mp4), "r") as container:
        stream = container.streams.video[0]
        assert stream.average_rate is not None
        assert stream.time_base is not None
        assert stream.duration is not None
        assert container.duration is not None
        assert stream.frames == count
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-4)
        assert float(stream.duration * stream.time_base) == pytest.approx(count / fps, rel=1e-3)
        assert container.duration / av.time_base == pytest.approx(count / fps, abs=2e-3)
        times = sorted(frame.time for frame in container.decode(video=0))
    assert times == pytest.approx([n / fps for n in range(count)], abs=1e-3)


def test_film_rate_is_kept_as_the_fraction_it_is() -> None:
    with av.open(BytesIO(encode_mp4(flat((9, 9, 9)), fps=30000 / 1001)), "r") as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


@pytest.mark.parametrize("count", [1, 25, 1500])
def test_the_index_precedes_the_frames(count: int) -> None:
    kinds = atoms(encode_mp4(np.zeros((count, 16, 16, 3), np.uint8), fps=24))
    assert kinds.index(b"moov") < kinds.index(b"mdat")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 64), (64, 33), (35, 37)])
def test_an_odd_side_grows_by_its_own_edge(height: int, width: int) -> None:
    frames = moving_gradient(3, height, width)
    decoded = decode(encode_mp4(frames, fps=8))
    expected = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("colour", "expected"),
    [  # ITU-R BT.709-6, items 3.2 to 3.5, by hand: the 8-bit Y, Cb and Cr
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
    ],
)
def test_colours_follow_bt709(colour: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    with av.open(BytesIO(encode_mp4(flat(colour), fps=7)), "r") as container:
        frame = next(container.decode(video=0))
        means = [plane_mean(plane) for plane in frame.planes]
    assert means == pytest.approx(expected, abs=2)


def test_colours_are_tagged_as_bt709() -> None:
    with av.open(BytesIO(encode_mp4(flat((200, 30, 60)), fps=7)), "r") as container:
        codec = container.streams.video[0].codec_context
        assert (codec.pix_fmt, codec.name) == ("yuv420p", "h264")
        assert (codec.color_primaries, codec.color_trc, codec.colorspace) == (1, 1, 1)
        assert codec.color_range == 1


def test_the_same_clip_gives_the_same_bytes() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    assert encode_mp4(frames, fps=7) == encode_mp4(frames[:, :, :, ::-1][..., ::-1], fps=7)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_fps_is_a_positive_number(fps: float) -> None:
    with pytest.raises(ValueError, match="fps is a positive number"):
        encode_mp4(flat((0, 0, 0)), fps=fps)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3), (1, 4, 4, 1)])
def test_anything_but_a_clip_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected a non-empty uint8 array"):
        encode_mp4(np.zeros(shape, np.uint8), fps=7)
