"""The local backend around a fake worker, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.engine.backend import Health
from app.engine.job import Job, JobOptions
from app.engine.messages import Inputs
from app.engine.service import LocalService
from app.pipelines import PIPELINES
from tests.conftest import MakeSettings
from tests.serve_fake import FAKE_WORKER
from tests.waiting import until

PIPELINE = PIPELINES["text-to-image"]


@asynccontextmanager
async def ready(
    make_settings: MakeSettings, clock: Callable[[], float] | None = None, **settings: object
) -> AsyncIterator[LocalService]:
    """A service whose worker takes two jobs at a time."""
    values = make_settings(model_id="a/pair", **settings)
    service = LocalService(
        values, worker_command=FAKE_WORKER, **({"clock": clock} if clock else {})
    )
    await service.start(on_failure=lambda: None)
    try:
        await until(lambda: service.status().health is Health.OK)
        yield service
    finally:
        await service.stop()


def submit(service: LocalService, image: memoryview | None = None, **params: object) -> Job:
    fields = {"prompt": "a", "width": 32, "height": 32, "num_inference_steps": 2} | params
    inputs = Inputs(PIPELINE.name, PIPELINE.params(**fields), seeds=(1,))
    return service.submit(inputs, image, JobOptions("test"))
