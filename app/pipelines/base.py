"""What a pipeline file provides: its parameters, and how they become diffusers' arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MAX_PROMPT_CHARACTERS = 10_000
"""Longest prompt taken; text encoders read 77 to 512 tokens of it."""

MIN_SIDE, MAX_SIDE = 16, 16_376
"""Pixels. WebP, the narrowest of the formats that an answer may be in, holds 16,383 a side, and
sides are multiples of 8."""

Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]
"""Width or height of what is to be made."""

SIDE_DESCRIPTION = "in pixels, a multiple of 8. width × height is at most MAX_PIXELS."

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


class Media(StrEnum):
    """What a pipeline makes."""

    IMAGE = "image"
    VIDEO = "video"


def _absent_or_value(schema: dict[str, Any]) -> None:
    """Describe a nullable field as its value alone: clients leave it out rather than send null."""
    value, _null = schema.pop("anyOf")
    schema.pop("default")
    schema.update(value)


class Params(BaseModel):
    """What every pipeline's request may say; unknown fields are ignored."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )

    model_id: str = Field(
        "", max_length=500, description="Id of the loaded model; empty means whichever is loaded."
    )
    safety_check: bool = Field(
        True, description="Flag images that may be offensive or harmful; the pixels stay."
    )
    seed: Annotated[int, Field(ge=-(2**63), le=INT64_MAX)] | None = Field(
        None,
        description="Seed of the noise; image i uses seed + i. Random when absent.",
        json_schema_extra=_absent_or_value,
    )
    num_inference_steps: int = Field(
        50,
        ge=-INT32_MAX,
        le=INT32_MAX,
        description="Denoising steps: more take longer and usually look better. Below 1: the "
        "model's own default. At most the server's MAX_STEPS.",
    )


class PromptParams(Params):
    """Parameters of the pipelines that follow a prompt."""

    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS, description="What the image should show.")
    loras: str = Field(
        "",
        max_length=4096,
        description="LoRA adapters as a JSON string of repository to weight, such as "
        "'{\"latent-consistency/lcm-lora-sdxl\": 1.0}'. Weights are 0 or more; at most 4.",
    )
    guidance_scale: float = Field(
        7.5, ge=0, le=100, description="How closely to follow the prompt; high values cost quality."
    )
    negative_prompt: str = Field(
        "",
        max_length=MAX_PROMPT_CHARACTERS,
        description="What the image should not show. Ignored when guidance_scale is below 1.",
    )
    num_images_per_prompt: int = Field(
        1, ge=1, le=1000, description="Images to make. At most the server's MAX_IMAGES_PER_PROMPT."
    )


Arguments = dict[str, Any]
"""Keyword arguments of a diffusers pipeline's call."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One kind of generation, everything else follows from it: route, docs, bench, page.

    Attributes:
        name: value of PIPELINE; the route is `/{name}`.
        params: what a client sends, the image apart.
        media: what comes out.
        takes_image: whether a request carries an input image.
        description: one sentence for the API's documentation.
        operation_id: name of the operation in generated clients.
        example: a request that works, by field.
        arguments: turns params into the arguments of the diffusers pipeline; seeds, image and
            output type are added by the worker.
    """

    name: str
    params: type[Params]
    media: Media
    takes_image: bool
    description: str
    operation_id: str
    example: Mapping[str, Any]
    arguments: Callable[[Any], Arguments]

    @property
    def error_message(self) -> str:
        """What a client reads when the pipeline raised."""
        return f"{self.name.capitalize()} pipeline error."

    @property
    def title(self) -> str:
        """The name as a heading: `Text To Image`."""
        return self.name.replace("-", " ").title()

    @property
    def sdk_name(self) -> str:
        """The method's name in generated SDKs: `textToImage`."""
        first, *rest = self.name.split("-")
        return first + "".join(word.title() for word in rest)


def steps_argument(params: Params) -> Arguments:
    """`num_inference_steps`, left to the pipeline's own default when below 1."""
    if params.num_inference_steps < 1:
        return {}
    return {"num_inference_steps": params.num_inference_steps}


def split_prompt(text: str, name: str) -> dict[str, str]:
    """Split a prompt for models with several text encoders.

    `"a | b"` becomes `{name: "a", name_2: "b"}`: at most three splits, blank parts dropped.
    """
    parts = [part.strip() for part in text.split("|", 3) if part.strip()]
    return {name if i == 0 else f"{name}_{i + 1}": part for i, part in enumerate(parts)}
