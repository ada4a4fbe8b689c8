"""How stable-fast captures CUDA graphs, without the package and without a GPU."""

from __future__ import annotations

import types
from typing import Any

import pytest
import torch

from app.diffusion.accelerators import sfast
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


def test_the_oldest_graph_goes_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sfast, "MOST_GRAPHS", 2)
    kept: dict[int, str] = {}

    def forward(size: int) -> None:
        kept[size] = "a graph"

    forward._cached = kept  # type: ignore[attr-defined]
    with_room = sfast.bounded(forward)
    for size in (1, 2, 3, 4, 5):
        with_room(size)
    assert list(kept) == [3, 4, 5]
