"""Live progress: server-sent events of a job, and a way to stop it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.engine.job import State
from app.engine.runner import Runner
from app.errors import JobNotFound
from app.jobs.events import Event, JobEvents
from app.jobs.queue import JobQueue
from app.jobs.silence import with_silences
from app.media.data_url import to_data_url
from app.media.formats import Encoding, ImageFormat
from app.routes.event_stream import HEADERS

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nothing on the way hangs up."""
RECONNECT = 1000
"""Milliseconds after which a browser that lost the connection tries again."""
PREVIEW = Encoding(ImageFormat.JPEG, 70)
PREVIEW_SIDE = 256
"""Longest side of a preview."""


def guard(method: str, path: str) -> bool:
    """Who stops a job needs the token; to watch one its id is enough."""
    return method == "DELETE" and path.startswith("/jobs/")


class EventsDoor:
    """GET /jobs/{id}/events and DELETE /jobs/{id}.

    A synchronous job's id is the `X-Request-Id` that its client chose; an EventSource can send
    no token, so whoever knows the id may watch: choose one that cannot be guessed.
    """

    def __init__(self, runner: Runner, queue: JobQueue) -> None:
        self._runner = runner
        self._queue = queue
        self._events = JobEvents(runner.backend, queue)

    def router(self) -> APIRouter:
        """The routes."""
        routes = APIRouter(prefix="/jobs", tags=["jobs"])
        routes.get("/{job_id}/events", summary="Watch a job", response_class=StreamingResponse)(
            self.events
        )
        routes.delete("/{job_id}", summary="Cancel a job", status_code=204)(self.cancel)
        return routes

    async def events(self, request: Request, job_id: str) -> Response:
        """Server-sent events: state, step, steps, position in the queue, preview, error.

        Each event is the whole state. After the last one, whose state is succeeded, failed or
        cancelled, a browser that connects again is told to stop (204).
        """
        last_seen = request.headers.get("last-event-id", "")
        if last_seen in set(State) and State(last_seen).is_final:
            return Response(status_code=204)
        job = await self._events.find(job_id)
        lines = self._lines(job_id, self._events.follow(job), last_seen)
        return StreamingResponse(lines, media_type="text/event-stream", headers=HEADERS)

    async def cancel(self, job_id: str) -> Response:
        """Cancel a job, asynchronous or synchronous."""
        if await self._events.durable(job_id):
            await self._queue.cancel(job_id)
        elif not self._runner.backend.cancel(job_id):
            raise JobNotFound(job_id)
        return Response(status_code=204)

    async def _lines(
        self, job_id: str, events: AsyncIterator[Event], last_seen: str
    ) -> AsyncIterator[bytes]:
        yield b"retry: %d\n\n" % RECONNECT
        sent: tuple[str, int | None] = (last_seen, None)
        async for event in with_silences(events, HEARTBEAT):
            if event is None:
                yield b": still here\n\n"
                continue
            name = _id(event)
            if (name, event.position) != sent:
                sent = (name, event.position)
                data = json.dumps({"id": job_id, **await self._data(event)})
                yield f"id: {name}\ndata: {data}\n\n".encode()

    async def _data(self, event: Event) -> dict[str, object]:
        progress = event.progress
        data: dict[str, object] = {
            "state": progress.state,
            "step": progress.step,
            "steps": progress.steps,
        }
        if event.position is not None:
            data["position"] = event.position
        if event.error:
            data["error"] = event.error
        if progress.preview is not None:
            data["preview"] = await self._preview(progress.preview)
        return data

    async def _preview(self, pixels: memoryview) -> str:
        height, width, *_ = pixels.shape or (1, 1)
        scale = PREVIEW_SIDE / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        data = await self._runner.encode_preview(pixels, size, PREVIEW)
        return to_data_url(data, PREVIEW.format.media_type)


def _id(event: Event) -> str:
    """What a browser sends back as Last-Event-ID: the state, while it runs with the step."""
    progress = event.progress
    has_step = progress.step > 0 and not event.is_last
    return f"{progress.state}-{progress.step}" if has_step else progress.state
