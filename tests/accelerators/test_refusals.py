"""An accelerator that cannot work stops the start, and the message says what to do."""

from importlib.util import find_spec

import pytest

from app.errors import ModelNotLoaded
from tests.accelerators.conftest import Load


@pytest.mark.parametrize(
    ("family", "setting", "value", "remedy"),
    [
        ("flux", "sfast", True, "FluxPipeline has a transformer: unset SFAST"),
        ("flux", "deepcache", True, "unset DEEPCACHE"),
        ("flux", "channels_last", True, "unset CHANNELS_LAST"),
        ("sd", "cache", "first-block", "has a unet: unset CACHE"),
        ("sd", "attention_backend", "native", "unset ATTENTION_BACKEND"),
        ("sd3", "attention_backend", "native", "calls PyTorch's attention directly"),
        ("sd3", "cache", "first-block", "has no cache across steps"),
        ("flux", "attention_backend", "quick", "must be one of the following"),
        ("flux", "attention_backend", "xformers", "xformers"),
        ("flux", "attention_backend", "_native_cudnn", "does not run on cpu"),
        ("sd", "offload", "model", "needs an NVIDIA GPU"),
        ("sd", "offload", "sequential", "unset OFFLOAD"),
        ("flux", "quantize", "fp8", "unset QUANTIZE"),
        ("svd", "vae_tiling", True, "Tiling doesn't seem to be implemented"),
        ("svd", "vae_slicing", True, "Unset VAE_SLICING"),
    ],
)
def test_refused(load_tiny: Load, family: str, setting: str, value: object, remedy: str) -> None:
    with pytest.raises(ModelNotLoaded) as refusal:
        load_tiny(family, **{setting: value})
    assert remedy in refusal.value.message
    assert setting.upper() in refusal.value.message


@pytest.mark.parametrize(
    ("module", "values", "requirements"),
    [
        ("sfast", {"sfast": True}, "pip install -r requirements-sfast.txt"),
        ("torchao", {"quantize": "int8"}, "pip install -r requirements-accelerators.txt"),
        ("DeepCache", {"deepcache": True}, "pip install -r requirements-accelerators.txt"),
    ],
)
def test_a_missing_package_is_named_with_its_install(
    load_tiny: Load, module: str, values: dict[str, object], requirements: str
) -> None:
    if find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(ModelNotLoaded, match=requirements):
        load_tiny("sd", **values)


def test_an_unknown_compiler_backend_lists_the_known_ones(load_tiny: Load) -> None:
    with pytest.raises(ModelNotLoaded, match="TORCH_COMPILE_BACKEND=fastest is none of"):
        load_tiny("sd", torch_compile=True, torch_compile_backend="fastest")


def test_without_a_cpp_compiler_inductor_says_what_to_install(
    load_tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ModelNotLoaded, match=r"apt-get install g\+\+"):
        load_tiny("sd", torch_compile=True)
