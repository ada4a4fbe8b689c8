"""The Hugging Face door: what its InferenceClient sends to a model's URL; files come back as bytes.

A pipeline that starts from text takes `{"inputs": prompt, "parameters": {…}}`; one that starts
from an image takes it as base64 in `inputs`, or as the body itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.engine.runner import Runner
from app.error_table import Dialect
from app.errors import BadRequest, FieldInvalid, ImageInvalid, ModelNotFound
from app.media.data_url import decode_base64_image
from app.media.formats import Encoding, ImageFormat
from app.pipelines.base import Params, Pipeline
from app.routes.serve import serve, served_headers
from app.routes.state import runner_of
from app.settings import DoorName
from app.validation import ignored_fields, params_of, refusal, sized

MODELS = "/models"
NO_WORDS: dict[str, object] = {"prompt": ""}
"""What the client means when it sends an image and says nothing of a prompt."""


class TargetSize(BaseModel):
    """Size of what is to be made, in pixels."""

    width: int
    height: int


class Parameters(BaseModel):
    """What the client's parameters say beside the pipeline's own."""

    model_config = ConfigDict(extra="allow")

    target_size: TargetSize | None = None


class InferenceRequest(BaseModel):
    """What the client sends as JSON."""

    inputs: str = Field(description="The prompt, or the image as base64.")
    parameters: Parameters = Field(Parameters(), description="The pipeline's parameters.")


class InferenceError(BaseModel):
    """The body of every error."""

    error: str = Field(description="What went wrong.")


def _names_model(path: str) -> bool:
    return path == MODELS or path.startswith(MODELS + "/")


DIALECT = Dialect(
    speaks_at=lambda path: path == "/" or _names_model(path),
    status=lambda _, status: status,
    body=lambda error, _: InferenceError(error=error.message).model_dump(),
)


def guard(method: str, path: str) -> bool:
    """What asks for the token; getting `/` is not this door's."""
    return _names_model(path) or (method, path) == ("POST", "/")


def router(pipelines: Sequence[Pipeline]) -> APIRouter:
    """`POST /models/{model_id}`, and the same at `/` for whichever model is loaded."""
    routes = APIRouter(tags=[DoorName.HUGGINGFACE])
    routes.post(
        MODELS + "/{model_id:path}",
        operation_id="inference",
        summary="Inference",
        response_class=Response,
        responses={
            200: {"description": "The file.", "content": _files(pipelines)},
            **{status: {"model": InferenceError} for status in ("4XX", "5XX")},
        },
        openapi_extra={"requestBody": {"required": True, "content": _bodies(pipelines)}},
    )(infer)
    routes.post("/", include_in_schema=False)(infer)
    return routes


async def infer(request: Request, model_id: str = "") -> Response:
    """Generate one image or video; an image's format is the one that `Accept` names first."""
    runner = runner_of(request.app)
    if model_id.rstrip("/") not in ("", runner.settings.model_id):
        raise ModelNotFound(runner.settings.model_id, model_id)
    try:
        return await _answer(request, runner)
    except ImageInvalid as error:
        raise ImageInvalid(f"{error.message} {_inputs(runner)}") from error


async def _answer(request: Request, runner: Runner) -> Response:
    asked = await _read(await request.body(), runner)
    if getattr(asked.params, "num_images_per_prompt", 1) > 1:
        raise FieldInvalid(
            "num_images_per_prompt: this protocol answers with one image.", "num_images_per_prompt"
        )
    encoding = Encoding(_accepted(request.headers.get("accept", "")))
    served = await serve(
        request,
        asked.params,
        asked.upload,
        door=DoorName.HUGGINGFACE,
        size=asked.size,
        encoding=encoding,
        with_frames=False,
        warnings=asked.warnings,
    )
    file = served.output.images[0]
    facts = {"X-Seed": str(file.seed), "X-NSFW": str(file.nsfw).lower()}
    return Response(file.data, media_type=file.media_type, headers=facts | served_headers(served))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request says: see `app.routes.serve.serve`."""

    params: Params
    upload: bytes | None = None
    size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()


async def _read(body: bytes, runner: Runner) -> _Asked:
    pipeline = runner.pipeline
    if not body.lstrip().startswith(b"{"):
        if not pipeline.takes_image:
            raise BadRequest(_inputs(runner))
        return _Asked(params_of(pipeline, sized(NO_WORDS, None, runner.native_size)), body)
    given = await asyncio.to_thread(_parse, body)
    fields: dict[str, object] = given.parameters.model_dump(exclude={"target_size"})
    warnings = ignored_fields(fields, pipeline.params)
    target, upload = given.parameters.target_size, None
    size = (target.width, target.height) if target else None
    if pipeline.takes_image:
        limit = runner.settings.max_upload_bytes
        upload = await asyncio.to_thread(decode_base64_image, given.inputs, max_bytes=limit)
        fields = NO_WORDS | fields
    elif "prompt" in fields:
        raise FieldInvalid(f"parameters.prompt: {_inputs(runner)}", "parameters.prompt")
    else:
        fields["prompt"] = given.inputs
    params = params_of(pipeline, sized(fields, size, runner.native_size))
    return _Asked(params, upload, size, warnings)


def _inputs(runner: Runner) -> str:
    """What the loaded pipeline wants, for those who took it for another one."""
    wanted = "the image, as base64," if runner.pipeline.takes_image else "the prompt"
    model_id = runner.settings.model_id
    return f"This server runs {runner.pipeline.name} with {model_id}: put {wanted} into `inputs`."


def _parse(body: bytes) -> InferenceRequest:
    try:
        return InferenceRequest.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error.errors()) from error


def _accepted(header: str) -> ImageFormat:
    """The first format of the header that can be made; PNG if there is none."""
    types = [part.partition(";")[0].strip() for part in header.split(",")]
    formats = {format_.media_type: format_ for format_ in ImageFormat}
    return next((formats[name] for name in types if name in formats), ImageFormat.PNG)


def _bodies(pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    """The request's bodies by their types, for the OpenAPI document."""
    schema = InferenceRequest.model_json_schema()
    del schema["$defs"]
    of_pipelines = [pipeline.params.model_json_schema() for pipeline in pipelines]
    schema["properties"]["parameters"] = {"anyOf": of_pipelines}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if any(pipeline.takes_image for pipeline in pipelines):
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return content


def _files(pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    """The answer's bodies by their types, for the OpenAPI document."""
    images = [format_.media_type for format_ in ImageFormat]
    types = {"image": images, "video": ["video/mp4"]}
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {name: binary for pipeline in pipelines for name in types[pipeline.media]}
