"""Sets of rendered landscapes kept in memory."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.landscapes import SIZE, render
from training.scene import Scene, sample_training_scene


@dataclass(frozen=True)
class Bank:
    """Pictures of shape (count, SIZE, SIZE, 3), 0 to 255, and what each one shows."""

    pictures: NDArray[np.uint8]
    scenes: tuple[Scene, ...]
    seed: int

    def bare(self) -> NDArray[np.uint8]:
        """Render the same landscapes without the things in them."""
        return _render_all([scene.bare() for scene in self.scenes], self.seed)


def build_bank(count: int, seed: int) -> Bank:
    """Render ``count`` training scenes; about 3 ms each."""
    rng = random.Random(seed)
    scenes = tuple(sample_training_scene(rng) for _ in range(count))
    return Bank(_render_all(scenes, seed), scenes, seed)


def _render_all(scenes: Sequence[Scene], seed: int) -> NDArray[np.uint8]:
    pictures = np.empty((len(scenes), SIZE, SIZE, 3), np.uint8)
    for index, scene in enumerate(scenes):
        pictures[index] = render(scene, seed * 1_000_003 + index)
    return pictures
