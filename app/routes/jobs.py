"""The RunPod door: asynchronous jobs, under `/v2/{endpoint_id}` and bare."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from app.engine.backend import Health
from app.engine.runner import Runner
from app.error_table import Dialect
from app.errors import Overloaded, RequestTooLarge, RunnerError
from app.jobs.answers import Document, status_body, workers
from app.jobs.durable import ByUrl, DurableJob, JobOrder, JobState
from app.jobs.input import read_input
from app.jobs.outbound import Outbound
from app.jobs.publishing import PATH as MEDIA
from app.jobs.queue import JobQueue
from app.jobs.request import SECOND, JobRequest, Policy, parse_request
from app.jobs.stream import JobStream
from app.media.pool import CodecPool
from app.routes.urls import answers_by_url, base_url
from app.settings import MEBIBYTE, DoorName

PREFIX = "/v2"
CALLS = ("run", "runsync", "status", "status-sync", "stream", "cancel", "retry", "purge-queue")
"""First part of the bare paths."""
RUN_LIMIT, RUNSYNC_LIMIT = 10 * MEBIBYTE, 20 * MEBIBYTE
"""Largest request and result, in encoded bytes."""
RUN_RETENTION, RUNSYNC_RETENTION = 1800.0, 60.0
"""Seconds that a result is kept."""

Wait = Annotated[int, Query(description="Milliseconds to wait for the job's end: 1000 to 300000.")]
DEFAULT_WAIT = 90 * SECOND

_MEDIA = re.compile(MEDIA + r"/[^/]+\.[^/]+")
"""What the route of media takes, before those of this door are asked."""


def is_ours(path: str) -> bool:
    """Whether a path is this door's; media lie under /stream, too, but have an extension."""
    first, _, rest = path.removeprefix("/").rstrip("/").partition("/")
    if first == "v2":
        return True
    return first in CALLS and not (first == "stream" and "." in rest)


def guard(method: str, path: str) -> bool:
    """All calls need the token, and so does what looks like media but is not being fetched."""
    if path.startswith(MEDIA + "/"):
        return method not in ("GET", "HEAD") or not _MEDIA.fullmatch(path)
    return is_ours(path)


def _status(error: RunnerError, status: int) -> int:
    if isinstance(error, RequestTooLarge):
        return 413
    return 429 if isinstance(error, Overloaded) else status


DIALECT = Dialect(speaks_at=is_ours, status=_status, body=lambda error, _: {"error": error.message})


