"""Webhooks of the durable queue: what they bring, and how often they are tried."""

from __future__ import annotations

import asyncio

import pytest

from app.jobs.store import JobStore
from tests.clock import Clock
from tests.conftest import MakeSettings
from tests.jobs.conftest import Receiver
from tests.jobs.running import ended, order, recorded, running
from tests.waiting import until


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
