"""An accelerator that cannot work stops the start, and the message says what to do."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from app.diffusion.accelerators import apply
from app.diffusion.accelerators.quantizing import FP8_CAPABILITY, fp8
from app.errors import ModelNotLoaded
from app.settings import Settings
from tests.accelerators.conftest import Load

SETTINGS = Settings(pipeline="text-to-image", model_id="demo")


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
    load_tiny: Load,
    module: str,
    values: dict[str, object],
    requirements: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda it: None if it == module else find(it))
    with pytest.raises(ModelNotLoaded, match=requirements):
        load_tiny("sd", **values)


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A stand-in for a GPU with fp8 arithmetic."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: FP8_CAPABILITY)
    return torch.device("cpu")


def test_fp8_says_which_weights_it_needs(load_tiny: Load, ada: torch.device) -> None:
    with pytest.raises(RuntimeError, match="these are float32: set BFLOAT16=true"):
        fp8(load_tiny("flux").pipe, SETTINGS, ada)


def test_fp8_leaves_layers_in_single_precision(
    load_tiny: Load, ada: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchao")
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _: None)
    model = load_tiny("wan", bfloat16=True).pipe.transformer
    model.condition_embedder.time_embedder.float()  # as Wan's checkpoints are loaded
    fp8(SimpleNamespace(transformer=model), SETTINGS, ada)
    kinds = {
        name: type(it.weight).__name__
        for name, it in model.named_modules()
        if isinstance(it, torch.nn.Linear)
    }
    assert kinds["condition_embedder.time_embedder.linear_1"] == "Parameter"
    assert "Float8Tensor" in kinds.values()


def test_what_a_package_asserts_is_told_with_the_remedy(
    load_tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asserts(*_: object) -> None:
        raise AssertionError("only some hardware is supported")

    monkeypatch.setitem(apply._FUNCTIONS, "FUSE_QKV", asserts)
    with pytest.raises(ModelNotLoaded, match="FUSE_QKV cannot work here: only some hardware"):
        load_tiny("sd", fuse_qkv=True)


def test_an_unknown_compiler_backend_lists_the_known_ones(load_tiny: Load) -> None:
    with pytest.raises(ModelNotLoaded, match="TORCH_COMPILE_BACKEND=fastest is none of"):
        load_tiny("sd", torch_compile=True, torch_compile_backend="fastest")


def test_graphs_of_single_blocks_are_refused_for_graphs_of_the_whole(load_tiny: Load) -> None:
    with pytest.raises(ModelNotLoaded, match="CUDA_GRAPHS=true captures the whole denoiser"):
        load_tiny("sd", torch_compile=True, torch_compile_backend="cudagraphs")


def test_without_a_cpp_compiler_inductor_says_what_to_install(
    load_tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ModelNotLoaded, match=r"apt-get install g\+\+"):
        load_tiny("sd", torch_compile=True)
