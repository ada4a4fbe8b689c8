"""What an image and a clip are inside the service: uint8 RGB arrays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""An image of shape (height, width, 3), or a clip of shape (frames, height, width, 3)."""


def check_image(pixels: Pixels) -> None:
    """Raise ValueError unless `pixels` is a non-empty (height, width, 3) uint8 array."""
    _check(pixels, "(height, width, 3)", 3)


def check_clip(frames: Pixels) -> None:
    """Raise ValueError unless `frames` is a non-empty (frames, height, width, 3) uint8 array."""
    _check(frames, "(frames, height, width, 3)", 4)


def _check(array: Pixels, wanted: str, dimensions: int) -> None:
    shape, dtype = array.shape, array.dtype
    if dtype != np.uint8 or len(shape) != dimensions or shape[-1] != 3 or 0 in shape:
        raise ValueError(f"expected a non-empty uint8 array {wanted}, got {dtype} {shape}")
