"""The image model redraws a given picture, as far as the strength lets it."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image

from training.landscapes import render
from training.measure import Picture, sky_time
from training.scene import Scene

SCENE = Scene("day", "mountains", orb="sun", orb_side="right")


@pytest.fixture(scope="module")
def redraw(image_pipeline: StableDiffusionPipeline) -> StableDiffusionImg2ImgPipeline:
    pipeline = StableDiffusionImg2ImgPipeline(
        **image_pipeline.components, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def redrawn(
    pipeline: StableDiffusionImg2ImgPipeline, caption: str, strength: float, seed: int = 1
) -> Picture:
    result = pipeline(
        caption,
        image=Image.fromarray(render(SCENE, 7)),
        strength=strength,
        num_inference_steps=20,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    return np.asarray((result.images[0] * 255).round(), dtype=np.uint8)


def miss(picture: Picture) -> float:
    """Return the mean difference to the given picture, in levels."""
    return float(np.abs(picture.astype(int) - render(SCENE, 7)).mean())


def test_a_low_strength_keeps_the_layout(redraw: StableDiffusionImg2ImgPipeline) -> None:
    caption = "mountains at noon with the sun on the right"
    weak, strong = redrawn(redraw, caption, 0.2), redrawn(redraw, caption, 0.9)
    assert miss(weak) < 20
    assert miss(strong) > 1.3 * miss(weak)


def test_the_default_strength_follows_the_caption(
    redraw: StableDiffusionImg2ImgPipeline,
) -> None:
    pictures = [redrawn(redraw, "mountains at night", 0.8, seed) for seed in range(4)]
    assert sum(sky_time(picture) == "night" for picture in pictures) >= 3
