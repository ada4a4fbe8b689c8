"""Jobs while something else is in trouble: the disk, the data folder, another client's receiver."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.engine.encoding import File
from app.errors import Overloaded, RequestTooLarge
from app.jobs import store_thread, webhooks
from app.jobs.durable import ByUrl, DurableJob, JobOrder, JobState
from app.jobs.services import JobServices
from app.jobs.store import JobStore
from app.pipelines.image_to_image import ImageToImageParams
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.jobs.conftest import TINY, Receiver, StartService, make_order
from tests.jobs.running import ended, order, running
from tests.jobs.test_events import stream
from tests.pictures import picture
from tests.waiting import until, wait_until

MEBIBYTE = 2**20


def test_a_webhook_that_was_heard_is_not_called_again_while_the_disk_is_full(
    make_settings: MakeSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_thread, "RETRY_WRITE", 0.01)
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


async def submit_at_once(
    services: JobServices, *orders: JobOrder
) -> tuple[list[DurableJob], list[str]]:
    """The jobs that were accepted, and why the others were refused for now."""
    calls = (services.queue.submit(order) for order in orders)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    jobs = [answer for answer in answers if isinstance(answer, DurableJob)]
    refusals = [str(answer) for answer in answers if isinstance(answer, Overloaded)]
    assert len(jobs) + len(refusals) == len(orders)
    return jobs, refusals


def test_a_crowd_finds_as_much_room_as_one_client(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    loading = Gate(tmp_path, "load")  # nothing leaves the queue
    loading.close()

    async def main() -> None:
        async with running(make_settings(job_limit=5)) as (_, services):
            jobs, refusals = await submit_at_once(services, *[order()] * 50)
            assert len(jobs) == 5
            assert all("5 asynchronous jobs are waiting (JOB_LIMIT)" in text for text in refusals)

    asyncio.run(main())
    loading.open()


def test_input_images_have_a_limit(make_settings: MakeSettings, gate: Gate) -> None:
    def with_image(size: int) -> JobOrder:
        params = ImageToImageParams(prompt="a fox", num_inference_steps=2)
        return make_order(params=params, image=picture().ljust(size, b"\0"))

    async def main() -> None:
        settings = make_settings(pipeline="image-to-image", results_limit_mb=1)
        async with running(settings) as (_, services):
            gate.close()
            half = with_image(MEBIBYTE // 2)
            jobs, refusals = await submit_at_once(services, *[half] * 9)
            assert len(jobs) == 2
            assert all("take 1 MiB (RESULTS_LIMIT_MB)" in text for text in refusals)
            with pytest.raises(RequestTooLarge, match="RESULTS_LIMIT_MB"):
                await services.queue.submit(with_image(MEBIBYTE + 1))
            await services.queue.cancel(jobs[0].id)
            await services.queue.submit(half)  # there is room again

    asyncio.run(main())


@pytest.mark.parametrize(
    ("prompt", "method", "state"),
    [("fail", "end", JobState.FAILED), ("a fox", "complete", JobState.COMPLETED)],
)
def test_a_job_ends_once_its_broken_store_is_mended(
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    prompt: str,
    method: str,
    state: JobState,
) -> None:
    monkeypatch.setattr(store_thread, "RETRY_WRITE", 0.01)
    write, tries = getattr(JobStore, method), []

    def broken_at_first(*arguments: object) -> object:
        tries.append(arguments)
        if len(tries) < 5:
            raise sqlite3.DatabaseError("database disk image is malformed")
        return write(*arguments)

    monkeypatch.setattr(JobStore, method, broken_at_first)

    async def main() -> None:
        async with running(make_settings()) as (_, services):
            job = await services.queue.submit(order(prompt=prompt))
            assert (await ended(services, job)).state is state

    asyncio.run(main())


def test_a_result_that_can_never_be_written_is_given_up(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(store: JobStore, job_id: str, files: tuple[File, ...], *_: object) -> bool:
        raise sqlite3.DataError("string or blob too big")

    monkeypatch.setattr(JobStore, "complete", refuse)

    async def main() -> None:
        async with running(make_settings()) as (_, services):
            job = await ended(services, await services.queue.submit(order()))
            assert job.state is JobState.FAILED
            assert "could not be written to DATA_DIR: string or blob too big" in job.error

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


def test_a_result_that_may_not_be_a_url_names_the_limit_that_it_met(
    make_settings: MakeSettings,
) -> None:
    async def main() -> None:
        async with running(make_settings(results_limit_mb=0.001)) as (_, services):
            large = order(width=512, height=512, by_url=ByUrl.NEVER)
            job = await ended(services, await services.queue.submit(large))
            assert job.state is JobState.FAILED
            assert "(RESULTS_LIMIT_MB)" in job.error
            assert "MEDIA_LIMIT_MB" not in job.error

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
        seen: list[dict[str, Any]] = []
        watching = pool.submit(lambda: seen.extend(stream(client, "mine")))
        wait_until(lambda: seen)
        assert client.delete("/jobs/mine").status_code == 204
        gate.open()
        watching.result()
        assert seen[-1]["state"] == "cancelled"
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
