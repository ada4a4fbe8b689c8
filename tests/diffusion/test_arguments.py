"""From a request's arguments to the model's own call."""

from __future__ import annotations

import pytest

from app.diffusion.arguments import size_multiple
from app.errors import SizeInvalid
from app.pipelines import PIPELINES
from tests.diffusion.conftest import Fabricate, Load


def arguments(pipeline: str, **params: object) -> dict[str, object]:
    kind = PIPELINES[pipeline]
    return kind.arguments(kind.params.model_validate(params))


def test_what_a_model_does_not_take_is_left_out(fabricate: Fabricate, load_model: Load) -> None:
    loaded = load_model(fabricate("sd"))
    wanted = arguments("text-to-image", prompt="a | b", negative_prompt="c")
    call, left_out = loaded.prepare(wanted)
    assert left_out == {"prompt_2"}
    assert call == {name: value for name, value in wanted.items() if name != "prompt_2"}


def test_further_text_encoders_get_their_parts(fabricate: Fabricate, load_model: Load) -> None:
    wanted = arguments("text-to-image", prompt="a | b | c", negative_prompt="d | e")
    call, left_out = load_model(fabricate("sdxl")).prepare(wanted)
    assert (call["prompt"], call["prompt_2"], call["negative_prompt_2"]) == ("a", "b", "e")
    assert left_out == {"prompt_3"}
    call, left_out = load_model(fabricate("sd3")).prepare(wanted)
    assert call["prompt_3"] == "c"
    assert not left_out


def test_instruct_pix2pix_takes_image_guidance_and_no_strength(
    fabricate: Fabricate, load_model: Load
) -> None:
    loaded = load_model(fabricate("instruct-pix2pix"), "image-to-image")
    wanted = arguments("image-to-image", prompt="a", image_guidance_scale=2)
    call, left_out = loaded.prepare(wanted, (32, 32))
    assert call["image_guidance_scale"] == 2
    assert left_out == {"strength"}
    assert type(loaded.pipe.scheduler).__name__ == "EulerAncestralDiscreteScheduler"


def test_steps_that_are_left_to_the_model(fabricate: Fabricate, load_model: Load) -> None:
    wanted = arguments("image-to-image", prompt="a", num_inference_steps=0, strength=0)
    call, _ = load_model(fabricate("sd"), "image-to-image").prepare(wanted, (32, 32))
    assert "num_inference_steps" not in call
    assert call["strength"] == 1 / 50  # the class's default is 50 steps
    call, _ = load_model(fabricate("sd-turbo"), "image-to-image").prepare(wanted, (32, 32))
    assert (call["num_inference_steps"], call["strength"]) == (4, 1 / 4)


def test_video_arguments(fabricate: Fabricate, load_model: Load) -> None:
    wanted = arguments("image-to-video", width=32, height=32, fps=9)
    call, left_out = load_model(fabricate("svd"), "image-to-video").prepare(wanted)
    assert call == {**wanted, "decode_chunk_size": 8}
    assert not left_out
    call, left_out = load_model(fabricate("ltx"), "image-to-video").prepare(wanted)
    assert (call["frame_rate"], call["prompt"]) == (9, "")
    assert left_out == {"motion_bucket_id", "noise_aug_strength"}


def test_the_images_size_reaches_classes_that_would_stretch_it(
    fabricate: Fabricate, load_model: Load
) -> None:
    loaded = load_model(fabricate("sd3"), "image-to-image")
    call, _ = loaded.prepare(arguments("image-to-image", prompt="a"), (47, 35))
    assert (call["width"], call["height"]) == (40, 32)
    with pytest.raises(SizeInvalid, match="The input image is 100x7 pixels"):
        loaded.prepare(arguments("image-to-image", prompt="a"), (100, 7))


def test_sizes_that_a_model_cannot_make(fabricate: Fabricate, load_model: Load) -> None:
    loaded = load_model(fabricate("ltx"), "image-to-video")
    assert size_multiple(loaded.pipe) == 32
    with pytest.raises(SizeInvalid, match=r"divisible by 32 .* but are 48 and 64"):
        loaded.prepare(arguments("image-to-video", width=64, height=48))
