"""What a landscape shows, as plain attributes, and which of them are held out of training."""

import random
import zlib
from dataclasses import dataclass
from typing import Literal

Time = Literal["dawn", "day", "sunset", "night"]
Land = Literal["mountains", "snowy", "hills", "desert", "sea"]
Orb = Literal["sun", "full moon", "crescent moon"]
Side = Literal["left", "middle", "right"]
HouseColor = Literal["red", "blue", "yellow", "white", "purple"]

TIMES: tuple[Time, ...] = ("dawn", "day", "sunset", "night")
LANDS: tuple[Land, ...] = ("mountains", "snowy", "hills", "desert", "sea")
SIDES: tuple[Side, ...] = ("left", "middle", "right")
HOUSE_COLORS: tuple[HouseColor, ...] = ("red", "blue", "yellow", "white", "purple")

USUAL_ORB_SIDE: Side = "left"
USUAL_HOUSE_SIDE: Side = "right"
"""Where they stand when nobody says where."""

HELD_OUT_ONE_IN = 10
"""One attribute combination in this many is never trained on."""


@dataclass(frozen=True)
class Scene:
    """The attributes of one landscape; what is not named here is left to the layout's seed."""

    time: Time
    land: Land
    orb: Orb | None = None
    orb_side: Side = USUAL_ORB_SIDE
    stars: bool = False
    clouds: bool = False
    trees: bool = False
    house: HouseColor | None = None
    house_side: Side = USUAL_HOUSE_SIDE
    boat: bool = False
    cactus: bool = False

    def held_out(self) -> bool:
        """Say whether this combination belongs to the checker, by a hash stable across runs.

        Sides are left out of the hash, so a held-out combination is new wherever things stand.
        """
        key = (self.time, self.land, self.orb, self.stars, self.clouds, self.trees, self.house)
        code = repr((*key, self.boat, self.cactus))
        return zlib.crc32(code.encode()) % HELD_OUT_ONE_IN == 0

    def bare(self) -> "Scene":
        """Return the same land at the same time without the things in it."""
        return Scene(self.time, self.land)


def sample_scene(rng: random.Random) -> Scene:
    """Draw a scene that makes sense: stars at night, boats at sea, cacti in the desert."""
    time = rng.choice(TIMES)
    land = rng.choice(LANDS)
    orb: Orb | None = None
    if rng.random() < 0.7:
        orb = rng.choice(("full moon", "crescent moon")) if time == "night" else "sun"
    return Scene(
        time=time,
        land=land,
        orb=orb,
        orb_side=rng.choice(SIDES),
        stars=time == "night" and rng.random() < 0.6,
        clouds=rng.random() < 0.5,
        trees=land in ("mountains", "snowy", "hills") and rng.random() < 0.45,
        house=rng.choice(HOUSE_COLORS) if rng.random() < 0.45 else None,
        house_side=rng.choice(("left", "right")),
        boat=land == "sea" and rng.random() < 0.5,
        cactus=land == "desert" and rng.random() < 0.5,
    )


def sample_training_scene(rng: random.Random) -> Scene:
    """Draw a scene whose combination is not held out."""
    while (scene := sample_scene(rng)).held_out():
        continue
    return scene


def sample_held_out_scene(rng: random.Random) -> Scene:
    """Draw a scene whose combination training never sees."""
    while not (scene := sample_scene(rng)).held_out():
        continue
    return scene