class JobsDoor:
    """Turns requests into orders for the queue, and jobs into RunPod's words."""

    def __init__(
        self, runner: Runner, queue: JobQueue, outbound: Outbound, codecs: CodecPool
    ) -> None:
        self._runner = runner
        self._queue = queue
        self._outbound = outbound
        self._codecs = codecs
        self._stream = JobStream(queue)

    def router(self) -> APIRouter:
        """Every call, bare (as the documentation shows it) and under an endpoint's id."""
        routes = APIRouter(tags=["jobs"])
        routes.get("/ping", summary="Ping")(self.ping)
        routes.include_router(self._calls())
        calls = self._calls()
        calls.get("/health")(self.health)
        routes.include_router(calls, prefix=PREFIX + "/{endpoint_id}", include_in_schema=False)
        return routes

    def _calls(self) -> APIRouter:
        calls = APIRouter(dependencies=[Security(HTTPBearer(auto_error=False))])
        content = {"application/json": {"schema": _schema()}}
        body = {"requestBody": {"required": True, "content": content}}
        calls.post("/run", summary="Queue a job", openapi_extra=body)(self.run)
        calls.post("/runsync", summary="Run a job", openapi_extra=body)(self.runsync)
        for method in ("GET", "POST"):
            for name, call in (("status", self.status), ("stream", self.stream)):
                calls.add_api_route(
                    f"/{name}/{{job_id}}", call, methods=[method], include_in_schema=method == "GET"
                )
        calls.get("/status-sync/{job_id}", summary="Wait for a job")(self.status_sync)
        calls.post("/cancel/{job_id}", summary="Cancel a job")(self.cancel)
        calls.post("/retry/{job_id}", summary="Run a failed job again")(self.retry)
        calls.post("/purge-queue", summary="Remove all jobs that wait")(self.purge_queue)
        return calls

    async def run(self, request: Request) -> Response:
        """Queue a job; `status/{id}` tells what becomes of it, for 30 minutes after its end."""
        return _brief(await self._accept(request, RUN_LIMIT, RUN_RETENTION))

    async def runsync(self, request: Request, wait: Wait = DEFAULT_WAIT) -> Response:
        """Queue a job and wait for its end; the job as it is then."""
        job = await self._accept(request, RUNSYNC_LIMIT, RUNSYNC_RETENTION)
        return await self._answer(await self._queue.wait(job.id, _seconds(wait)))

    async def status(self, job_id: str) -> Response:
        """A job: its state, its progress while it runs, and its output or error."""
        return await self._answer(await self._queue.get(job_id))

    async def status_sync(self, job_id: str, wait: Wait = DEFAULT_WAIT) -> Response:
        """The same, once the job has ended or the time is over."""
        return await self._answer(await self._queue.wait(job_id, _seconds(wait)))

    async def stream(self, job_id: str) -> Response:
        """What is new of a job since the last call: its progress, its output as the last."""
        state, pieces = await self._stream.news(job_id)
        document = {"status": state, "stream": [{"output": piece} for piece in pieces]}
        return await asyncio.to_thread(JSONResponse, document) if pieces else JSONResponse(document)

    async def cancel(self, job_id: str) -> Response:
        """Cancel a job, whether it waits or runs."""
        return _brief(await self._queue.cancel(job_id))

    async def retry(self, job_id: str) -> Response:
        """Queue a job that failed or timed out again, with the same id and input."""
        return _brief(await self._queue.retry(job_id))

    async def purge_queue(self) -> Document:
        """Remove the jobs that wait; running ones go on."""
        return {"removed": await self._queue.purge(), "status": "completed"}

    async def health(self) -> Document:
        """How many jobs there are, and whether the worker is ready."""
        counts = await self._queue.counts()
        jobs = {
            "completed": counts.completed,
            "failed": counts.failed,
            "inProgress": counts.running,
            "inQueue": counts.waiting,
            "retried": counts.retried,
        }
        return {"jobs": jobs, "workers": workers(self._runner.backend.status())}

    async def ping(self) -> Response:
        """204 while the model loads, 200 when jobs can run, 503 when they never will."""
        codes = {Health.LOADING: 204, Health.OK: 200, Health.ERROR: 503}
        return Response(status_code=codes[self._runner.backend.status().health])

    async def _accept(self, request: Request, limit: int, retention: float) -> DurableJob:
        asked = await self._codecs.run(parse_request, await _read_body(request, limit))
        webhook = await self._outbound.check_webhook(asked.webhook) if asked.webhook else ""
        given = await read_input(self._runner.pipeline, asked.input, self._outbound, limit)
        policy = asked.policy or Policy()
        order = JobOrder(
            given.params,
            given.image,
            DoorName.RUNPOD,
            warnings=given.warnings,
            webhook=webhook,
            execution_timeout=policy.execution_timeout / SECOND,
            ttl=policy.ttl / SECOND,
            low_priority=policy.low_priority,
            retention=retention,
            result_limit=limit,
            by_url=ByUrl.ALWAYS if answers_by_url(request) else ByUrl.IF_LARGE,
            base_url=base_url(request),
        )
        return await self._queue.submit(order)

    async def _answer(self, job: DurableJob) -> Response:
        if job.state is JobState.COMPLETED:
            files = await self._queue.files(job.id)
            body = await asyncio.to_thread(status_body, job, files)
        else:
            body = status_body(job, progress=self._queue.progress(job.id))
        return Response(body, media_type="application/json")


def _brief(job: DurableJob) -> Response:
    return JSONResponse({"id": job.id, "status": job.state})


def _seconds(wait: int) -> float:
    return min(max(wait, SECOND), 300 * SECOND) / SECOND


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    announced = request.headers.get("content-length", "")
    size, parts = int(announced) if announced.isdecimal() else 0, []
    if size <= limit:
        size = 0
        async for part in request.stream():
            size += len(part)
            parts.append(part)
            if size > limit:
                break
    if size > limit:
        raise RequestTooLarge(f"The request is larger than {limit // MEBIBYTE} MiB.")
    return b"".join(parts)


def _schema() -> Mapping[str, Any]:
    """JobRequest for the OpenAPI document, all in one piece."""
    schema = JobRequest.model_json_schema()
    policy = schema.pop("$defs")["Policy"]
    schema["properties"]["policy"] = policy
    return schema
