"""TORCH_COMPILE with the backend `eager`: everything but the generated code is real."""

import pytest
import torch

from app.diffusion.accelerators.compiling import compilations
from tests.accelerators.conftest import Load, difference, generate


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("family", ["sd", "svd", "flux"])
def test_compiled_models_make_the_same_pixels(load_tiny: Load, family: str) -> None:
    before = compilations()
    fast = load_tiny(family, torch_compile=True, torch_compile_backend="eager")
    assert fast.active.names == ("TORCH_COMPILE",)
    assert fast.active.warms_up
    pair = (fast, load_tiny(family))
    assert difference(*(generate(it, num_inference_steps=2) for it in pair)) < 1e-4
    assert compilations() > before


def test_new_sizes_and_batches_compile_nothing(load_tiny: Load) -> None:
    fast = load_tiny("sd", torch_compile=True, torch_compile_backend="eager")
    generate(fast, num_inference_steps=1)
    warm = compilations()
    generate(fast, num_inference_steps=1, height=96, width=64)
    generate(fast, num_inference_steps=1, num_images_per_prompt=3)
    assert compilations() == warm
