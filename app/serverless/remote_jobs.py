"""The RunPod door where another host queues the jobs: nothing of them is kept here.

A job's id is the host's own, so that any process of this door can answer for it. What the host
does not tell (retries, the length of its queue) is not offered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import pybase64
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.engine.runner import Runner
from app.errors import FieldInvalid, JobNotFound, RunnerError
from app.jobs.durable import JobState
from app.jobs.input import read_input
from app.jobs.outbound import Outbound
from app.jobs.request import SECOND, JobRequest, parse_request
from app.routes.door import Door
from app.routes.jobs import DEFAULT_WAIT, DIALECT, PREFIX, RUNSYNC_LIMIT, guard
from app.serverless.news import News
from app.serverless.remote import CallCancelled, CallNotFinished, CallNotFound, RemoteCalls
from app.settings import DoorName

Document = dict[str, Any]
Wait = Annotated[int, Query(description="Milliseconds to wait for the job's end, at most 100000.")]
LONGEST_WAIT = 100 * SECOND
"""Modal cuts a request at 150 seconds."""


class RemoteJobsDoor:
    """Queues jobs at the host and tells what it says of them."""

    def __init__(self, runner: Runner, outbound: Outbound, calls: RemoteCalls) -> None:
        self._runner = runner
        self._outbound = outbound
        self._calls = calls
        self._news = News()

    def door(self) -> Door:
        """The calls, bare and under an endpoint's id."""
        router = APIRouter(tags=["jobs"])
        router.get("/ping", summary="Ping")(self.ping)
        router.include_router(self._routes())
        hidden = {"prefix": PREFIX + "/{endpoint_id}", "include_in_schema": False}
        router.include_router(self._routes(), **hidden)  # type: ignore[arg-type]
        return Door(DoorName.RUNPOD, router, guard, DIALECT)

    def _routes(self) -> APIRouter:
        routes = APIRouter()
        routes.post("/run", summary="Queue a job")(self.run)
        routes.post("/runsync", summary="Run a job")(self.runsync)
        for path, call in (("/status/{job_id}", self.status), ("/stream/{job_id}", self.stream)):
            routes.get(path)(call)
            routes.post(path, include_in_schema=False)(call)
        routes.get("/status-sync/{job_id}", summary="Wait for a job")(self.status_sync)
        routes.post("/cancel/{job_id}", summary="Cancel a job")(self.cancel)
        return routes

    async def ping(self) -> Response:
        """Always 200: the host starts a container where none is."""
        return Response()

    async def run(self, request: Request) -> Document:
        """Queue a job; its id is the host's."""
        return {"id": await self._queue(request), "status": JobState.IN_QUEUE}

    async def runsync(self, request: Request, wait: Wait = DEFAULT_WAIT) -> Response:
        """Queue a job and wait for its end."""
        return await self._answer(await self._queue(request), _seconds(wait))

    async def status(self, job_id: str) -> Response:
        """A job as it is."""
        return await self._answer(job_id, 0)

    async def status_sync(self, job_id: str, wait: Wait = DEFAULT_WAIT) -> Response:
        """The same, once the job has ended or the time is over."""
        return await self._answer(job_id, _seconds(wait))

    async def stream(self, job_id: str) -> Document:
        """What is new since the last call: the newest progress, the output as the last."""
        job = await self._look(job_id, 1)
        return {"status": job["status"], "stream": self._news.of(job)}

    async def cancel(self, job_id: str) -> Document:
        """Stop a job, whether it waits or runs."""
        job = await self._look(job_id, 0)
        if job["status"] in (JobState.IN_QUEUE, JobState.IN_PROGRESS):
            await self._calls.cancel(job_id)
            return {"id": job_id, "status": JobState.CANCELLED}
        return {"id": job_id, "status": job["status"]}

    async def _queue(self, request: Request) -> str:
        """Check a request as the host will, so that its faults are told at once."""
        asked = await asyncio.to_thread(parse_request, await request.body())
        _refuse_promises(asked)
        pipeline = self._runner.pipeline
        given = await read_input(pipeline, asked.input, self._outbound, RUNSYNC_LIMIT)
        await self._runner.check(given.params, given.image)
        complete = await asyncio.to_thread(_with_file, asked.input, given.image)
        return await self._calls.generate(complete)

    async def _answer(self, job_id: str, seconds: float) -> Response:
        return await asyncio.to_thread(JSONResponse, await self._look(job_id, seconds))

    async def _look(self, job_id: str, seconds: float) -> Document:
        """A job in the words of /status.

        Raises:
            JobNotFound: the host knows none of this id, or its result has expired.
        """
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


def _refuse_promises(asked: JobRequest) -> None:
    """What a job may ask of the service's own queue, and no host's queue keeps.

    `?response=url` is no promise: the page always asks for it, and takes the output itself, too.

    Raises:
        FieldInvalid: the request names a webhook, or says how its job is to be treated.
    """
    has_policy = asked.policy is not None and asked.policy.model_fields_set
    given = [name for name, it in (("webhook", asked.webhook), ("policy", has_policy)) if it]
    if given:
        raise FieldInvalid(
            f"{' and '.join(given)}: not offered here. Leave it out, and ask /status.", given[0]
        )


def _seconds(wait: int) -> float:
    return min(max(wait, SECOND), LONGEST_WAIT) / SECOND


def _with_file(given: Mapping[str, Any], image: bytes | None) -> Document:
    """The input with its image in it, so that a URL is fetched once."""
    if image is None:
        return dict(given)
    return {**given, "image": pybase64.b64encode_as_string(image)}
