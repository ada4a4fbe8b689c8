# ruff: noqa: S608  # the parts that statements are made of are constants
"""How much of the disk results and input images may take. Belongs to the store's transactions."""

from __future__ import annotations

import sqlite3

from app.errors import Overloaded
from app.jobs.schema import ALIVE
from app.settings import MEBIBYTE

NO_ROOM_RETRY = 60
"""Seconds after which a client may try again when the queue or the disk is full."""
_KEPT_SHARE = 0.9
"""Part of the room for results that stays in use when old ones have to go."""


class Room:
    """Makes room for what comes next, by removing jobs that are kept for convenience only.

    `most_bytes` holds for all results, and once more for all input images.
    """

    def __init__(self, connection: sqlite3.Connection, most_bytes: int) -> None:
        self._connection = connection
        self._most_bytes = most_bytes
        self._at_most: int | None = None
        """An upper bound of what results take; None where it is not known."""

    def forget(self) -> None:
        """A transaction was undone: what was removed in it is there again."""
        self._at_most = None

    def make_for_image(self, size: int) -> None:
        """Make room for an input image of so many bytes.

        The oldest jobs that failed make room for it: theirs are kept for a retry only.

        Raises:
            Overloaded: there is not enough; the transaction has to be undone.
        """
        taken = "SELECT ifnull(sum(length(data)), 0) FROM images"
        excess = self._connection.execute(taken).fetchone()[0] + size - self._most_bytes
        if excess <= 0:
            return
        rows = self._connection.execute(
            f"""SELECT job_id, length(data) AS taken FROM images JOIN jobs ON jobs.id = job_id
                WHERE NOT {ALIVE} ORDER BY finished"""
        ).fetchall()
        for row in rows:
            self._remove(row["job_id"])
            excess -= row["taken"]
            if excess <= 0:
                return
        allowed = f"{self._most_bytes / MEBIBYTE:g} MiB (RESULTS_LIMIT_MB)"
        raise Overloaded(f"the input images of waiting jobs take {allowed}.", NO_ROOM_RETRY)

    def make_for_result(self, size: int) -> None:
        """Remove old results where `size` bytes more would be too many.

        All are looked at only then: what is known of their size is an upper bound, as jobs may
        have been removed since.
        """
        if self._at_most is None or self._at_most + size > self._most_bytes:
            self._at_most = self._evict(size)
        self._at_most += size

    def _evict(self, size: int) -> int:
        """Remove the oldest completed jobs, some more than `size` needs; what the others take.

        Those of which a webhook is still to hear go last.
        """
        rows = self._connection.execute(
            """SELECT job_id, sum(length(data)) AS taken, webhook_due IS NOT NULL AS awaited
                FROM files JOIN jobs ON jobs.id = job_id
                GROUP BY job_id HAVING taken > 0 ORDER BY awaited, finished"""
        ).fetchall()
        total: int = sum(row["taken"] for row in rows)
        if total + size <= self._most_bytes:
            return total
        for row in rows:
            share = 1.0 if row["awaited"] else _KEPT_SHARE
            if total + size <= share * self._most_bytes:
                break
            self._remove(row["job_id"])
            total -= row["taken"]
        return total

    def _remove(self, job_id: str) -> None:
        self._connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
