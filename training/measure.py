"""Measurements on pictures: which parts of a landscape are there, told by their colours.

Every picture is (side, side, 3), 0 to 255, of any side. Regions are parts of the side. Thresholds
were set on rendered pictures, and are tested on them in ``tests/training``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.palette import PALETTES, Rgb, scale, wall_color
from training.scene import LANDS, TIMES, HouseColor, Land, Time

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """A box, in parts of the picture's side."""

    top: float
    bottom: float
    left: float = 0.0
    right: float = 1.0

    def cut(self, picture: Picture) -> NDArray[np.float64]:
        """Return the pixels inside, as numbers that can be subtracted."""
        side = picture.shape[0]
        rows = slice(round(self.top * side), round(self.bottom * side))
        columns = slice(round(self.left * side), round(self.right * side))
        return np.asarray(picture[rows, columns], dtype=np.float64)


SKY_TOP = Region(0.0, 0.06)
SKY_LOW = Region(0.33, 0.36)
SKY = Region(0.0, 0.36)
ORB_SKY = Region(0.02, 0.36)
ORB_SKY_LOW = Region(0.02, 0.56)
ORB_WITHIN = 42
WALLS = Region(0.82, 0.91)
WINDOWS = Region(0.77, 0.84)
HOUSE_SHARE = 0.004
WINDOW_SHARE = 0.0012
RANGE = Region(0.34, 0.72)
PEAKS = Region(0.32, 0.58)
GROUND = Region(0.94, 1.0)
TREES = Region(0.60, 0.82)
MIDDLE = Region(0.52, 0.92)


def distance(pixels: NDArray[np.float64], color: Rgb) -> NDArray[np.float64]:
    """Return each pixel's Euclidean distance to ``color``, 0 to 442."""
    squares: NDArray[np.float64] = ((pixels - np.asarray(color)) ** 2).sum(-1)
    return np.asarray(np.sqrt(squares))


def share_near(picture: Picture, region: Region, color: Rgb, within: float) -> float:
    """Return how much of the whole picture is pixels of ``region`` near ``color``."""
    near = distance(region.cut(picture), color) < within
    return float(np.count_nonzero(near)) / picture[..., 0].size


def sky_time(picture: Picture) -> Time:
    """Return the time of day whose sky is nearest, at the top edge and lower down."""

    def miss(time: Time) -> float:
        colors = PALETTES[time]
        top = np.median(distance(SKY_TOP.cut(picture), colors.sky_top))
        low = np.median(SKY_LOW.cut(picture).reshape(-1, 3), axis=0)
        wanted = np.asarray(colors.sky_top) * 0.4 + np.asarray(colors.sky_horizon) * 0.6
        return float(top) + 0.5 * float(np.linalg.norm(low - wanted))

    return min(TIMES, key=miss)


def ground_land(picture: Picture, time: Time) -> Land:
    """Return the land whose ground is nearest at the bottom edge.

    Mountains and hills share their meadow: the caller has to accept one for the other. The left
    and the right half are looked at apart, for a house by the sea stands on a green shore.
    """
    colors = PALETTES[time]
    halves = [Region(0.94, 1.0, 0.0, 0.4), Region(0.94, 1.0, 0.6, 1.0)]
    middles = [np.median(half.cut(picture).reshape(-1, 3), axis=0) for half in halves]

    def miss(land: Land) -> float:
        wanted = np.asarray(colors.ground(land))
        misses = [float(np.linalg.norm(middle - wanted)) for middle in middles]
        return min(misses) + (0.0 if land == "sea" else 0.5 * (max(misses) - min(misses)))

    return min(LANDS, key=miss)


def orb_share(picture: Picture, time: Time, low: bool) -> float:
    """Return the share of sun or moon pixels (a disc is 0.024, a crescent 0.01).

    ``low`` says that the sun may stand near the horizon, where otherwise there may be snow.
    """
    region = ORB_SKY_LOW if low else ORB_SKY
    return share_near(picture, region, PALETTES[time].orb, ORB_WITHIN)


def orb_x(picture: Picture, time: Time, low: bool) -> float:
    """Return how far from the left edge the sun or moon is, 0 to 1 (0.5 when there is none)."""
    region = ORB_SKY_LOW if low else ORB_SKY
    near = distance(region.cut(picture), PALETTES[time].orb) < ORB_WITHIN
    columns = np.nonzero(near)[1]
    return float(np.median(columns)) / picture.shape[1] if len(columns) else 0.5


def cloud_share(picture: Picture, time: Time) -> float:
    """Return the share of cloud pixels (one cloud is about 0.02)."""
    return share_near(picture, SKY, PALETTES[time].cloud, 22)


def star_count_share(picture: Picture) -> float:
    """Return the share of sky columns and rows lit by a small bright dot.

    A pixel counts when it outshines what lies three pixels beside it on both sides by 50 levels.
    """
    light: NDArray[np.float64] = SKY.cut(picture).mean(-1)
    reach = max(2, round(4 * picture.shape[0] / 128))
    inner = light[:, reach:-reach]
    dots = (inner - light[:, : -2 * reach] > 45) & (inner - light[:, 2 * reach :] > 45)
    return float(np.count_nonzero(dots)) / picture[..., 0].size


def mountain_share(picture: Picture, time: Time) -> float:
    """Return the share of near-mountain pixels."""
    near = PALETTES[time].mountain_near
    lit = share_near(picture, RANGE, near, 16)
    shaded = share_near(picture, RANGE, scale(near, 0.88), 14)
    return max(lit, shaded)


def snow_share(picture: Picture, time: Time) -> float:
    """Return the share of snow pixels on the peaks."""
    return share_near(picture, PEAKS, PALETTES[time].snow, 30)


def tree_share(picture: Picture, time: Time) -> float:
    """Return the share of pine pixels (a row of pines is about 0.05)."""
    return share_near(picture, TREES, PALETTES[time].tree, 24)


def boat_share(picture: Picture, time: Time) -> float:
    """Return the share of sail pixels in the middle band (the sails are about 0.008)."""
    sail = scale((255, 252, 244), PALETTES[time].shade)
    return share_near(picture, Region(0.62, 0.745), sail, 40)


def cactus_share(picture: Picture, time: Time) -> float:
    """Return the share of cactus pixels (a cactus is about 0.03)."""
    return share_near(picture, MIDDLE, PALETTES[time].cactus, 24)


def wall_share(picture: Picture, house: HouseColor, time: Time) -> float:
    """Return the share of pixels that look like the walls of a ``house`` (a house is 0.025)."""
    return share_near(picture, WALLS, wall_color(house, time), 34)


def house_color(picture: Picture, time: Time) -> HouseColor | None:
    """Return the colour of the house, or None where no house is seen.

    White walls may be snow, so they count last, and only with windows in them.
    """
    painted: tuple[HouseColor, ...] = ("red", "blue", "yellow", "purple")
    shares = {color: wall_share(picture, color, time) for color in painted}
    best = max(painted, key=lambda color: shares[color])
    if shares[best] > HOUSE_SHARE:
        return best
    windows = share_near(picture, WINDOWS, PALETTES[time].window, 34)
    white = wall_share(picture, "white", time)
    return "white" if white > HOUSE_SHARE and windows > WINDOW_SHARE else None
