"""What is new of the host's jobs, for clients that ask for their stream in a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.jobs.durable import JobState
from app.jobs.stream import MOST_CURSORS


class News:
    """Remembers what was told last of each job: its progress, or that it is over.

    Of the jobs that nobody asks for any more, the oldest are forgotten; a client of one that is
    hears its output again.
    """

    def __init__(self, most: int = MOST_CURSORS) -> None:
        self._most = most
        self._told: dict[str, object] = {}

    def of(self, job: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The pieces of a job's stream that nobody has heard yet; its output is the last.

        Args:
            job: as /status words it.
        """
        running = job["status"] == JobState.IN_PROGRESS
        state = job.get("output") if running else job["status"]
        told = self._told.pop(job["id"], None)
        self._told[job["id"]] = state
        if len(self._told) > self._most:
            del self._told[next(iter(self._told))]
        return [{"output": job["output"]}] if "output" in job and state != told else []
