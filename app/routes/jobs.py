"""The RunPod door: asynchronous jobs, under `/v2/{endpoint_id}` and bare."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.security import HTTPBearer

from app.engine.backend import Health
from app.engine.runner import Runner
from app.error_table import AsciiJson, Dialect
from app.errors import Overloaded, RequestTooLarge, RunnerError
from app.jobs.answers import Document
from app.jobs.api import Call, Jobs
from app.jobs.publishing import PATH as MEDIA
from app.jobs.request import SECOND, JobRequest, parse_request
from app.media.pool import CodecPool
from app.routes.job_queue import QueueCalls
from app.routes.urls import answers_by_url, base_url
from app.settings import MEBIBYTE

PREFIX = "/v2"
CALLS = ("run", "runsync", "status", "status-sync", "stream", "cancel", "retry", "purge-queue")
"""First part of the bare paths."""

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
    """Turns requests into jobs, wherever those are queued."""

    def __init__(
        self, runner: Runner, codecs: CodecPool, jobs: Jobs, own: QueueCalls | None = None
    ) -> None:
        """Compose.

        Args:
            runner: says whether jobs can run.
            codecs: its threads read what clients send.
            jobs: queues them.
            own: further calls, where the queue is this service's own.
        """
        self._backend = runner.backend
        self._codecs = codecs
        self._jobs = jobs
        self._own = own

    def router(self) -> APIRouter:
        """Every call, bare (as the documentation shows it) and under an endpoint's id."""
        routes = APIRouter(tags=["jobs"])
        routes.get("/ping", summary="Ping")(self.ping)
        routes.include_router(self._calls())
        calls = self._calls()
        if self._own:
            calls.get("/health")(self._own.health)
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
        if self._own:
            self._own.add_to(calls)
        return calls

    async def run(self, request: Request) -> Response:
        """Queue a job; `status/{id}` tells what becomes of it, for 30 minutes after its end."""
        return AsciiJson(await self._submit(request, Call.RUN))

    async def runsync(self, request: Request, wait: Wait = DEFAULT_WAIT) -> Response:
        """Queue a job and wait for its end; the job as it is then."""
        job = await self._submit(request, Call.RUNSYNC)
        return await self._answer(job["id"], self._seconds(wait))

    async def status(self, job_id: str) -> Response:
        """A job: its state, its progress while it runs, and its output or error."""
        return await self._answer(job_id, 0)

    async def status_sync(self, job_id: str, wait: Wait = DEFAULT_WAIT) -> Response:
        """The same, once the job has ended or the time is over."""
        return await self._answer(job_id, self._seconds(wait))

    async def stream(self, job_id: str) -> Response:
        """What is new of a job since the last call: its progress, its output as the last."""
        state, outputs = await self._jobs.news(job_id)
        pieces = [{"output": output} for output in outputs]
        return await asyncio.to_thread(AsciiJson, {"status": state, "stream": pieces})

    async def cancel(self, job_id: str) -> Response:
        """Cancel a job, whether it waits or runs."""
        return AsciiJson(await self._jobs.cancel(job_id))

    async def ping(self) -> Response:
        """204 while the model loads, 200 when jobs can run, 503 when they never will."""
        codes = {Health.LOADING: 204, Health.OK: 200, Health.ERROR: 503}
        return Response(status_code=codes[self._backend.status().health])

    async def _submit(self, request: Request, call: Call) -> Document:
        body = await _read_body(request, self._jobs.limits[call])
        asked = await self._codecs.run(parse_request, body)
        by_url, address = answers_by_url(request), base_url(request)
        return await self._jobs.submit(asked, call, by_url=by_url, base_url=address)

    async def _answer(self, job_id: str, seconds: float) -> Response:
        return await asyncio.to_thread(AsciiJson, await self._jobs.look(job_id, seconds))

    def _seconds(self, wait: int) -> float:
        return min(max(wait, SECOND), self._jobs.longest_wait) / SECOND


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
