"""What doors ask of the runner before there is a job."""

from __future__ import annotations

import pytest

from app.engine.runner import Runner
from app.engine.service import LocalService
from app.media.pool import CodecPool
from app.pipelines import PIPELINES
from tests.conftest import MakeSettings


@pytest.mark.parametrize(
    ("model_id", "pipeline", "asked", "steps"),
    [
        ("some/model", "text-to-image", {"num_inference_steps": 50}, 50),
        ("ByteDance/SDXL-Lightning-4step", "text-to-image", {"num_inference_steps": 50}, 4),
        ("ByteDance/SDXL-Lightning-4step", "text-to-image", {}, 4),
        ("stabilityai/sd-turbo", "text-to-image", {"num_inference_steps": 1}, 1),
        ("some/model", "image-to-image", {"num_inference_steps": 20, "strength": 0.25}, 5),
    ],
)
def test_steps_are_those_that_the_model_takes(
    make_settings: MakeSettings,
    model_id: str,
    pipeline: str,
    asked: dict[str, float],
    steps: int,
) -> None:
    settings = make_settings(model_id=model_id, pipeline=pipeline)
    codecs = CodecPool()
    runner = Runner(settings, LocalService(settings), codecs)
    params = PIPELINES[pipeline].params.model_validate({"prompt": "a", **asked})
    assert runner.expected_steps(params) == steps
    codecs.close()
