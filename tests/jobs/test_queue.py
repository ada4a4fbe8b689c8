"""The durable queue with the engine and a fake worker: time, order, failures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.engine.backend import Health
from app.engine.job import JobOptions, State
from app.errors import JobNotFound, ShuttingDown
from app.jobs.durable import DurableJob, JobState
from app.jobs.feeder import Feeder
from app.jobs.store import JobStore
from app.pipelines.image_to_image import ImageToImageParams
from tests.clock import Clock
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.jobs.conftest import make_order
from tests.jobs.running import ended, order, recorded, running
from tests.pictures import picture
from tests.waiting import LONG, until


def test_a_job_that_runs_too_long_times_out_and_can_be_retried(
    make_settings: MakeSettings, gate: Gate
) -> None:
    def give_time(store: JobStore) -> None:
        store._connection.execute("UPDATE jobs SET execution_timeout = ?", (LONG,))

    async def main() -> None:
        async with running(make_settings()) as (_, services):
            gate.close()
            job = await services.queue.submit(order(execution_timeout=0.1))
            job = await ended(services, job)
            assert (job.state, job.error) == (JobState.TIMED_OUT, "execution timeout")
            await services.queue._store.call(give_time)  # for what any machine does in it
            gate.open()
            await services.queue.retry(job.id)
            job = await ended(services, job)
            assert (job.state, job.retries) == (JobState.COMPLETED, 1)

    asyncio.run(main())


def test_the_time_in_the_queue_is_not_execution_time(
    make_settings: MakeSettings, gate: Gate
) -> None:
    async def main() -> None:
        async with running(make_settings()) as (runner, services):
            gate.close()
            first = await services.queue.submit(order())
            await until(lambda: runner.backend.status().running == 1)
            second = await services.queue.submit(order())
            await until(lambda: runner.backend.status().waiting == 1)
            run = services.queue._feeder.runs[second.id]
            assert (await services.queue.get(second.id)).state is JobState.IN_QUEUE
            assert run.timer is None
            gate.open()
            for job in (first, second):
                assert (await ended(services, job)).state is JobState.COMPLETED
            assert run.timer is not None

    asyncio.run(main())


def test_retention_and_ttl(make_settings: MakeSettings, gate: Gate) -> None:
    async def main() -> None:
        clock = Clock()
        async with running(make_settings(), clock) as (runner, services):
            done = await services.queue.submit(order(retention=60.0))
            await ended(services, done)
            gate.close()
            runs = await services.queue.submit(order(ttl=100.0))
            await until(lambda: runner.backend.status().running == 1)
            waits = await services.queue.submit(order(ttl=100.0))
            clock.now += 59.0
            assert await services.queue.find(done.id)
            clock.now += 1.0
            assert await services.queue.find(done.id) is None
            clock.now += 40.0
            for job in (runs, waits):
                with pytest.raises(JobNotFound):
                    await services.queue.get(job.id)
            # The worker is told to drop what nobody can fetch any more.
            gate.open()
            await until(lambda: runner.backend.status().running == 0)
            assert runner.backend.status().waiting == 0

    asyncio.run(main())


def test_a_backlog_leaves_the_engine_to_synchronous_clients(
    make_settings: MakeSettings, gate: Gate
) -> None:
    async def main() -> None:
        async with running(make_settings(queue_limit=3)) as (runner, services):
            gate.close()
            jobs = [await services.queue.submit(order(seed=i)) for i in range(8)]
            await until(lambda: runner.backend.status().waiting == 1)
            # Two more find room, where the backlog alone would fill the engine.
            direct = [
                await runner.submit(order().params, None, JobOptions("test")) for _ in range(2)
            ]
            assert runner.backend.position(direct[0].id) == 1
            gate.open()
            await asyncio.gather(*(runner.finish(job) for job in direct))
            unfinished = await services.queue.counts()
            assert unfinished.waiting + unfinished.running > 0
            ends = [await ended(services, job) for job in jobs]
            assert {job.state for job in ends} == {JobState.COMPLETED}

    asyncio.run(main())


def test_a_full_engine_makes_a_job_wait_not_fail(
    make_settings: MakeSettings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = recorded(monkeypatch, Feeder, "_has_room")

    async def main() -> None:
        async with running(make_settings(queue_limit=0)) as (runner, services):
            await until(lambda: runner.backend.status().health is Health.OK)
            gate.close()
            direct = await runner.submit(order().params, None, JobOptions("test"))
            job = await services.queue.submit(order())
            looked = len(looks)
            await until(lambda: len(looks) >= looked + 2)
            assert runner.backend.find(job.id) is None
            assert (await services.queue.get(job.id)).state is JobState.IN_QUEUE
            gate.open()
            await runner.finish(direct)
            assert (await ended(services, job)).state is JobState.COMPLETED

    asyncio.run(main())


def test_a_job_that_kills_its_workers_is_started_as_often_as_allowed(
    make_settings: MakeSettings,
) -> None:
    async def main() -> None:
        async with running(make_settings(job_attempts=3)) as (_, services):
            job = await services.queue.submit(order(prompt="always die"))
            innocent = await services.queue.submit(order())
            job = await ended(services, job)
            assert (job.state, job.attempts) == (JobState.FAILED, 3)
            assert "3 times" in job.error
            assert (await ended(services, innocent)).state is JobState.COMPLETED

    asyncio.run(main())


def test_jobs_wait_for_the_next_process(make_settings: MakeSettings, gate: Gate) -> None:
    settings = make_settings(drain_seconds=0.1)

    async def end_in_the_middle() -> list[DurableJob]:
        async with running(settings) as (runner, services):
            gate.close()
            jobs = [await services.queue.submit(order(seed=i)) for i in range(3)]
            await until(lambda: runner.backend.status().running == 1)
            await services.drain()
            with pytest.raises(ShuttingDown):
                await services.queue.submit(order())
            # Those who wait are not kept waiting.
            states = [(await services.queue.wait(job.id, LONG)) for job in jobs]
            assert [(job.state, job.attempts) for job in states] == [(JobState.IN_QUEUE, 0)] * 3
        return jobs

    async def go_on(jobs: list[DurableJob]) -> None:
        async with running(settings) as (_, services):
            ends = [await ended(services, job) for job in jobs]
            assert [(job.state, job.attempts) for job in ends] == [(JobState.COMPLETED, 1)] * 3
            starts = [job.started or 0.0 for job in ends]
            assert starts == sorted(starts)

    jobs = asyncio.run(end_in_the_middle())
    gate.open()
    asyncio.run(go_on(jobs))


def test_a_model_that_cannot_be_loaded_costs_no_job(make_settings: MakeSettings) -> None:
    async def accept() -> DurableJob:
        gate = Gate(Path(str(make_settings().model_dir)), "load")
        gate.close()
        async with running(make_settings()) as (_, services):
            job = await services.queue.submit(order())
        gate.open()
        return job

    async def fail_to_load(job: DurableJob) -> None:
        async with running(make_settings(model_id="unloadable")) as (runner, services):
            await until(lambda: runner.backend.status().health is Health.ERROR)
            assert (await services.queue.get(job.id)).state is JobState.IN_QUEUE

    async def load(job: DurableJob) -> None:
        async with running(make_settings()) as (_, services):
            assert (await ended(services, job)).state is JobState.COMPLETED

    job = asyncio.run(accept())
    asyncio.run(fail_to_load(job))
    asyncio.run(load(job))


def test_jobs_wait_until_their_pipeline_is_back(make_settings: MakeSettings) -> None:
    async def accept() -> DurableJob:
        gate = Gate(Path(str(make_settings().model_dir)), "load")
        gate.close()
        async with running(make_settings()) as (_, services):
            job = await services.queue.submit(order())
        gate.open()
        return job

    async def serve_another(job: DurableJob) -> None:
        params = ImageToImageParams(prompt="a", num_inference_steps=2)
        async with running(make_settings(pipeline="image-to-image")) as (_, services):
            other = await services.queue.submit(make_order(params=params, image=picture()))
            assert await services.queue.position(other) == 0
            assert (await ended(services, other)).state is JobState.COMPLETED
            assert (await services.queue.get(job.id)).state is JobState.IN_QUEUE

    async def serve_it(job: DurableJob) -> None:
        async with running(make_settings()) as (_, services):
            assert (await ended(services, job)).state is JobState.COMPLETED

    job = asyncio.run(accept())
    asyncio.run(serve_another(job))
    asyncio.run(serve_it(job))


def test_a_job_that_an_earlier_version_accepted_is_refused_in_one_line(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, "load")
    gate.close()

    def spoil(store: JobStore) -> None:
        store._connection.execute("UPDATE jobs SET params = '{\"prompt\": 7}'")

    async def main() -> None:
        async with running(make_settings()) as (_, services):
            job = await services.queue.submit(order())
            await services.queue._store.call(spoil)
            gate.open()
            job = await ended(services, job)
            assert job.state is JobState.FAILED
            assert job.error.startswith("The job no longer fits text-to-image: prompt: ")
            assert "\n" not in job.error
            assert "http" not in job.error

    asyncio.run(main())


def test_a_synchronous_job_is_no_job_of_the_queue(make_settings: MakeSettings) -> None:
    async def main() -> None:
        async with running(make_settings()) as (runner, services):
            job = await runner.submit(order().params, None, JobOptions("test"))
            await runner.finish(job)
            assert job.state is State.SUCCEEDED
            assert await services.queue.find(job.id) is None

    asyncio.run(main())
