"""Accelerators that carry values from step to step: they save passes and forget requests."""

from typing import Any

import pytest
import torch

from tests.accelerators.conftest import Load, difference, generate


class Interrupted(Exception):
    pass


def interrupt(_pipe: Any, step: int, _timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    if step == 1:
        raise Interrupted
    return kwargs


@pytest.mark.parametrize("family", ["sd", "sdxl", "svd"])
def test_deepcache_skips_the_deep_blocks(load_tiny: Load, family: str) -> None:
    pytest.importorskip("DeepCache")
    fast = load_tiny(family, deepcache=True, deepcache_interval=3)
    assert fast.active.keeps_state
    calls = _count_calls(fast.pipe.unet.mid_block.resnets[0])
    image = generate(fast, num_inference_steps=6)
    assert len(calls) == 2
    assert image.isfinite().all()


def test_deepcache_forgets_an_interrupted_request(load_tiny: Load) -> None:
    pytest.importorskip("DeepCache")
    fast = load_tiny("sd", deepcache=True)
    expected = generate(fast)
    with pytest.raises(Interrupted):
        generate(fast, prompt="another", callback_on_step_end=interrupt)
    assert difference(generate(fast), expected) == 0


def test_a_strict_first_block_cache_changes_nothing(load_tiny: Load) -> None:
    fast = load_tiny("flux", cache="first-block", cache_threshold=0)
    assert fast.active.keeps_state
    assert difference(generate(fast), generate(load_tiny("flux"))) < 1e-4


def test_a_loose_first_block_cache_skips_the_other_blocks(load_tiny: Load) -> None:
    fast = load_tiny("flux", cache="first-block", cache_threshold=1)
    calls = _count_calls(fast.pipe.transformer.single_transformer_blocks[0].norm)
    generate(fast, num_inference_steps=6)
    assert 0 < len(calls) < 6


@pytest.mark.parametrize("cache", ["first-block", "taylorseer"])
def test_a_cache_forgets_an_interrupted_request(load_tiny: Load, cache: str) -> None:
    fast = load_tiny("flux", cache=cache, cache_threshold=1)
    expected = generate(fast)
    with pytest.raises(Interrupted):
        generate(fast, prompt="another", callback_on_step_end=interrupt)
    assert difference(generate(fast), expected) == 0


def _count_calls(module: torch.nn.Module) -> list[None]:
    calls: list[None] = []
    module.register_forward_hook(lambda *_: calls.append(None))
    return calls
