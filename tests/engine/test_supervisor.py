"""The worker process is replaced whatever ends it, and gets no job once it is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from app import __main__ as entry
from app.engine.job import State
from app.engine.process import WorkerProcess
from app.engine.service import LocalService
from tests.conftest import MakeSettings
from tests.engine.test_service import ready, submit, until


def process_of(service: LocalService) -> int:
    worker = service._supervisor._worker
    assert worker is not None
    return worker._process.pid


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGRTMIN + 6])
def test_a_worker_is_replaced_whatever_signal_ended_it(
    make_settings: MakeSettings, number: int
) -> None:
    async def run() -> None:
        async with ready(make_settings) as service:
            os.kill(process_of(service), number)
            await until(lambda: service.status().restarts == 1)
            await submit(service).result()

    asyncio.run(run())


def test_a_worker_is_replaced_where_no_thread_is_to_be_had(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_thread(function: Callable[[], Any]) -> Any:
        monkeypatch.undo()
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        async with ready(make_settings) as service:
            monkeypatch.setattr(asyncio, "to_thread", no_thread)
            os.kill(process_of(service), signal.SIGKILL)
            await until(lambda: service.status().restarts == 1)
            await submit(service).result()

    asyncio.run(run())


def test_a_worker_that_takes_its_time_to_end_gets_no_job(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, end = threading.Event(), WorkerProcess.end

    def end_late(worker: WorkerProcess) -> str:
        may_end.wait()
        return end(worker)

    async def run() -> None:
        async with ready(make_settings) as service:
            monkeypatch.setattr(WorkerProcess, "end", end_late)
            os.kill(process_of(service), signal.SIGKILL)
            await until(lambda: not service._supervisor.takes_jobs)
            job = submit(service)
            assert (job.state, job.attempts) == (State.QUEUED, 0)
            may_end.set()
            await job.result()
            assert (job.attempts, job.runs_alone) == (1, False)

    asyncio.run(run())


def test_a_supervision_that_fails_is_no_secret(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(worker: WorkerProcess) -> str:
        raise ValueError("of a kind that nobody thought of")

    async def run() -> None:
        async with ready(make_settings) as service:
            monkeypatch.setattr(WorkerProcess, "end", fail)
            os.kill(process_of(service), signal.SIGKILL)
            await until(lambda: bool(service.status().error))
            assert "of a kind that nobody thought of" in service.status().error

    asyncio.run(run())


def test_a_machine_without_room_for_the_first_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> WorkerProcess:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(WorkerProcess, "start", no_room)
    with entry._first_worker() as worker:
        assert worker is None  # the supervisor starts one when there is room
