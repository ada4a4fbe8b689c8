"""DATA_DIR: who may use it, and what happens when it is damaged or full."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.engine.job import JobOptions
from app.errors import DataFolderUnusable, Overloaded
from app.jobs.durable import JobState
from app.jobs.store import JobStore
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.jobs.running import ended, order, running
from tests.waiting import until


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
                job = await runner.submit(order().params, None, JobOptions("test"))
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
            await runner.finish(await runner.submit(order().params, None, JobOptions("test")))
            with pytest.raises(DataFolderUnusable, match="not a database"):
                await services.queue.submit(order())

    asyncio.run(main())


def test_a_file_of_a_later_version_is_left_alone(make_settings: MakeSettings) -> None:
    settings = make_settings()
    settings.data_dir.mkdir()
    with sqlite3.connect(settings.data_dir / "jobs.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")

    async def main() -> None:
        async with running(settings) as (_, services):
            with pytest.raises(DataFolderUnusable, match="a later version"):
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


def test_a_disk_that_takes_no_writes_is_said_to_whoever_asks(make_settings: MakeSettings) -> None:
    def take_no_writes(store: JobStore) -> None:
        store._connection.execute("PRAGMA query_only = ON")

    async def main() -> None:
        async with running(make_settings()) as (_, services):
            queue = services.queue
            job = await ended(services, await queue.submit(order(prompt="fail")))
            await queue._store.call(take_no_writes)
            for asked in (
                queue.retry(job.id),
                queue.cancel(job.id),
                queue.remove(job.id),
                queue.purge(),
                queue.submit(order()),
            ):
                with pytest.raises(Overloaded, match="DATA_DIR cannot be written"):
                    await asked
            assert (await queue.get(job.id)).state is JobState.FAILED

    asyncio.run(main())


def test_a_folder_that_is_none_is_said_at_the_start(
    make_settings: MakeSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    async def main(folder: Path) -> None:
        async with running(make_settings(data_dir=folder)):
            pass

    asyncio.run(main(tmp_path / "file" / "data"))
    assert "file/data cannot be written: asynchronous jobs" in caplog.text
    caplog.clear()
    asyncio.run(main(tmp_path / "to" / "be" / "made"))
    assert "cannot be written" not in caplog.text
