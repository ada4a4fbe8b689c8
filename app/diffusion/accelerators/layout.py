"""Weights laid out as the hardware likes them: CHANNELS_LAST and FUSE_QKV."""

from __future__ import annotations

from typing import Any

import torch

from app.diffusion.accelerators.denoiser import require_denoisers
from app.settings import Settings


def channels_last(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Keep the convolutions' weights in channels-last order, which tensor cores read directly."""
    for model in (pipe.unet, pipe.vae):
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):  # models of videos have 3D ones as well
                weight = module.weight
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def fuse_qkv(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Replace attention's separate projections by one matrix product.

    Raises:
        ValueError: the model has no such operation.
    """
    for model in require_denoisers(pipe):
        if not hasattr(model, "fuse_qkv_projections"):
            raise ValueError(f"{type(model).__name__} has no fused projections")
        model.fuse_qkv_projections()
