"""The runner where a platform queues the jobs: from a job's input to its output."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from app.engine.elsewhere import Pixels
from app.engine.job import Job, JobOptions, State
from app.engine.messages import Inputs
from app.engine.runner import Runner, Served
from app.jobs.answers import progress_output
from app.jobs.input import read_input
from app.jobs.outbound import Outbound
from app.jobs.output import job_output

PROGRESS_SECONDS = 0.5
"""Least time between two reports of a job's progress."""
LAST_REPORT_SECONDS = 10.0
"""How long a report that is under way may hold up the result that it must not overtake."""

Report = Callable[[dict[str, Any]], Awaitable[None]]
"""Tells the platform how far a job is, in the words of /status; returns once that is heard."""


class HostedRunner:
    """Serves jobs as RunPod's clients word them, whatever the platform.

    `clock` counts seconds from anywhere.
    """

    def __init__(
        self, runner: Runner, door: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.runner = runner
        self._door = door
        self._clock = clock
        self._outbound = Outbound(allow_private=runner.settings.allow_private_urls)

    async def serve(self, job_id: str, given: object, report: Report) -> dict[str, Any]:
        """The output of a job. A cancellation of this call stops the job at its next step.

        Args:
            job_id: the platform's.
            given: value of the job's `input`.
            report: hears of the job's progress, one message at a time and none after the end.

        Raises:
            RunnerError: why there is no output.
        """
        runner = self.runner
        max_bytes = runner.settings.max_upload_bytes
        asked = await read_input(runner.pipeline, given, self._outbound, max_bytes)
        job = await runner.submit(asked.params, asked.image, JobOptions(self._door, job_id))
        reporting = asyncio.create_task(self._report_progress(job, report))
        try:
            served = await self._finish(job)
            await asyncio.wait({reporting}, timeout=LAST_REPORT_SECONDS)
        finally:
            reporting.cancel()
        warnings = (*asked.warnings, *served.warnings)
        return await asyncio.to_thread(job_output, served.output.images, warnings)

    async def paint(self, inputs: Inputs, image: bytes | None) -> Pixels:
        """The pixels of a job that was checked elsewhere; a cancellation stops it, too.

        Raises:
            RunnerError: why there are none.
        """
        backend = self.runner.backend
        view = None if image is None else memoryview(image)
        job = backend.submit(inputs, view, JobOptions(self._door))
        try:
            generation = await job.result()
        except asyncio.CancelledError:
            backend.cancel(job.id)
            raise
        return await asyncio.to_thread(Pixels.of, generation, job.inference_seconds)

    async def _finish(self, job: Job) -> Served:
        finishing = asyncio.create_task(self.runner.finish(job, with_frames=False))
        try:
            return await asyncio.shield(finishing)
        except asyncio.CancelledError:
            self.runner.backend.cancel(job.id)
            await asyncio.wait({finishing})  # at once; it leaves the job's line in the log
            raise

    async def _report_progress(self, job: Job, report: Report) -> None:
        """Report the newest step, one message at a time; ends with the job."""
        reported, due = 0, self._clock()
        async for _ in job.watch():
            progress = job.progress  # the newest: others came while the last report was sent
            is_new = progress.state is State.RUNNING and progress.step > reported
            if is_new and self._clock() >= due:
                await report(progress_output(progress))
                reported, due = progress.step, self._clock() + PROGRESS_SECONDS
