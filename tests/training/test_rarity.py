"""How often a training picture is picked."""

from __future__ import annotations

import math

import pytest

from training.scene import Scene
from training.text_to_image import rarity


def test_pictures_of_rare_things_are_picked_more_often() -> None:
    bare, cloudy = Scene("day", "desert"), Scene("day", "desert", clouds=True)
    cactus = Scene("day", "desert", clouds=True, cactus=True)
    moonlit = Scene("night", "sea", orb="full moon")
    weights = rarity([bare, moonlit, cactus] + [cloudy] * 5)
    assert weights.tolist() == pytest.approx(
        [1.0, math.sqrt(8), math.sqrt(8)] + [math.sqrt(8 / 6)] * 5
    )
