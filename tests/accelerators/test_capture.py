"""How stable-fast captures CUDA graphs, without the package and without a GPU."""

from __future__ import annotations

import types
from typing import Any

import torch

from app.diffusion.accelerators.sfast import capture_beside_other_threads

USE = """
import torch

def capture():
    return torch.cuda.graph(object(), stream=object())

def double(x):
    return torch.add(x, x) if isinstance(x, torch.Tensor) else None
"""
"""What `sfast.cuda.graphs` does with PyTorch."""


def graphs() -> Any:
    module = types.ModuleType("graphs")
    exec(USE, module.__dict__)
    return module


def test_other_threads_may_use_the_gpu_while_stable_fast_captures() -> None:
    changed, other = graphs(), graphs()
    capture_beside_other_threads(changed)
    assert changed.capture().capture_error_mode == "thread_local"
    assert other.capture().capture_error_mode == "global"
    assert torch.cuda.graph(object(), stream=object()).capture_error_mode == "global"
    assert changed.double(torch.ones(1)) == 2
