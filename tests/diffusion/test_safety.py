"""The safety checker against diffusers' own, and its preprocessing against transformers'."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import (
    StableDiffusionSafetyChecker,
    cosine_distance,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from app.diffusion import safety
from app.diffusion.safety import Preprocessing, SafetyChecker, checker_device, read_preprocessing
from app.errors import ModelNotLoaded
from app.settings import Settings
from tests.checkpoints import snapshot
from tests.diffusion.conftest import Fabricate

CPU = torch.device("cpu")


@pytest.fixture
def folder(fabricate: Fabricate, models: Path) -> Path:
    """The folder of a safety checker."""
    return snapshot(fabricate("safety-checker"), models)


def pictures(count: int, height: int = 64, width: int = 64) -> torch.Tensor:
    """Smooth random pictures, (count, height, width, 3) uint8."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(count, 3, 5, 5, generator=generator)
    large = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return large.mul(255).to(torch.uint8).movedim(1, -1).contiguous()


@pytest.mark.parametrize(
    ("height", "width"),
    [(512, 512), (576, 1024), (300, 225), (224, 224), (64, 48), (225, 231), (16, 1024)],
)
def test_preprocessing_is_that_of_the_processor(height: int, width: int, folder: Path) -> None:
    images = pictures(2, height, width)
    processor = transformers.CLIPImageProcessor.from_pretrained(folder)
    expected = processor(
        [Image.fromarray(image.numpy()) for image in images], return_tensors="pt"
    ).pixel_values
    mine = read_preprocessing(folder)(images)
    assert mine.shape == expected.shape
    levels = (mine - expected).abs() * torch.tensor(Preprocessing().std).view(3, 1, 1) * 255
    assert levels.max() < 2.01
    assert levels.mean() < 0.03


@pytest.mark.parametrize("shape", [(16, 16000), (16000, 16)])
def test_a_very_long_picture_takes_little_memory(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scale, sizes = torch.nn.functional.interpolate, []

    def scaled(pixels: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result = scale(pixels, *args, **kwargs)
        sizes.append(result.numel())
        return result

    picture = pictures(1, *shape)
    monkeypatch.setattr(safety.functional, "interpolate", scaled)
    assert Preprocessing()(picture).shape == (1, 3, 224, 224)
    assert max(sizes) <= 3 * 8 * 224**2


def test_pictures_are_scaled_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale, images = Preprocessing.__call__, []

    def scaled(self: Preprocessing, pixels: torch.Tensor) -> torch.Tensor:
        images.append(len(pixels))
        return scale(self, pixels)

    monkeypatch.setattr(Preprocessing, "__call__", scaled)
    assert len(SafetyChecker(folder, CPU).flag(pictures(3))) == 3
    assert images == [1, 1, 1]


def test_decisions_are_those_of_diffusers(folder: Path) -> None:
    images = pictures(64)
    checker = SafetyChecker(folder, CPU)
    reference = StableDiffusionSafetyChecker.from_pretrained(folder)
    pixels = read_preprocessing(folder)(images)
    blank = np.zeros((64, 2, 2, 3))
    # Limits between the images, near enough for special care to decide on some of them
    embeddings = reference.visual_projection(reference.vision_model(pixels)[1]).detach()
    for concepts in ("concept", "special_care"):
        cosines = cosine_distance(embeddings, getattr(reference, f"{concepts}_embeds"))
        limit = cosines.amax(dim=1).median().item() + 0.002
        for model in (reference, checker.load()):
            getattr(model, f"{concepts}_embeds_weights").data.fill_(limit)
    _, expected = reference(images=list(blank), clip_input=pixels)
    assert set(expected) == {True, False}
    assert checker.flag(images) == tuple(expected)


def test_pixels_stay(folder: Path) -> None:
    images = pictures(3)
    before = images.clone()
    checker = SafetyChecker(folder, CPU)
    checker.load().concept_embeds_weights.data.fill_(-1)
    assert checker.flag(images) == (True, True, True)
    assert torch.equal(images, before)
    checker.load().concept_embeds_weights.data.fill_(2)
    assert checker.flag(images) == (False, False, False)
    assert checker.flag(images[:0]) == ()


def test_weights_are_loaded_once_and_late(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    checker = SafetyChecker(own, CPU)
    model = checker.load()
    shutil.rmtree(own)
    assert checker.load() is model
    assert model.dtype is torch.float32
    assert not model.training
    with pytest.raises(ModelNotLoaded, match="safety checker"):
        SafetyChecker(own, CPU).flag(pictures(1))


@pytest.mark.parametrize("half", [True, False])
def test_only_weights_in_half_precision_are_loaded_early(
    half: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading those changes the type in which others compute meanwhile."""
    monkeypatch.setattr(safety, "is_gpu", lambda _: half)
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    checker = SafetyChecker(own, CPU)
    checker.warm_up()
    shutil.rmtree(own)
    if half:
        assert len(checker.flag(pictures(2))) == 2
        assert checker.load().dtype is torch.float16
    else:
        with pytest.raises(ModelNotLoaded, match="safety checker"):
            checker.flag(pictures(2))


@pytest.mark.parametrize("damage", ["missing tensor", "truncated"])
def test_damaged_weights(damage: str, folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    path = own / "model.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        tensors = load_file(path)
        del tensors["visual_projection.weight"]
        save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ModelNotLoaded, match=r"safety checker.*download it again") as caught:
        SafetyChecker(own, CPU).load()
    assert "\n" not in caught.value.message


def test_the_processors_configuration(tmp_path: Path) -> None:
    assert read_preprocessing(tmp_path) == Preprocessing()
    inner = tmp_path / "safety_checker"
    neighbour = tmp_path / "feature_extractor"
    inner.mkdir()
    neighbour.mkdir()
    config = {"size": 30, "crop_size": 20, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    (neighbour / "preprocessor_config.json").write_text(json.dumps(config))
    assert read_preprocessing(inner) == Preprocessing(30, (20, 20), (0, 0, 0), (1, 1, 1))
    assert read_preprocessing(tmp_path) == Preprocessing()
    nested = {"size": {"shortest_edge": 30}, "crop_size": {"height": 20, "width": 10}}
    (inner / "preprocessor_config.json").write_text(json.dumps(nested))
    found = read_preprocessing(inner)
    assert (found.shortest_edge, found.crop) == (30, (20, 10))
    (inner / "preprocessor_config.json").write_text("{")
    with pytest.raises(ModelNotLoaded, match=r"preprocessor_config\.json"):
        read_preprocessing(inner)


def test_the_checkers_device() -> None:
    def settings(name: str) -> Settings:
        return Settings(pipeline="text-to-image", model_id="demo", safety_checker_device=name)

    meta = torch.device("meta")
    assert checker_device(settings(""), meta) == meta
    assert checker_device(settings("cpu"), meta) == CPU
    with pytest.raises(ModelNotLoaded, match="SAFETY_CHECKER_DEVICE=nonsense"):
        checker_device(settings("nonsense"), meta)


def test_halved_weights_serve_where_there_are_no_others(folder: Path, tmp_path: Path) -> None:
    halved = tmp_path / "halved"
    shutil.copytree(folder, halved)
    (halved / "model.safetensors").rename(halved / "model.fp16.safetensors")
    images = pictures(4)
    assert SafetyChecker(halved, CPU).flag(images) == SafetyChecker(folder, CPU).flag(images)
