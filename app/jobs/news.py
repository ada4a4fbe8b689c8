"""What is new of jobs, for clients that ask for their stream in a loop."""

from __future__ import annotations

MOST_JOBS = 4096


class News:
    """Remembers what was told last of each job.

    Of the jobs that nobody asks for any more, the oldest are forgotten; a client of one that is
    hears its output again.
    """

    def __init__(self, most: int = MOST_JOBS) -> None:
        self._most = most
        self._told: dict[str, object] = {}

    def is_new(self, job_id: str, state: object) -> bool:
        """Whether a job is at another point than when it was asked for last."""
        told = self._told.pop(job_id, None)
        self._told[job_id] = state
        if len(self._told) > self._most:
            del self._told[next(iter(self._told))]
        return state != told
