"""LoRA adapters: exact when off, linear in their weights, bounded in number, never half applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from diffusers.pipelines import pipeline_utils
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from app.diffusion.accelerators.apply import Apply
from app.diffusion.accelerators.memory import offload_models, offload_sequentially
from app.diffusion.loading import LoadedPipeline, load
from app.diffusion.loras import LoraShelf
from app.errors import LoraInvalid
from app.settings import Settings
from tests.checkpoints import make, snapshot
from tests.diffusion.conftest import Fabricate, Load, generate

LORA, OTHER = "fabricated/lora", "fabricated/lora-2"
FILE = "pytorch_lora_weights.safetensors"
SETTINGS = Settings(pipeline="text-to-image", model_id="some/model")

pytestmark = [  # peft remarks on what is meant here
    pytest.mark.filterwarnings("ignore:Already found a `peft_config`"),
    pytest.mark.filterwarnings("ignore:Adapter .* was active which is now deleted"),
]


@pytest.fixture
def shelves(tmp_path: Path) -> Path:
    """A MODEL_DIR of the test's own, with two adapters."""
    for family in ("lora", "lora-2"):
        make(family, tmp_path)
    return tmp_path


@pytest.fixture
def loaded(fabricate: Fabricate, models: Path) -> LoadedPipeline:
    """Stable Diffusion of the test's own, since adapters leave traces in it."""
    return load(settings_of(fabricate("sd"), models))


def settings_of(model_id: str, models: Path, **values: object) -> Settings:
    fixed = {"pipeline": "text-to-image", "model_id": model_id, "model_dir": models}
    return Settings.model_validate({**fixed, "device": "cpu", **values})


def image(loaded: LoadedPipeline) -> torch.Tensor:
    return generate(loaded, "text-to-image")


def adapters(loaded: LoadedPipeline) -> set[str]:
    """Names of the adapters in any layer of the model."""
    models = (loaded.pipe.unet, loaded.pipe.text_encoder)
    layers = [it for model in models for it in model.modules() if isinstance(it, BaseTunerLayer)]
    return {name for layer in layers for name in layer.lora_A}


def test_adapters_change_the_image_and_leave_no_trace(
    loaded: LoadedPipeline, shelves: Path
) -> None:
    plain = image(loaded)
    shelf = LoraShelf(loaded.pipe, shelves, 4)
    shelf.activate(())
    assert torch.equal(image(loaded), plain)
    shelf.activate(((LORA, 1.0),))
    first = image(loaded)
    assert not torch.allclose(first, plain, atol=1e-3)
    shelf.activate(())
    assert torch.equal(image(loaded), plain)
    shelf.activate(((OTHER, 1.0),))
    other = image(loaded)
    assert not torch.allclose(other, first, atol=1e-3)
    shelf.activate(((LORA, 1.0), (OTHER, 1.0)))
    both = image(loaded)
    assert not torch.allclose(both, first, atol=1e-3)
    assert not torch.allclose(both, other, atol=1e-3)
    shelf.activate(((LORA, 1.0),))
    assert torch.equal(image(loaded), first)
    shelf.activate(((LORA, 0.5),))
    assert not torch.allclose(image(loaded), first, atol=1e-3)
    shelf.activate(((LORA, 0.0),))
    assert torch.allclose(image(loaded), plain, atol=1e-6)
    shelf.activate(())
    assert torch.equal(image(loaded), plain)


def test_the_adapter_is_the_weights_own(loaded: LoadedPipeline, shelves: Path) -> None:
    """One layer computes W x + weight · (alpha / rank) · B A x with the file's own tensors."""
    tensors = load_file(snapshot(LORA, shelves) / FILE)
    name = next(key for key in tensors if key.startswith("unet.") and "lora_A" in key)
    path = name.removeprefix("unet.").removesuffix(".lora_A.weight")
    down, up = tensors[name], tensors[name.replace("lora_A", "lora_B")]
    x = torch.randn(1, down.shape[1])
    with torch.no_grad():
        expected = loaded.pipe.unet.get_submodule(path)(x) + 0.25 * x @ down.T @ up.T
        LoraShelf(loaded.pipe, shelves, 4).activate(((LORA, 0.25),))
        assert torch.allclose(loaded.pipe.unet.get_submodule(path)(x), expected, atol=1e-5)


