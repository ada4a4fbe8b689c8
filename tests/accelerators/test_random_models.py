import math

import pytest
import torch

from app.diffusion.profiles import profile_for
from app.diffusion.random_models import RANDOM_MODELS, is_random
from app.diffusion.random_pipeline import build_part, build_random
from app.errors import ModelNotLoaded
from tests.conftest import MakeSettings

PARAMETERS = {
    ("sd15", "unet"): 859_520_964,
    ("sd15", "vae"): 83_653_863,
    ("sd15", "text_encoder"): 123_060_480,
    ("sd-turbo", "unet"): 865_910_724,
    ("sd-turbo", "text_encoder"): 340_387_840,
    ("sdxl", "unet"): 2_567_463_684,
    ("sdxl", "text_encoder_2"): 694_659_840,
    ("sdxl-lightning", "unet"): 2_567_463_684,
    ("svd-xt", "unet"): 1_524_623_082,
    ("svd-xt", "vae"): 97_742_847,
    ("svd-xt", "image_encoder"): 632_076_800,
    ("flux-schnell", "transformer"): 11_891_178_560,
    ("flux-schnell", "vae"): 83_819_683,
    ("flux-schnell", "text_encoder_2"): 4_762_310_656,
}
"""Of the published weights."""


@pytest.mark.parametrize(("name", "part"), PARAMETERS)
def test_as_many_parameters_as_the_real_weights(name: str, part: str) -> None:
    model = build_part(RANDOM_MODELS[name].parts[part], torch.device("meta"), torch.float16)
    assert sum(weight.numel() for weight in model.parameters()) == PARAMETERS[name, part]
    assert {weight.dtype for weight in model.parameters()} == {torch.float16}


@pytest.mark.parametrize("name", RANDOM_MODELS)
def test_a_whole_pipeline_is_put_together(name: str, make_settings: MakeSettings) -> None:
    pipeline = "image-to-video" if name == "svd-xt" else "text-to-image"
    settings = make_settings(pipeline=pipeline, model_id=f"random:{name}")
    pipe = build_random(settings, torch.device("meta"), torch.float32)
    assert type(pipe).__name__ == RANDOM_MODELS[name].pipeline
    for number in ("", "_2"):
        if tokenizer := getattr(pipe, f"tokenizer{number}", None):
            ids = tokenizer("a cat", padding="max_length", truncation=True).input_ids
            vocabulary = getattr(pipe, f"text_encoder{number}").config.vocab_size
            assert max(ids) < vocabulary
            assert len(ids) == tokenizer.model_max_length


def test_schedules_keep_their_precision() -> None:
    scheduler = build_part(
        RANDOM_MODELS["sdxl"].parts["scheduler"], torch.device("meta"), torch.float16
    )
    assert scheduler.betas.dtype == torch.float32
    assert math.isclose(float(scheduler.betas[0]), 0.00085, rel_tol=1e-5)


def test_the_rules_are_those_of_the_real_model() -> None:
    assert profile_for("random:sd-turbo") == profile_for("stabilityai/sd-turbo")
    assert profile_for("random:sdxl-lightning") == profile_for("ByteDance/SDXL-Lightning-4step")


def test_an_unknown_architecture_lists_the_known_ones(make_settings: MakeSettings) -> None:
    assert is_random("random:sd99")
    with pytest.raises(ModelNotLoaded, match=r"random:sd15.*random:flux-schnell"):
        build_random(make_settings(model_id="random:sd99"), torch.device("cpu"), torch.float32)


def test_a_random_model_does_only_its_own_tasks(make_settings: MakeSettings) -> None:
    settings = make_settings(pipeline="image-to-video", model_id="random:sd15")
    with pytest.raises(ModelNotLoaded, match="PIPELINE=image-to-video does not fit"):
        build_random(settings, torch.device("meta"), torch.float32)
