"""The local backend around a fake worker, under faults that no client can cause."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from app.engine import channel, supervisor
from app.engine.backend import Health
from app.engine.job import State
from app.engine.messages import Finished
from app.engine.service import LocalService
from app.errors import JobFailed, ModelNotLoaded, ShuttingDown
from tests.clock import Clock
from tests.conftest import MakeSettings
from tests.engine.running import ready, submit
from tests.gate import Gate
from tests.waiting import LONG, until

Task = asyncio.Future[Any]


def test_new_jobs_do_not_hide_a_hung_worker(make_settings: MakeSettings, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "step-2")
    gate.close()

    async def run() -> None:
        clock = Clock()
        async with ready(make_settings, clock, step_timeout=100) as service:
            hung = submit(service)
            await until(lambda: hung.progress.step == 1)
            clock.now += 80
            late = submit(service)
            clock.now += 40
            await until(lambda: service.status().restarts == 1)
            gate.open()
            await asyncio.gather(hung.result(), late.result())

    asyncio.run(run())


def test_a_worker_that_dies_while_the_service_drains(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    gate.close()

    async def run() -> None:
        async with ready(make_settings, drain_seconds=2 * LONG) as service:
            job = submit(service)
            await until(gate.is_reached)
            drained = asyncio.ensure_future(service.drain())
            await asyncio.sleep(0)
            service._supervisor.replace("the system's memory was short")
            async with asyncio.timeout(LONG):
                await drained
            with pytest.raises(ShuttingDown):
                await job.result()

    asyncio.run(run())


def test_running_jobs_get_drain_seconds(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path)
    gate.close()
    wait, patience = asyncio.wait, []

    async def wait_not(tasks: Iterable[Task], **options: float) -> tuple[set[Task], set[Task]]:
        patience.append(options["timeout"])
        return await wait(tasks, timeout=0)

    async def run() -> None:
        async with ready(make_settings, drain_seconds=77) as service:
            job = submit(service)
            await until(gate.is_reached)
            with monkeypatch.context() as patch:
                patch.setattr(asyncio, "wait", wait_not)
                await service.drain()
            with pytest.raises(ShuttingDown):
                await job.result()

    asyncio.run(run())
    assert patience == [77]


def test_a_worker_that_can_never_be_started_is_an_error(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.0)

    async def run() -> None:
        failed = asyncio.Event()
        service = LocalService(make_settings(), worker_command=("/nonexistent",))
        await service.start(on_failure=failed.set)
        try:
            async with asyncio.timeout(LONG):
                await failed.wait()
            assert service.status().health is Health.ERROR
            assert "could not be started" in service.status().error
            with pytest.raises(ModelNotLoaded, match="could not be started"):
                submit(service)
        finally:
            await service.stop()

    asyncio.run(run())


def test_pixels_that_did_not_arrive_fail_their_job(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    gate.close()

    async def run() -> None:
        async with ready(make_settings) as service:
            job = submit(service)
            await until(gate.is_reached)
            service.on_message(Finished(job.id, (1, 32, 32, 3), (1,), (False,), 1.0), None)
            with pytest.raises(JobFailed, match="could not be carried"):
                await job.result()

    asyncio.run(run())


def test_pixels_that_cannot_be_sent_fail_their_job(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(pixels: memoryview) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async def run() -> None:
        async with ready(make_settings) as service:
            with monkeypatch.context() as patch:
                patch.setattr(channel, "_shared_copy", none_left)
                lost = submit(service, memoryview(b"abc"))
            with pytest.raises(JobFailed, match="Too many open files"):
                await lost.result()
            kept = submit(service, memoryview(b"abc"))
            await kept.result()
            assert kept.state is State.SUCCEEDED

    asyncio.run(run())
