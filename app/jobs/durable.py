"""An asynchronous job as it is kept on disk. Times are seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.pipelines.base import Params

DAY = 86_400.0


class JobState(StrEnum):
    """Where an asynchronous job is, in the words of RunPod's API."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self not in (JobState.IN_QUEUE, JobState.IN_PROGRESS)


class ByUrl(StrEnum):
    """When a job's result is answered by URL."""

    NEVER = "never"
    """What is too large for an answer is a failure."""
    IF_LARGE = "if large"
    """What is too large for an answer is."""
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a door asks of the queue.

    Attributes:
        params: of the loaded pipeline, checked.
        image: bytes of the input image's file, where the pipeline takes one.
        door: name of the protocol, for the logs.
        webhook: URL that hears of the job's end, or "".
        execution_timeout: seconds that it may run.
        ttl: seconds from now after which it is gone, whatever its state.
        low_priority: whether it comes after all others.
        retention: seconds that its result is kept.
        result_limit: largest result, in encoded bytes, that is answered in one piece.
        by_url: when the result is answered by URL.
        base_url: where clients reach this service, for such URLs.
        warnings: what the client should know already.
    """

    params: Params
    image: bytes | None
    door: str
    execution_timeout: float
    ttl: float
    retention: float
    result_limit: int
    webhook: str = ""
    low_priority: bool = False
    by_url: ByUrl = ByUrl.NEVER
    base_url: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DurableJob:
    """A row of the table of jobs; the fields are its columns.

    Attributes:
        seq: its place in the queue.
        pipeline: the one that it was accepted for.
        params: JSON of the parameters that the client set.
        expires: when it is removed.
        started: when its last start was.
        attempts: starts since it was queued, those that a shutdown ended excepted.
        retries: how often a client had it run again.
        warnings: JSON list of what the client should know, of its result in the end, too.
        webhook_tries: calls made since its end.
        webhook_due: when the next one is to be made, None if none is.

    The other attributes are those of `JobOrder`.
    """

    seq: int
    id: str
    door: str
    pipeline: str
    params: str
    state: JobState
    low_priority: bool
    created: float
    expires: float
    started: float | None
    finished: float | None
    attempts: int
    retries: int
    execution_timeout: float
    ttl: float
    retention: float
    result_limit: int
    by_url: ByUrl
    base_url: str
    error: str
    warnings: str
    webhook: str
    webhook_tries: int
    webhook_due: float | None
