"""Which part of a pipeline removes the noise."""

from __future__ import annotations

from typing import Any


def denoiser_of(pipe: Any) -> Any:
    """The transformer or the UNet of a diffusers pipeline."""
    transformer = getattr(pipe, "transformer", None)
    return pipe.unet if transformer is None else transformer
