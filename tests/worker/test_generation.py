"""Generations of any pipeline class, as the worker makes them: from inputs to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from app.diffusion.loading import load
from app.engine.messages import Inputs
from app.pipelines import PIPELINES
from app.settings import Settings
from app.worker.hub import Task
from app.worker.loading import Parts, assemble
from tests.checkpoints import make
from tests.worker.conftest import picture


def parts_of(family: str, models: Path, pipeline: str = "text-to-image") -> Parts:
    model_id = make(family, models)
    settings = Settings(pipeline=pipeline, model_id=model_id, model_dir=models, device="cpu")
    return assemble(load(settings), settings)


def with_guided_attention(parts: Parts, kind: type) -> Parts:
    """The same model in a pipeline with perturbed- or self-attention guidance."""
    more = {"pag_applied_layers": "mid"} if kind is diffusers.StableDiffusionPAGPipeline else {}
    pipe = kind(**parts.loaded.pipe.components, requires_safety_checker=False, **more)
    pipe.set_progress_bar_config(disable=True)
    loaded = replace(parts.loaded, pipe=pipe)
    return assemble(loaded, Settings(pipeline="text-to-image", model_id="some/model"))


def inputs(pipeline: str, seeds: tuple[int, ...], **params: Any) -> Inputs:
    values = {"prompt": f"prompt {seeds[0]}", "num_images_per_prompt": len(seeds), **params}
    return Inputs(pipeline, PIPELINES[pipeline].params.model_validate(values), seeds)


def make_all(
    parts: Parts, requests: Sequence[Inputs], image: np.ndarray | None = None
) -> list[torch.Tensor]:
    """The images of requests that come at once."""
    made: dict[int, torch.Tensor] = {}

    def body(place: int, _: Task) -> None:
        made[place] = parts.generator.generate(requests[place], image, lambda done: None)

    with torch.no_grad():
        for place in range(len(requests)):
            parts.hub.add(Task(partial(body, place), (), lambda: False))
        while len(parts.hub):
            parts.hub.turn()
    return [made[place] for place in range(len(requests))]


def levels(one: torch.Tensor, other: torch.Tensor) -> int:
    """Largest difference of two images' pixels."""
    return int((one.int() - other.int()).abs().max())


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_changed_images_have_their_own_seeds(family: str, models: Path) -> None:
    parts, image = parts_of(family, models, "image-to-image"), np.array(picture())
    changes = {"num_inference_steps": 3, "strength": 0.7, "prompt": "a desert"}

    def changed(*seeds: int) -> torch.Tensor:
        return make_all(parts, [inputs("image-to-image", seeds, **changes)], image)[0]

    several = changed(7, 8)
    assert levels(several[0], several[1]) > 1
    assert levels(several[0], changed(7)[0]) <= 1
    assert levels(several[1], changed(8)[0]) <= 1


@pytest.mark.parametrize(
    "kind", [diffusers.StableDiffusionPAGPipeline, diffusers.StableDiffusionSAGPipeline]
)
def test_requests_with_guided_attention_take_turns(
    models: Path, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    """Its processors would be in place for all that share a forward, or for none."""
    parts = with_guided_attention(parts_of("sd", models), kind)
    assert f"requests take turns: a call of {kind.__name__} changes its denoiser" in caplog.text
    requests = [
        inputs("text-to-image", (seed,), num_inference_steps=2 + seed, width=16, height=16)
        for seed in range(2)
    ]
    together = make_all(parts, requests)
    for request, made in zip(requests, together, strict=True):
        assert torch.equal(made, make_all(parts, [request])[0])