def test_the_shelf_is_bounded(loaded: LoadedPipeline, shelves: Path) -> None:
    shelf = LoraShelf(loaded.pipe, shelves, 1)
    shelf.activate(((LORA, 1.0),))
    first = image(loaded)
    shelf.activate(((OTHER, 1.0),))
    assert shelf.loaded == (OTHER,)
    assert len(adapters(loaded)) == 1
    shelf.activate(((LORA, 1.0),))
    assert torch.equal(image(loaded), first)
    shelf.activate(((LORA, 1.0), (OTHER, 1.0)))  # a request keeps all its own
    assert set(shelf.loaded) == {LORA, OTHER}
    shelf.activate(())
    assert len(shelf.loaded) == 1


def test_the_one_unused_for_longest_leaves(loaded: LoadedPipeline, shelves: Path) -> None:
    third = snapshot("fabricated/lora-3", shelves)
    save_file(load_file(snapshot(LORA, shelves) / FILE), third / "only.safetensors")
    shelf = LoraShelf(loaded.pipe, shelves, 2)
    for repo in (LORA, OTHER, LORA, "fabricated/lora-3"):
        shelf.activate(((repo, 1.0),))
    assert shelf.loaded == (LORA, "fabricated/lora-3")


def misfit(name: str, shelves: Path) -> str:
    """An adapter that cannot be applied."""
    tensors = load_file(snapshot(LORA, shelves) / FILE)
    if name == "unet":  # trained on a model with wider text embeddings
        tensors = {
            key: torch.zeros(value.shape[0], 3) if "lora_A" in key and "unet" in key else value
            for key, value in tensors.items()
        }
    elif name == "text encoder":  # fails after the UNet's part is in place
        tensors = {
            key: torch.zeros(value.shape[0], 3) if "lora_A" in key and "text" in key else value
            for key, value in tensors.items()
        }
    elif name == "unknown layers":
        tensors = {key.replace("unet.", "prior."): value for key, value in tensors.items()}
        tensors = {key: value for key, value in tensors.items() if key.startswith("prior.")}
    else:
        tensors = {"something": torch.zeros(1)}
    save_file(tensors, snapshot("some/misfit", shelves) / FILE)
    if name == "damaged":
        (snapshot("some/misfit", shelves) / FILE).write_bytes(b"damaged")
    return "some/misfit"


@pytest.mark.parametrize("name", ["unet", "text encoder", "unknown layers", "no lora", "damaged"])
def test_nothing_is_half_applied(name: str, loaded: LoadedPipeline, shelves: Path) -> None:
    plain = image(loaded)
    shelf = LoraShelf(loaded.pipe, shelves, 4)
    bad = misfit(name, shelves)
    with pytest.raises(LoraInvalid, match="some/misfit"):
        shelf.activate(((bad, 1.0),))
    assert torch.equal(image(loaded), plain)
    assert not adapters(loaded)
    shelf.activate(((LORA, 1.0),))
    good = image(loaded)
    assert not torch.allclose(good, plain, atol=1e-3)
    with pytest.raises(LoraInvalid, match="some/misfit"):
        shelf.activate(((LORA, 1.0), (bad, 1.0)))
    assert torch.equal(image(loaded), plain)
    assert shelf.loaded == (LORA,)
    shelf.activate(((LORA, 1.0),))
    assert torch.equal(image(loaded), good)


