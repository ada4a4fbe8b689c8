"""What `app.jobs.answers` writes, for the OpenAPI document.

A field with a default is left out where there is nothing to say.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.jobs.durable import JobState


class BriefJob(BaseModel):
    """A job's id and state."""

    id: str
    status: JobState


class StepProgress(BaseModel):
    """How many of its denoising steps a job has done."""

    step: int
    steps: int


class RunningOutput(BaseModel):
    """The `output` of a job that runs."""

    progress: StepProgress


class JobImage(BaseModel):
    """One of several results, or one that is fetched."""

    url: str = Field(description="A data URL; or an address, where URLs were asked for.")
    seed: int
    nsfw: bool


class FinishedOutput(BaseModel):
    """The `output` of a completed job."""

    status_code: int = Field(alias="statusCode", description="200.")
    headers: dict[str, str] = Field(description="A `Warning` says what the client should know.")
    content_type: str = Field(description="Of the first result.")
    seed: int = Field(description="Of the first result.")
    nsfw: bool = Field(description="Of the first result.")
    body: str = Field("", description="The first result's file as base64, unless it is fetched.")
    images: list[JobImage] = Field(
        [], description="All results, where there are several or they are fetched."
    )


Output = RunningOutput | FinishedOutput


class JobStatus(BriefJob):
    """A job: its state, its progress while it runs, its output or error."""

    delay_time: int = Field(0, alias="delayTime", description="Milliseconds in the queue.")
    execution_time: int = Field(0, alias="executionTime", description="Milliseconds it ran.")
    worker_id: str = Field("", alias="workerId", description="Host that ran it.")
    output: Output | None = None
    error: str = Field("", description="Why it failed or timed out.")


class Piece(BaseModel):
    """Something new of a job."""

    output: Output


class News(BaseModel):
    """What is new of a job since the last call."""

    status: JobState
    stream: list[Piece]


class Purged(BaseModel):
    """How many waiting jobs were removed."""

    removed: int
    status: str
