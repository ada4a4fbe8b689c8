"""Tells the URLs that clients named of the ends of their jobs.

A call is due from the transaction that ends the job until it was answered with 200, or was tried
three times: it survives the process, too. A receiver may hear of a job twice, never not at all.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from app.errors import UrlRefused
from app.jobs.answers import status_body
from app.jobs.durable import DurableJob
from app.jobs.outbound import Outbound
from app.jobs.store import JobStore
from app.jobs.store_thread import StoreThread

logger = logging.getLogger(__name__)

TRIES = 3
PAUSE = 10.0
"""Seconds between two tries."""
AT_ONCE = 8
"""Calls under way at a time."""
TICK = 0.2
"""Seconds between looks for what is due."""


class WebhookSender:
    """Makes the calls that are due."""

    def __init__(self, store: StoreThread, outbound: Outbound, clock: Callable[[], float]) -> None:
        self._store = store
        self._outbound = outbound
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._calls: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop; what was not answered is due in the next process."""
        tasks = [*self._calls.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if not self._store.is_open or len(self._calls) >= AT_ONCE:
                continue
            try:
                # Those under way are due as well, and must not hide the others.
                most = AT_ONCE + len(self._calls)
                due = await self._store.call(JobStore.due_webhooks, self._clock(), most)
            except sqlite3.Error:
                logger.exception("the webhooks that are due cannot be read")
                continue
            for job in due:
                if job.id not in self._calls and len(self._calls) < AT_ONCE:
                    self._calls[job.id] = asyncio.create_task(self._report(job))

    async def _report(self, job: DurableJob) -> None:
        try:
            done = await self._call(job)
            is_over = done or job.webhook_tries + 1 >= TRIES
            due = None if is_over else self._clock() + PAUSE
            await self._store.call(JobStore.plan_webhook, job.id, due)
        except sqlite3.Error:
            logger.exception("job %s: its webhook is called again", job.id)
        finally:
            del self._calls[job.id]

    async def _call(self, job: DurableJob) -> bool:
        """Whether there is nothing more to do."""
        files = await self._store.call(JobStore.files, job.id)
        body = await asyncio.to_thread(status_body, job, files)
        try:
            status = await self._outbound.post(job.webhook, body)
        except UrlRefused as error:
            logger.warning("job %s: webhook: %s", job.id, error)
            return True
        except OSError as error:
            logger.warning("job %s: webhook: no answer: %s", job.id, error)
            return False
        if status != 200:
            logger.warning("job %s: webhook: answered %d", job.id, status)
        return status == 200
