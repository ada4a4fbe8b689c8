"""The OpenAPI document: FastAPI's own, brought into the form that existing clients know."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

Document = dict[str, Any]


def describe(app: FastAPI, default_size: tuple[int, int] | None = None) -> Document:
    """The OpenAPI document of an application, computed once.

    Args:
        app: the application.
        default_size: (width, height) of a request that names none, where the model decides it.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description="One diffusion pipeline behind an HTTP API.",
            routes=app.routes,
        )
        app.openapi_schema = _conform(document, default_size)
    return app.openapi_schema


def _conform(document: Document, default_size: tuple[int, int] | None) -> Document:
    schemas: Document = document["components"]["schemas"]
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            _conform_field(name, field, default_size)
    for path in document["paths"].values():
        for operation in path.values():
            _name_for_sdk(operation)
    return document


def _conform_field(name: str, field: Document, default_size: tuple[int, int] | None) -> None:
    """Files the OpenAPI 3.0 way, which code generators know; the loaded model's own size."""
    if field.pop("contentMediaType", None):
        field["format"] = "binary"
    if default_size and name in ("width", "height") and "default" in field:
        field["default"] = default_size[name == "height"]


def _name_for_sdk(operation: Document) -> None:
    """SDKs unwrap a generating route's answer under the name `data`."""
    if "generate" not in operation.get("tags", []):
        return
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer["x-speakeasy-name-override"] = "data"
