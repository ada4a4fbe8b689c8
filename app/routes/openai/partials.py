"""When to show an image that comes about: `partial_images` times, spread over the steps."""

from __future__ import annotations

from app.pipelines.base import Params

ASSUMED_STEPS = 25
"""Denoising steps where the request leaves them to the model."""


def preview_interval(params: Params, partial_images: int) -> int:
    """Every how many steps to ask for a preview; 0 for never.

    The image's steps are cut into `partial_images + 1` stretches of about one length. With
    fewer steps than that there is one preview a step: those that are too many are not sent.
    """
    if not partial_images:
        return 0
    steps = params.num_inference_steps if params.num_inference_steps > 0 else ASSUMED_STEPS
    steps = int(steps * getattr(params, "strength", 1.0))  # what image-to-image runs of them
    evenly = -(-steps // (partial_images + 1))
    all_before_the_last = (steps - 1) // partial_images
    return max(1, min(evenly, all_before_the_last))
