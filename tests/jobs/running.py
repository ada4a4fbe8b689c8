"""The durable queue with the engine and a fake worker, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.engine.runner import Runner
from app.engine.service import LocalService
from app.jobs.durable import DurableJob, JobOrder
from app.jobs.services import JobServices, media_shelf
from app.media.pool import CodecPool
from app.pipelines.text_to_image import TextToImageParams
from app.settings import Settings
from tests.clock import Clock
from tests.jobs.conftest import TINY, make_order
from tests.serve_fake import FAKE_WORKER
from tests.waiting import LONG


@asynccontextmanager
async def running(
    settings: Settings, clock: Callable[[], float] | None = None
) -> AsyncIterator[tuple[Runner, JobServices]]:
    """The service without its HTTP."""
    backend = LocalService(settings, worker_command=FAKE_WORKER)
    codecs = CodecPool()
    runner = Runner(settings, backend, codecs)
    clock = clock or Clock()
    services = JobServices(runner, media_shelf(settings, clock), clock)
    await backend.start(on_failure=lambda: None)
    await services.start()
    try:
        yield runner, services
    finally:
        await services.stop()
        codecs.close()


def order(**values: object) -> JobOrder:
    given = {key: values.pop(key) for key in list(values) if key in TextToImageParams.model_fields}
    params = TextToImageParams.model_validate(TINY | given)
    return make_order(params=params, **values)


def recorded(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[Any]:
    """What a method returns from now on, call by call."""
    answers: list[Any] = []
    method = getattr(owner, name)

    def record(*arguments: object) -> Any:
        answers.append(method(*arguments))
        return answers[-1]

    monkeypatch.setattr(owner, name, record)
    return answers


async def ended(services: JobServices, job: DurableJob) -> DurableJob:
    return await services.queue.wait(job.id, LONG)
