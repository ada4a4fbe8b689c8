"""A request of RunPod's API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.validation import refusal

SECOND = 1000
"""Milliseconds in a second: RunPod counts in the former."""
WEEK = 7 * 86_400 * SECOND


class Policy(BaseModel):
    """How a job is to be treated. Times are in milliseconds."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    execution_timeout: int = Field(
        600 * SECOND,
        alias="executionTimeout",
        ge=5 * SECOND,
        le=WEEK,
        description="Milliseconds it may run.",
    )
    ttl: int = Field(
        86_400 * SECOND,
        ge=10 * SECOND,
        le=WEEK,
        description="Milliseconds after which the job is removed, whatever its state.",
    )
    low_priority: bool = Field(
        False, alias="lowPriority", description="Whether it comes after all others."
    )


class JobRequest(BaseModel):
    """A job for the loaded pipeline."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input: dict[str, Any] = Field(
        description="The pipeline's parameters. `image`, where it takes one, is a data URL, "
        "base64 text, or an https URL."
    )
    webhook: str | None = Field(
        None, max_length=2000, description="URL that the finished job is posted to."
    )
    policy: Policy | None = None


def parse_request(body: bytes) -> JobRequest:
    """The request in a body. Not for the event loop: bodies are large.

    Raises:
        FieldInvalid: it is not one; the message names each field that is wrong.
    """
    try:
        return JobRequest.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error.errors()) from error
