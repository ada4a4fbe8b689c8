"""The renderer: same in, same out; and what the scene says is what the picture shows."""

from dataclasses import replace

import numpy as np
import pytest

from training.landscapes import SIZE, Motion, render
from training.motion import FRAMES, PHASES, frame_phases, motion_at, phases_per_frame
from training.scene import LANDS, TIMES, Land, Scene, Time


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("land", LANDS)
def test_every_place_at_every_time_can_be_drawn(time: Time, land: Land) -> None:
    picture = render(Scene(time, land, clouds=True, house="red"), seed=1)
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10


def test_same_seed_same_picture_other_seed_another() -> None:
    scene = Scene("day", "snowy", orb="sun", clouds=True)
    assert np.array_equal(render(scene, 3), render(scene, 3))
    assert not np.array_equal(render(scene, 3), render(scene, 4))


@pytest.mark.parametrize(
    "change",
    [
        {"orb": "sun"}, {"clouds": True}, {"trees": True}, {"house": "blue"}, {"time": "dawn"},
        {"land": "snowy"},
    ],
)  # fmt: skip
def test_every_attribute_changes_the_picture(change: dict[str, object]) -> None:
    scene = Scene("day", "mountains")
    changed = replace(scene, **change)  # type: ignore[arg-type]
    assert not np.array_equal(render(scene, 5), render(changed, 5))


def test_motion_moves_clouds_and_nothing_else() -> None:
    scene = Scene("day", "hills", clouds=True)
    still, moved = render(scene, 6), render(scene, 6, motion=Motion(clouds_x=0.1))
    top = round(0.4 * SIZE)
    assert not np.array_equal(still[:top], moved[:top])
    assert np.array_equal(still[top:], moved[top:])


def test_the_sun_sets_at_sunset_and_rises_at_dawn() -> None:
    assert motion_at(Scene("sunset", "sea"), 10).orb_y > 0
    assert motion_at(Scene("dawn", "sea"), 10).orb_y < 0


def test_speed_follows_bucket_and_frame_rate() -> None:
    assert phases_per_frame(255, 7) == pytest.approx(2 * phases_per_frame(127, 7), rel=0.01)
    assert phases_per_frame(100, 14) == pytest.approx(phases_per_frame(100, 7) / 2)
    assert len(frame_phases(127, 7)) == FRAMES
    assert max(frame_phases(255, 1)) == PHASES - 1
    assert frame_phases(1, 25) == [0] * FRAMES
