"""The checker: right about rendered pictures, and hard to please with wrong ones."""

import random

import numpy as np
import pytest

from training.captions import write_caption
from training.checker import Table, check, tabulate
from training.landscapes import render
from training.scene import Scene, sample_held_out_scene

ASKED = 250


@pytest.fixture(scope="module")
def tables() -> tuple[Table, Table]:
    rng = random.Random(8)
    scenes = [sample_held_out_scene(rng) for _ in range(ASKED)]
    asked = [(scene, write_caption(scene, rng, complete=True)) for scene in scenes]
    truth = [render(scene, index) for index, scene in enumerate(scenes)]
    return tabulate(truth, asked), tabulate(truth[1:] + truth[:1], asked)


def test_true_pictures_pass(tables: tuple[Table, Table]) -> None:
    truth, _ = tables
    assert truth.rate() > 0.99
    assert truth.perfect > 0.98 * ASKED


def test_pictures_of_other_captions_fail(tables: tuple[Table, Table]) -> None:
    _, others = tables
    assert others.perfect < 0.06 * ASKED
    assert others.rate("sky") < 0.4
    assert others.rate("house and its colour") < 0.2


def test_grey_and_noise_show_nothing() -> None:
    scene = Scene("night", "sea", orb="full moon", stars=True, clouds=True, house="red", boat=True)
    said = {"orb", "clouds", "house", "boat"}
    grey = np.full((128, 128, 3), 128, np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert not any(check(grey, scene, said).values())
    assert not all(check(noise, scene, said).values())


def test_the_phase_of_the_moon_counts() -> None:
    full = render(Scene("night", "hills", orb="full moon"), 1)
    thin = render(Scene("night", "hills", orb="crescent moon"), 1)
    assert check(full, Scene("night", "hills", orb="full moon"), {"orb"})["moon"]
    assert not check(thin, Scene("night", "hills", orb="full moon"), {"orb"})["moon"]
    assert check(thin, Scene("night", "hills", orb="crescent moon"), {"orb"})["moon"]


def test_only_what_is_said_is_asked() -> None:
    picture = render(Scene("day", "hills", clouds=True), 1)
    assert check(picture, Scene("day", "hills"), set()) == {}
