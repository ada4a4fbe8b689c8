"""Videos as OpenAI's clients send and receive them."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field

from app.pipelines.base import MAX_PROMPT_CHARACTERS
from app.routes.openai.options import Options


class VideoOptions(Options):
    """Options of videos."""

    prompt: str = Field(
        "",
        max_length=MAX_PROMPT_CHARACTERS,
        description="Kept with the video; a pipeline without a prompt does not follow it.",
    )
    seconds: str = Field(
        "", max_length=10, description="Ignored: the model decides how many frames it makes, and "
        "`fps` how fast they are shown."
    )  # fmt: skip


class VideoStatus(StrEnum):
    """Where a video is in its life."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class VideoError(BaseModel):
    """Why there is no video."""

    code: str
    message: str


class Video(BaseModel):
    """A video, or the job that makes it. Times are in seconds since 1970."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: VideoStatus
    progress: int = Field(description="Percent.")
    created_at: int
    completed_at: int | None = None
    expires_at: int
    seconds: str = Field(description="How long it plays; 0 until it is completed.")
    size: str = Field(description="Width and height in pixels, as in 1024x576.")
    prompt: str | None = None
    error: VideoError | None = None


class VideoList(BaseModel):
    """One page of the videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(BaseModel):
    """A video is gone, and the work on it has been stopped."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class Variant(StrEnum):
    """What can be downloaded of a video."""

    VIDEO = "video"
    THUMBNAIL = "thumbnail"
