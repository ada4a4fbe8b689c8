"""Tiny checkpoints with random weights, one per family, in Hugging Face's cache layout.

The architectures are the real ones, only narrow and shallow, so that the real loading code and
the real pipelines run on them in milliseconds. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import torch

from tests.checkpoints import extras, larger, stable_diffusion, video
from tests.checkpoints.parts import REVISION, snapshot

__all__ = ["FAMILIES", "REVISION", "SAFETY_CHECKER", "make", "snapshot"]

SAFETY_CHECKER = "CompVis/stable-diffusion-safety-checker"

Build = Callable[[str, Path], None]

FAMILIES: dict[str, tuple[str, Build]] = {
    "sd": ("stable-diffusion-v1-5/stable-diffusion-v1-5", stable_diffusion.sd),
    "sd-turbo": ("stabilityai/sd-turbo", stable_diffusion.sd),
    "sdxl": (larger.SDXL, larger.sdxl),
    "sdxl-turbo": ("stabilityai/sdxl-turbo", larger.sdxl),
    "lightning": (larger.LIGHTNING, larger.lightning),
    "instruct-pix2pix": ("timbrooks/instruct-pix2pix", stable_diffusion.instruct_pix2pix),
    "realistic-vision": (
        "SG161222/Realistic_Vision_V6.0_B1_noVAE",
        stable_diffusion.realistic_vision,
    ),
    "sd3": ("stabilityai/stable-diffusion-3-medium-diffusers", larger.sd3),
    "flux": ("black-forest-labs/FLUX.1-schnell", larger.flux),
    "svd": ("stabilityai/stable-video-diffusion-img2vid-xt-1-1", video.svd),
    "wan": ("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", video.wan),
    "ltx": ("Lightricks/LTX-Video", video.ltx),
    "safety-checker": (SAFETY_CHECKER, extras.safety_checker),
    "lora": ("fabricated/lora", extras.lora),
    "lora-2": ("fabricated/lora-2", extras.lora),
    "sd-fp16": ("fabricated/only-fp16", stable_diffusion.sd_fp16),
    "sd-both": ("fabricated/fp32-and-fp16", stable_diffusion.sd_both),
    "sd-half": ("fabricated/stored-in-bfloat16", stable_diffusion.sd_half),
    "sd-pickled": ("fabricated/pickled", stable_diffusion.sd_pickled),
    "sd-corrupt": ("fabricated/corrupt", stable_diffusion.sd_corrupt),
    "sd-incomplete": ("fabricated/incomplete", stable_diffusion.sd_incomplete),
    "sd-inpaint": ("fabricated/inpaint", stable_diffusion.inpaint),
}
"""The MODEL_ID of each family and the function that fabricates it."""


def make(family: str, model_dir: Path) -> str:
    """Make a family's checkpoint, and those it needs beside it; one that exists stays as it is.

    Args:
        family: a key of `FAMILIES`.
        model_dir: folder to use as MODEL_DIR.

    Returns:
        The MODEL_ID of the checkpoint.
    """
    model_id, build = FAMILIES[family]
    done = model_dir / ".fabricated" / family
    if not done.exists():
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(crc32(model_id.encode()))
            build(model_id, model_dir)
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
    return model_id
