"""The Livepeer door: one generating route per pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, Security, UploadFile
from fastapi.security import HTTPBearer
from pydantic import create_model

from app.pipelines import PIPELINES
from app.pipelines.base import Media, Params, Pipeline
from app.routes.body import document
from app.routes.forms import FormRoute, ignored_in_form
from app.routes.json_body import json_response
from app.routes.not_loaded import refuse
from app.routes.serve import serve, served_headers
from app.routes.urls import answers_by_url, publish
from app.schemas import HTTPError, ImageResponse, VideoResponse
from app.settings import DoorName
from app.validation import ignored_fields

ERRORS = (400, 401, 500, 503)

Endpoint = Callable[..., Awaitable[Response]]


def router(pipeline: Pipeline) -> APIRouter:
    """The route of a pipeline; those of the others say which one it is."""
    routes = APIRouter(dependencies=[Security(HTTPBearer(auto_error=False))])
    endpoint = _form_endpoint(pipeline) if pipeline.takes_image else _json_endpoint(pipeline)
    routes.add_api_route(
        f"/{pipeline.name}",
        endpoint,
        methods=["POST"],
        route_class_override=FormRoute if pipeline.takes_image else None,
        operation_id=pipeline.operation_id,
        summary=pipeline.title,
        description=pipeline.description,
        tags=["generate"],
        response_model=ImageResponse if pipeline.media is Media.IMAGE else VideoResponse,
        responses={status: {"model": HTTPError} for status in ERRORS},
        openapi_extra=_extra(pipeline),
    )
    for name in PIPELINES.keys() - {pipeline.name}:
        routes.post(f"/{name}", include_in_schema=False)(refuse)
    return routes


def _extra(pipeline: Pipeline) -> dict[str, Any]:
    """What FastAPI does not derive: the SDKs' name, and an example that works when pressed."""
    media_type = "multipart/form-data" if pipeline.takes_image else "application/json"
    return {
        "x-speakeasy-name-override": pipeline.sdk_name,
        "requestBody": {"content": {media_type: {"example": dict(pipeline.example)}}},
    }


def _json_endpoint(pipeline: Pipeline) -> Endpoint:
    async def generate(request: Request, params: Params) -> Response:
        ignored = ignored_fields(await request.json(), pipeline.params)
        return await _serve(request, params, None, ignored)

    # The real type is known only here; FastAPI reads it from the annotation.
    generate.__annotations__["params"] = pipeline.params
    return generate


def _form_endpoint(pipeline: Pipeline) -> Endpoint:
    upload = Annotated[UploadFile, File(description="The image to start from.")]
    form_fields: Any = {"image": (upload, ...)}
    form = create_model(f"Body_{pipeline.operation_id}", __base__=pipeline.params, **form_fields)

    async def generate(request: Request, form: Any) -> Response:
        fields = form.model_dump(exclude={"image"}, exclude_unset=True)
        params = pipeline.params.model_validate(fields)
        ignored = await ignored_in_form(request, type(form))
        return await _serve(request, params, await form.image.read(), ignored)

    generate.__annotations__["form"] = Annotated[form, Form(media_type="multipart/form-data")]
    return generate


async def _serve(
    request: Request, params: Params, upload: bytes | None, warnings: Sequence[str]
) -> Response:
    by_url = answers_by_url(request)
    served = await serve(request, params, upload, door=DoorName.LIVEPEER, warnings=warnings)
    output = await publish(request, served.output) if by_url else served.output
    content = await asyncio.to_thread(document, output)  # all files in base64
    return json_response(content, served_headers(served))
