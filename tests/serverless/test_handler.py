"""What the handler makes of a job, in this process, with the fake worker."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from app.engine.service import LocalService
from app.engine.start import start_runner, until_loaded
from app.serverless.hosted import HostedRunner
from app.settings import Settings
from handler import Handler, RunPodJob
from tests.conftest import MakeSettings
from tests.pictures import picture
from tests.serve_fake import FAKE_WORKER

DATA_URL = "data:image/png;base64,"


def png(width: int, height: int) -> str:
    """A grey picture as base64."""
    return base64.b64encode(picture(width, height, "grey")).decode()


def outputs(settings: Settings, *inputs: object) -> list[dict[str, Any]]:
    """What the handler answers to these inputs, one after another."""

    async def handle() -> list[dict[str, Any]]:
        backend = LocalService(settings, worker_command=FAKE_WORKER)
        runner = await start_runner(settings, backend)
        try:
            await until_loaded(backend)
            handler = Handler(HostedRunner(runner, "runpod"), report)
            jobs = enumerate(inputs)
            return [await handler.handle({"id": f"job-{i}", "input": given}) for i, given in jobs]
        finally:
            await backend.stop()

    async def report(_: RunPodJob, progress: dict[str, Any]) -> None:
        assert progress["progress"]["step"] >= 1

    return asyncio.run(handle())


def test_an_image_is_taken_as_base64_or_data_url(make_settings: MakeSettings) -> None:
    small = {"prompt": "a fox", "num_inference_steps": 1}
    raw, url = outputs(
        make_settings(pipeline="image-to-image"),
        {"image": png(32, 16), **small},
        {"image": DATA_URL + png(16, 16), **small},
    )

    assert raw["content_type"] == url["content_type"] == "image/png"


def test_a_slip_in_a_field_is_told_with_the_output(make_settings: MakeSettings) -> None:
    given = {"image": png(32, 16), "prompt": "a fox", "num_inference_steps": 1, "sede": 3}
    [output] = outputs(make_settings(pipeline="image-to-image"), given)
    assert '"sede is no field and was ignored: seed is one"' in output["headers"]["Warning"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": "a fox"}, "`image` is missing"),
        ({"prompt": "a fox", "image": "http://169.254.169.254/latest/"}, "https://"),
        ({"prompt": "a fox", "image": "???"}, "base64"),
        ("a fox", "must be an object"),
    ],
)
def test_what_is_no_input_is_refused(
    make_settings: MakeSettings, given: object, words: str
) -> None:
    (output,) = outputs(make_settings(pipeline="image-to-image"), given)

    assert list(output) == ["error"]
    assert words in output["error"]


def test_a_video_is_an_mp4(make_settings: MakeSettings) -> None:
    video = {"image": png(64, 64), "width": 64, "height": 64, "num_inference_steps": 2}
    (output,) = outputs(make_settings(pipeline="image-to-video"), video)

    assert output["content_type"] == "video/mp4"
    assert base64.b64decode(output["body"])[4:8] == b"ftyp"


def test_a_result_too_large_for_runpod_is_an_error(make_settings: MakeSettings) -> None:
    small = {"prompt": "a fox", "width": 32, "height": 16, "num_inference_steps": 1}
    (output,) = outputs(make_settings(max_result_mb=0.0001), small)

    assert list(output) == ["error"]
    assert "MAX_RESULT_MB" in output["error"]


def test_a_broken_worker_asks_to_be_refreshed(make_settings: MakeSettings) -> None:
    """Once no worker process can load the model, no job will ever succeed here."""

    async def handle() -> dict[str, Any]:
        settings = make_settings(model_id="some/unloadable")
        backend = LocalService(settings, worker_command=FAKE_WORKER)
        runner = await start_runner(settings, backend)
        handler = Handler(HostedRunner(runner, "runpod"), lambda *_: asyncio.sleep(0))
        job: RunPodJob = {"id": "job", "input": {"prompt": "a fox"}}
        try:
            return await handler.handle(job)
        finally:
            await backend.stop()

    output = asyncio.run(handle())

    assert output == {
        "error": "MODEL_ID=unloadable is not on disk: download it.",
        "refresh_worker": True,
    }
