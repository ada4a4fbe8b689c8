"""What a build or a volume is given, from a Hub on the loopback interface."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from app.diffusion.store import find_model, safety_checker_path
from app.errors import ModelNotLoaded
from app.serverless.fetch import fetch
from tests.checkpoints import REVISION, make
from tests.conftest import MakeSettings
from tests.diffusion.test_ensure import FakeHub
from tests.server import ROOT
from tests.serverless.conftest import environment


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads HF_HUB_OFFLINE once, when it is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    """A Hub with one model and the safety checker."""
    models = tmp_path_factory.mktemp("hub")
    make("sd", models)
    make("safety-checker", models)
    with FakeHub(models) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.mark.parametrize("revision", ["", REVISION])
def test_the_model_and_the_safety_checker_are_fetched(
    hub: FakeHub, make_settings: MakeSettings, tmp_path: Path, revision: str
) -> None:
    fetch(make_settings(model_id=MODEL), revision, hub.url)

    assert find_model(MODEL, tmp_path, "text-to-image")
    assert safety_checker_path(tmp_path)


def test_a_checker_that_is_off_is_not_fetched(
    hub: FakeHub, make_settings: MakeSettings, tmp_path: Path
) -> None:
    fetch(make_settings(model_id=MODEL, safety_checker="off"), "", hub.url)

    assert safety_checker_path(tmp_path) is None


def test_a_checker_that_cannot_be_had_is_no_obstacle_unless_required(
    hub: FakeHub, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serverless.fetch.SAFETY_CHECKER_REPO", "no/checker")

    fetch(make_settings(model_id=MODEL), "", hub.url)
    with pytest.raises(ModelNotLoaded, match="SAFETY_CHECKER=required"):
        fetch(make_settings(model_id=MODEL, safety_checker="required"), "", hub.url)


def test_a_model_that_the_hub_does_not_know_fails_a_build_in_one_line(
    hub: FakeHub, make_settings: MakeSettings
) -> None:
    with pytest.raises(ModelNotLoaded, match="no/model"):
        fetch(make_settings(model_id="no/model"), "", hub.url)
    with pytest.raises(ModelNotLoaded, match="no/model at v2"):
        fetch(make_settings(model_id="no/model"), "v2", hub.url)


def test_the_command_ends_a_build_with_the_remedy(tmp_path: Path) -> None:
    settings = {"PIPELINE": "text-to-image", "MODEL_ID": "no/model", "MODEL_DIR": tmp_path}
    command = [sys.executable, "-m", "app.serverless.fetch"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: MODEL_ID=no/model")
