"""How often a training picture is picked."""

from __future__ import annotations

import pytest
import torch

from training.picks import pick_weights
from training.scene import Scene

CLOUDY = Scene("day", "desert", clouds=True)
CACTUS = Scene("day", "desert", clouds=True, cactus=True)
DARK_CACTUS = Scene("night", "desert", cactus=True)
BARE = Scene("day", "desert")


def differences(*energies: float) -> torch.Tensor:
    """Pictures whose cells differ from the bare land by so much, squared."""
    return torch.tensor(energies).sqrt()[:, None, None, None].expand(-1, 1, 4, 4)


def test_pictures_of_rare_things_are_picked_more_often() -> None:
    scenes = [BARE, CACTUS] + [CLOUDY] * 7
    weights = pick_weights(scenes, differences(0, 0.08, *[0.04] * 7))
    assert weights.tolist() == pytest.approx([1, 8**0.5] + [1.0] * 7, rel=1e-4)


def test_pictures_of_faint_things_are_picked_more_often() -> None:
    scenes = [CACTUS, CACTUS, DARK_CACTUS, DARK_CACTUS, CLOUDY, BARE]
    weights = pick_weights(scenes, differences(0.13, 0.13, 0.01, 0.01, 0.04, 0))
    # Clouds count for 3 x 0.04, the cactus by day for 2 x 0.09, in the dark for 2 x 0.01.
    by_day, in_the_dark, cloudy = 1.5**0.5, 9**0.5, 1.5**0.5
    assert weights.tolist() == pytest.approx(
        [by_day, by_day, in_the_dark, in_the_dark, cloudy, 1], rel=1e-4
    )


def test_what_cannot_be_seen_is_not_picked_without_end() -> None:
    weights = pick_weights([CLOUDY, DARK_CACTUS], differences(0.04, 0))
    assert weights[1] == pytest.approx(1000**0.5)
