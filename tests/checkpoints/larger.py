"""SDXL, SD3, FLUX."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file

from tests.checkpoints.parts import (
    HIDDEN,
    clip_text,
    clip_tokenizer,
    ddim,
    flow,
    sdxl_unet,
    snapshot,
    t5,
    t5_tokenizer,
    vae,
)

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
LIGHTNING = "ByteDance/SDXL-Lightning"


def sdxl(repo: str, model_dir: Path) -> None:
    diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(projection=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=sdxl_unet(),
        scheduler=diffusers.EulerDiscreteScheduler.from_config(ddim().config),
    ).save_pretrained(snapshot(repo, model_dir))


def lightning(repo: str, model_dir: Path) -> None:
    """The UNets' own repository, whatever the suffix of `repo`, and the base model."""
    sdxl(SDXL, model_dir)
    for steps in (2, 4, 8):
        torch.manual_seed(steps)
        filename = f"sdxl_lightning_{steps}step_unet.safetensors"
        save_file(sdxl_unet().state_dict(), snapshot(LIGHTNING, model_dir) / filename)


def sd3(repo: str, model_dir: Path) -> None:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=HIDDEN,
        caption_projection_dim=HIDDEN,
        pooled_projection_dim=2 * HIDDEN,
    )
    diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=flow(shift=3.0),
        vae=vae(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06),
        text_encoder=clip_text(projection=True),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text(projection=True),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5(),
        tokenizer_3=t5_tokenizer(),
    ).save_pretrained(snapshot(repo, model_dir))


def flux(repo: str, model_dir: Path) -> None:
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=HIDDEN,
        pooled_projection_dim=HIDDEN,
        axes_dims_rope=(4, 4, 8),
    )
    diffusers.FluxPipeline(
        scheduler=flow(),
        vae=vae(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
        transformer=transformer,
    ).save_pretrained(snapshot(repo, model_dir))
