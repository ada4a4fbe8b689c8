"""The files that RunPod's Hub reads, against its publishing guide and against the settings.

https://docs.runpod.io/hub/publishing-guide
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from app.pipelines import PIPELINES
from app.settings import Settings
from tests.server import ROOT

HUB = json.loads((ROOT / ".runpod" / "hub.json").read_text())
TESTS = json.loads((ROOT / ".runpod" / "tests.json").read_text())
CATEGORIES = ("audio", "embedding", "language", "video", "image")
INPUT_TYPES = ("string", "huggingface", "number", "boolean")


def test_the_listing_has_what_the_hub_requires() -> None:
    assert all(isinstance(HUB[field], str) for field in ("title", "description"))
    assert HUB["type"] == "serverless"
    assert HUB["category"] in CATEGORIES
    config = HUB["config"]
    assert config["runsOn"] == "GPU"
    assert isinstance(config["containerDiskInGb"], int)
    assert isinstance(config["gpuCount"], int)
    assert isinstance(config["gpuIds"], str)


@pytest.mark.parametrize("variable", HUB["config"]["env"], ids=lambda variable: variable["key"])
def test_every_variable_is_a_setting_with_a_default(variable: dict[str, Any]) -> None:
    assert variable["key"].lower() in Settings.model_fields
    field = variable["input"]
    assert field["type"] in INPUT_TYPES
    assert field["name"]
    assert field["description"]
    values = [option["value"] for option in field.get("options", [])] or [field["default"]]
    assert field["default"] in values
    for value in values:
        settings(**{variable["key"].lower(): value or None})


@pytest.mark.parametrize("preset", HUB["config"]["presets"], ids=lambda preset: preset["name"])
def test_presets_are_settings(preset: dict[str, Any]) -> None:
    settings(**{key.lower(): value for key, value in preset["defaults"].items()})


def test_the_hubs_tests_are_requests_that_the_pipeline_takes() -> None:
    values = {entry["key"].lower(): entry["value"] for entry in TESTS["config"]["env"]}
    pipeline = PIPELINES[settings(**values).pipeline]
    assert isinstance(TESTS["config"]["gpuTypeId"], str)
    assert isinstance(TESTS["config"]["gpuCount"], int)
    for test in TESTS["tests"]:
        assert test["name"]
        assert isinstance(test["timeout"], int)
        known = pipeline.params.model_validate(test["input"])
        assert known.model_fields_set == set(test["input"])


def test_the_hub_builds_the_worker() -> None:
    """It prefers .runpod/Dockerfile to the one in the root, which is the server's."""
    worker = (ROOT / "Dockerfile.runpod").read_text()
    assert (ROOT / ".runpod" / "Dockerfile").read_text() == worker


def test_the_default_model_is_the_one_in_the_image() -> None:
    """Everywhere: what is not baked would be fetched at each start."""
    (baked,) = re.findall(r"^ARG MODEL_ID=(.+)$", (ROOT / "Dockerfile.runpod").read_text(), re.M)
    (variable,) = [it for it in HUB["config"]["env"] if it["key"] == "MODEL_ID"]
    (tested,) = [it["value"] for it in TESTS["config"]["env"] if it["key"] == "MODEL_ID"]
    assert variable["input"]["default"] == baked
    assert HUB["config"]["presets"][0]["defaults"]["MODEL_ID"] == baked
    assert tested == baked


def settings(**values: object) -> Settings:
    """Settings of a worker with these values."""
    given = {"pipeline": "text-to-image", "model_id": "some/model"}
    return Settings.model_validate(given | {k: v for k, v in values.items() if v is not None})
