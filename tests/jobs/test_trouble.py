"""Jobs while something else is in trouble: the disk, the data folder, another client's receiver."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import Overloaded, RequestTooLarge
from app.jobs import webhooks
from app.jobs.durable import DurableJob, JobState
from app.jobs.store import JobStore
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.jobs.conftest import TINY, Receiver, StartService
from tests.jobs.test_events import stream
from tests.jobs.test_queue import ended, order, running, until
from tests.server import wait_until

MEBIBYTE = 2**20


def test_a_webhook_that_was_heard_is_not_called_again_while_the_disk_is_full(
    make_settings: MakeSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_WRITE", 0.01)
    monkeypatch.setattr(webhooks, "TICK", 0.01)
    plan, tries = JobStore.plan_webhook, []

    def full_at_first(store: JobStore, job: DurableJob, due: float | None) -> None:
        tries.append(due)
        if len(tries) < 10:
            raise sqlite3.OperationalError("database or disk is full")
        plan(store, job, due)

    monkeypatch.setattr(JobStore, "plan_webhook", full_at_first)

    async def main() -> None:
        async with running(make_settings(allow_private_urls=True)) as (_, services):
            job = await services.queue.submit(order(webhook=f"{receiver.url}/"))

            async def is_settled() -> bool:
                return (await services.queue.get(job.id)).webhook_tries == 1

            await until(is_settled)

    asyncio.run(main())
    assert len(receiver.requests) == 1


def test_a_silent_receiver_does_not_keep_others_from_hearing(
    make_settings: MakeSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "AT_ONCE", 4)
    monkeypatch.setattr(webhooks, "PER_HOST", 3)

    async def main(silent: str) -> None:
        async with running(make_settings(allow_private_urls=True)) as (_, services):
            for _ in range(8):
                await services.queue.submit(order(webhook=silent))
            await services.queue.submit(order(webhook=f"{receiver.url}/"))
            await until(lambda: bool(receiver.requests))

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        asyncio.run(main(f"http://127.0.0.1:{server.getsockname()[1]}/"))


def test_input_images_have_a_limit(make_settings: MakeSettings) -> None:
    async def main() -> None:
        async with running(make_settings(results_limit_mb=1, job_limit=9)) as (_, services):
            store = services.queue._store
            refuse = services.queue._refuse_if_images_are_too_many
            await store.call(JobStore.add, "a", "text-to-image", order(image=b"x" * MEBIBYTE), 1e9)
            with pytest.raises(Overloaded, match="RESULTS_LIMIT_MB"):
                await refuse(b"x")
            await refuse(None)
            with pytest.raises(RequestTooLarge, match="RESULTS_LIMIT_MB"):
                await refuse(b"x" * (MEBIBYTE + 1))
            await store.call(JobStore.end, "a", JobState.FAILED, "why", 1e9)
            await refuse(b"x")  # what failed makes room

    asyncio.run(main())


def test_a_result_larger_than_all_the_room_is_answered_by_url(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    async def main() -> None:
        async with running(make_settings(results_limit_mb=0.001)) as (_, services):
            job = await services.queue.submit(order(width=512, height=512))
            assert (await ended(services, job)).state is JobState.COMPLETED
            (file,) = await services.queue.files(job.id)
            assert file.url
            assert not file.data

    asyncio.run(main())


def test_a_synchronous_job_is_watched_and_stopped_without_a_data_folder(
    start_service: StartService, gate: Gate, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jobs.sqlite3").write_bytes(b"this is no database" * 100)
    gate.close()
    service = start_service().wait_ready()
    with service.client() as client, ThreadPoolExecutor(2) as pool:
        named = {"X-Request-Id": "mine"}
        answer = pool.submit(client.post, "/text-to-image", json=TINY, headers=named)
        gate.wait_reached()
        watching = pool.submit(lambda: list(stream(client, "mine")))
        wait_until(lambda: client.delete("/jobs/mine").status_code in (204, 404))
        gate.open()
        assert watching.result()[-1]["state"] == "cancelled"
        assert answer.result().status_code == 500


def test_a_waiting_job_hears_how_it_moves_up(start_service: StartService, gate: Gate) -> None:
    gate.close()
    service = start_service(MODEL_ID="some/model").wait_ready()
    with service.client() as client, ThreadPoolExecutor(4) as pool:

        def post(name: str) -> None:
            client.post("/text-to-image", json=TINY, headers={"X-Request-Id": name})

        pool.submit(post, "first")
        gate.wait_reached()
        pool.submit(post, "second")
        wait_until(lambda: "runner_queue_depth 1.0" in client.get("/metrics").text)
        pool.submit(post, "third")
        positions = []
        for event in stream(client, "third"):
            positions.append(event.get("position"))
            if positions == [1]:
                client.delete("/jobs/second")
            if positions == [1, 0]:
                gate.open()
        assert positions[:2] == [1, 0]
