"""What clients receive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field


class Media(BaseModel):
    """A generated image or video."""

    url: str = Field(description="A data URL; with `response=url` the file's address.")
    seed: int = Field(description="The seed that made it.")
    nsfw: bool = Field(description="Whether the safety checker flagged it.")


class ImageResponse(BaseModel):
    """Generated images."""

    images: list[Media] = Field(description="The generated images.")


class VideoResponse(BaseModel):
    """A generated video, as PNG frames and as one mp4."""

    frames: list[list[Media]] = Field(description="The frames of each video, as PNG images.")
    images: list[Media] = Field(default=[], description="Each video as one mp4 file.")


class APIError(BaseModel):
    """What went wrong."""

    msg: str = Field(description="The error message.")


class HTTPError(BaseModel):
    """The body of every error but 422."""

    detail: APIError = Field(description="What went wrong.")


class HealthCheck(BaseModel):
    """Whether the service can serve."""

    status: str = Field("OK", description="LOADING, OK or ERROR.")


class Version(BaseModel):
    """What is running."""

    pipeline: str
    model_id: str
    version: str = Field(description="Semantic version of the service.")
    accelerators: list[str] = Field(default=[], description="Active accelerators.")


class GPUInfo(BaseModel):
    """One GPU. Memory is in bytes."""

    id: str
    name: str
    memory_total: int
    memory_free: int
    major: int = Field(description="Major number of the compute capability.")
    minor: int = Field(description="Minor number of the compute capability.")


class GPUStats(BaseModel):
    """Use of one GPU. Memory is in bytes, utilisation in percent."""

    id: str
    name: str
    memory_total: int
    memory_free: int
    utilization_compute: int
    utilization_memory: int


class HardwareInformation(BaseModel):
    """The GPUs of this machine, by index; empty without one."""

    pipeline: str
    model_id: str
    gpu_info: dict[str, GPUInfo]


class HardwareStats(BaseModel):
    """The use of the GPUs of this machine, by index; empty without one."""

    pipeline: str
    model_id: str
    gpu_stats: dict[str, GPUStats]


def error_body(message: str) -> dict[str, Any]:
    """The JSON of an error."""
    return HTTPError(detail=APIError(msg=message)).model_dump()


def warning_headers(warnings: Sequence[str]) -> dict[str, str]:
    """The `Warning` header, if there are any (RFC 7234, section 5.5; 199 is of any kind)."""
    if not warnings:
        return {}
    return {"Warning": ", ".join(f'199 - "{warning}"' for warning in warnings)}
