"""Jobs that run on other hosts: what their clients hear when a host lets them down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.engine.elsewhere import JobsElsewhere, Pixels
from app.engine.job import Job, JobOptions
from app.engine.messages import Inputs
from app.errors import DeadlineExceeded, JobFailed
from app.pipelines.text_to_image import TextToImageParams
from app.settings import Settings
from tests.conftest import MakeSettings

INPUTS = Inputs("text-to-image", TextToImageParams(prompt="a"), seeds=(0,))

Paint = Callable[[], Awaitable[Pixels]]


class Hosts(JobsElsewhere):
    """Hosts that see a job through as the test says."""

    def __init__(self, settings: Settings, paint: Paint) -> None:
        super().__init__(settings)
        self._see_through = paint

    async def _paint(self, job: Job) -> Pixels:
        return await self._see_through()


async def time_out_itself() -> Pixels:
    raise TimeoutError("no answer of the host's own network")


async def never() -> Pixels:
    await asyncio.Event().wait()
    raise AssertionError("not reached")


def run_job(settings: Settings, paint: Paint) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await Hosts(settings, paint).submit(INPUTS, None, JobOptions("test")).result()

    asyncio.run(run())


def test_a_host_that_times_out_is_not_the_clients_time_being_over(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(JobFailed) as failed:
        run_job(make_settings(request_timeout=600), time_out_itself)
    assert "REQUEST_TIMEOUT" not in failed.value.message
    assert "no answer of the host's own network" in caplog.text


def test_a_job_whose_time_is_over_says_so(make_settings: MakeSettings) -> None:
    with pytest.raises(DeadlineExceeded, match="REQUEST_TIMEOUT"):
        run_job(make_settings(request_timeout=0.05), never)
