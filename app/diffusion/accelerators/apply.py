"""Puts the requested accelerators on a loaded pipeline, or says why one cannot work."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch

from app.diffusion.accelerators import (
    attention,
    caching,
    compiling,
    deepcache,
    graphs,
    layout,
    memory,
    quantizing,
    sfast,
)
from app.diffusion.accelerators.active import Active
from app.diffusion.accelerators.catalogue import (
    ROW_BUCKETS,
    Accelerator,
    Denoiser,
    requested,
)
from app.diffusion.accelerators.denoiser import is_changed_by_calls
from app.errors import ModelNotLoaded
from app.settings import Settings
from app.wording import on_one_line

Reset = Callable[[], None]
Apply = Callable[[Any, Settings, torch.device], Reset | None]
"""Takes the pipeline, the settings and the device; returns what forgets the last request.

Raises RuntimeError or ValueError, with a reason that completes "SFAST cannot work here: …".
"""

_FUNCTIONS: dict[str, Apply] = {
    "ATTENTION_BACKEND": attention.choose_backend,
    "FUSE_QKV": layout.fuse_qkv,
    "CHANNELS_LAST": layout.channels_last,
    "QUANTIZE=int8": quantizing.int8,
    "QUANTIZE=fp8": quantizing.fp8,
    "QUANTIZE=fp8-storage": quantizing.fp8_storage,
    "DEEPCACHE": deepcache.enable,
    "CACHE": caching.enable,
    "VAE_SLICING": memory.slice_vae,
    "VAE_TILING": memory.tile_vae,
    "SFAST": sfast.trace,
    "TORCH_COMPILE": compiling.compile_denoiser,
    "CUDA_GRAPHS": graphs.enable,
    "OFFLOAD=model": memory.offload_models,
    "OFFLOAD=group": memory.offload_groups,
    "OFFLOAD=sequential": memory.offload_sequentially,
}
"""The function of each row of the catalogue."""


def apply(pipe: Any, settings: Settings, device: torch.device) -> Active:
    """Move the pipeline to its device and put on what the settings ask for.

    Args:
        pipe: a diffusers pipeline in main memory.
        settings: see `app.diffusion.accelerators.catalogue`.
        device: where it is to run.

    Raises:
        ModelNotLoaded: an accelerator cannot work here; the message names the remedy.
    """
    rows = requested(settings)
    for row in rows:
        _check(row, pipe, device)
    early = [row for row in rows if row.moves_after]
    late = [row for row in rows if not row.moves_after]
    resets = [_put_on(row, pipe, settings, device) for row in early]
    if settings.offload is None:
        pipe.to(device)
    resets += [_put_on(row, pipe, settings, device) for row in late]
    has_graphs = (settings.sfast and device.type == "cuda") or settings.cuda_graphs
    return Active(
        names=tuple(_label(row, settings) for row in rows),
        keeps_state=any(row.keeps_state for row in rows),
        buckets=ROW_BUCKETS if has_graphs else (),
        resets=tuple(reset for reset in resets if reset),
        warms_up=settings.torch_compile or (settings.sfast and settings.sfast_warmup),
    )


def _check(row: Accelerator, pipe: Any, device: torch.device) -> None:
    """Refuse what the row itself rules out."""
    if row.denoiser is not None and getattr(pipe, row.denoiser, None) is None:
        other = Denoiser.UNET if row.denoiser is Denoiser.TRANSFORMER else Denoiser.TRANSFORMER
        raise ModelNotLoaded(
            f"{row.setting} works on models with a {row.denoiser}; {type(pipe).__name__} has a "
            f"{other}: unset {row.name}."
        )
    if row.records and is_changed_by_calls(pipe):
        raise ModelNotLoaded(
            f"{row.setting} records how the denoiser computes, and a call of "
            f"{type(pipe).__name__} changes it: unset {row.name}."
        )
    if row.cuda and device.type != "cuda":
        raise ModelNotLoaded(
            f"{row.setting} needs an NVIDIA GPU, and the model runs on {device}: unset "
            f"{row.name} or start the container with `--gpus all`."
        )
    if row.package is not None and importlib.util.find_spec(row.package.module) is None:
        raise ModelNotLoaded(
            f"{row.setting} needs the package {row.package.module}, which is not installed: "
            f"`pip install -r {row.package.requirements}`, or unset {row.name}."
        )


def _put_on(row: Accelerator, pipe: Any, settings: Settings, device: torch.device) -> Reset | None:
    try:
        return _FUNCTIONS[row.setting](pipe, settings, device)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, ImportError, AttributeError, AssertionError) as error:
        reason = on_one_line(error)
        raise ModelNotLoaded(
            f"{_label(row, settings)} cannot work here: {reason}. Unset {row.name} to go "
            "without it."
        ) from error


def _label(row: Accelerator, settings: Settings) -> str:
    """The setting as people write it, with the value where there is a choice: `CACHE=…`."""
    value = getattr(settings, row.name.lower())
    return row.name if value is True else f"{row.name}={value}"
