"""What OpenAI's requests say beside a pipeline's own parameters, and how it becomes those."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.engine.runner import Runner
from app.errors import FieldInvalid, ModelNotFound
from app.media.formats import Encoding, ImageFormat
from app.pipelines.base import Params
from app.validation import params_of, sized

AUTO = "auto"


class ResponseFormat(StrEnum):
    """How images are answered."""

    B64_JSON = "b64_json"
    URL = "url"


class Options(BaseModel):
    """What requests for images and for videos have in common. A null counts as absent."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    model: str = Field(
        "", max_length=500, description="Id of the loaded model; empty means whichever is loaded."
    )
    size: str = Field(
        AUTO, description="Width and height in pixels, as in 512x512; auto: the model's own."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            return {name: value for name, value in data.items() if value is not None}
        return data

    @field_validator("size")
    @classmethod
    def _readable_size(cls, value: str) -> str:
        if not re.fullmatch(r"auto|[1-9]\d{0,4}x[1-9]\d{0,4}", value):
            raise ValueError("write width and height in pixels, as in 512x512, or auto")
        return value

    @property
    def dimensions(self) -> tuple[int, int] | None:
        """(width, height) in pixels; None for `auto`."""
        if self.size == AUTO:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)

    def params(self, runner: Runner) -> Params:
        """The loaded pipeline's parameters of this request.

        Raises:
            ModelNotFound: the request names another model.
            FieldInvalid: what is wrong with it.
        """
        return params_of(runner.pipeline, self.fields(runner))

    def fields(self, runner: Runner) -> Mapping[str, object]:
        """What the request says, under the pipeline's own names.

        `size` and `n` win over the pipeline's own fields for them, and those over the model's
        native size.

        Raises:
            ModelNotFound: the request names another model.
        """
        loaded = runner.settings.model_id
        if self.model not in ("", loaded):
            raise ModelNotFound(loaded, self.model)
        given = self.model_dump(exclude_unset=True) | self._renamed()
        return sized(given, self.dimensions, runner.native_size)

    def _renamed(self) -> dict[str, object]:
        """Fields that the pipelines know under another name."""
        return {}


MEANINGLESS = ("background", "moderation", "quality", "style", "user")
"""Options of OpenAI's own models, ignored without a word."""


class ImageOptions(Options):
    """Options of images, but for `MEANINGLESS` ones."""

    n: int | None = Field(None, ge=1, description="Images to make.")
    response_format: ResponseFormat = Field(
        ResponseFormat.B64_JSON, description="Images as base64, or as URLs of files kept here."
    )
    output_format: ImageFormat = Field(ImageFormat.PNG, description="Format of the images.")
    output_compression: int = Field(
        100, ge=0, le=100, description="Quality of jpeg and webp: 0 is smallest, 100 is best."
    )
    stream: bool = Field(False, description="Answer with server-sent events.")
    partial_images: int = Field(
        0, ge=0, le=3, description="With stream: how often to show the image while it comes about."
    )

    @property
    def encoding(self) -> Encoding:
        """How the images are to be written.

        Raises:
            FieldInvalid: PNG at less than its full quality.
        """
        if self.output_format is ImageFormat.PNG:
            if self.output_compression < 100:
                raise FieldInvalid(
                    "output_compression: png is lossless and has no quality to give up; send "
                    "output_format jpeg or webp.",
                    "output_compression",
                )
            return Encoding()
        return Encoding(self.output_format, max(self.output_compression, 1))

    def _renamed(self) -> dict[str, object]:
        return {} if self.n is None else {"num_images_per_prompt": self.n}
