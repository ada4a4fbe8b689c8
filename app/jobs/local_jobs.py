"""The jobs of RunPod's API in the durable queue of this service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from app.engine.runner import Runner
from app.jobs.answers import Document, brief, job_document
from app.jobs.api import Call
from app.jobs.durable import ByUrl, JobOrder, JobState
from app.jobs.input import read_input
from app.jobs.outbound import Outbound
from app.jobs.queue import JobQueue
from app.jobs.request import SECOND, JobRequest, Policy
from app.jobs.stream import JobStream
from app.settings import MEBIBYTE, DoorName

LIMITS = {Call.RUN: 10 * MEBIBYTE, Call.RUNSYNC: 20 * MEBIBYTE}
"""Largest request and result of each call, in encoded bytes."""
RETENTIONS = {Call.RUN: 1800.0, Call.RUNSYNC: 60.0}
"""Seconds that a result is kept."""


class LocalJobs:
    """See `app.jobs.api.Jobs`."""

    limits: Mapping[Call, int] = LIMITS
    longest_wait = 300 * SECOND

    def __init__(self, runner: Runner, queue: JobQueue, outbound: Outbound) -> None:
        self._pipeline = runner.pipeline
        self._queue = queue
        self._outbound = outbound
        self._stream = JobStream(queue)

    async def submit(
        self, asked: JobRequest, call: Call, *, by_url: bool, base_url: str
    ) -> Document:
        """Write the job to disk; from then on it is not lost."""
        webhook = await self._outbound.check_webhook(asked.webhook) if asked.webhook else ""
        limit, policy = self.limits[call], asked.policy or Policy()
        given = await read_input(self._pipeline, asked.input, self._outbound, limit)
        order = JobOrder(
            given.params,
            given.image,
            DoorName.RUNPOD,
            warnings=given.warnings,
            webhook=webhook,
            execution_timeout=policy.execution_timeout / SECOND,
            ttl=policy.ttl / SECOND,
            low_priority=policy.low_priority,
            retention=RETENTIONS[call],
            result_limit=limit,
            by_url=ByUrl.ALWAYS if by_url else ByUrl.IF_LARGE,
            base_url=base_url,
        )
        return brief(await self._queue.submit(order))

    async def look(self, job_id: str, seconds: float) -> Document:
        """The job on disk, or in the engine while it runs."""
        job = await self._queue.wait(job_id, seconds)
        files = await self._queue.files(job_id) if job.state is JobState.COMPLETED else ()
        return await asyncio.to_thread(job_document, job, files, self._queue.progress(job_id))

    async def news(self, job_id: str) -> tuple[JobState, Sequence[Document]]:
        """Each step of the job, and its output as the last."""
        return await self._stream.news(job_id)

    async def cancel(self, job_id: str) -> Document:
        """At once, whatever the engine makes of it."""
        return brief(await self._queue.cancel(job_id))
