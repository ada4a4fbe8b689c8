"""Finding models and adapters on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.diffusion import store
from app.diffusion.store import (
    find_lora,
    find_model,
    find_repo,
    is_repo_id,
    safety_checker_path,
)
from app.errors import LoraInvalid
from tests.checkpoints import REVISION, SAFETY_CHECKER, snapshot

SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"

EVIL = (
    "",
    ".",
    "..",
    "/",
    "a/",
    "/a",
    "a/..",
    "../a",
    "a/../b",
    "a/b/c",
    "/etc/passwd",
    "a\\b",
    "a/b\n",
    "a/b\0",
    "a b/c",
    "a--b/c",
    "a/.b",
    "-a/b",
    "ä/b",
    "a/" + "b" * 200,
    "~/a",
    "C:/a",
    "a/b:c",
    "a/b?c",
)


@pytest.mark.parametrize("text", EVIL)
def test_no_repo_id(text: str, tmp_path: Path) -> None:
    assert not is_repo_id(text)
    assert find_repo(text, tmp_path) is None
    assert find_lora(text, tmp_path) is None


@pytest.mark.parametrize("text", ["a/b", "gpt2", "runwayml/stable-diffusion-v1-5", "A_1/b.c-d_e"])
def test_repo_id(text: str) -> None:
    assert is_repo_id(text)


def test_a_repository_is_found_in_either_folder(tmp_path: Path) -> None:
    assert find_repo("org/name", tmp_path) is None
    inner = snapshot("org/name", tmp_path / "hub")
    assert find_repo("org/name", tmp_path) == inner
    outer = snapshot("org/name", tmp_path)
    assert find_repo("org/name", tmp_path) == outer


@pytest.mark.parametrize(
    "reference", ["", "main", "../../other", "0" * 39, "\xff", REVISION.upper()]
)
def test_a_damaged_reference_finds_nothing(reference: str, tmp_path: Path) -> None:
    folder = snapshot("org/name", tmp_path)
    (folder.parents[1] / "refs" / "main").write_text(reference)
    assert find_repo("org/name", tmp_path) is None


def test_a_reference_to_a_snapshot_that_is_gone_finds_nothing(tmp_path: Path) -> None:
    snapshot("org/name", tmp_path).rmdir()
    assert find_repo("org/name", tmp_path) is None


def test_a_model_is_found_by_id_by_folder_and_through_its_base(tmp_path: Path) -> None:
    sdxl = snapshot("stabilityai/stable-diffusion-xl-base-1.0", tmp_path)
    (sdxl / "model_index.json").write_text("{}")
    for model_id in (
        "stabilityai/stable-diffusion-xl-base-1.0",
        "ByteDance/SDXL-Lightning-4step",
        str(sdxl),
    ):
        assert find_model(model_id, tmp_path, "text-to-image") == sdxl
    assert find_model("other/model", tmp_path, "text-to-image") is None
    assert find_model(str(tmp_path), tmp_path, "text-to-image") is None


def test_the_demo_model_follows_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "DEMO_DIR", tmp_path)
    assert find_model("demo", tmp_path, "text-to-image") is None
    for name in ("image", "video"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").touch()
    assert find_model("demo", tmp_path, "text-to-image") == tmp_path / "image"
    assert find_model("demo", tmp_path, "image-to-image") == tmp_path / "image"
    assert find_model("demo", tmp_path, "image-to-video") == tmp_path / "video"


def test_which_file_of_a_lora_is_taken(tmp_path: Path) -> None:
    folder = snapshot("org/lora", tmp_path)
    with pytest.raises(LoraInvalid, match="no safetensors"):
        find_lora("org/lora", tmp_path)
    (folder / "some.bin").touch()
    (folder / "b.safetensors").touch()
    assert find_lora("org/lora", tmp_path) == folder / "b.safetensors"
    (folder / "a.safetensors").touch()
    with pytest.raises(LoraInvalid, match=r"a\.safetensors, b\.safetensors"):
        find_lora("org/lora", tmp_path)
    (folder / "pytorch_lora_weights.safetensors").touch()
    assert find_lora("org/lora", tmp_path) == folder / "pytorch_lora_weights.safetensors"


def test_a_lora_is_looked_for_in_repositories_only(tmp_path: Path) -> None:
    folder = snapshot("lora", tmp_path)
    (folder / "a.safetensors").touch()
    assert find_lora("lora", tmp_path) is None
    assert find_lora(str(folder), tmp_path) is None


def test_the_safety_checker_is_its_own_repository_or_the_models(tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert safety_checker_path(tmp_path, model) is None
    inner = model / "safety_checker"
    inner.mkdir(parents=True)
    (inner / "config.json").touch()
    assert safety_checker_path(tmp_path, model) is None
    (inner / "model.safetensors").touch()
    assert safety_checker_path(tmp_path, model) == inner
    assert safety_checker_path(tmp_path) is None
    inner.rename(snapshot(SD, tmp_path) / "safety_checker")
    assert safety_checker_path(tmp_path) == snapshot(SD, tmp_path) / "safety_checker"
    own = snapshot(SAFETY_CHECKER, tmp_path)
    (own / "config.json").touch()
    (own / "model.safetensors").touch()
    assert safety_checker_path(tmp_path, model) == own
