"""ATTENTION_BACKEND: which kernels compute attention in a transformer."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn

from app.diffusion.accelerators.denoiser import require_denoisers
from app.settings import Settings

_PROBE = (1, 64, 8, 64)
"""Batch, tokens, heads and channels of a head: a shape that every kernel takes."""


def choose_backend(pipe: Any, settings: Settings, device: torch.device) -> None:
    """Use the named backend for every attention of the transformer.

    Raises:
        ValueError: there is no such backend, or the model's attention does not ask for one.
        RuntimeError: it is not installed, or does not run on this device in this type.
    """
    for model in require_denoisers(pipe):
        processors = (getattr(module, "processor", None) for module in model.modules())
        if not any(hasattr(processor, "_attention_backend") for processor in processors):
            raise ValueError(f"{type(model).__name__} calls PyTorch's attention directly")
        model.set_attention_backend(settings.attention_backend)
        _probe(model.dtype, device)


def _probe(dtype: torch.dtype, device: torch.device) -> None:
    """Run the chosen kernels once: many refuse a type or a device only when called."""
    query = torch.randn(_PROBE, device=device, dtype=dtype)
    try:
        dispatch_attention_fn(query, query, query)
    except Exception as error:  # what a foreign kernel raises is its own affair
        raise RuntimeError(f"it does not run on {device} in {dtype} ({error})") from error
