"""What RunPod's API asks of whatever queues the jobs: this service, or another host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from app.jobs.answers import Document
from app.jobs.durable import JobState
from app.jobs.request import JobRequest


class Call(StrEnum):
    """The calls that queue a job."""

    RUN = "run"
    RUNSYNC = "runsync"


class Jobs(Protocol):
    """Asynchronous jobs, each told of in the words of /status.

    Attributes:
        limits: largest request of each call, in bytes.
        longest_wait: most milliseconds that a client may wait for a job's end.
    """

    limits: Mapping[Call, int]
    longest_wait: int

    async def submit(
        self, asked: JobRequest, call: Call, *, by_url: bool, base_url: str
    ) -> Document:
        """Check a job and queue it.

        Args:
            asked: what the client sent.
            call: the one that it came with.
            by_url: whether its result is to be answered by URL.
            base_url: where clients reach this service, for such URLs.

        Returns:
            Its id and its state.

        Raises:
            BadRequest: what is wrong with the request.
            Overloaded: there is no room.
            ModelNotLoaded: the model cannot be loaded.
        """

    async def look(self, job_id: str, seconds: float) -> Document:
        """A job as it is when it ends, or after so many seconds.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
        """

    async def news(self, job_id: str) -> tuple[JobState, Sequence[Document]]:
        """A job's state, and the outputs that nobody has heard yet: its progress, its result.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
        """

    async def cancel(self, job_id: str) -> Document:
        """Cancel a job that waits or runs; its id, and what it is then.

        Raises:
            JobNotFound: there is none of this id, or it has expired.
        """
