"""OpenAI's images: `/v1/images/generations` and `/v1/images/edits`, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from pydantic import create_model, field_validator

from app.engine.job import JobOptions
from app.errors import FieldInvalid
from app.pipelines.base import Pipeline
from app.routes.event_stream import EventStream
from app.routes.forms import FormRoute, ignored_in_form
from app.routes.json_body import json_response
from app.routes.openai.image_answers import ImageAnswer, Kind
from app.routes.openai.options import MEANINGLESS, ImageOptions, ResponseFormat
from app.routes.openai.partials import preview_interval
from app.routes.openai.schemas import ImagesResponse
from app.routes.serve import serve, served_headers
from app.routes.state import runner_of
from app.routes.urls import publish
from app.schemas import warning_headers
from app.settings import DoorName
from app.validation import ignored_fields

GENERATIONS, EDITS = "/images/generations", "/images/edits"

Endpoint = Callable[..., Awaitable[Response]]


def generations(pipeline: Pipeline) -> APIRouter:
    """The route that makes images of a text."""
    body = create_model("ImageGenerationRequest", __base__=(ImageOptions, pipeline.params))

    async def create_image(request: Request, options: Any) -> Response:
        warnings = ignored_fields(await request.json(), body, MEANINGLESS)
        return await _serve(request, options, None, Kind.GENERATION, warnings)

    create_image.__annotations__["options"] = body
    return _route(GENERATIONS, create_image, pipeline, "createImage", "Create images")


def edits(pipeline: Pipeline) -> APIRouter:
    """The route that makes images of an image and a text."""
    files: Any = {
        "image": (list[UploadFile], File([], description="The image to change.")),
        "images": (list[UploadFile], File([], alias="image[]", description="The same, as a list.")),
        "mask": (list[UploadFile], File([], description="Refused: the pipeline takes none.")),
    }
    form = create_model(
        "ImageEditRequest",
        __base__=(ImageOptions, pipeline.params),
        __validators__={"files": field_validator("image", "images", "mask", mode="before")(_files)},
        **files,
    )

    async def edit_image(request: Request, options: Any) -> Response:
        warnings = await ignored_in_form(request, form, MEANINGLESS)
        return await _serve(request, options, await _only_image(options), Kind.EDIT, warnings)

    edit_image.__annotations__["options"] = Annotated[form, Form(media_type="multipart/form-data")]
    return _route(EDITS, edit_image, pipeline, "createImageEdit", "Edit an image")


def _route(
    path: str, endpoint: Endpoint, pipeline: Pipeline, operation_id: str, summary: str
) -> APIRouter:
    routes = APIRouter()
    routes.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        route_class_override=FormRoute if pipeline.takes_image else None,
        operation_id=operation_id,
        summary=summary,
        description=f"{pipeline.description} Takes the pipeline's own parameters, too.",
        response_model=ImagesResponse,
    )
    return routes


def _files(value: Any) -> Any:
    """Leave out the empty text that forms send for no file; other text is none."""
    if not isinstance(value, list):
        return value
    if any(isinstance(part, str) and part for part in value):
        raise ValueError("send a file, not text")
    return [part for part in value if not isinstance(part, str)]


async def _only_image(form: Any) -> bytes:
    """The one image that the pipeline works on."""
    if form.mask:
        raise FieldInvalid("mask: the loaded pipeline takes none; leave it out.", "mask")
    images: list[UploadFile] = [*form.image, *form.images]
    if len(images) != 1:
        raise FieldInvalid(
            f"image: the loaded pipeline changes one image; {len(images)} were sent.", "image"
        )
    return await images[0].read()


async def _serve(
    request: Request,
    options: ImageOptions,
    upload: bytes | None,
    kind: Kind,
    warnings: Sequence[str],
) -> Response:
    runner = runner_of(request.app)
    params, encoding, size = options.params(runner), options.encoding, options.dimensions
    if not options.stream:
        served = await serve(
            request,
            params,
            upload,
            door=DoorName.OPENAI,
            size=size,
            encoding=encoding,
            warnings=warnings,
        )
        by_url = options.response_format is ResponseFormat.URL
        output = await publish(request, served.output) if by_url else served.output
        answer = ImageAnswer(kind, options, served.job)
        body = await asyncio.to_thread(answer.whole, output.images)  # all files in base64
        return json_response(body, served_headers(served))
    job_options = JobOptions(
        DoorName.OPENAI,
        job_id=request.state.request_id,
        preview_every=preview_interval(runner.expected_steps(params), options.partial_images),
    )
    job = await runner.submit(params, upload, job_options, size=size)
    request.state.request_id = job.id
    changes, finishing = job.watch(), asyncio.ensure_future(runner.finish(job, encoding))
    events = ImageAnswer(kind, options, job).events(changes, finishing, runner)
    return EventStream(
        events,
        finishing,
        leave=lambda: runner.backend.cancel(job.id),
        headers=warning_headers(warnings),
    )
