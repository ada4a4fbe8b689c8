"""Which pipeline class does a task with a model."""

from __future__ import annotations

import pytest
from diffusers.pipelines import auto_pipeline

from app.diffusion.classes import pipeline_class
from app.errors import ModelNotLoaded


def test_wan_without_ftfy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelNotLoaded, match=r"MODEL_ID=some/wan .* pip install ftfy"):
        pipeline_class("image-to-video", {"_class_name": "WanImageToVideoPipeline"}, "some/wan")


def test_which_wan_models_start_from_an_image() -> None:
    pytest.importorskip("ftfy")
    index = {"_class_name": "WanPipeline", "expand_timesteps": True}  # Wan 2.2 TI2V-5B
    found = pipeline_class("image-to-video", index, "some/wan")
    assert found.__name__ == "WanImageToVideoPipeline"
    with pytest.raises(ModelNotLoaded, match="does not fit"):
        pipeline_class("image-to-video", {**index, "expand_timesteps": False}, "some/wan")


DRAWING = sorted(
    found.__name__
    for found in auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()
    if "Inpaint" not in found.__name__
)


@pytest.mark.parametrize("named", DRAWING)
def test_a_class_that_draws_from_text_is_taken_itself(named: str) -> None:
    pytest.importorskip("ftfy")
    assert pipeline_class("text-to-image", {"_class_name": named}, "a/model").__name__ == named


@pytest.mark.parametrize("named", ["KandinskyPipeline", "StableCascadeDecoderPipeline"])
def test_a_decoder_that_needs_its_prior_is_not(named: str) -> None:
    found = pipeline_class("text-to-image", {"_class_name": named}, "a/model")
    assert found.__name__.endswith("CombinedPipeline")
