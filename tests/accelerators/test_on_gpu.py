"""What only a GPU shows; runs where there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from app.diffusion.accelerators.capturing import GpuCapture
from app.worker.limits import BatchPolicy
from tests.accelerators.conftest import Load, difference, generate
from tests.worker.conftest import Request, Serving, text

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux", "svd", "wan", "ltx"])
def test_graphs_make_the_same_pixels(load_tiny: Load, family: str) -> None:
    fast = load_tiny(family, device="cuda", cuda_graphs=True)
    plain = load_tiny(family, device="cuda")
    for prompt in ("a cat", "a dog", "a bird"):
        changes: dict[str, Any] = {} if family == "svd" else {"prompt": prompt}
        assert difference(generate(fast, **changes), generate(plain, **changes)) < 1e-3
    assert _denoiser(fast).forward.__wrapped__.graphs == 1


def test_graphs_that_share_memory_may_be_replayed_in_any_order(load_tiny: Load) -> None:
    fast = load_tiny("sd", device="cuda", cuda_graphs=True)
    plain = load_tiny("sd", device="cuda")
    for side in (64, 128, 96, 64, 96, 128, 64):
        pair = [generate(it, height=side, width=side) for it in (fast, plain)]
        assert difference(*pair) < 1e-3


def test_requests_share_graphs(load_tiny: Load) -> None:
    loaded = load_tiny("sd", device="cuda", cuda_graphs=True)
    serving = Serving(loaded.pipe, BatchPolicy(buckets=loaded.active.buckets))
    requests = [text(seed, steps=2 + seed % 3) for seed in range(5)]
    plain = load_tiny("sd", device="cuda").pipe
    for request, outcome in zip(requests, serving.serve(requests), strict=True):
        assert isinstance(outcome, torch.Tensor), outcome
        assert difference(outcome, _alone(plain, request)) < 2e-2  # of TF32


@pytest.mark.parametrize("setting", ["channels_last", "fuse_qkv", "torch_compile"])
def test_graphs_go_with(load_tiny: Load, setting: str) -> None:
    fast = load_tiny("sd", device="cuda", cuda_graphs=True, **{setting: True})
    assert difference(generate(fast), generate(load_tiny("sd", device="cuda"))) < 1e-2
    assert _denoiser(fast).forward.__wrapped__.graphs == 1


def test_a_failed_capture_leaves_the_gpu_and_the_other_graphs_as_they_were() -> None:
    capture, value = GpuCapture(), torch.ones(1, device="cuda")
    before = capture(lambda: value + 1)
    with pytest.raises(RuntimeError):
        capture(lambda: value.item())
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    after = capture(lambda: value + 2)
    value.fill_(5)
    for captured in (after, before):
        captured.replay()
    assert (before.outputs.item(), after.outputs.item()) == (6, 7)
    torch.cuda.empty_cache()


def test_a_pool_outlives_its_graphs() -> None:
    capture, value = GpuCapture(), torch.ones(1, device="cuda")
    for more in range(3):
        captured = capture(lambda more=more: value + more)
        captured.replay()
        assert captured.outputs.item() == 1 + more
        del captured
        torch.cuda.empty_cache()


def _alone(pipe: Any, request: Request) -> torch.Tensor:
    with torch.no_grad():
        return request.call(pipe)


def _denoiser(loaded: Any) -> Any:
    return getattr(loaded.pipe, "unet", None) or loaded.pipe.transformer
