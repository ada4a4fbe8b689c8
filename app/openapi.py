"""The OpenAPI document: FastAPI's own, with what it cannot see, as existing clients know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from app.diffusion.profiles import Profile, profile_for
from app.jobs.answer_schemas import BriefJob, JobStatus, News, Purged
from app.pipelines.base import INT64_MAX
from app.routes import events, huggingface, jobs, openai
from app.schemas import HTTPError

Document = dict[str, Any]


class JobError(BaseModel):
    """The body of every error of the asynchronous jobs' calls."""

    error: str = Field(description="What went wrong.")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a call answers that FastAPI cannot see; it supposes a 422 where nothing sends one.

    Attributes:
        errors: statuses whose body says what went wrong.
        others: further ones, whose body is empty or a file.
        body: JSON of a 200, None where the route has declared it or it is none.
    """

    errors: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    body: type[BaseModel] | None = None


ANSWERS: Mapping[str, Answers] = MappingProxyType(
    {
        "/stream/{media_id}.{extension}": Answers((404, 416), (206, 304)),
        "/jobs/{job_id}/events": Answers((404,), (204,)),
        "/jobs/{job_id}": Answers((400, 401, 404)),
        "/ping": Answers(others=(200, 204, 503)),
        "/run": Answers((400, 401, 413, 429, 500), body=BriefJob),
        "/runsync": Answers((400, 401, 404, 413, 429, 500), body=JobStatus),
        "/status/{job_id}": Answers((401, 404, 500), body=JobStatus),
        "/status-sync/{job_id}": Answers((400, 401, 404, 500), body=JobStatus),
        "/stream/{job_id}": Answers((401, 404, 500), body=News),
        "/cancel/{job_id}": Answers((400, 401, 404, 429, 500), body=BriefJob),
        "/retry/{job_id}": Answers((400, 401, 404, 429, 500), body=BriefJob),
        "/purge-queue": Answers((400, 401, 429, 500), body=Purged),
    }
)
"""By path. The other doors' routes declare their own."""
GUARDS = (openai.guard, huggingface.guard, jobs.guard, events.guard)
"""Which calls ask for the token, the generating routes apart: those declare it."""
BEARER = "HTTPBearer"
REFERENCE = "#/components/schemas/{model}"
UNSENT = ("input", "ctx")
"""What FastAPI says of a field that does not fit, and `ErrorTable` leaves out."""

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
        _tell_answers(document)
        _tell_guards(document)
        app.openapi_schema = _conform(document, profile_for(model_id))
    return app.openapi_schema


def _tell_answers(document: Document) -> None:
    """What each call answers beside its result."""
    for path, operations in document["paths"].items():
        if answers := ANSWERS.get(path):
            error = JobError if jobs.is_ours(path) else HTTPError
            for operation in operations.values():
                _tell_answers_of(operation["responses"], answers, error)
            for model in (error if answers.errors else None, answers.body):
                if model:
                    _add_model(document["components"]["schemas"], model)


def _tell_answers_of(responses: Document, answers: Answers, error: type[BaseModel]) -> None:
    responses.pop("422", None)
    for status in sorted(answers.errors + answers.others):
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if status in answers.errors:
            responses[str(status)]["content"] = _json_of(error)
    if answers.body:
        responses["200"]["content"] = _json_of(answers.body)


def _json_of(model: type[BaseModel]) -> Document:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}


def _add_model(schemas: Document, model: type[BaseModel]) -> None:
    """A model and those that it is made of, where a route has not brought them already."""
    schema = model.model_json_schema(ref_template=REFERENCE)
    for name, part in (schema.pop("$defs", {}) | {model.__name__: schema}).items():
        schemas.setdefault(name, part)


def _tell_guards(document: Document) -> None:
    """Which calls ask for the token where there is one: by what the service itself goes by."""
    schemes = document["components"].setdefault("securitySchemes", {})
    schemes.setdefault(BEARER, {"type": "http", "scheme": "bearer"})
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if any(guard(method.upper(), path) for guard in GUARDS):
                operation["security"] = [{BEARER: []}]


def _conform(document: Document, profile: Profile) -> Document:
    _conform_schema(document)
    schemas = document["components"]["schemas"]
    for name in UNSENT:
        schemas.get("ValidationError", {}).get("properties", {}).pop(name, None)
    for schema in schemas.values():
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
