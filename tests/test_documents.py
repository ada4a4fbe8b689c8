"""What is committed beside the code says what the code says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

import gen_openapi
from app.pipelines import PIPELINES
from app.pipelines.base import INT64_MAX
from app.settings import Settings
from tests.conftest import MakeClient

ROOT = Path(__file__).parents[1]
REFERENCE_FIELDS = {
    "TextToImageParams": {
        "model_id": "", "loras": "", "height": 576, "width": 1024, "guidance_scale": 7.5,
        "negative_prompt": "", "safety_check": True, "num_inference_steps": 50,
        "num_images_per_prompt": 1,
    },
    "Body_genImageToImage": {
        "model_id": "", "loras": "", "strength": 0.8, "guidance_scale": 7.5,
        "image_guidance_scale": 1.5, "negative_prompt": "", "safety_check": True,
        "num_inference_steps": 100, "num_images_per_prompt": 1,
    },
    "Body_genImageToVideo": {
        "model_id": "", "height": 576, "width": 1024, "fps": 6, "motion_bucket_id": 127,
        "noise_aug_strength": 0.02, "safety_check": True, "num_inference_steps": 25,
    },
}  # fmt: skip
REQUIRED = {
    "TextToImageParams": {"prompt"},
    "Body_genImageToImage": {"prompt", "image"},
    "Body_genImageToVideo": {"image"},
}
VERSION = Settings.model_fields["version"].default


@pytest.mark.parametrize("entrypoint", ["runner", "gateway"])
def test_the_committed_documents_are_fresh(entrypoint: str) -> None:
    stem, build = gen_openapi.ENTRYPOINTS[entrypoint]
    committed = (ROOT / f"{stem}.json").read_text()
    assert committed == gen_openapi.render(build(VERSION), "json"), "run `make openapi`"


@pytest.mark.parametrize("name", REFERENCE_FIELDS)
def test_fields_and_defaults_are_the_contracts(name: str) -> None:
    schema = gen_openapi.runner_document(VERSION)["components"]["schemas"][name]
    fields: dict[str, Any] = schema["properties"]
    defaults = {field: fields[field]["default"] for field in fields if "default" in fields[field]}
    assert defaults == REFERENCE_FIELDS[name]
    assert set(schema["required"]) == REQUIRED[name]
    assert fields["seed"]["type"] == "integer"
    if "image" in fields:
        assert fields["image"]["type"] == "string"
        assert fields["image"]["format"] == "binary"


def test_operations_are_named_for_generated_clients() -> None:
    paths = gen_openapi.runner_document(VERSION)["paths"]
    for pipeline in PIPELINES.values():
        operation = paths[f"/{pipeline.name}"]["post"]
        assert operation["operationId"] == pipeline.operation_id
        assert operation["tags"] == ["generate"]
        assert operation["security"] == [{"HTTPBearer": []}]
        assert operation["x-speakeasy-name-override"] == pipeline.sdk_name
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer["x-speakeasy-name-override"] == "data"


def test_every_number_has_bounds() -> None:
    schemas = gen_openapi.runner_document(VERSION)["components"]["schemas"]
    for name in REFERENCE_FIELDS:
        for field, schema in schemas[name]["properties"].items():
            if schema["type"] in ("integer", "number"):
                assert {"minimum", "maximum"} <= schema.keys(), f"{name}.{field}"


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary of a document, schemas among them."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from schemas_in(item)


@pytest.mark.parametrize("entrypoint", ["runner", "gateway"])
def test_files_and_whole_numbers_are_as_generators_know_them(entrypoint: str) -> None:
    _, build = gen_openapi.ENTRYPOINTS[entrypoint]
    largest = 0
    for schema in schemas_in(build(VERSION)):
        assert "contentMediaType" not in schema
        if schema.get("type") == "integer":
            bounds = [schema[name] for name in ("minimum", "maximum") if name in schema]
            assert all(isinstance(bound, int) for bound in bounds), schema
            largest = max(largest, *bounds, 0)
    assert largest == INT64_MAX


def test_files_inside_lists_and_unions_are_files() -> None:
    paths = gen_openapi.runner_document(VERSION)
    schemas = paths["components"]["schemas"]
    files = [s for s in schemas_in(schemas) if s.get("format") == "binary"]
    assert all(file["type"] == "string" for file in files)
    nested = [s["items"] for s in schemas_in(schemas) if s.get("items") in files]
    nested += [s for s in schemas_in(schemas) if any(it in files for it in s.get("anyOf", []))]
    assert len(nested) == 4


def fields_of(make_client: MakeClient, model_id: str) -> dict[str, Any]:
    """What a running service says of its parameters."""
    client = make_client(model_id=model_id)
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    fields: dict[str, Any] = schemas["TextToImageParams"]["properties"]
    return fields


@pytest.mark.parametrize(
    ("model_id", "start", "forced"),
    [
        ("some/model", {}, set()),
        (
            "demo",
            {"width": 128, "height": 128, "num_inference_steps": 8, "guidance_scale": 3.0},
            set(),
        ),
        (
            "stabilityai/sd-turbo",
            {"width": 512, "height": 512, "num_inference_steps": 4, "guidance_scale": 0.0},
            {"guidance_scale"},
        ),
    ],
)
def test_the_model_says_what_to_begin_with(
    make_client: MakeClient, model_id: str, start: dict[str, Any], forced: set[str]
) -> None:
    fields = fields_of(make_client, model_id)
    assert {name: it["x-start"] for name, it in fields.items() if "x-start" in it} == start
    assert {name for name, it in fields.items() if it.get("x-forced")} == forced
    defaults = {name: it["default"] for name, it in fields.items() if "default" in it}
    size = {"width": 128, "height": 128} if model_id == "demo" else {}
    assert defaults == REFERENCE_FIELDS["TextToImageParams"] | size


def test_the_gateways_form() -> None:
    document = gen_openapi.gateway_document(VERSION)
    assert set(document["paths"]) == {f"/{name}" for name in PIPELINES}
    schemas = document["components"]["schemas"]
    for name, required in REQUIRED.items():
        assert set(schemas[name]["required"]) == required | {"model_id"}
    assert set(schemas["VideoResponse"]["properties"]) == {"images"}


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gen_openapi.main(["--type", "yaml", "--entrypoint", "gateway", "--version", "9.9.9"])
    (written,) = tmp_path.iterdir()
    assert written.name == "gateway.openapi.yaml"
    assert yaml.safe_load(written.read_text())["info"]["version"] == "9.9.9"
    gen_openapi.main([])
    assert json.loads((tmp_path / "openapi.json").read_text())["openapi"].startswith("3.1")


def shown(default: object) -> str:
    """A default as one would write it into the environment."""
    if default in (None, PydanticUndefined, "", ()):
        return ""
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def settings_rows() -> list[str]:
    """The README's table of settings, as the code would have it."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "required" if field.is_required() else shown(field.default)
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return rows


def test_the_readme_lists_every_setting() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [row for row in settings_rows() if row not in readme]
    assert not missing, "rows for the README:\n" + "\n".join(missing)
