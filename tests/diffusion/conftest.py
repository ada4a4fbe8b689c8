"""Fabricated checkpoints, made once a session, and pipelines loaded from them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from app.diffusion.loading import LoadedPipeline, load
from app.pipelines import PIPELINES
from app.settings import Settings
from tests.checkpoints import make

Fabricate = Callable[[str], str]
Load = Callable[..., LoadedPipeline]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to use as MODEL_DIR."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def fabricate(models: Path) -> Fabricate:
    """Make a family's checkpoint in `models`; returns its MODEL_ID."""
    return lambda family: make(family, models)


@pytest.fixture(scope="session")
def load_model(models: Path) -> Load:
    """Load a MODEL_ID from `models` through the real loading code, once.

    Tests leave what they get as it is.
    """

    @functools.cache
    def load_it(model_id: str, pipeline: str = "text-to-image", **settings: Any) -> LoadedPipeline:
        return load(
            Settings(
                pipeline=pipeline, model_id=model_id, model_dir=models, device="cpu", **settings
            )
        )

    return load_it


def generate(
    loaded: LoadedPipeline,
    pipeline: str,
    image: Image.Image | None = None,
    overrides: dict[str, Any] | None = None,
    **params: Any,
) -> torch.Tensor:
    """Call a model as the worker does: a request's params, the pipeline file, `prepare`.

    Returns:
        Floats in 0…1, (images, 3, H, W) or (videos, frames, 3, H, W).
    """
    kind = PIPELINES[pipeline]
    request = {"num_inference_steps": 2, **params}
    if pipeline != "image-to-image":
        request = {"width": 32, "height": 32, **request}
    if pipeline != "image-to-video":
        request = {"prompt": "a cat", **request}
    arguments = kind.arguments(kind.params(**request))
    by_image = image.size if image is not None and pipeline == "image-to-image" else None
    call, _ = loaded.prepare(arguments, by_image)
    if image is not None:
        call["image"] = image
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        output = loaded.pipe(**{**call, **(overrides or {})}, generator=generator, output_type="pt")
    result = output[0]
    return result if isinstance(result, torch.Tensor) else torch.stack(list(result))


def picture(color: str = "red", size: tuple[int, int] = (32, 32)) -> Image.Image:
    """An input image."""
    return Image.new("RGB", size, color)
