"""How often the pictures in the bank are learned from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.scene import Scene

THINGS = ("stars", "clouds", "trees", "house", "boat", "cactus")
"""Attributes of a scene that are things, beside its sun or moon."""
LEAST_CONTRAST = 1e-3
"""Of a thing, against the strongest: a thing that cannot be seen is not picked without end."""


def pick_weights(scenes: Sequence[Scene], things: Tensor) -> Tensor:
    """Return how often to pick each scene, against 1 for one without any things; shape (count,).

    ``things`` has shape (count, 1, rows, columns): how much each cell differs from the bare land's.
    What a thing at a time of day counts for in the loss is how often it is there, times how much it
    stands out. A dark cactus in a desert at night counts for a hundredth of the clouds by day, and
    would be learned last. A scene's weight is the square root of how little its least thing counts.
    """
    there = [_things(scene) for scene in scenes]
    kinds = sorted({thing for names in there for thing in names})
    shown = torch.tensor([[float(kind in names) for kind in kinds] for names in there])
    contrast = _contrasts(shown, things.square().mean((1, 2, 3)))
    counts_for = shown.sum(0) * contrast
    rarity = (counts_for.max() / counts_for).sqrt()
    return (shown * rarity).amax(1).clamp(min=1)


def _things(scene: Scene) -> set[str]:
    """Name what stands in ``scene``, each with the time of day, on which its colours depend."""
    there = {name for name in THINGS if getattr(scene, name)}
    if scene.orb is not None:
        there.add(scene.orb)
    return {f"{name} at {scene.time}" for name in there}


def _contrasts(shown: Tensor, differences: Tensor) -> Tensor:
    """Return each kind's part in the pictures' ``differences``, by least squares."""
    parts: Tensor = torch.linalg.lstsq(shown, differences[:, None]).solution[:, 0]
    return parts.clamp(min=LEAST_CONTRAST * parts.max())
