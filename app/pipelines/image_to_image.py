"""Image to image."""

from __future__ import annotations

from pydantic import Field

from app.pipelines.base import INT32_MAX, Arguments, Media, Pipeline, PromptParams, steps_argument


class ImageToImageParams(PromptParams):
    """Change an image as a text prompt says."""

    num_inference_steps: int = Field(
        100,
        ge=-INT32_MAX,
        le=INT32_MAX,
        description="Denoising steps, of which strength × steps are run. Below 1: the model's "
        "own default. At most the server's MAX_STEPS.",
    )
    strength: float = Field(
        0.8, ge=0, le=1, description="How much to change: 0 keeps most of the image, 1 ignores it."
    )
    image_guidance_scale: float = Field(
        1.5,
        ge=0,
        le=100,
        description="How closely to follow the input image, for models that edit by instruction.",
    )


def _arguments(params: ImageToImageParams) -> Arguments:
    return {
        "prompt": params.prompt,
        "negative_prompt": params.negative_prompt,
        "strength": params.strength,
        "guidance_scale": params.guidance_scale,
        "image_guidance_scale": params.image_guidance_scale,
        "num_images_per_prompt": params.num_images_per_prompt,
        **steps_argument(params),
    }


PIPELINE = Pipeline(
    name="image-to-image",
    params=ImageToImageParams,
    media=Media.IMAGE,
    takes_image=True,
    description="Change an image as a text prompt says.",
    operation_id="genImageToImage",
    example={"prompt": "a desert at sunset", "strength": 0.8, "seed": 42},
    arguments=_arguments,
)
