"""One request to measure, as data that both the service and the plain loop understand."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from app.diffusion.profiles import profile_for
from app.pipelines import PIPELINES
from app.pipelines.base import Media, Params
from app.validation import validated

DEFAULT_SIZE = (512, 512)
"""(width, height) in pixels for models whose profile names none."""


@dataclass(frozen=True, slots=True)
class Work:
    """What to generate.

    Attributes:
        width, height: in pixels.
        num_inference_steps: 0 for the model's own default.
        images: images of the request; a video's request makes one.
        seed: of the first image.
    """

    width: int
    height: int
    num_inference_steps: int = 0
    images: int = 1
    seed: int = 0


def native_size(model_id: str) -> tuple[int, int]:
    """(width, height) that the model was trained for, as far as its profile says."""
    return profile_for(model_id).native_size or DEFAULT_SIZE


def params_of(pipeline: str, work: Work) -> Params:
    """The request's parameters; the safety checker is left out of the measurement.

    Raises:
        FieldInvalid: one line that names each field that does not fit.
    """
    kind = PIPELINES[pipeline]
    values = dict(kind.example) | {
        "width": work.width,
        "height": work.height,
        "num_inference_steps": work.num_inference_steps,
        "seed": work.seed,
        "safety_check": False,
    }
    if kind.media is Media.IMAGE:
        values["num_images_per_prompt"] = work.images
    return validated(kind.params, values)


def upload_of(pipeline: str, work: Work) -> bytes | None:
    """An input image of the request's size as a PNG, where the pipeline takes one."""
    if not PIPELINES[pipeline].takes_image:
        return None
    file = io.BytesIO()
    input_image(work).save(file, "PNG")
    return file.getvalue()


def input_image(work: Work) -> Image.Image:
    """A gradient: smooth, as photographs are, and the same each time."""
    across = np.linspace(0, 255, work.width, dtype=np.uint8)
    down = np.linspace(0, 255, work.height, dtype=np.uint8)
    pixels = np.empty((work.height, work.width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = across, down[:, None], 128
    return Image.fromarray(pixels)
