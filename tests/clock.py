"""A clock for tests."""

from __future__ import annotations


class Clock:
    """Stands still until it is moved; `now` is in seconds."""

    def __init__(self, now: float = 1e9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
