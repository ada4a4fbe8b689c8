"""The local backend and a worker that kills its jobs, reads nothing, or cannot be started."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from pathlib import Path

import pytest

from app.engine import channel, process, supervisor
from app.engine.channel import Channel
from app.engine.job import State
from app.engine.messages import Cancel
from app.errors import WorkerDied
from tests.conftest import MakeSettings
from tests.engine.running import ready, submit
from tests.gate import Gate
from tests.waiting import until


def test_a_job_that_kills_its_worker_takes_no_neighbour_with_it(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    gate.close()

    async def run() -> None:
        async with ready(make_settings) as service:
            first = submit(service)
            poison = submit(service, prompt="always die")
            behind = submit(service)
            gate.open()
            await asyncio.gather(first.result(), behind.result())
            with pytest.raises(WorkerDied):
                await poison.result()

    asyncio.run(run())


def test_neighbours_of_a_dead_worker_run_alone(make_settings: MakeSettings, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.close()

    async def run() -> None:
        async with ready(make_settings) as service:
            jobs = [submit(service), submit(service)]
            await until(gate.is_reached)
            service._supervisor.replace("a test")
            await until(lambda: jobs[0].attempts == 2)
            assert [job.state for job in jobs] == [State.RUNNING, State.QUEUED]
            gate.open()
            await asyncio.gather(*(job.result() for job in jobs))

    asyncio.run(run())


def test_nobody_waits_for_ever_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_PATIENCE", struct.pack("@ll", 0, 10_000))
    ours, theirs = Channel.pair()
    with theirs, pytest.raises(TimeoutError):
        for _ in range(1000):
            ours.send(Cancel("a" * 100_000))
    ours.close()


def test_a_worker_that_cannot_be_started_now_is_started_later(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refusals = process._start, iter(range(2))

    def short_of_processes(*arguments: object) -> subprocess.Popen[bytes]:
        if next(refusals, None) is not None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(*arguments)  # type: ignore[arg-type]

    async def run() -> None:
        monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.01)
        monkeypatch.setattr(process, "_start", short_of_processes)
        async with ready(make_settings) as service:
            await submit(service).result()

    asyncio.run(run())
