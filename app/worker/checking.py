"""Which of a job's images the safety checker flags."""

from __future__ import annotations

import numpy as np
import torch

from app.diffusion.safety import SafetyChecker
from app.engine.messages import Inputs
from app.pipelines import PIPELINES
from app.pipelines.base import Media

UNCHECKED = "the safety checker is not installed here; nothing was checked"


def check(
    checker: SafetyChecker | None, inputs: Inputs, image: np.ndarray | None, pixels: torch.Tensor
) -> tuple[tuple[bool, ...], tuple[str, ...]]:
    """Flags of the images, and what the client should know; of a video, its input image's.

    Args:
        checker: None where there is none.
        inputs: the request.
        image: its input image, (height, width, 3) uint8 RGB.
        pixels: what was made, uint8 RGB on any device.
    """
    nothing = (False,) * len(pixels)
    if not inputs.check_safety:
        return nothing, ()
    if checker is None:
        return nothing, (UNCHECKED,)
    if PIPELINES[inputs.pipeline].media is Media.IMAGE:
        return checker.flag(pixels), ()
    if image is None:
        return nothing, ()
    return checker.flag(torch.tensor(image[None])) * len(pixels), ()
