"""Which parts of a pipeline remove the noise."""

from __future__ import annotations

import inspect
from typing import Any

NAMES = ("unet", "transformer", "transformer_2")
"""Attributes of diffusers' pipelines; some models have a second one for the last or first steps."""

CHANGING = frozenset({"set_attn_processor", "register_forward_hook", "enable_fuser"})
"""What a pipeline's call uses to change its denoiser, which is everybody's: perturbed and
self-attention guidance, GLIGEN and text-to-video-zero do."""


def denoisers_of(pipe: Any) -> dict[str, Any]:
    """The UNet or the transformers of a diffusers pipeline, by attribute."""
    found = ((name, getattr(pipe, name, None)) for name in NAMES)
    return {name: module for name, module in found if module is not None}


def require_denoisers(pipe: Any) -> list[Any]:
    """The same without their names.

    Raises:
        ValueError: there are none that an accelerator could change.
    """
    found = list(denoisers_of(pipe).values())
    if not found:
        raise ValueError(f"{type(pipe).__name__} has neither a UNet nor a transformer")
    return found


def is_changed_by_calls(pipe: Any) -> bool:
    """Whether a call of the pipeline changes how its denoiser computes."""
    return bool(CHANGING & set(inspect.unwrap(type(pipe).__call__).__code__.co_names))
