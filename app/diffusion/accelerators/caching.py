"""CACHE: transformers that reuse what they computed in earlier steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import diffusers
import torch

from app.diffusion.accelerators.catalogue import Cache
from app.diffusion.accelerators.denoiser import require_denoisers
from app.settings import Settings


def enable(pipe: Any, settings: Settings, _device: torch.device) -> Callable[[], None]:
    """Turn the cache on; returns what empties it.

    Raises:
        ValueError: the model or its pipeline is not made for it.
    """
    models = require_denoisers(pipe)
    for model in models:
        if not hasattr(model, "enable_cache"):
            raise ValueError(f"{type(model).__name__} has no cache across steps")
    if not _tells_contexts(pipe):
        raise ValueError(f"{type(pipe).__name__} does not tell its cache which pass is which")
    for model in models:
        model.enable_cache(_config(settings, model.dtype))

    def empty() -> None:
        for model in models:
            model._reset_stateful_cache()

    return empty


def _config(settings: Settings, dtype: torch.dtype) -> Any:
    if settings.cache is Cache.FIRST_BLOCK:
        return diffusers.FirstBlockCacheConfig(threshold=settings.cache_threshold)
    return diffusers.TaylorSeerCacheConfig(taylor_factors_dtype=dtype)


def _tells_contexts(pipe: Any) -> bool:
    """Whether the pipeline's call names the guided and the unguided pass to the model."""
    return "cache_context" in inspect.unwrap(type(pipe).__call__).__code__.co_names
