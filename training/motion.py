"""How things move in a video: clouds drift, the sun rises, sets or wanders, boats sail.

A video is a row of *phases*, one pixel of cloud drift apart. How many phases pass from one frame
to the next follows from the motion bucket and the frame rate.
"""

import numpy as np
from numpy.typing import NDArray

from training.landscapes import SIZE, Motion, render
from training.scene import Scene

FRAMES = 14
MAX_PHASES_PER_FRAME = 2.0
PHASES = 1 + round(MAX_PHASES_PER_FRAME * (FRAMES - 1))
MAX_BUCKET = 255
BASE_FPS = 7
"""The frame rate at which the highest bucket moves ``MAX_PHASES_PER_FRAME``; it is also the
pipeline's default."""

CLOUD_STEP = 1 / SIZE
ORB_STEP = 0.0042
BOAT_STEP = 0.0025
"""Parts of the picture's side moved in one phase."""


def motion_at(scene: Scene, phase: float) -> Motion:
    """Return how far things have moved at ``phase``."""
    orb_x, orb_y = {
        "dawn": (0.3, -1.0),
        "day": (1.0, 0.0),
        "sunset": (0.3, 1.0),
        "night": (1.0, 0.0),
    }[scene.time]
    return Motion(
        clouds_x=phase * CLOUD_STEP,
        orb_x=phase * ORB_STEP * orb_x,
        orb_y=phase * ORB_STEP * orb_y,
        boat_x=phase * BOAT_STEP,
    )


def phases_per_frame(bucket: int, fps: int) -> float:
    """Return the speed: in proportion to the bucket, and to the time between two frames."""
    return min(MAX_PHASES_PER_FRAME, MAX_PHASES_PER_FRAME * bucket / MAX_BUCKET * BASE_FPS / fps)


def frame_phases(bucket: int, fps: int) -> list[int]:
    """Return the whole phase that each frame shows."""
    speed = phases_per_frame(bucket, fps)
    return [round(frame * speed) for frame in range(FRAMES)]


def render_phases(scene: Scene, seed: int) -> NDArray[np.uint8]:
    """Draw every phase of a scene; the result has the shape (PHASES, SIZE, SIZE, 3)."""
    return np.stack(
        [render(scene, seed, motion=motion_at(scene, phase)) for phase in range(PHASES)]
    )
