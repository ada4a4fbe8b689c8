"""The queue: which job runs next. Pure: no clock, no I/O, no torch."""

from __future__ import annotations

from collections.abc import Iterator

from app.engine.job import Job


class Scheduler:
    """A bounded first-in, first-out queue with deadlines and cancellation.

    A job that was taken with `next` and lost with its worker comes back with `put_back`, in
    front of all others and beyond the limit: it was promised already.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[str, Job] = {}  # insertion order is queue order

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._waiting.values())

    def has_room(self, free_slots: int) -> bool:
        """Whether one more job may come, given places at the worker that nobody waits for."""
        return len(self._waiting) < self._limit + free_slots

    def add(self, job: Job) -> None:
        """Append a job; the caller asked `has_room` first."""
        self._waiting[job.id] = job

    def put_back(self, jobs: list[Job]) -> None:
        """Return jobs to the front, keeping their order."""
        self._waiting = {job.id: job for job in jobs} | self._waiting

    def next(self, now: float, free_slots: int, *, is_idle: bool) -> Job | None:
        """Take the first job that is still in time, if the worker has a place for it.

        A job that runs alone gets its place when the worker `is_idle`.
        """
        if free_slots < 1:
            return None
        for job in self._waiting.values():
            if job.deadline > now:
                return self._waiting.pop(job.id) if is_idle or not job.runs_alone else None
        return None

    def remove(self, job_id: str) -> Job | None:
        """Take a job out of the queue wherever it stands."""
        return self._waiting.pop(job_id, None)

    def take_expired(self, now: float) -> list[Job]:
        """Take out the jobs whose deadline has passed."""
        expired = [job for job in self._waiting.values() if job.deadline <= now]
        for job in expired:
            del self._waiting[job.id]
        return expired

    def position(self, job_id: str) -> int | None:
        """How many jobs stand before this one; None if it does not wait."""
        for position, waiting in enumerate(self._waiting):
            if waiting == job_id:
                return position
        return None
