"""MP4: H.264 that plays in browsers while it is still arriving. PyAV is imported on first use."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from app.media.pixels import check_clip

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from app.media.pixels import Pixels

# x264's own default quality, and a better one where a block is a visible share of the frame.
_CRF = 23
_CRF_SMALL = 17
_SMALL_FRAME = 256 * 256
_PRESET = "veryfast"
# A fixed number, so that a clip's bytes do not depend on the machine; more than two gain little on
# clips of this length, and the pool encodes several at once.
_THREADS = 2

# The index (moov) goes before the frames into a place reserved for it, since a player has to read
# it first and `+faststart` cannot rewrite a file in memory. It took 0.8 kB plus 4 to 14 bytes a
# frame; muxing fails rather than overflows.
_INDEX_BYTES = 2048
_INDEX_BYTES_A_FRAME = 48

_BT709 = 1  # ITU-T H.273, tables 2, 3 and 4: primaries, transfer and matrix alike
_LIMITED_RANGE = 1  # libavutil's AVCOL_RANGE_MPEG

_MAX_FPS_DENOMINATOR = 1001  # holds 30000/1001


def encode_mp4(frames: Pixels, *, fps: float) -> bytes:
    """Encode a (frames, height, width, 3) uint8 RGB clip as H.264 yuv420p in an MP4.

    The colours are BT.709, limited range, and tagged so. An odd width or height grows by one pixel
    that repeats the edge, because 4:2:0 chroma needs even sides. The index precedes the frames.

    Raises:
        ValueError: not such an array, or `fps` is not a positive number.
    """
    import av  # deferred: 20 MB that an image service never needs

    check_clip(frames)
    rate = _rate(fps)
    _, height, width, _ = frames.shape
    buffer = BytesIO()
    index_bytes = _INDEX_BYTES + _INDEX_BYTES_A_FRAME * len(frames)
    options = {"moov_size": str(index_bytes)}
    with av.open(buffer, "w", format="mp4", options=options) as container:
        stream = _add_stream(container, rate, height + height % 2, width + width % 2)
        for number, frame in enumerate(frames):
            container.mux(stream.encode(_to_yuv(frame, number, rate)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _rate(fps: float) -> Fraction:
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps is a positive number, got {fps}")
    return Fraction(fps).limit_denominator(_MAX_FPS_DENOMINATOR)


def _add_stream(container: OutputContainer, rate: Fraction, height: int, width: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate)
    stream.width = width
    stream.height = height
    stream.pix_fmt = "yuv420p"
    crf = _CRF_SMALL if height * width < _SMALL_FRAME else _CRF
    stream.options = {"crf": str(crf), "preset": _PRESET}
    codec = stream.codec_context
    codec.thread_count = _THREADS
    codec.time_base = 1 / rate
    codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
    codec.color_range = _LIMITED_RANGE
    return stream


def _to_yuv(frame: Pixels, number: int, rate: Fraction) -> VideoFrame:
    from av.video.frame import VideoFrame as Frame

    rgb = Frame.from_ndarray(_pad_to_even(frame), format="rgb24")
    yuv = rgb.reformat(
        format="yuv420p",
        dst_colorspace=_BT709,
        dst_color_range=_LIMITED_RANGE,
        dst_color_primaries=_BT709,
        dst_color_trc=_BT709,
        threads=1,
    )
    yuv.pts = number
    yuv.duration = 1
    yuv.time_base = 1 / rate
    return yuv


def _pad_to_even(frame: Pixels) -> Pixels:
    height, width, _ = frame.shape
    if height % 2 or width % 2:
        return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)
