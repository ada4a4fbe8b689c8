"""The OpenAPI document: FastAPI's own, brought into the form that existing clients know."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.diffusion.profiles import Profile, profile_for
from app.pipelines.base import INT64_MAX

Document = dict[str, Any]

BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}


def describe(app: FastAPI, model_id: str = "") -> Document:
    """The OpenAPI document of an application, computed once.

    Args:
        app: the application.
        model_id: MODEL_ID of the loaded model, whose own values it tells; empty without one.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description="One diffusion pipeline behind an HTTP API.",
            routes=app.routes,
        )
        app.openapi_schema = _conform(document, profile_for(model_id))
    return app.openapi_schema


def _conform(document: Document, profile: Profile) -> Document:
    _conform_schema(document)
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            _conform_field(name, field, profile)
    for path in document["paths"].values():
        for operation in path.values():
            _name_for_sdk(operation)
    return document


def _conform_schema(node: Any) -> None:
    """Files the OpenAPI 3.0 way, which code generators know; bounds of integers as integers.

    Args:
        node: a schema or anything that holds some; changed in place.
    """
    if isinstance(node, list):
        for item in node:
            _conform_schema(item)
    elif isinstance(node, dict):
        if node.pop("contentMediaType", None):
            node["format"] = "binary"
        if node.get("type") == "integer":
            # FastAPI writes every bound as a float, which rounds the largest one up.
            for bound in BOUNDS & node.keys():
                node[bound] = min(int(node[bound]), INT64_MAX)
        for item in node.values():
            _conform_schema(item)


def _conform_field(name: str, field: Document, profile: Profile) -> None:
    """The loaded model's own size and frame rate; what the page begins with, or does not offer.

    A default is what a request without the field gets. `x-start` is what suits the model best.
    """
    if "default" not in field:
        return
    if profile.default_size and name in ("width", "height"):
        field["default"] = profile.default_size[name == "height"]
    if profile.native_fps and name == "fps":
        field["default"] = profile.native_fps
    if name in profile.start_values:
        field["x-start"] = profile.start_values[name]
    if name in dict(profile.forced):
        field["x-forced"] = True


def _name_for_sdk(operation: Document) -> None:
    """SDKs unwrap a generating route's answer under the name `data`."""
    if "generate" not in operation.get("tags", []):
        return
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer["x-speakeasy-name-override"] = "data"
