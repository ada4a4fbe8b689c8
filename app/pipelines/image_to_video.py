"""Image to video."""

from __future__ import annotations

from pydantic import Field

from app.pipelines.base import (
    INT32_MAX,
    SIDE_DESCRIPTION,
    Arguments,
    Media,
    Params,
    Pipeline,
    Side,
    steps_argument,
)


class ImageToVideoParams(Params):
    """Bring an image to life as a short video."""

    num_inference_steps: int = Field(
        25,
        ge=-INT32_MAX,
        le=INT32_MAX,
        description="Denoising steps: more take longer and usually look better. Below 1: the "
        "model's own default. At most the server's MAX_STEPS.",
    )
    height: Side = Field(576, description=f"Height {SIDE_DESCRIPTION}")
    width: Side = Field(1024, description=f"Width {SIDE_DESCRIPTION}")
    fps: int = Field(6, ge=1, le=120, description="Frames per second of the video.")
    motion_bucket_id: int = Field(
        127, ge=0, le=1023, description="How much moves: higher is more; models know 1 to 255."
    )
    noise_aug_strength: float = Field(
        0.02,
        ge=0,
        le=10,
        description="Noise added to the input image: more means less likeness and more motion.",
    )


def _arguments(params: ImageToVideoParams) -> Arguments:
    return {
        "height": params.height,
        "width": params.width,
        "fps": params.fps,
        "motion_bucket_id": params.motion_bucket_id,
        "noise_aug_strength": params.noise_aug_strength,
        **steps_argument(params),
    }


PIPELINE = Pipeline(
    name="image-to-video",
    params=ImageToVideoParams,
    media=Media.VIDEO,
    takes_image=True,
    description="Generate a short video from an image.",
    operation_id="genImageToVideo",
    example={"motion_bucket_id": 127, "fps": 6, "seed": 42},
    arguments=_arguments,
)
