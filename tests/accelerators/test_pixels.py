"""What an accelerator may change in the pixels, on tiny models with random weights."""

from typing import Any

import diffusers
import pytest
import torch

from app.diffusion.loading import LoadedPipeline
from tests.accelerators.conftest import Load, difference, generate

ROUNDING = 1e-4
"""Of the same sums in another order."""


@pytest.mark.parametrize("family", ["sd", "sdxl", "svd"])
def test_channels_last_changes_rounding_only(load_tiny: Load, family: str) -> None:
    fast = load_tiny(family, channels_last=True)
    assert fast.active.names == ("CHANNELS_LAST",)
    weight = fast.pipe.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert difference(generate(fast), generate(load_tiny(family))) < ROUNDING


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_fused_projections_change_rounding_only(load_tiny: Load, family: str) -> None:
    fast = load_tiny(family, fuse_qkv=True)
    fused = [getattr(module, "fused_projections", None) for module in _denoiser(fast).modules()]
    assert True in fused
    assert False not in fused
    assert difference(generate(fast), generate(load_tiny(family))) < ROUNDING


def test_a_sliced_vae_makes_the_same_images(load_tiny: Load) -> None:
    fast = load_tiny("sd", vae_slicing=True)
    assert fast.pipe.vae.use_slicing
    pair = [generate(it, num_images_per_prompt=2) for it in (fast, load_tiny("sd"))]
    assert difference(*pair) < ROUNDING


def test_a_tiled_vae_decodes_beyond_its_own_size(load_tiny: Load) -> None:
    fast = load_tiny("sd", vae_tiling=True)
    assert fast.pipe.vae.use_tiling
    assert generate(fast, height=128, width=128).isfinite().all()


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_fp8_storage_stays_close(load_tiny: Load, family: str) -> None:
    fast = load_tiny(family, quantize="fp8-storage")
    stored = {weight.dtype for weight in _denoiser(fast).parameters()}
    assert torch.float8_e4m3fn in stored
    assert difference(generate(fast), generate(load_tiny(family))) < 0.1


def test_weights_are_made_smaller_before_they_go_to_the_device(
    load_tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[set[torch.dtype]] = []
    to = diffusers.DiffusionPipeline.to

    def watched(pipe: Any, *args: Any, **kwargs: Any) -> Any:
        moved.append({weight.dtype for weight in pipe.unet.parameters()})
        return to(pipe, *args, **kwargs)

    monkeypatch.setattr(diffusers.DiffusionPipeline, "to", watched)
    load_tiny("sd", quantize="fp8-storage")
    assert torch.float8_e4m3fn in moved[-1]


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_int8_stays_close(load_tiny: Load, family: str) -> None:
    pytest.importorskip("torchao")
    fast = load_tiny(family, quantize="int8")
    linear = [it.weight for it in _denoiser(fast).modules() if isinstance(it, torch.nn.Linear)]
    assert any(type(weight).__module__.startswith("torchao.") for weight in linear)
    assert difference(generate(fast), generate(load_tiny(family))) < 0.05


def test_the_native_attention_backend_is_the_default_one(load_tiny: Load) -> None:
    fast = load_tiny("flux", attention_backend="_native_math")
    assert fast.active.names == ("ATTENTION_BACKEND=_native_math",)
    assert difference(generate(fast), generate(load_tiny("flux"))) < ROUNDING


def _denoiser(loaded: LoadedPipeline) -> torch.nn.Module:
    return loaded.pipe.components.get("transformer") or loaded.pipe.unet
