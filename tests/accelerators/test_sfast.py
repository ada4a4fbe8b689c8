"""The real stable-fast on a CPU; `make test-sfast` makes the environment that has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from app.diffusion.accelerators.catalogue import ROW_BUCKETS
from app.worker.limits import BatchPolicy
from tests.accelerators.conftest import Load, difference, generate
from tests.worker.conftest import Request, Serving, picture, text

pytest.importorskip("sfast")

CLOSE = 1e-4
"""A trace computes the same sums, some of them fused."""


@pytest.mark.parametrize("family", ["sd", "sdxl", "svd"])
def test_traced_models_make_the_same_pixels(load_tiny: Load, family: str) -> None:
    fast = load_tiny(family, sfast=True)
    assert fast.active.names == ("SFAST",)
    assert not fast.active.keeps_state
    images = [generate(it, num_inference_steps=2) for it in (fast, load_tiny(family))]
    assert difference(*images) < CLOSE


def test_one_trace_serves_other_sizes_batches_and_vectors_of_timesteps(load_tiny: Load) -> None:
    fast, plain = load_tiny("sd", sfast=True), load_tiny("sd")
    generate(fast, num_inference_steps=1)
    for changes in ({"height": 96}, {"num_images_per_prompt": 3}, {"guidance_scale": 0.0}):
        pair = [generate(it, num_inference_steps=2, **changes) for it in (fast, plain)]
        assert difference(*pair) < CLOSE
    states = torch.randn(2, 77, fast.pipe.unet.config.cross_attention_dim)
    latents, steps = torch.randn(2, 4, 16, 16), torch.tensor([900, 100])
    with torch.no_grad():
        results = [it.pipe.unet(latents, steps, states).sample for it in (fast, plain)]
    assert difference(*results) < CLOSE


def video(seed: int) -> Request:
    size = {"height": 32, "width": 32}
    arguments = {"image": picture(seed), **size, "num_inference_steps": 2, "decode_chunk_size": 2}
    return Request(seed, arguments)


@pytest.mark.parametrize(("family", "request_of"), [("sd", text), ("sdxl", text), ("svd", video)])
def test_requests_alone_and_merged_have_one_trace(
    load_tiny: Load, family: str, request_of: Callable[[int], Request]
) -> None:
    fast = load_tiny(family, sfast=True)
    serving = Serving(fast.pipe, BatchPolicy(buckets=ROW_BUCKETS))
    serving.serve([request_of(0)])
    serving.serve([request_of(seed) for seed in range(1, 4)])
    serving.serve([request_of(4)])
    assert not [outcome for outcome in serving.outcomes if isinstance(outcome, Exception)]
    assert max(serving.forwards) > min(serving.forwards)
    assert len(fast.pipe.unet.forward._cached) == 1
