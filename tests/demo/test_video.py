"""The shipped video model sets a picture in motion."""

import numpy as np
import pytest
from diffusers import StableVideoDiffusionPipeline

from training.check_video import animate, nearest_phase
from training.landscapes import render
from training.measure import Picture
from training.motion import FRAMES
from training.scene import Scene

SCENE, SEED = Scene("day", "hills", orb="sun", orb_side="left", clouds=True), 3
STEPS = 6
Videos = dict[tuple[int, int], list[Picture]]


@pytest.fixture(scope="module")
def videos(video_pipeline: StableVideoDiffusionPipeline) -> Videos:
    """Return one video for each motion bucket and frame rate."""
    picture = render(SCENE, SEED)
    asked = ((10, 7), (250, 7), (250, 25))
    return {(b, fps): animate(video_pipeline, picture, b, fps, STEPS) for b, fps in asked}


def moved(frames: list[Picture]) -> int:
    """Return how many pixels the clouds of the last frame have drifted."""
    return nearest_phase(frames[-1], SCENE, SEED)


def test_native_size_and_length(videos: Videos) -> None:
    for frames in videos.values():
        assert len(frames) == FRAMES
        assert frames[0].shape == (128, 128, 3)


def test_the_first_frame_is_the_given_picture(videos: Videos) -> None:
    for frames in videos.values():
        assert np.abs(frames[0].astype(int) - render(SCENE, SEED)).mean() < 16


def test_a_higher_bucket_moves_more(videos: Videos) -> None:
    assert moved(videos[250, 7]) > moved(videos[10, 7])


def test_more_frames_a_second_move_less_in_as_many_frames(videos: Videos) -> None:
    assert moved(videos[250, 25]) < moved(videos[250, 7])


def test_the_sky_moves_and_the_ground_stands_still(videos: Videos) -> None:
    first, last = videos[250, 7][4].astype(int), videos[250, 7][-1].astype(int)
    change = np.abs(first - last)
    assert change[:40].mean() > 1.5 * change[100:].mean()
