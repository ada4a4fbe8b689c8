"""SFAST: the pipeline traced and fused by stable-fast, with CUDA graphs on a GPU."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import torch

from app.diffusion.accelerators.replaying import MOST_GRAPHS
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
    if is_cuda:
        from sfast.cuda import graphs

        capture_beside_other_threads(graphs)
    compile(pipe, config)
    pipe.unet.forward = _with_timestep_rows(bounded(pipe.unet.forward))


def capture_beside_other_threads(graphs: Any) -> None:
    """Have stable-fast capture its CUDA graphs while other threads work on the GPU.

    It leaves the mode to PyTorch, where what any thread allocates or waits for in the meantime
    ends the capture; here a second thread checks images and fetches pixels. Only what this one
    module calls `torch` is changed.

    Args:
        graphs: the module `sfast.cuda.graphs`.
    """
    graph = functools.partial(torch.cuda.graph, capture_error_mode="thread_local")
    graphs.torch = _Overlay(torch, cuda=_Overlay(torch.cuda, graph=graph))


class _Overlay:
    """Another object with some attributes of its own."""

    def __init__(self, original: Any, **own: Any) -> None:
        self._original = original
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def bounded(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Have no more traces or CUDA graphs kept of it than `MOST_GRAPHS`, the oldest dropped first.

    stable-fast keeps one for each size and number of rows that it ever met.
    """
    kept: dict[object, object] = forward._cached  # type: ignore[attr-defined]

    @functools.wraps(forward)
    def with_room(*args: Any, **kwargs: Any) -> Any:
        if len(kept) > MOST_GRAPHS:
            del kept[next(iter(kept))]
        return forward(*args, **kwargs)

    return with_room


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
