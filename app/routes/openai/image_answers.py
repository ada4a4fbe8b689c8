"""Images in OpenAI's words: one document, or a stream of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.engine.encoding import File
from app.engine.job import Job, Progress
from app.engine.runner import Runner, Served
from app.errors import RunnerError
from app.routes.body import facts, link
from app.routes.event_stream import event
from app.routes.json_body import base64_text
from app.routes.openai.errors import error_body
from app.routes.openai.options import ImageOptions, ResponseFormat
from app.routes.openai.schemas import Rendering
from app.routes.openai.usage import usage_of


class Kind(StrEnum):
    """What was asked for; the first part of the events' names."""

    GENERATION = "image_generation"
    EDIT = "image_edit"


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What a client is told of one request for images.

    Attributes:
        kind: of the request.
        options: how it wants its images.
        job: what makes them.
    """

    kind: Kind
    options: ImageOptions
    job: Job

    def whole(self, files: Sequence[File]) -> dict[str, object]:
        """An `ImagesResponse` of these files."""
        images = [self._content(file) | facts(file) for file in files]
        return {"created": int(time.time()), **self._rendering(), **self._usage(), "data": images}

    async def events(
        self, changes: AsyncIterator[Progress], finishing: asyncio.Future[Served], runner: Runner
    ) -> AsyncIterator[bytes]:
        """Partial images as they come; then an event for each finished one, or an error.

        Args:
            changes: of the job, from its beginning.
            finishing: what `Runner.finish` makes of it.
            runner: encodes the previews.
        """
        index, size, encoding = 0, self.job.inputs.size, self.options.encoding
        async for progress in changes:
            if progress.preview is None or progress.step == progress.steps:
                continue
            if index < self.options.partial_images:
                data = await runner.encode_preview(progress.preview, size, encoding)
                yield self._event("partial_image", data, {"partial_image_index": index})
                index += 1
        try:
            served = await finishing
        except RunnerError as error:
            yield event("error", error_body(error, error.status))
            return
        for file in served.output.images:
            yield self._event("completed", file.data, self._usage() | facts(file))

    def _content(self, file: File) -> dict[str, object]:
        """The image, or where it is; a data URL if there was no room to keep it."""
        if self.options.response_format is ResponseFormat.B64_JSON:
            return {"b64_json": base64_text(file.data)}
        return link(file)

    def _event(self, name: str, data: bytes, rest: dict[str, object]) -> bytes:
        kind = f"{self.kind}.{name}"
        start = {"type": kind, "b64_json": base64_text(data), "created_at": int(time.time())}
        return event(kind, start | self._rendering() | rest)

    def _rendering(self) -> dict[str, object]:
        width, height = self.job.inputs.size
        size, output_format = f"{width}x{height}", self.options.output_format
        return Rendering(size=size, output_format=output_format).model_dump()

    def _usage(self) -> dict[str, object]:
        return {"usage": usage_of(self.job.inputs).model_dump()}
