"""What OpenAI's clients receive."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from app.media.formats import ImageFormat
from app.routes.openai.usage import Usage


class Model(BaseModel):
    """The loaded model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time at which this server started.")
    owned_by: str


class ModelList(BaseModel):
    """The models of this server: one."""

    object: Literal["list"] = "list"
    data: list[Model]


class Image(BaseModel):
    """One image, as base64 or as a URL."""

    b64_json: str | None = None
    url: str | None = None
    seed: int = Field(description="The seed that made it.")
    nsfw: bool = Field(description="Whether the safety checker flagged it.")


class Rendering(BaseModel):
    """How images were made; the same in every answer with images."""

    size: str = Field(description="Width and height in pixels, as in 512x512.")
    output_format: ImageFormat
    background: Literal["opaque"] = "opaque"
    quality: Literal["auto"] = "auto"


class ImagesResponse(Rendering):
    """Generated images."""

    created: int = Field(description="Unix time.")
    usage: Usage
    data: list[Image]


class Error(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = Field(description="Name of the field that is to blame, if it is one.")
    code: str | None = Field(description="The kind of error, for programs.")


class ErrorResponse(BaseModel):
    """The body of every error."""

    error: Error
