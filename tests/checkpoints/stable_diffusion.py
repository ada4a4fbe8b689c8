"""Stable Diffusion 1 and its kin, whole and damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch

from tests.checkpoints.parts import clip_text, clip_tokenizer, ddim, sd_unet, snapshot, vae

VAE = "stabilityai/sd-vae-ft-mse"


def sd_pipe(unet: Any = None, kind: Any = diffusers.StableDiffusionPipeline) -> Any:
    return kind(
        vae=vae(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=unet or sd_unet(),
        scheduler=ddim(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd(repo: str, model_dir: Path) -> None:
    sd_pipe().save_pretrained(snapshot(repo, model_dir))


def sd_fp16(repo: str, model_dir: Path) -> None:
    sd_pipe().to(torch.float16).save_pretrained(snapshot(repo, model_dir), variant="fp16")


def sd_both(repo: str, model_dir: Path) -> None:
    pipe = sd_pipe()
    pipe.save_pretrained(snapshot(repo, model_dir))
    pipe.to(torch.float16).save_pretrained(snapshot(repo, model_dir), variant="fp16")


def sd_half(repo: str, model_dir: Path) -> None:
    sd_pipe().to(torch.bfloat16).save_pretrained(snapshot(repo, model_dir))


def sd_pickled(repo: str, model_dir: Path) -> None:
    sd_pipe().save_pretrained(snapshot(repo, model_dir), safe_serialization=False)
    for path in snapshot(repo, model_dir).glob("*/model*.safetensors"):  # transformers' own
        torch.save({}, path.with_name("pytorch_model.bin"))
        path.unlink()


def sd_corrupt(repo: str, model_dir: Path) -> None:
    sd(repo, model_dir)
    weights = snapshot(repo, model_dir) / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def sd_incomplete(repo: str, model_dir: Path) -> None:
    sd(repo, model_dir)
    (snapshot(repo, model_dir) / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def realistic_vision(repo: str, model_dir: Path) -> None:
    sd(repo, model_dir)
    (snapshot(repo, model_dir) / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    vae().save_pretrained(snapshot(VAE, model_dir))


def inpaint(repo: str, model_dir: Path) -> None:
    unet = sd_unet(in_channels=9)
    pipe = sd_pipe(unet, diffusers.StableDiffusionInpaintPipeline)
    pipe.save_pretrained(snapshot(repo, model_dir))


def instruct_pix2pix(repo: str, model_dir: Path) -> None:
    unet = sd_unet(in_channels=8)
    pipe = sd_pipe(unet, diffusers.StableDiffusionInstructPix2PixPipeline)
    pipe.save_pretrained(snapshot(repo, model_dir))