def test_adapters_of_a_model_stored_in_fp8_are_exact(
    fabricate: Fabricate, models: Path, shelves: Path
) -> None:
    """Their values are smaller than fp8's steps: rounded to them they would have no effect."""
    file = snapshot(LORA, shelves) / FILE
    tensors = {key: value / 1000 for key, value in load_file(file).items()}
    save_file(tensors, file)
    loaded = load(settings_of(fabricate("sd"), models, quantize="fp8-storage"))
    plain, shelf = image(loaded), LoraShelf(loaded.pipe, shelves, 4)
    shelf.activate(((LORA, 0.25),))
    unet, checked = dict(loaded.pipe.unet.named_modules()), 0
    for key, down in tensors.items():
        path = key.removeprefix("unet.").removesuffix(".lora_A.weight")
        if key.startswith("unet.") and key.endswith(".lora_A.weight"):
            assert unet[path].base_layer.weight.dtype is torch.float8_e4m3fn
            (mine,) = (it.weight for it in unet[path].lora_A.values())
            assert torch.equal(mine, down)
            checked += 1
    assert checked
    shelf.activate(((LORA, 1e6),))  # as the adapter would be at its usual size
    assert not torch.allclose(image(loaded), plain, atol=1e-3)
    shelf.activate(())
    assert torch.equal(image(loaded), plain)


@pytest.fixture
def on_cpu_zero(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A stand-in for the GPU, which diffusers looks for when it has loaded an adapter."""
    offload = accelerate.cpu_offload

    def without_index(model: Any, _device: torch.device, **options: Any) -> Any:
        return offload(model, torch.device("cpu"), **options)  # it takes `cpu:0` for another one

    monkeypatch.setattr(accelerate, "cpu_offload", without_index)
    monkeypatch.setattr(pipeline_utils, "get_device", lambda: "cpu:0")
    return torch.device("cpu:0")


@pytest.mark.parametrize("name", ["unet", "text encoder"])
@pytest.mark.parametrize("offload", [offload_models, offload_sequentially])
def test_offloading_outlives_an_adapter_that_does_not_fit(
    offload: Apply, name: str, loaded: LoadedPipeline, shelves: Path, on_cpu_zero: torch.device
) -> None:
    plain = image(loaded)
    offload(loaded.pipe, SETTINGS, on_cpu_zero)
    before = offloaded(loaded)
    assert before
    shelf = LoraShelf(loaded.pipe, shelves, 4)
    with pytest.raises(LoraInvalid, match="some/misfit"):
        shelf.activate(((misfit(name, shelves), 1.0),))
    assert before <= offloaded(loaded)
    assert torch.equal(image(loaded), plain)
    shelf.activate(((LORA, 1.0),))
    assert not torch.allclose(image(loaded), plain, atol=1e-3)


def offloaded(loaded: LoadedPipeline) -> set[int]:
    """Identities of the modules whose weights come to the device only when they compute."""
    modules = [it for part in _modules(loaded) for it in part.modules()]
    return {id(it) for it in modules if hasattr(it, "_hf_hook")}


def _modules(loaded: LoadedPipeline) -> list[torch.nn.Module]:
    return [it for it in loaded.pipe.components.values() if isinstance(it, torch.nn.Module)]


def test_the_names_of_unloaded_adapters_are_used_again(
    loaded: LoadedPipeline, shelves: Path
) -> None:
    shelf, names = LoraShelf(loaded.pipe, shelves, 1), set()
    for repo in (LORA, OTHER) * 3:
        shelf.activate(((repo, 1.0),))
        names |= adapters(loaded)
    assert len(names) == 2


@pytest.mark.parametrize("repo", ["not/here", "../../etc", "fabricated"])
def test_an_adapter_that_is_not_here(repo: str, loaded: LoadedPipeline, shelves: Path) -> None:
    with pytest.raises(LoraInvalid, match="is not on this server"):
        LoraShelf(loaded.pipe, shelves, 4).activate(((repo, 1.0),))


def test_a_model_without_adapters(fabricate: Fabricate, load_model: Load, shelves: Path) -> None:
    video = load_model(fabricate("svd"), "image-to-video")
    with pytest.raises(LoraInvalid, match="takes no LoRA"):
        LoraShelf(video.pipe, shelves, 4).activate(((LORA, 1.0),))
