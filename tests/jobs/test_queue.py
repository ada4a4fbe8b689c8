"""The durable queue with the engine and a fake worker: time, room, failures."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.engine.backend import Health
from app.engine.job import State
from app.engine.runner import Runner
from app.engine.service import LocalService
from app.errors import DataFolderUnusable, JobNotFound, ShuttingDown
from app.jobs.durable import DurableJob, JobOrder, JobState
from app.jobs.feeder import Feeder
from app.jobs.services import JobServices, media_shelf
from app.jobs.store import JobStore
from app.media.pool import CodecPool
from app.pipelines.text_to_image import TextToImageParams
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.jobs.conftest import TINY, Receiver, make_order
from tests.serve_fake import FAKE_WORKER

LONG = 60.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


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


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.01)


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
            direct = [await runner.submit(order().params, None, door="test") for _ in range(2)]
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
            direct = await runner.submit(order().params, None, door="test")
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


def test_another_pipeline_refuses_the_job_and_says_so(make_settings: MakeSettings) -> None:
    async def accept() -> DurableJob:
        gate = Gate(Path(str(make_settings().model_dir)), "load")
        gate.close()
        async with running(make_settings()) as (_, services):
            job = await services.queue.submit(order())
        gate.open()
        return job

    async def refuse(job: DurableJob) -> None:
        async with running(make_settings(pipeline="image-to-video")) as (_, services):
            job = await ended(services, job)
            assert job.state is JobState.FAILED
            assert "was sent to text-to-image; now image-to-video" in job.error

    asyncio.run(refuse(asyncio.run(accept())))


def test_results_wait_until_a_full_disk_has_room(
    make_settings: MakeSettings, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def fill(store: JobStore) -> None:
        connection = store._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def free(store: JobStore) -> None:
        store._connection.execute("PRAGMA max_page_count = 1000000")

    async def main() -> None:
        async with running(make_settings()) as (runner, services):
            gate.close()
            jobs = [await services.queue.submit(order(width=1024, height=1024)) for _ in range(3)]
            await until(lambda: runner.backend.status().running == 1)
            await services.queue._store.call(fill)
            gate.open()
            await until(lambda: "database or disk is full" in caplog.text)
            await services.queue._store.call(free)
            for job in jobs:
                assert (await ended(services, job)).state is JobState.COMPLETED

    asyncio.run(main())


def test_one_service_a_folder(make_settings: MakeSettings) -> None:
    async def main() -> None:
        settings = make_settings()
        async with running(settings) as (_, services):
            await ended(services, await services.queue.submit(order()))
            async with running(settings) as (runner, other):
                with pytest.raises(DataFolderUnusable, match="in use by another service"):
                    await other.queue.submit(order())
                job = await runner.submit(order().params, None, door="test")
                await runner.finish(job)  # the synchronous doors go on
        async with running(settings) as (_, services):
            assert (await services.queue.counts()).completed == 1

    asyncio.run(main())


def test_a_folder_is_taken_up_once_its_service_has_ended(
    make_settings: MakeSettings, gate: Gate
) -> None:
    async def main() -> None:
        settings = make_settings()
        async with AsyncExitStack() as first:
            _, services = await first.enter_async_context(running(settings))
            gate.close()
            job = await services.queue.submit(order())
            async with running(settings) as (_, later):
                await first.aclose()
                gate.open()
                await until(lambda: later.queue._store.is_open)
                assert (await ended(later, job)).state is JobState.COMPLETED

    asyncio.run(main())


def test_a_damaged_file_leaves_the_synchronous_doors_open(make_settings: MakeSettings) -> None:
    settings = make_settings()
    settings.data_dir.mkdir()
    (settings.data_dir / "jobs.sqlite3").write_bytes(b"no database at all" * 1000)

    async def main() -> None:
        async with running(settings) as (runner, services):
            await runner.finish(await runner.submit(order().params, None, door="test"))
            with pytest.raises(DataFolderUnusable, match="not a database"):
                await services.queue.submit(order())

    asyncio.run(main())


def test_a_file_of_another_version_is_left_alone(make_settings: MakeSettings) -> None:
    settings = make_settings()
    settings.data_dir.mkdir()
    with sqlite3.connect(settings.data_dir / "jobs.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")

    async def main() -> None:
        async with running(settings) as (_, services):
            with pytest.raises(DataFolderUnusable, match="another version"):
                await services.queue.submit(order())

    asyncio.run(main())


def test_nothing_is_written_before_the_first_job(make_settings: MakeSettings) -> None:
    settings = make_settings()

    async def main() -> None:
        async with running(settings) as (_, services):
            assert await services.queue.find("nothing") is None
            assert await services.queue.purge() == 0
            assert (await services.queue.counts()).waiting == 0

    asyncio.run(main())
    assert not settings.data_dir.exists()


def test_a_webhook_gets_the_status_body(make_settings: MakeSettings, receiver: Receiver) -> None:
    async def main() -> None:
        settings = make_settings(allow_private_urls=True)
        async with running(settings) as (_, services):
            await services.queue.submit(order(webhook=f"{receiver.url}/done"))
            await until(lambda: bool(receiver.requests))

    asyncio.run(main())
    method, path, headers, body = receiver.requests[0]
    assert (method, path, headers["Content-Type"]) == ("POST", "/done", "application/json")
    assert b'"status": "COMPLETED"' in body
    assert b'"body": "iVBOR' in body
    assert len(receiver.requests) == 1


def test_a_webhook_is_tried_three_times_ten_seconds_apart(
    make_settings: MakeSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = recorded(monkeypatch, JobStore, "due_webhooks")

    async def main() -> None:
        clock = Clock()
        receiver.answers["/"] = (500, {}, b"")
        async with running(make_settings(allow_private_urls=True), clock) as (_, services):
            job = await services.queue.submit(order(prompt="fail", webhook=f"{receiver.url}/"))
            for tries in (1, 2, 3):
                await until(lambda tries=tries: len(receiver.requests) == tries)  # type: ignore[misc]

                async def is_noted(tries: int = tries) -> bool:
                    return (await services.queue.get(job.id)).webhook_tries == tries

                await until(is_noted)
                clock.now += 9.9
                looked = len(looks)
                await until(lambda looked=looked: len(looks) >= looked + 2)  # type: ignore[misc]
                assert not any(looks[looked:])
                assert len(receiver.requests) == tries
                clock.now += 0.1
            assert (await services.queue.get(job.id)).webhook_due is None

    asyncio.run(main())
    assert b'"error": "Text-to-image pipeline error."' in receiver.requests[0][3]


def test_a_webhook_that_was_due_is_called_by_the_next_process(
    make_settings: MakeSettings, receiver: Receiver
) -> None:
    clock = Clock()
    settings = make_settings(allow_private_urls=True)

    async def first() -> None:
        receiver.answers["/"] = (503, {}, b"")
        async with running(settings, clock) as (_, services):
            job = await services.queue.submit(order(webhook=f"{receiver.url}/"))

            async def is_noted() -> bool:
                return (await services.queue.get(job.id)).webhook_tries == 1

            await until(is_noted)

    async def second() -> None:
        receiver.answers["/"] = (200, {}, b"")
        clock.now += 10.0
        async with running(settings, clock):
            await until(lambda: len(receiver.requests) == 2)

    asyncio.run(first())
    asyncio.run(second())


def test_a_webhook_into_our_own_network_is_not_called(
    make_settings: MakeSettings, receiver: Receiver
) -> None:
    async def main() -> None:
        async with running(make_settings()) as (_, services):
            job = await services.queue.submit(order(webhook=f"{receiver.url}/"))
            await ended(services, job)

            async def is_given_up() -> bool:
                return (await services.queue.get(job.id)).webhook_due is None

            await until(is_given_up)

    asyncio.run(main())
    assert receiver.requests == []


def test_a_synchronous_job_is_no_job_of_the_queue(make_settings: MakeSettings) -> None:
    async def main() -> None:
        async with running(make_settings()) as (runner, services):
            job = await runner.submit(order().params, None, door="test")
            await runner.finish(job)
            assert job.state is State.SUCCEEDED
            assert await services.queue.find(job.id) is None

    asyncio.run(main())
