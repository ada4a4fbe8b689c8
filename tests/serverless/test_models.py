"""Where a serverless worker finds its model."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.serverless.models import locate
from tests.conftest import MakeSettings

REVISION = "0123456789abcdef0123456789abcdef01234567"
MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def cached(root: Path, repo: str = MODEL) -> Path:
    """A model in Hugging Face's cache layout."""
    folder = root / ("models--" + repo.replace("/", "--"))
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION)
    (snapshot / "model_index.json").write_text("{}")
    return root


@pytest.mark.parametrize("present", [["baked", "cache", "volume"], ["cache", "volume"], ["volume"]])
def test_the_first_folder_that_has_it_is_used(
    tmp_path: Path, make_settings: MakeSettings, present: list[str]
) -> None:
    for name in present:
        cached(tmp_path / name)
    folders = [tmp_path / name for name in ("baked", "cache", "volume")]

    settings = locate(make_settings(model_id=MODEL), folders)

    assert settings.model_dir == tmp_path / present[0]
    assert settings.model_id == MODEL


def test_another_model_in_a_folder_is_passed_over(
    tmp_path: Path, make_settings: MakeSettings
) -> None:
    baked = cached(tmp_path / "baked", "some/other")

    settings = locate(make_settings(model_id=MODEL, model_dir=tmp_path / "models"), [baked])

    assert settings.model_dir == tmp_path / "models"


def test_a_folder_may_be_the_model_itself(tmp_path: Path, make_settings: MakeSettings) -> None:
    (tmp_path / "model_index.json").write_text("{}")

    assert locate(make_settings(model_id=MODEL), [tmp_path]).model_id == str(tmp_path)


def test_a_path_for_a_model_id_comes_first(tmp_path: Path, make_settings: MakeSettings) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model_index.json").write_text("{}")
    baked = cached(tmp_path / "baked")
    given = make_settings(model_id=str(tmp_path / "own"))

    assert locate(given, [baked]) == given
