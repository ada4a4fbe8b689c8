"""The jobs of RunPod's API where another host queues them: nothing of them is kept here.

A job's id is the host's own, so that any process of this service can answer for it. What the host
does not tell (retries, the length of its queue) is not offered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pybase64

from app.engine.runner import Runner
from app.errors import FieldInvalid, JobNotFound, RunnerError
from app.jobs.answers import Document
from app.jobs.api import Call
from app.jobs.durable import JobState
from app.jobs.input import read_input
from app.jobs.news import News
from app.jobs.outbound import Outbound
from app.jobs.request import SECOND, JobRequest
from app.jobs.stream import HOLD
from app.serverless.remote import CallCancelled, CallNotFinished, CallNotFound, RemoteCalls
from app.settings import MEBIBYTE

LARGEST_IMAGE = 20 * MEBIBYTE


class RemoteJobs:
    """See `app.jobs.api.Jobs`."""

    longest_wait = 100 * SECOND
    """Modal cuts a request at 150 seconds."""

    def __init__(self, runner: Runner, outbound: Outbound, calls: RemoteCalls) -> None:
        self._runner = runner
        self._outbound = outbound
        self._calls = calls
        self._news = News()
        self.limits: Mapping[Call, int] = dict.fromkeys(Call, runner.settings.max_upload_bytes)

    async def submit(
        self,
        asked: JobRequest,
        call: Call,  # noqa: ARG002  # the protocol's; the host treats all calls alike
        *,
        by_url: bool,  # noqa: ARG002  # no promise: the page asks for it, and takes the output, too
        base_url: str,  # noqa: ARG002
    ) -> Document:
        """Check a job as the host will, so that its faults are told at once; then queue it."""
        _refuse_promises(asked)
        pipeline = self._runner.pipeline
        given = await read_input(pipeline, asked.input, self._outbound, LARGEST_IMAGE)
        await self._runner.check(given.params, given.image)
        complete = await asyncio.to_thread(_with_file, asked.input, given.image)
        return {"id": await self._calls.generate(complete), "status": JobState.IN_QUEUE}

    async def look(self, job_id: str, seconds: float) -> Document:
        """What the host says of a job."""
        try:
            output = await self._calls.result(job_id, seconds)
        except CallNotFinished:
            progress = await self._calls.progress(job_id)
            if progress is None:
                return {"id": job_id, "status": JobState.IN_QUEUE}
            return {"id": job_id, "status": JobState.IN_PROGRESS, "output": progress}
        except CallNotFound as error:
            raise JobNotFound(job_id) from error
        except CallCancelled:
            return {"id": job_id, "status": JobState.CANCELLED}
        except RunnerError as error:
            return {"id": job_id, "status": JobState.FAILED, "error": error.message}
        if not isinstance(output, dict):  # the id of another call of the host
            raise JobNotFound(job_id)
        return {"id": job_id, "status": JobState.COMPLETED, "output": output}

    async def news(self, job_id: str) -> tuple[JobState, Sequence[Document]]:
        """The newest progress, the output as the last."""
        job = await self.look(job_id, HOLD)
        state: JobState = job["status"]
        point = job["output"] if state is JobState.IN_PROGRESS else state
        is_told = not self._news.is_new(job_id, point) or "output" not in job
        return state, () if is_told else (job["output"],)

    async def cancel(self, job_id: str) -> Document:
        """At the host, which stops it at its next step."""
        state: JobState = (await self.look(job_id, 0))["status"]
        if not state.is_final:
            await self._calls.cancel(job_id)
            state = JobState.CANCELLED
        return {"id": job_id, "status": state}


def _refuse_promises(asked: JobRequest) -> None:
    """What a job may ask of the service's own queue, and no host's queue keeps.

    Raises:
        FieldInvalid: the request names a webhook, or says how its job is to be treated.
    """
    has_policy = asked.policy is not None and asked.policy.model_fields_set
    given = [name for name, it in (("webhook", asked.webhook), ("policy", has_policy)) if it]
    if given:
        raise FieldInvalid(
            f"{' and '.join(given)}: not offered here. Leave it out, and ask /status.", given[0]
        )


def _with_file(given: Mapping[str, Any], image: bytes | None) -> Document:
    """The input with its image in it, so that a URL is fetched once."""
    if image is None:
        return dict(given)
    return {**given, "image": pybase64.b64encode_as_string(image)}
