"""What doors ask of the runner before there is a job."""

from __future__ import annotations

import asyncio

import pytest

from app.engine import uploads
from app.engine.job import JobOptions
from app.engine.runner import Runner
from app.engine.service import LocalService
from app.errors import Overloaded
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


@pytest.mark.parametrize(("queue_limit", "at_once"), [(0, 8), (64, 0)])
def test_an_upload_for_which_there_is_no_room_is_not_decoded(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, queue_limit: int, at_once: int
) -> None:
    monkeypatch.setattr(uploads, "UPLOADS_AT_ONCE", at_once)
    settings = make_settings(pipeline="image-to-image", queue_limit=queue_limit)
    params = PIPELINES["image-to-image"].params.model_validate({"prompt": "a"})

    async def main() -> None:
        codecs = CodecPool()
        runner = Runner(settings, LocalService(settings), codecs)
        with pytest.raises(Overloaded):
            await runner.submit(params, b"no image, which would be said", JobOptions("test"))
        codecs.close()

    asyncio.run(main())
