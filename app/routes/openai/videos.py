"""OpenAI's videos: jobs that are polled, and `/v1/videos/sync`, which answers with the file."""

from __future__ import annotations

import asyncio
import json
import time
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import Field, create_model

from app.errors import BadRequest, FieldInvalid
from app.jobs.durable import DAY, DurableJob, JobOrder, JobState
from app.jobs.input import read_image
from app.jobs.services import JobServices
from app.media.formats import Encoding, ImageFormat
from app.media.mp4_read import first_frame
from app.pipelines.base import Pipeline
from app.routes.byte_ranges import ranged_response
from app.routes.forms import FormRoute, ignored_in_form
from app.routes.openai.options import MEANINGLESS
from app.routes.openai.video_answers import VideoAnswers, poll_after
from app.routes.openai.video_schemas import Variant, Video, VideoDeleted, VideoList, VideoOptions
from app.routes.serve import serve, served_headers
from app.routes.state import runner_of, services_of
from app.schemas import warning_headers
from app.settings import DoorName
from app.validation import validated

VIDEOS = "/videos"
PATHS = (VIDEOS, f"{VIDEOS}/{{rest:path}}")
THUMBNAIL = Encoding(ImageFormat.WEBP)
POLL_HEADER = "openai-poll-after-ms"
HOUR = 3600.0
_FILE: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"description": "The file.", "content": {"video/mp4": {}}}},
}
JSON_BEGINS = ("{", "[")
"""No URL and no base64 begins so."""
NO_LIMIT = 2**62
"""A video is downloaded as a file, however large."""


def router(pipeline: Pipeline) -> APIRouter:
    """All calls, for a pipeline that makes videos."""
    return VideoApi(pipeline).router()


