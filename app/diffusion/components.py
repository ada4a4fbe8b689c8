"""Parts of a pipeline that a profile puts in place of the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file

from app.diffusion.profiles import SchedulerChoice


def load_unet(base: Path, weights: Path, dtype: torch.dtype) -> Any:
    """A UNet of the base model's architecture with weights from one file.

    The base's own weights are neither needed nor read, and nothing is initialised in vain.

    Args:
        base: the base model's folder, with `unet/config.json`.
        weights: a safetensors file with every weight of the UNet.
        dtype: type of the loaded weights.
    """
    config = diffusers.UNet2DConditionModel.load_config(base / "unet", local_files_only=True)
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(config)
    unet.load_state_dict(load_file(weights), strict=True, assign=True)
    return unet.to(dtype).eval()


def load_vae(folder: Path, dtype: torch.dtype) -> Any:
    """The VAE of a repository that holds nothing else."""
    return diffusers.AutoencoderKL.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True
    )


def replace_scheduler(pipe: Any, choice: SchedulerChoice) -> None:
    """Put the chosen scheduler in place of the pipeline's, keeping its noise schedule."""
    scheduler = getattr(diffusers, choice.class_name)
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **dict(choice.overrides))
