"""Reading which files a model has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.diffusion.weights import (
    choose_files,
    is_fp16,
    read_index,
    scan,
    stored_dtype,
)
from app.errors import ModelNotLoaded
from tests.checkpoints import snapshot
from tests.diffusion.conftest import Fabricate

MODELS = frozenset({"text_encoder", "unet", "vae"})


def scanned(family: str, fabricate: Fabricate, models: Path, replaced: str = "") -> tuple[set, ...]:
    found = scan(snapshot(fabricate(family), models), frozenset(replaced.split()))
    return tuple(set(it) for it in (found.plain, found.fp16, found.pickled, found.missing))


def test_kinds_of_weights(fabricate: Fabricate, models: Path) -> None:
    assert scanned("sd", fabricate, models) == (MODELS, set(), set(), set())
    assert scanned("sd-fp16", fabricate, models) == (set(), MODELS, set(), set())
    assert scanned("sd-both", fabricate, models) == (MODELS, MODELS, set(), set())
    assert scanned("sd-pickled", fabricate, models) == (set(), set(), MODELS, set())
    assert scanned("sd-incomplete", fabricate, models)[3] == {"unet"}
    assert scanned("sd-incomplete", fabricate, models, "unet")[3] == set()


@pytest.mark.parametrize(
    ("family", "on_gpu", "on_cpu"),
    [("sd", None, None), ("sd-both", "fp16", None), ("sd-fp16", "fp16", "fp16")],
)
def test_variant(
    family: str, on_gpu: str | None, on_cpu: str | None, fabricate: Fabricate, models: Path
) -> None:
    weights = scan(snapshot(fabricate(family), models))
    assert weights.variant(gpu=True) == on_gpu
    assert weights.variant(gpu=False) == on_cpu


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A pipeline whose transformer lies in two shards, in both variants."""
    index = {"_class_name": "X", "transformer": ["diffusers", "FluxTransformer2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    part = tmp_path / "transformer"
    part.mkdir()
    (part / "config.json").write_text("{}")
    for name, infix in (("index", ""), ("index.fp16", ".fp16")):
        shards = [f"model{infix}-0000{i}-of-00002.safetensors" for i in (1, 2)]
        weight_map = {f"tensor{i}": shard for i, shard in enumerate(shards)}
        (part / f"model.safetensors.{name}.json").write_text(json.dumps({"weight_map": weight_map}))
        for shard in shards:
            (part / shard).touch()
    return tmp_path


def test_shards(sharded: Path) -> None:
    weights = scan(sharded)
    assert weights.plain == weights.fp16 == {"transformer"}
    (sharded / "transformer" / "model-00002-of-00002.safetensors").unlink()
    weights = scan(sharded)
    assert (weights.plain, weights.fp16) == (set(), {"transformer"})
    (sharded / "transformer" / "model.fp16-00001-of-00002.safetensors").unlink()
    assert scan(sharded).missing == {"transformer"}


@pytest.mark.parametrize(
    "name",
    [
        "model.fp16.safetensors",
        "model.fp16-00001-of-00002.safetensors",
        "model-00001-of-00002.fp16.safetensors",
        "model.safetensors.index.fp16.json",
    ],
)
def test_fp16_names(name: str) -> None:
    assert is_fp16(name)
    assert not is_fp16(name.replace(".fp16", ""))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"_class_name": 3}'])
def test_a_damaged_index(content: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(ModelNotLoaded, match=r"model_index\.json"):
        read_index(tmp_path)


INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "image_encoder": [None, None],
}
UNET = "unet/diffusion_pytorch_model"
VAE = "vae/diffusion_pytorch_model"
FILES = [
    "README.md",
    "v1-5-pruned.safetensors",
    "model_index.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "unet/config.json",
    f"{UNET}.bin",
    f"{UNET}.safetensors",
    f"{UNET}.fp16.safetensors",
    "unet/model.onnx",
    f"{VAE}.safetensors",
    "vae_1_0/config.json",
    "safety_checker/model.safetensors",
]


@pytest.mark.parametrize("prefer_fp16", [False, True])
def test_files_to_fetch(prefer_fp16: bool) -> None:
    unet = f"{UNET}.fp16.safetensors" if prefer_fp16 else f"{UNET}.safetensors"
    assert set(choose_files(FILES, INDEX, prefer_fp16)) == {
        "model_index.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "unet/config.json",
        unet,
        f"{VAE}.safetensors",
    }


def test_fp16_files_are_fetched_where_there_are_no_others() -> None:
    files = [f"{UNET}.fp16.safetensors", f"{UNET}.safetensors.index.json"]
    assert f"{UNET}.fp16.safetensors" in choose_files(files, INDEX, prefer_fp16=False)


def test_stored_dtype(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for dtype, name in ((torch.float16, "F16"), (torch.bfloat16, "BF16"), (torch.float32, "F32")):
        save_file({"a": torch.zeros(1, dtype=dtype)}, path, {"format": "pt"})
        assert stored_dtype(path) == name
    for damaged in (b"", b"\0" * 8, b"\xff" * 8, b"\2\0\0\0\0\0\0\0[]"):
        path.write_bytes(damaged)
        assert stored_dtype(path) is None
    assert stored_dtype(tmp_path / "absent") is None
