"""A supersampled drawing surface in unit coordinates (x to the right, y down, both 0 to 1)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.palette import Rgb

SUPERSAMPLE = 3
"""Each output pixel averages this many by this many drawn ones, which smooths the edges."""

Point = tuple[float, float]


class Canvas:
    """Draws flat shapes; ``pixels`` gives the anti-aliased result."""

    def __init__(self, size: int, top: Rgb, bottom: Rgb, horizon: float) -> None:
        """Start with a vertical gradient that reaches ``bottom`` at ``horizon``."""
        self._size = size
        self._side = size * SUPERSAMPLE
        depth = np.linspace(0, 1 / horizon, self._side).clip(0, 1)[:, None]
        column = np.asarray(top) * (1 - depth) + np.asarray(bottom) * depth
        rows = np.repeat(column[:, None, :].round().astype(np.uint8), self._side, axis=1)
        self._image = Image.fromarray(rows)
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[Point], color: Rgb) -> None:
        """Fill the polygon through ``points``."""
        self._draw.polygon([(x * self._side, y * self._side) for x, y in points], fill=color)

    def disc(self, center: Point, radius: float, color: Rgb) -> None:
        """Fill a disc."""
        self.ellipse(center, radius, radius, color)

    def ellipse(self, center: Point, width: float, height: float, color: Rgb) -> None:
        """Fill an ellipse with the half axes ``width`` and ``height``."""
        x, y = center
        box = (x - width, y - height, x + width, y + height)
        self._draw.ellipse([edge * self._side for edge in box], fill=color)

    def rectangle(self, left: float, top: float, right: float, bottom: float, color: Rgb) -> None:
        """Fill a rectangle."""
        self._draw.rectangle([edge * self._side for edge in (left, top, right, bottom)], fill=color)

    def pill(self, left: float, top: float, right: float, bottom: float, color: Rgb) -> None:
        """Fill a rectangle with round ends."""
        box = [edge * self._side for edge in (left, top, right, bottom)]
        radius = min(box[2] - box[0], box[3] - box[1]) / 2
        self._draw.rounded_rectangle(box, radius=radius, fill=color)

    def ground(self, profile: Sequence[Point], color: Rgb) -> None:
        """Fill everything below the line through ``profile`` (left to right)."""
        self.polygon([(0.0, 1.01), *profile, (1.0, 1.01)], color)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture, shape (size, size, 3)."""
        small = self._image.resize((self._size, self._size), Image.Resampling.BOX)
        return np.asarray(small)
