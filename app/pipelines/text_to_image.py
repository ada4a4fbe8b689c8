"""Text to image."""

from __future__ import annotations

from pydantic import Field

from app.pipelines.base import (
    MAX_PROMPT_CHARACTERS,
    SIDE_DESCRIPTION,
    Arguments,
    Media,
    Pipeline,
    PromptParams,
    Side,
    split_prompt,
    steps_argument,
)


class TextToImageParams(PromptParams):
    """Generate images from a text prompt."""

    prompt: str = Field(
        max_length=MAX_PROMPT_CHARACTERS,
        description="What the image should show. Parts separated by '|' go to the model's "
        "further text encoders, where it has them.",
    )
    height: Side = Field(576, description=f"Height {SIDE_DESCRIPTION}")
    width: Side = Field(1024, description=f"Width {SIDE_DESCRIPTION}")


def _arguments(params: TextToImageParams) -> Arguments:
    return {
        **split_prompt(params.prompt, "prompt"),
        **split_prompt(params.negative_prompt, "negative_prompt"),
        "height": params.height,
        "width": params.width,
        "guidance_scale": params.guidance_scale,
        "num_images_per_prompt": params.num_images_per_prompt,
        **steps_argument(params),
    }


PIPELINE = Pipeline(
    name="text-to-image",
    params=TextToImageParams,
    media=Media.IMAGE,
    takes_image=False,
    description="Generate images from text prompts.",
    operation_id="genTextToImage",
    example={"prompt": "snowy mountains at night with a full moon", "seed": 42},
    arguments=_arguments,
)
