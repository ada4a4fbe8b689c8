"""When to show an image that comes about: `partial_images` times, spread over the steps."""

from __future__ import annotations


def preview_interval(steps: int, partial_images: int) -> int:
    """Every how many of its `steps` an image is to be shown; 0 for never.

    They are cut into `partial_images + 1` stretches of about one length. With fewer steps than
    that there is one preview a step: those that are too many are not sent.
    """
    if not partial_images:
        return 0
    evenly = -(-steps // (partial_images + 1))
    all_before_the_last = (steps - 1) // partial_images
    return max(1, min(evenly, all_before_the_last))
