"""Tells the URLs that clients named of the ends of their jobs.

A call is due from the transaction that ends the job until it was answered with 200, or was tried
three times: it survives the process, too. A receiver may hear of a job twice; not at all only where
none answers within an hour of the job's own time.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable

from app.errors import UrlRefused
from app.jobs.answers import job_document
from app.jobs.bell import heard_within
from app.jobs.durable import DurableJob
from app.jobs.outbound import Outbound, host_of
from app.jobs.store import JobStore
from app.jobs.store_thread import StoreThread

logger = logging.getLogger(__name__)

TRIES = 3
PAUSE = 10.0
"""Seconds between two tries."""
AT_ONCE = 16
"""Calls under way at a time."""
PER_HOST = 8
"""Calls under way to one host."""
PER_SILENT_HOST = 1
"""Those to a host that did not answer the last one: it does not keep others from hearing."""
MOST_SILENT = 10_000
"""Hosts known to be silent; with more, all get another chance."""
TICK = 0.2
"""Seconds between looks for what is due, unless a call has ended."""


class WebhookSender:
    """Makes the calls that are due."""

    def __init__(self, store: StoreThread, outbound: Outbound, clock: Callable[[], float]) -> None:
        self._store = store
        self._outbound = outbound
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()
        self._silent: set[str] = set()
        self._wake = asyncio.Event()

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
            self._wake.clear()
            try:
                if self._store.is_open and len(self._calls) < AT_ONCE:
                    for job in await self._due():
                        self._begin(job)
            except Exception:  # the edge of the task: it must not end
                logger.exception("the webhooks that are due cannot be called")
            await heard_within(self._wake, TICK)

    async def _due(self) -> list[DurableJob]:
        """Those to call next; those under way are due as well, and must not hide the others."""
        busy = tuple(host for host in self._hosts if not self._is_free(host))
        most = AT_ONCE + len(self._calls)
        return await self._store.call(JobStore.due_webhooks, self._clock(), most, busy)

    def _is_free(self, host: str) -> bool:
        return self._hosts[host] < (PER_SILENT_HOST if host in self._silent else PER_HOST)

    def _begin(self, job: DurableJob) -> None:
        host = host_of(job.webhook)
        if job.id not in self._calls and len(self._calls) < AT_ONCE and self._is_free(host):
            self._hosts[host] += 1
            self._calls[job.id] = asyncio.create_task(self._report(job, host))

    async def _report(self, job: DurableJob, host: str) -> None:
        try:
            done = await self._call(job)
        except Exception:  # the edge of the task: it counts as a try
            logger.exception("job %s: webhook", job.id)
            done = False
        try:
            is_over = done or job.webhook_tries + 1 >= TRIES
            due = None if is_over else self._clock() + PAUSE
            # Until it is written down the call is not made again.
            await self._store.persist(JobStore.plan_webhook, job, due)
        finally:
            del self._calls[job.id]
            self._hosts -= Counter([host])
            self._wake.set()

    async def _call(self, job: DurableJob) -> bool:
        """Whether there is nothing more to do."""
        files = await self._store.call(JobStore.files, job.id)
        body = await asyncio.to_thread(lambda: json.dumps(job_document(job, files)).encode())
        host = host_of(job.webhook)
        try:
            status = await self._outbound.post(job.webhook, body)
            self._silent.discard(host)
        except UrlRefused as error:
            logger.warning("job %s: webhook: %s", job.id, error)
            return True
        except OSError as error:
            logger.warning("job %s: webhook: no answer: %s", job.id, error)
            if len(self._silent) >= MOST_SILENT:
                self._silent.clear()
            self._silent.add(host)
            return False
        if status != 200:
            logger.warning("job %s: webhook: answered %d", job.id, status)
        return status == 200
