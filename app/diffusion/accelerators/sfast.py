"""SFAST: the pipeline traced and fused by stable-fast, with CUDA graphs on a GPU."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import torch

from app.settings import Settings

FIRST_UNSUPPORTED_PYTHON = (3, 14)
"""torch.jit.trace, on which all of it rests, ends before it."""


def trace(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Have every model of the pipeline traced at its first call.

    Raises:
        RuntimeError: this Python cannot trace.
    """
    if sys.version_info >= FIRST_UNSUPPORTED_PYTHON:
        raise RuntimeError("torch.jit.trace does not exist for Python 3.14; use Python 3.11")
    from sfast.compilers.diffusion_pipeline_compiler import CompilationConfig, compile

    config = CompilationConfig.Default()
    is_cuda = device.type == "cuda"
    config.enable_cuda_graph = is_cuda
    config.enable_xformers = is_cuda and _is_importable("xformers")
    config.enable_triton = is_cuda and _is_importable("triton")
    config.prefer_lowp_gemm = is_cuda
    compile(pipe, config)
    pipe.unet.forward = _with_timestep_rows(pipe.unet.forward)


def _with_timestep_rows(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Pass one timestep per row always.

    A trace is reused for every tensor of the same type: one made with a single timestep would
    fail on a vector, and requests that share a forward bring a vector.
    """

    @functools.wraps(forward)
    def with_rows(sample: torch.Tensor, timestep: Any, *args: Any, **kwargs: Any) -> Any:
        steps = torch.as_tensor(timestep, device=sample.device)
        return forward(sample, steps.reshape(-1).expand(sample.shape[0]), *args, **kwargs)

    return with_rows


def _is_importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
