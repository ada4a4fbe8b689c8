"""The finished jobs of the last week, counted in memory by the time they ended.

Nothing here grows with the load: a window is a fixed number of buckets, and a bucket holds
counts only. Durations are counted by their logarithm, so that percentiles are off by at most
five per cent however many jobs there were.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from app.engine.records import OK, JobRecord

GROWTH = 1.1
"""Ratio of the bounds of neighbouring duration classes: 0.1 ms to a week are 236 classes."""
SHORTEST = 1e-4


class Window(StrEnum):
    """How far back to look."""

    QUARTER_HOUR = "15m"
    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    @property
    def bucket_seconds(self) -> int:
        """Length of one bucket."""
        return {"15m": 15, "1h": 60, "24h": 1200, "7d": 7200}[self]

    @property
    def buckets(self) -> int:
        """How many buckets it has."""
        return {"15m": 60, "1h": 60, "24h": 72, "7d": 84}[self]


class Durations:
    """Counts of durations by their order of magnitude."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[round(math.log(max(seconds, SHORTEST), GROWTH))] += 1

    def merge(self, other: Durations) -> None:
        """Count all that `other` counted."""
        self._counts += other._counts

    def percentile(self, share: float) -> float | None:
        """Seconds that `share` (0 to 1) of the durations do not exceed; None without any."""
        rank = math.ceil(share * self._counts.total())
        for magnitude in sorted(self._counts):
            rank -= self._counts[magnitude]
            if rank <= 0:
                return GROWTH**magnitude if GROWTH**magnitude > SHORTEST else 0.0
        return None


@dataclass(slots=True)
class Bucket:
    """The jobs that ended within one stretch of time, or in a whole window.

    Attributes:
        outcomes: jobs by outcome.
        execution: inference times of the jobs that succeeded.
        queue: waiting times of all jobs.
        rows: sum of the rows of the jobs that succeeded.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    execution: Durations = field(default_factory=Durations)
    queue: Durations = field(default_factory=Durations)
    rows: float = 0.0

    def add(self, record: JobRecord) -> None:
        """Count one job."""
        self.outcomes[record.outcome] += 1
        self.queue.add(record.queue_seconds)
        if record.outcome == OK:
            self.execution.add(record.inference_seconds)
            self.rows += record.rows

    def merge(self, other: Bucket) -> None:
        """Count all that `other` counted."""
        self.outcomes += other.outcomes
        self.execution.merge(other.execution)
        self.queue.merge(other.queue)
        self.rows += other.rows

    @property
    def mean_rows(self) -> float | None:
        """Mean rows per forward pass of the jobs that succeeded; None without any."""
        succeeded = self.outcomes[OK]
        return self.rows / succeeded if succeeded else None


class Timeline:
    """The buckets of one window; those that fall out of it are dropped."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._buckets: dict[int, Bucket] = {}

    def add(self, record: JobRecord) -> None:
        """Count a job in the bucket of its end."""
        index = self._index(record.finished_at)
        self._buckets.setdefault(index, Bucket()).add(record)
        for old in [i for i in self._buckets if i <= index - self._window.buckets]:
            del self._buckets[old]

    def buckets(self, now: float) -> list[tuple[float, Bucket]]:
        """Every bucket of the window that ends `now`, with the time at which it begins."""
        last = self._index(now)
        indices = range(last - self._window.buckets + 1, last + 1)
        return [
            (float(i * self._window.bucket_seconds), self._buckets.get(i, Bucket()))
            for i in indices
        ]

    def _index(self, moment: float) -> int:
        return int(moment // self._window.bucket_seconds)


class Activity:
    """An observer of jobs that remembers a week of them. Belongs to the event loop's thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._timelines = {window: Timeline(window) for window in Window}

    def observe(self, record: JobRecord) -> None:
        """Count a finished job in every window."""
        for timeline in self._timelines.values():
            timeline.add(record)

    def buckets(self, window: Window) -> list[tuple[float, Bucket]]:
        """The buckets of a window that ends now, oldest first, with their starts."""
        return self._timelines[window].buckets(self._clock())


def total(buckets: Iterable[tuple[float, Bucket]]) -> Bucket:
    """All buckets as one."""
    whole = Bucket()
    for _, bucket in buckets:
        whole.merge(bucket)
    return whole
