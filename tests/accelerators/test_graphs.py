"""CUDA_GRAPHS: with a stand-in for the GPU's capture, and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from app.diffusion.accelerators import graphs
from app.diffusion.accelerators.graphs import Capture, Captured, ReplayedForward, put_on
from app.errors import ModelNotLoaded
from tests.accelerators.conftest import Load, difference, generate


class FakeGpu:
    """Captures as a GPU does: a replay reads the inputs' memory and overwrites the outputs'."""

    def __init__(self) -> None:
        self.captures = self.replays = 0
        self.refuses = False

    def capture(self, run: Callable[[], Any]) -> Captured:
        if self.refuses:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        self.captures += 1
        outputs = run()
        for output in tree_leaves(outputs):
            output.zero_()  # a capture computes nothing
        return Captured(outputs, lambda: self._replay(run, outputs))

    def _replay(self, run: Callable[[], Any], outputs: Any) -> None:
        self.replays += 1
        for output, result in zip(tree_leaves(outputs), tree_leaves(run()), strict=True):
            output.copy_(result)


def double(x: torch.Tensor, timestep: torch.Tensor, options: Any = None) -> dict[str, torch.Tensor]:
    return {"sample": 2 * x + timestep.reshape(-1, 1) + (options or {}).get("more", 0)}


def replayed(gpu: FakeGpu) -> ReplayedForward:
    return ReplayedForward(double, gpu.capture)


def call(forward: ReplayedForward, rows: int = 2, **options: Any) -> torch.Tensor:
    x = torch.randn(rows, 3)
    steps = torch.arange(rows)
    result: torch.Tensor = forward(x=x, timestep=steps, options=options)["sample"]
    torch.testing.assert_close(result, double(x, steps, options)["sample"])
    return result


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux", "svd", "wan"])
def test_pixels_stay_the_same(load_tiny: Load, family: str) -> None:
    gpu, fast = FakeGpu(), load_tiny(family)
    model = getattr(fast.pipe, "unet", None) or fast.pipe.transformer
    put_on(model, gpu.capture)
    pair = [generate(it, num_inference_steps=4) for it in (fast, load_tiny(family))]
    assert difference(*pair) < 1e-5
    assert gpu.captures == 1
    assert gpu.replays >= 3


def test_each_kind_is_captured_at_its_second_call() -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for _ in range(3):
        for rows in (1, 2):
            call(forward, rows)
            call(forward, rows, more=1)
            call(forward, rows, more=2.5)
            call(forward, rows, more=torch.ones(1))
    assert gpu.captures == 8
    assert gpu.replays == 16


def test_results_outlive_the_next_replay() -> None:
    forward = replayed(FakeGpu())
    results = [call(forward) for _ in range(4)]
    copies = [result.clone() for result in results]
    call(forward)
    assert all(map(torch.equal, results, copies))


def test_what_cannot_be_compared_runs_as_it_is() -> None:
    gpu = FakeGpu()
    for _ in range(3):
        call(replayed(gpu), more=2, unhashable={1, 2})
    assert gpu.captures == 0


def test_the_graph_that_was_not_used_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    gpu = FakeGpu()
    forward = replayed(gpu)
    for rows in (1, 1, 2, 2, 1, 3, 3):
        call(forward, rows)
    assert gpu.captures == 3
    call(forward, 1)
    assert gpu.captures == 3
    call(forward, 2)
    call(forward, 2)
    assert gpu.captures == 4


def test_a_model_that_cannot_be_captured_is_refused_with_the_remedy() -> None:
    gpu = FakeGpu()
    gpu.refuses = True
    forward = replayed(gpu)
    call(forward)
    with pytest.raises(ModelNotLoaded, match="Unset CUDA_GRAPHS"):
        call(forward)


def test_one_kind_that_cannot_be_captured_goes_without(caplog: pytest.LogCaptureFixture) -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for rows in (1, 1, 2, 2, 2, 1):
        gpu.refuses = rows == 2
        call(forward, rows)
    assert gpu.captures == 1
    assert gpu.replays == 2
    assert caplog.text.count("cannot be captured") == 1


def test_a_capture_that_lacks_memory_is_tried_again() -> None:
    gpu = FakeGpu()

    def lacking(run: Callable[[], Any]) -> Captured:
        if not gpu.captures:
            gpu.captures += 1
            raise torch.OutOfMemoryError
        return gpu.capture(run)

    forward = ReplayedForward(double, lacking)
    call(forward)
    with pytest.raises(torch.OutOfMemoryError):
        call(forward)
    call(forward)
    assert gpu.replays == 1


def test_it_needs_a_gpu(load_tiny: Load) -> None:
    with pytest.raises(ModelNotLoaded, match="CUDA_GRAPHS needs an NVIDIA GPU"):
        load_tiny("sd", cuda_graphs=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("family", ["sd", "sdxl", "flux", "svd", "wan"])
def test_on_a_gpu_pixels_stay_the_same(load_tiny: Load, family: str) -> None:
    pair = [
        generate(load_tiny(family, device="cuda", **values), num_inference_steps=4)
        for values in ({"cuda_graphs": True}, {})
    ]
    assert difference(*pair) < 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_failed_capture_leaves_the_gpu_as_it_was() -> None:
    capture: Capture = graphs.cuda_capture()
    value = torch.ones(1, device="cuda")
    with pytest.raises(RuntimeError):
        capture(lambda: value.item())
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert (value + 1).item() == 2
