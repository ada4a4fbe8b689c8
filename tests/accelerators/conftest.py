"""Tiny models, loaded with accelerators or without, and images made with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from PIL import Image

from app.diffusion.classes import parameters_of
from app.diffusion.loading import LoadedPipeline, load
from app.settings import Settings
from tests import checkpoints

PIPELINES = {"svd": "image-to-video", "wan": "image-to-video", "ltx": "image-to-video"}
"""Of families that are not text-to-image."""

Load = Callable[..., LoadedPipeline]


@pytest.fixture(autouse=True)
def _own_attention_backend() -> Iterator[None]:
    """diffusers keeps the chosen one for the whole process; other tests want the usual one."""
    with attention_backend():
        yield


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the fabricated checkpoints."""
    return tmp_path_factory.mktemp("accelerated")


@pytest.fixture
def load_tiny(model_dir: Path) -> Load:
    """Loads a family of `tests.checkpoints` on the CPU with the settings given."""

    def load_family(family: str, **values: object) -> LoadedPipeline:
        model_id = checkpoints.make(family, model_dir)
        pipeline = PIPELINES.get(family, "text-to-image")
        fixed = {"pipeline": pipeline, "model_id": model_id, "model_dir": model_dir}
        return load(Settings.model_validate({**fixed, "device": "cpu", **values}))

    return load_family


@torch.no_grad()
def generate(
    loaded: LoadedPipeline, *, num_inference_steps: int = 4, **changes: Any
) -> torch.Tensor:
    """Float pixels in 0…1 of one small image (or video), always of the same noise."""
    loaded.active.reset()
    arguments: dict[str, Any] = {"height": 64, "width": 64, "output_type": "pt"}
    parameters = parameters_of(loaded.pipe)
    if "image" in parameters:
        arguments |= {"image": Image.new("RGB", (64, 64), (120, 60, 30)), "num_frames": 3}
    if "prompt" in parameters:
        arguments["prompt"] = "a cat"
    arguments["generator"] = torch.Generator().manual_seed(7)
    arguments["num_inference_steps"] = num_inference_steps
    return torch.as_tensor(loaded.pipe(**arguments | changes)[0])


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference of a pixel's value."""
    return float((one - other).abs().max())
