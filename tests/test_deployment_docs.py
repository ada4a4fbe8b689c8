"""The deployment guides name only what exists: files, build arguments, settings, functions."""

from __future__ import annotations

import json
import re

import pytest

import modal_app
from app.serverless.modal_settings import ModalSettings
from app.settings import Settings
from tests.server import ROOT

GUIDES = ("docker", "runpod", "modal", "livepeer")


@pytest.fixture(params=GUIDES)
def guide(request: pytest.FixtureRequest) -> str:
    """The text of each guide in turn, continued lines joined."""
    text = (ROOT / "docs" / f"deploy-{request.param}.md").read_text()
    return text.replace("\\\n", " ")


def test_build_arguments_are_known_to_the_dockerfile(guide: str) -> None:
    for command in re.findall(r"docker build .*", guide):
        named = re.search(r"-f (\S+)", command)
        dockerfile = (ROOT / (named[1] if named else "Dockerfile")).read_text()
        for name in re.findall(r"--build-arg (\w+)=", command):
            assert f"ARG {name}=" in dockerfile, command


def test_settings_exist(guide: str) -> None:
    known = {name.upper() for name in Settings.model_fields | ModalSettings.model_fields}
    for name in re.findall(r"-e (\w+)", guide):
        assert name in known, name
    for name in re.findall(r"`(MODAL_\w+|MAX_\w+|DRAIN_\w+)[=`]", guide):
        assert name in known, name


def test_files_exist(guide: str) -> None:
    names = re.findall(r"requirements[\w-]*\.txt|Dockerfile\.\w+|\.runpod/\w+[.\w]*", guide)
    names += re.findall(r"python (\w+\.py)", guide)
    for name in names:
        assert (ROOT / name.rstrip(".")).exists(), name


def test_functions_of_modal_exist(guide: str) -> None:
    for name in re.findall(r"modal_app\.py::(\w+)", guide):
        assert hasattr(modal_app, name)


def test_links_lead_somewhere(guide: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", guide):
        assert (ROOT / "docs" / target).exists(), target


def test_livepeers_entry_is_the_container_that_the_guide_starts() -> None:
    text = (ROOT / "docs" / "deploy-livepeer.md").read_text().replace("\\\n", " ")
    (entry,) = json.loads(text.split("```json")[1].split("```")[0])
    (command,) = re.findall(r"docker run .*", text)
    started = dict(re.findall(r"-e (\w+)=(\S+)", command))
    settings = Settings(**{name.lower(): value for name, value in started.items()})
    assert (entry["pipeline"], entry["model_id"]) == (settings.pipeline, settings.model_id)
    assert settings.overload_status == 500
    asked = json.loads(re.findall(r"-d '(.*)'", text)[0])
    assert asked["model_id"] == settings.model_id


def test_modals_table_is_the_settings() -> None:
    """Name and default of every variable of a deployment."""
    text = (ROOT / "docs" / "deploy-modal.md").read_text()
    for name, field in ModalSettings.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        row = next(line for line in text.splitlines() if f"`{name.upper()}`" in line[:40])
        assert str(default) in row, name
