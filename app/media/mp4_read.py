"""What is asked of an MP4 of ours: its duration, and a picture of it. PyAV is imported on use."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.media.pixels import Pixels


def duration(data: bytes) -> float:
    """Seconds that an MP4 file plays."""
    import av  # deferred, as in `encode_mp4`

    with av.open(BytesIO(data), "r") as container:
        return (container.duration or 0) / av.time_base


def first_frame(data: bytes) -> Pixels:
    """The first frame of an MP4 file, (height, width, 3) uint8 RGB."""
    import av
    import numpy as np

    with av.open(BytesIO(data), "r") as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
        return np.asarray(frame, np.uint8)
