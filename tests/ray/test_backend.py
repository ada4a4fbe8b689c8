"""The front end's backend, with real replicas (fake workers) in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.engine.backend import Health
from app.engine.job import JobOptions, State
from app.errors import JobCancelled, JobFailed, ModelNotLoaded, Overloaded, WorkerDied
from app.ray_backend.backend import MAX_ATTEMPTS, RayBackend
from app.ray_backend.painter import Painter
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.ray.conftest import PaintersHere, inputs_of
from tests.serve_fake import FAKE_WORKER
from tests.waiting import until

Scenario = Callable[[RayBackend, PaintersHere], Awaitable[None]]


async def painter_of(settings: Settings) -> Painter:
    painter = Painter(settings, FAKE_WORKER)
    await painter.start()
    return painter


def play(settings: Settings, scenario: Scenario) -> None:
    """Run a scenario against two replicas."""

    async def run() -> None:
        painters = [await painter_of(settings) for _ in range(2)]
        fleet = PaintersHere(*painters)
        backend = RayBackend(settings, fleet, concurrency=16)
        try:
            async with asyncio.timeout(60):
                await backend.start(lambda: None)
                await scenario(backend, fleet)
        finally:
            await backend.stop()
            for painter in painters:
                await painter.stop()

    asyncio.run(run())


def test_pixels_progress_and_previews_come_back(make_settings: MakeSettings) -> None:
    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        job = backend.submit(inputs_of(7), None, JobOptions("test", preview_every=1))
        seen = [progress async for progress in job.watch()]
        (sample,) = (await job.result()).samples
        assert sample.pixels.shape == (64, 64, 3)
        assert sample.pixels[0, 0, 0] == 7
        assert [it.step for it in seen if it.preview] == [1, 2, 3]
        assert seen[-1].state is State.SUCCEEDED
        assert job.started is not None
        assert len(fleet.orders) == 1

    play(make_settings(), scenario)


def test_a_lost_replica_costs_no_request(make_settings: MakeSettings) -> None:
    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        fleet.lose_next(2)
        jobs = [backend.submit(inputs_of(seed), None, JobOptions("test")) for seed in range(6)]
        made = [await job.result() for job in jobs]
        assert [it.samples[0].seed for it in made] == list(range(6))
        assert backend.status().restarts == 2

    play(make_settings(), scenario)


def test_a_job_that_ends_every_replica_fails(make_settings: MakeSettings) -> None:
    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        fleet.lose_next(99)
        job = backend.submit(inputs_of(), None, JobOptions("test"))
        with pytest.raises(WorkerDied):
            await job.result()
        assert len(fleet.orders) == MAX_ATTEMPTS

    play(make_settings(), scenario)


def test_a_jobs_own_failure_is_not_tried_elsewhere(make_settings: MakeSettings) -> None:
    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        job = backend.submit(inputs_of(prompt="fail"), None, JobOptions("test"))
        with pytest.raises(JobFailed, match="pipeline error"):
            await job.result()
        assert len(fleet.orders) == 1

    play(make_settings(), scenario)


def test_cancellation_reaches_the_replica(make_settings: MakeSettings, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "step-2")
    gate.close()

    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        job = backend.submit(inputs_of(), None, JobOptions("test"))
        await until(gate.is_reached)
        painter = fleet.painters[0]
        assert painter.running == 1
        assert backend.cancel(job.id)
        with pytest.raises(JobCancelled):
            await job.result()
        gate.open()
        await until(lambda: painter.running == 0)
        assert backend.find(job.id) is None

    play(make_settings(), scenario)


def test_a_full_queue_refuses(make_settings: MakeSettings, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "step-1")
    gate.close()

    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        del fleet
        jobs = [backend.submit(inputs_of(seed), None, JobOptions("test")) for seed in range(3)]
        with pytest.raises(Overloaded, match="QUEUE_LIMIT=2"):
            backend.submit(inputs_of(), None, JobOptions("test"))
        assert backend.position(jobs[2].id) == 2
        gate.open()
        assert [(await job.result()).samples[0].seed for job in jobs] == [0, 1, 2]

    play(make_settings(queue_limit=2), scenario)


def test_the_service_is_ready_when_a_replica_is(make_settings: MakeSettings) -> None:
    async def scenario(backend: RayBackend, fleet: PaintersHere) -> None:
        del fleet
        await until(lambda: backend.status().health is Health.OK)
        worker = backend.status().worker
        assert worker is not None
        assert (worker.device, worker.concurrency) == ("cpu", 16)

    play(make_settings(), scenario)


def test_where_there_may_be_no_replica_none_is_started_for_the_question(
    make_settings: MakeSettings,
) -> None:
    backend = RayBackend(make_settings(), PaintersHere(), concurrency=4, scales_to_zero=True)
    asyncio.run(backend.start(lambda: None))
    assert backend.status().health is Health.OK


def test_a_replica_that_cannot_load_says_why(make_settings: MakeSettings) -> None:
    with pytest.raises(ModelNotLoaded, match="download it"):
        asyncio.run(painter_of(make_settings(model_id="some/unloadable")))
