"""TORCH_COMPILE: the denoiser's repeated blocks, compiled once for all sizes."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import torch

from app.diffusion.accelerators.denoiser import require_denoisers
from app.settings import Settings

RECOMPILE_LIMIT = 64
"""Variants of one block's code: a UNet has its blocks in several widths, each with its own graph,
and again for each set of adapters. Beyond it a block runs uncompiled."""

_BLOCKWISE_GRAPHS = "cudagraphs"
"""A backend that compiles nothing. On a CPU it does nothing at all, and says so to nobody."""

_VIDEO_BLOCKS = ["BasicTransformerBlock", "TemporalBasicTransformerBlock"]
"""Those of Stable Video Diffusion's UNet, for which diffusers names none."""


def compile_denoiser(pipe: Any, settings: Settings, _device: torch.device) -> None:
    """Compile by region, with dynamic shapes; the first pass of each kind does the work.

    Raises:
        RuntimeError: there is no compiler for the generated code.
        ValueError: the model has no repeated blocks, or the backend does not exist.
    """
    backend = settings.torch_compile_backend
    _require_backend(backend)
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    # Else two dimensions that are equal at first, as rows and tokens can be, stay tied for ever.
    torch.fx.experimental._config.use_duck_shape = False
    for model in require_denoisers(pipe):
        if type(model).__name__ == "UNetSpatioTemporalConditionModel":
            model._repeated_blocks = _VIDEO_BLOCKS
        # With a full graph required, the first variant too many would fail its request.
        model.compile_repeated_blocks(fullgraph=False, dynamic=True, backend=backend)


def compilations() -> int:
    """Graphs compiled in this process so far."""
    dynamo = sys.modules.get("torch._dynamo.utils")  # a second's import, if nothing is compiled
    return 0 if dynamo is None else int(dynamo.counters["stats"]["unique_graphs"])


def _require_backend(name: str) -> None:
    if name == _BLOCKWISE_GRAPHS:
        raise ValueError(
            f"TORCH_COMPILE_BACKEND={name} captures each block by itself, for one size only; "
            "CUDA_GRAPHS=true captures the whole denoiser, with TORCH_COMPILE or without"
        )
    if name not in torch.compiler.list_backends(exclude_tags=()):
        known = [it for it in torch.compiler.list_backends() if it != _BLOCKWISE_GRAPHS]
        raise ValueError(
            f"TORCH_COMPILE_BACKEND={name} is none of eager, {', '.join(known)}; "
            "without it, inductor compiles"
        )
    if name == "inductor":
        _require_compiler()


def _require_compiler() -> None:
    if not any(shutil.which(name) for name in ("g++", "clang++", "gcc", "clang")):
        raise RuntimeError(
            "inductor builds its kernels with a C++ compiler and finds none (in Debian: "
            "`apt-get install g++ python3-dev`)"
        )
