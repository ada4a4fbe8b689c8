"""Draws a scene as a flat-design landscape.

The scene says what is there; the seed says the rest (where peaks and clouds are, how the ground
rolls). The same scene, seed and motion always give the same pixels. Lengths are parts of the
picture's side, unless said otherwise.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import scenery
from training.canvas import Canvas
from training.palette import PALETTES
from training.scene import Scene

SIZE = 128
"""Native width and height, in pixels."""

ORB_X = {"left": 0.23, "middle": 0.5, "right": 0.77}
HOUSE_X = {"left": 0.24, "middle": 0.5, "right": 0.76}
ORB_HIGH, ORB_LOW, ORB_BETWEEN = 0.17, 0.44, 0.25
GROUND = {"mountains": 0.72, "snowy": 0.72, "hills": 0.60, "desert": 0.58, "sea": 0.60}
"""Where the land begins."""


@dataclass(frozen=True)
class Motion:
    """How far things have moved since the first frame."""

    clouds_x: float = 0.0
    orb_x: float = 0.0
    orb_y: float = 0.0
    boat_x: float = 0.0


STILL = Motion()


def orb_height(scene: Scene) -> float:
    """Return how far below the top edge the sun or moon stands."""
    if scene.time in ("day", "night"):
        return ORB_HIGH
    return ORB_LOW if scene.land in ("sea", "desert") else ORB_BETWEEN


def render(scene: Scene, seed: int, size: int = SIZE, motion: Motion = STILL) -> NDArray[np.uint8]:
    """Draw ``scene``; the result has the shape (size, size, 3).

    Every part has dice of its own, so that a scene without its clouds is otherwise the same.
    """

    def dice(part: str) -> random.Random:
        return random.Random(f"{seed} {part}")

    colors = PALETTES[scene.time]
    canvas = Canvas(size, colors.sky_top, colors.sky_horizon, GROUND[scene.land])
    rng = dice("orb")
    orb_at = (
        ORB_X[scene.orb_side] + rng.uniform(-0.02, 0.02) + motion.orb_x,
        orb_height(scene) + rng.uniform(-0.015, 0.015) + motion.orb_y,
    )
    if scene.stars:
        scenery.stars(canvas, dice("stars"))
    if scene.orb is not None:
        scenery.orb(canvas, orb_at, scene.orb, scene.time)
    if scene.clouds:
        high = orb_height(scene) < ORB_LOW and scene.orb is not None
        kept_clear = ORB_X[scene.orb_side] if high else None
        scenery.clouds(canvas, dice("clouds"), colors, kept_clear, motion.clouds_x)
    orb_x = orb_at[0] if scene.orb is not None else None
    scenery.land(canvas, dice("land"), scene.land, colors, orb_x)
    if scene.trees:
        scenery.trees(canvas, dice("trees"), colors)
    beside_house = 0.7 if scene.house is not None and scene.house_side == "left" else 0.3
    if scene.boat:
        boat_x = beside_house + dice("boat").uniform(-0.03, 0.03) + motion.boat_x
        scenery.boat(canvas, boat_x, colors)
    if scene.cactus:
        scenery.cactus(canvas, beside_house + dice("cactus").uniform(-0.03, 0.03), colors)
    if scene.house is not None:
        house_x = HOUSE_X[scene.house_side] + dice("house").uniform(-0.02, 0.02)
        scenery.house(canvas, house_x, scene.house, scene.land, scene.time)
    return canvas.pixels()
