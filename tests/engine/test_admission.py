"""What a request leaves open, and what it may not ask for."""

from __future__ import annotations

import pytest

from app.engine.admission import Admission
from app.errors import LimitExceeded, SizeInvalid
from app.pipelines.base import INT64_MAX
from app.pipelines.image_to_video import ImageToVideoParams
from app.pipelines.text_to_image import TextToImageParams
from tests.conftest import MakeSettings


@pytest.mark.parametrize(
    ("model_id", "own"),
    [
        ("stabilityai/stable-video-diffusion-img2vid-xt-1-1", 6),
        ("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", 16),
        ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", 24),
        ("Lightricks/LTX-Video", 25),
    ],
)
def test_models_have_their_own_frame_rate(
    make_settings: MakeSettings, model_id: str, own: int
) -> None:
    admission = Admission(make_settings(pipeline="image-to-video", model_id=model_id))
    inputs = admission.admit(ImageToVideoParams(), (64, 64, 3))
    assert inputs.params.model_dump()["fps"] == own
    inputs = admission.admit(ImageToVideoParams(fps=6), (64, 64, 3))
    assert inputs.params.model_dump()["fps"] == 6


def test_a_size_that_the_demo_does_not_know_is_one_of_videos(make_settings: MakeSettings) -> None:
    admission = Admission(make_settings(pipeline="image-to-video", model_id="demo"))
    with pytest.raises(SizeInvalid, match="demo makes videos of 64 to 192 pixels a side"):
        admission.admit(ImageToVideoParams(width=512, height=512), (64, 64, 3))


def test_every_seed_fits_into_64_bits(make_settings: MakeSettings) -> None:
    admission = Admission(make_settings())
    largest = TextToImageParams(prompt="a", width=64, height=64, seed=INT64_MAX)
    assert admission.admit(largest).seeds == (INT64_MAX,)
    with pytest.raises(LimitExceeded, match="choose a smaller seed"):
        admission.admit(largest.model_copy(update={"num_images_per_prompt": 2}))
