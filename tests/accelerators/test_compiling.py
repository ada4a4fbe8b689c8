"""TORCH_COMPILE with the backend `eager`: everything but the generated code is real."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import cache_dir, triton_cache_dir

from app.diffusion.accelerators import compiling
from app.diffusion.accelerators.compiling import compilations
from app.diffusion.loras import LoraShelf
from app.worker.process import keep_compiled
from tests import checkpoints
from tests.accelerators.conftest import Load, difference, generate


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()
    graph_breaks().clear()


def graph_breaks() -> Counter[str]:
    """Why blocks were compiled in pieces."""
    return torch._dynamo.utils.counters["graph_break"]


@pytest.mark.parametrize("family", ["sd", "svd", "flux"])
def test_compiled_models_make_the_same_pixels(load_tiny: Load, family: str) -> None:
    before = compilations()
    fast = load_tiny(family, torch_compile=True, torch_compile_backend="eager")
    assert fast.active.names == ("TORCH_COMPILE",)
    assert fast.active.warms_up
    pair = (fast, load_tiny(family))
    assert difference(*(generate(it, num_inference_steps=2) for it in pair)) < 1e-4
    assert compilations() > before
    assert not graph_breaks()


def test_new_sizes_and_batches_compile_nothing(load_tiny: Load) -> None:
    fast = load_tiny("sd", torch_compile=True, torch_compile_backend="eager")
    generate(fast, num_inference_steps=1)
    warm = compilations()
    generate(fast, num_inference_steps=1, height=96, width=64)
    generate(fast, num_inference_steps=1, num_images_per_prompt=3)
    assert compilations() == warm


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_more_sets_of_adapters_than_are_compiled_for_run_all_the_same(
    load_tiny: Load, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "RECOMPILE_LIMIT", 1)
    one, other = (checkpoints.make(name, model_dir) for name in ("lora", "lora-2"))
    pair = load_tiny("sd", torch_compile=True, torch_compile_backend="eager"), load_tiny("sd")
    shelves = [LoraShelf(it.pipe, model_dir, 4) for it in pair]
    for loras in ((), ((one, 1.0),), ((other, 1.0),), ((other, 1.0), (one, 0.5))):
        for shelf in shelves:
            shelf.activate(loras)
        assert difference(*(generate(it, num_inference_steps=1) for it in pair)) < 1e-4
    assert not graph_breaks()


def test_where_compiled_kernels_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "elsewhere")
    keep_compiled(tmp_path)
    assert Path(cache_dir()) == tmp_path / "inductor"
    assert Path(triton_cache_dir(0)) == tmp_path / "triton"
