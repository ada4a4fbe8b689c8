"""Resizing of input images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps


def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample (H, W, 3) uint8 RGB to (height, width, 3) by Lanczos; unchanged if it fits."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image)


def cover(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample (H, W, 3) uint8 RGB to (height, width, 3), cropped around its middle to fit."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(image)
