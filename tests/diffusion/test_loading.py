"""Every row of the table loads through the real code and generates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.diffusion.loading import load
from app.errors import ModelNotLoaded
from app.settings import Settings
from tests.checkpoints import make, snapshot
from tests.diffusion.conftest import Fabricate, Load, generate, picture

IMAGE_FAMILIES = (
    "sd",
    "sd-turbo",
    "sdxl",
    "sdxl-turbo",
    "lightning",
    "realistic-vision",
    "sd3",
    "flux",
)


@pytest.mark.parametrize("family", IMAGE_FAMILIES)
def test_text_to_image(family: str, fabricate: Fabricate, load_model: Load) -> None:
    loaded = load_model(fabricate(family))
    images = generate(
        loaded, "text-to-image", prompt="a | b", negative_prompt="c | d", num_images_per_prompt=2
    )
    assert images.shape == (2, 3, 32, 32)
    assert images.isfinite().all()
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("family", [*IMAGE_FAMILIES, "instruct-pix2pix"])
def test_image_to_image_follows_the_image_and_its_size(
    family: str, fabricate: Fabricate, load_model: Load
) -> None:
    loaded = load_model(fabricate(family), "image-to-image")
    red = generate(loaded, "image-to-image", picture("red", (48, 33)), strength=0.5)
    blue = generate(loaded, "image-to-image", picture("blue", (48, 33)), strength=0.5)
    assert red.shape == (1, 3, 32, 48)
    assert red.isfinite().all()
    assert not torch.allclose(red, blue, atol=1e-3)


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("family", ["sd", "sd-turbo", "lightning", "sd3", "flux"])
def test_image_to_image_at_the_ends_of_strength(
    family: str, strength: float, fabricate: Fabricate, load_model: Load
) -> None:
    loaded = load_model(fabricate(family), "image-to-image")
    image = generate(loaded, "image-to-image", picture(), strength=strength, num_inference_steps=3)
    assert image.isfinite().all()


def test_stable_video_diffusion(fabricate: Fabricate, load_model: Load) -> None:
    loaded = load_model(fabricate("svd"), "image-to-video")
    video = generate(loaded, "image-to-video", picture())
    assert video.shape == (1, 3, 3, 32, 32)
    assert video.isfinite().all()


def test_ltx_text_to_video_index_serves_image_to_video(
    fabricate: Fabricate, load_model: Load
) -> None:
    loaded = load_model(fabricate("ltx"), "image-to-video")
    assert type(loaded.pipe).__name__ == "LTXImageToVideoPipeline"
    video = generate(loaded, "image-to-video", picture(), {"num_frames": 9})
    assert video.shape == (1, 9, 3, 32, 32)


def test_wan(fabricate: Fabricate, load_model: Load) -> None:
    pytest.importorskip("ftfy")
    loaded = load_model(fabricate("wan"), "image-to-video")
    video = generate(loaded, "image-to-video", picture(), {"num_frames": 5})
    assert video.shape == (1, 5, 3, 32, 32)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_lightning_swaps_unet_and_scheduler(
    steps: int, fabricate: Fabricate, load_model: Load, models: Path
) -> None:
    folder = snapshot(fabricate("lightning"), models)
    weights = load_file(folder / f"sdxl_lightning_{steps}step_unet.safetensors")
    loaded = load_model(f"ByteDance/SDXL-Lightning-{steps}step")
    state = loaded.pipe.unet.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())
    assert type(loaded.pipe.scheduler).__name__ == "EulerDiscreteScheduler"
    assert loaded.pipe.scheduler.config.timestep_spacing == "trailing"
    call, _ = loaded.prepare({"prompt": "a", "guidance_scale": 7.5, "num_inference_steps": 50})
    assert (call["guidance_scale"], call["num_inference_steps"]) == (0.0, steps)


def test_what_a_loaded_pipeline_says(fabricate: Fabricate, load_model: Load) -> None:
    loaded = load_model(fabricate("sd"), "image-to-image")
    assert loaded.device == torch.device("cpu")
    assert loaded.dtype is loaded.pipe.unet.dtype is torch.float32
    assert not loaded.pipe.unet.training
    assert loaded.pipe.safety_checker is None


def test_bfloat16_on_request(fabricate: Fabricate, load_model: Load) -> None:
    for family in ("sd", "lightning", "realistic-vision"):
        loaded = load_model(fabricate(family), bfloat16=True)
        pipe = loaded.pipe
        assert loaded.dtype is torch.bfloat16
        assert {pipe.unet.dtype, pipe.vae.dtype, pipe.text_encoder.dtype} == {torch.bfloat16}
    assert generate(loaded, "text-to-image").isfinite().all()


@pytest.mark.parametrize("family", ["sd-fp16", "sd-both", "sd-half"])
def test_a_cpu_computes_in_float32_whatever_is_stored(
    family: str, fabricate: Fabricate, load_model: Load
) -> None:
    loaded = load_model(fabricate(family))
    assert loaded.dtype is loaded.pipe.unet.dtype is loaded.pipe.vae.dtype is torch.float32
    assert generate(loaded, "text-to-image").isfinite().all()


def test_the_vae_beside_realistic_vision(
    fabricate: Fabricate, load_model: Load, models: Path
) -> None:
    loaded = load_model(fabricate("realistic-vision"))
    folder = snapshot("stabilityai/sd-vae-ft-mse", models)
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    state = loaded.pipe.vae.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_a_folder_as_model_id(fabricate: Fabricate, load_model: Load, models: Path) -> None:
    folder = snapshot(fabricate("sd"), models)
    assert load_model(str(folder)).folder == folder


def test_a_safety_checker_that_is_listed_and_absent(
    fabricate: Fabricate, load_model: Load, models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(snapshot(fabricate("sd"), models), folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["requires_safety_checker"] = True
    (folder / "model_index.json").write_text(json.dumps(index))
    assert load_model(str(folder)).pipe.safety_checker is None


@pytest.mark.parametrize(
    ("family", "pipeline"),
    [
        ("sd", "image-to-video"),
        ("svd", "text-to-image"),
        ("svd", "image-to-image"),
        ("ltx", "text-to-image"),
        ("instruct-pix2pix", "text-to-image"),
        ("sd-inpaint", "text-to-image"),
        ("sd-inpaint", "image-to-image"),
    ],
)
def test_a_model_for_another_task(
    family: str, pipeline: str, fabricate: Fabricate, load_model: Load
) -> None:
    model_id = fabricate(family)
    with pytest.raises(ModelNotLoaded, match=f"PIPELINE={pipeline} .*MODEL_ID={model_id}"):
        load_model(model_id, pipeline)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("sd-pickled", "only pickled weights for text_encoder, unet, vae"),
        ("sd-corrupt", "could not be loaded"),
        ("sd-incomplete", "lacks files of unet"),
    ],
)
def test_damaged_models(family: str, reason: str, fabricate: Fabricate, load_model: Load) -> None:
    with pytest.raises(ModelNotLoaded, match=reason) as caught:
        load_model(fabricate(family))
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 900


def test_an_unknown_pipeline_class(load_model: Load, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "TomorrowsPipeline"}')
    with pytest.raises(ModelNotLoaded, match="TomorrowsPipeline"):
        load_model(str(tmp_path))


def test_lightning_weights_that_do_not_fit_the_base(load_model: Load, tmp_path: Path) -> None:
    make("lightning", tmp_path)
    path = snapshot("ByteDance/SDXL-Lightning", tmp_path) / "sdxl_lightning_8step_unet.safetensors"
    save_file({"some": torch.zeros(1)}, path)
    settings = Settings(
        pipeline="text-to-image", model_id="ByteDance/SDXL-Lightning", model_dir=tmp_path
    )
    with pytest.raises(ModelNotLoaded, match="could not be loaded"):
        load(settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device(fabricate: Fabricate, models: Path) -> None:
    settings = Settings(
        pipeline="text-to-image", model_id=fabricate("sd"), model_dir=models, device="cuda"
    )
    with pytest.raises(ModelNotLoaded, match="DEVICE=cuda"):
        load(settings)