class Sort(StrEnum):
    """Order of a list, by age."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class VideoFormRoute(FormRoute):
    """A form that describes a video."""

    file_field = "input_reference"


class VideoApi:
    """Turns requests into orders for the durable queue, and its jobs into videos."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._answers = VideoAnswers(DoorName.OPENAI)
        self._request: type[Any] = create_model(
            "VideoRequest", __base__=(VideoOptions, pipeline.params)
        )

    def router(self) -> APIRouter:
        """All calls."""
        routes = APIRouter(prefix=VIDEOS)
        routes.add_api_route(
            "",
            self._with_form(self.create),
            methods=["POST"],
            operation_id="createVideo",
            summary="Create a video",
            route_class_override=VideoFormRoute,
        )
        routes.get("", operation_id="listVideos", summary="List videos")(self.list)
        routes.add_api_route(
            "/sync",
            self._with_form(self.sync),
            methods=["POST"],
            operation_id="createVideoSync",
            summary="Create and wait",
            route_class_override=VideoFormRoute,
            **_FILE,
        )
        one = "/{video_id}"
        routes.get(one, operation_id="retrieveVideo", summary="Retrieve a video")(self.retrieve)
        routes.get(
            f"{one}/content", operation_id="downloadVideo", summary="Download a video", **_FILE
        )(self.content)
        routes.delete(one, operation_id="deleteVideo", summary="Delete a video")(self.delete)
        return routes

    async def create(self, request: Request, response: Response, form: Any) -> Video:
        """Queue a video; it is kept for MEDIA_RETENTION hours."""
        warnings = await ignored_in_form(request, type(form), MEANINGLESS)
        runner, services = runner_of(request.app), services_of(request.app)
        retention = HOUR * runner.settings.media_retention
        order = JobOrder(
            validated(self._request, form.fields(runner)),  # keeps the prompt with the job
            await self._reference(form, services, runner.settings.max_upload_bytes),
            DoorName.OPENAI,
            execution_timeout=runner.settings.request_timeout,
            ttl=retention + DAY,
            retention=retention,
            result_limit=NO_LIMIT,
            warnings=warnings,
        )
        return await self._video(request, response, await services.queue.submit(order))

    async def sync(self, request: Request, _: Response, form: Any) -> Response:
        """Make a video and answer with its file; leaving cancels the work."""
        warnings = await ignored_in_form(request, type(form), MEANINGLESS)
        runner, services = runner_of(request.app), services_of(request.app)
        params = form.params(runner)
        upload = await self._reference(form, services, runner.settings.max_upload_bytes)
        served = await serve(
            request, params, upload, door=DoorName.OPENAI, with_frames=False, warnings=warnings
        )
        file = served.output.images[0]
        return Response(file.data, 200, served_headers(served), file.media_type)

    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Sort = Sort.DESCENDING,
        after: Annotated[str, Query(description="The last id of the page before.")] = "",
    ) -> VideoList:
        """The videos, a page at a time."""
        runner, queue = runner_of(request.app), services_of(request.app).queue
        jobs = list(await self._answers.jobs(queue))
        if order is Sort.ASCENDING:
            jobs.reverse()
        ids = [job.id for job in jobs]
        if after and after not in ids:  # the first page again would never end
            raise FieldInvalid("after: there is no such video.", "after")
        start = ids.index(after) + 1 if after else 0
        page = jobs[start : start + limit]
        return VideoList(
            data=[await self._answers.video(runner, queue, job) for job in page],
            first_id=page[0].id if page else None,
            last_id=page[-1].id if page else None,
            has_more=start + limit < len(jobs),
        )

    async def retrieve(self, request: Request, response: Response, video_id: str) -> Video:
        """A video's state; the header says when to ask again."""
        services = services_of(request.app)
        job = await self._answers.job(services.queue, video_id)
        if not job.state.is_final:
            progress = services.queue.progress(video_id)
            response.headers[POLL_HEADER] = str(poll_after(job, progress, time.time()))
        return await self._video(request, response, job)

    async def content(
        self, request: Request, video_id: str, variant: Variant = Variant.VIDEO
    ) -> Response:
        """The mp4, or a part of it; or its first frame."""
        services = services_of(request.app)
        job = await self._answers.job(services.queue, video_id)
        if job.state is not JobState.COMPLETED:
            raise BadRequest(f"Video {video_id} is {job.state}: there is nothing to download.")
        [file, *_] = await services.queue.files(video_id)
        if variant is Variant.VIDEO:
            return ranged_response(request, file.data, file.media_type)
        data = await asyncio.to_thread(_thumbnail, file.data)
        return Response(data, media_type=THUMBNAIL.format.media_type)

    async def delete(self, request: Request, video_id: str) -> VideoDeleted:
        """Remove a video; one that waits or runs is cancelled."""
        services = services_of(request.app)
        await self._answers.job(services.queue, video_id)
        await services.queue.remove(video_id)
        return VideoDeleted(id=video_id)

    def _with_form(self, endpoint: Any) -> Any:
        """The endpoint of a form, whose fields follow from the pipeline."""
        files: Any = {
            "input_reference": (
                UploadFile | str | None,
                File(None, description="The image to start from: a file, or its URL."),
            ),
            "reference_url": (
                str,
                Field("", alias="input_reference[image_url]", description="The image's URL."),
            ),
        }
        form = create_model("VideoForm", __base__=self._request, **files)

        async def read(request: Request, response: Response, form: Any) -> Any:
            return await endpoint(request, response, form)

        read.__annotations__ |= {
            "form": Annotated[form, Form(media_type="multipart/form-data")],
            "return": endpoint.__annotations__["return"],
        }
        read.__doc__ = endpoint.__doc__
        return read

    async def _reference(self, form: Any, services: JobServices, max_bytes: int) -> bytes | None:
        """The image to start from, where the pipeline takes one."""
        if not self._pipeline.takes_image:
            return None
        given = form.input_reference or form.reference_url
        if not given:
            raise FieldInvalid(
                f"input_reference: {self._pipeline.name} starts from an image; send one.",
                "input_reference",
            )
        if isinstance(given, str):
            return await read_image(_image_url(given), services.outbound, max_bytes)
        data: bytes = await given.read()
        return data

    async def _video(self, request: Request, response: Response, job: DurableJob) -> Video:
        response.headers.update(warning_headers(json.loads(job.warnings)))
        runner, services = runner_of(request.app), services_of(request.app)
        return await self._answers.video(runner, services.queue, job)


def _image_url(text: str) -> str:
    """The URL in a reference object, or the text itself."""
    if not text.lstrip().startswith(JSON_BEGINS):
        return text
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _reference_invalid() from error
    url = given.get("image_url") if isinstance(given, dict) else None
    if not isinstance(url, str):
        raise _reference_invalid()
    return url


def _reference_invalid() -> FieldInvalid:
    return FieldInvalid(
        "input_reference: send a file, a data URL, an https URL, or an object such as "
        '{"image_url": "https://…"}.',
        "input_reference",
    )


def _thumbnail(video: bytes) -> bytes:
    return THUMBNAIL.encode(first_frame(video))
