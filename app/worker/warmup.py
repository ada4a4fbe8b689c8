"""A first generation before the first request, so that no client pays for one-time costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from app.diffusion.devices import is_gpu
from app.diffusion.loading import LoadedPipeline
from app.engine.messages import Inputs
from app.pipelines import PIPELINES
from app.pipelines.base import Media

STEPS = 2
"""The second step shows what the first one allocated."""

SMALL = 256 * 256
"""Pixels up to which a generation is worth its time on a CPU as well."""

_DEFAULT_SIZE = (512, 512)
"""(width, height) of models whose profile names none."""


Request = tuple[Inputs, np.ndarray | None]
"""What to generate, and the input image where the pipeline takes one."""


def warm_up_rounds(
    pipeline: str, loaded: LoadedPipeline, sizes: Sequence[tuple[int, int]]
) -> list[list[Request]]:
    """Requests to make before the first client's, those of a round at the same time.

    Args:
        pipeline: its name.
        loaded: the model; it is spared where a first generation costs little more than a second.
        sizes: (width, height) of what is to be warm; empty for the model's native size.
    """
    native = loaded.profile.native_size or _DEFAULT_SIZE
    is_small = is_gpu(loaded.device) or math.prod(native) <= SMALL
    if not (sizes or is_small or loaded.active.warms_up):
        return []
    is_image = PIPELINES[pipeline].media is Media.IMAGE
    several = (0, 1, 2) if is_image else (0,)  # previews are learnt from images
    rounds = []
    for size in sizes or [native]:
        rounds.append([request_of_size(pipeline, size, several)])
        if loaded.active.warms_up or loaded.active.buckets:
            # One row and several are compiled apart.
            one = request_of_size(pipeline, size, (0,))
            rounds.append([one] if is_image else [one, one])
    return rounds


def request_of_size(pipeline: str, size: tuple[int, int], seeds: tuple[int, ...]) -> Request:
    """The pipeline's example, at `size` (width, height) and with `STEPS` steps, and its image."""
    width, height = size
    kind = PIPELINES[pipeline]
    values = {**kind.example, "num_inference_steps": STEPS, "width": width, "height": height}
    params = kind.params.model_validate(values)
    image = np.full((height, width, 3), 128, np.uint8) if kind.takes_image else None
    shape = (height, width, 3) if kind.takes_image else None
    return Inputs(pipeline, params, seeds, image_shape=shape), image
