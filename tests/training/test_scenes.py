"""The scenes: sensible, and split for good into trained and held out."""

import random
from dataclasses import replace

from training.scene import (
    HELD_OUT_ONE_IN,
    Scene,
    sample_held_out_scene,
    sample_scene,
    sample_training_scene,
)


def test_scenes_make_sense() -> None:
    rng = random.Random(1)
    for scene in (sample_scene(rng) for _ in range(500)):
        assert not scene.stars or scene.time == "night"
        assert not scene.boat or scene.land == "sea"
        assert not scene.cactus or scene.land == "desert"
        if scene.orb is not None:
            assert (scene.orb == "sun") == (scene.time != "night")


def test_training_never_sees_a_held_out_combination() -> None:
    rng = random.Random(2)
    assert not any(sample_training_scene(rng).held_out() for _ in range(500))
    assert all(sample_held_out_scene(rng).held_out() for _ in range(50))


def test_about_one_combination_in_ten_is_held_out() -> None:
    rng = random.Random(3)
    scenes = {replace(sample_scene(rng), orb_side="left", house_side="left") for _ in range(4000)}
    share = sum(scene.held_out() for scene in scenes) / len(scenes)
    assert 0.5 / HELD_OUT_ONE_IN < share < 2 / HELD_OUT_ONE_IN


def test_the_split_does_not_depend_on_sides_or_on_the_run() -> None:
    scene = Scene("night", "sea", orb="full moon", house="red")
    assert scene.held_out() == replace(scene, orb_side="right", house_side="left").held_out()
    assert [Scene(time, "hills").held_out() for time in ("dawn", "day", "sunset", "night")] == [
        False, False, False, False,
    ]  # fmt: skip
