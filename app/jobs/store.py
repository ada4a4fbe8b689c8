# ruff: noqa: S608  # the parts that statements are made of are constants of this file
"""The table of jobs in SQLite. Each method of `JobStore` is one short transaction.

The states are written by compare-and-set: a job that has ended is not ended again, so that a
late result cannot overwrite a cancellation, nor the other way about.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields

from app.engine.encoding import File
from app.errors import Overloaded
from app.jobs.durable import ByUrl, DurableJob, JobOrder, JobState
from app.jobs.room import NO_ROOM_RETRY, Room
from app.jobs.schema import ALIVE, prepare

_PAGES_FREED = 5000
"""Most pages of 4 KiB given back at a time, so that nobody waits for it."""
_WEBHOOK_GRACE = 3600.0
"""Seconds that an expired job is kept for its webhook, where the receivers are slow."""
_COLUMNS = ", ".join(field.name for field in fields(DurableJob))
_ENDED = """finished = :now, expires = min(created + ttl, :now + retention),
    webhook_tries = 0, webhook_due = iif(webhook = '', NULL, :now)"""
"""What every end of a job sets beside its state."""


class JobStore:
    """Jobs, their input images and their results. Belongs to one thread."""

    def __init__(
        self, connection: sqlite3.Connection, *, most_bytes: int, most_waiting: int = sys.maxsize
    ) -> None:
        """Take over a connection in autocommit mode, to a new file or one of up to this version.

        Args:
            connection: to be closed by `close`.
            most_bytes: of results, the oldest of which make room for new ones; of input images,
                as many again.
            most_waiting: length of the queue beyond which no client may make it longer.
        """
        self._connection = connection
        self._most_waiting = most_waiting
        self._room = Room(connection, most_bytes)
        connection.row_factory = sqlite3.Row
        prepare(connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # Accepting --------------------------------------------------------------------------

    def add(self, job_id: str, pipeline: str, order: JobOrder, now: float) -> None:
        """Queue a job.

        Raises:
            Overloaded: too many jobs wait, or there is no room for the image.
        """
        with self._transaction():
            self._connection.execute(
                """INSERT INTO jobs (id, door, pipeline, params, state, low_priority, created,
                    expires, execution_timeout, ttl, retention, result_limit, by_url, base_url,
                    webhook, warnings)
                    VALUES (:id, :door, :pipeline, :params, 'IN_QUEUE', :low_priority, :created,
                    :expires, :execution_timeout, :ttl, :retention, :result_limit, :by_url,
                    :base_url, :webhook, :warnings)""",
                {
                    "id": job_id,
                    "door": order.door,
                    "pipeline": pipeline,
                    "params": order.params.model_dump_json(exclude_unset=True),
                    "low_priority": order.low_priority,
                    "created": now,
                    "expires": now + order.ttl,
                    "execution_timeout": order.execution_timeout,
                    "ttl": order.ttl,
                    "retention": order.retention,
                    "result_limit": order.result_limit,
                    "by_url": order.by_url,
                    "base_url": order.base_url,
                    "webhook": order.webhook,
                    "warnings": json.dumps(order.warnings),
                },
            )
            self.check_room(more=0)
            if order.image is not None:
                self._room.make_for_image(len(order.image))
                self._connection.execute("INSERT INTO images VALUES (?, ?)", (job_id, order.image))

    def retry(self, job_id: str) -> bool:
        """Queue a job that failed or timed out again, behind all others.

        Raises:
            Overloaded: too many jobs wait.
        """
        with self._transaction():
            changed = self._changed(
                """UPDATE jobs SET seq = (SELECT max(seq) + 1 FROM jobs), state = 'IN_QUEUE',
                    started = NULL, finished = NULL, error = '', attempts = 0,
                    retries = retries + 1, expires = created + ttl, webhook_due = NULL
                    WHERE id = :id AND state IN ('FAILED', 'TIMED_OUT')""",
                id=job_id,
            )
            if changed:
                self.check_room(more=0)
        return changed

    def check_room(self, more: int = 1) -> None:
        """Refuse what would make the queue too long.

        Args:
            more: jobs that are to be added; 0 where a transaction has added them.

        Raises:
            Overloaded: too many jobs wait.
        """
        if self.waiting() + more > self._most_waiting:
            raise Overloaded(
                f"{self._most_waiting} asynchronous jobs are waiting (JOB_LIMIT).", NO_ROOM_RETRY
            )

    # Reading ----------------------------------------------------------------------------

    def find(self, job_id: str, now: float) -> DurableJob | None:
        """A job that has not expired."""
        return self._one("WHERE id = :id AND expires > :now", id=job_id, now=now)

    def of_door(self, door: str, now: float) -> list[DurableJob]:
        """The jobs that came through a door, the newest first."""
        condition = "WHERE door = :door AND expires > :now ORDER BY seq DESC"
        return self._all(condition, door=door, now=now)

    def next_waiting(
        self, pipeline: str, without: Collection[str], now: float
    ) -> DurableJob | None:
        """The first job for a pipeline that is not among those that are taken already."""
        marks = ", ".join("?" * len(without))
        return self._one(
            f"""WHERE state = 'IN_QUEUE' AND pipeline = ? AND id NOT IN ({marks}) AND expires > ?
                ORDER BY low_priority, seq LIMIT 1""",
            pipeline,
            *without,
            now,
        )

    def position(self, job: DurableJob) -> int:
        """How many jobs for the same pipeline stand before this one."""
        return self._number(
            """SELECT count(*) FROM jobs WHERE state = 'IN_QUEUE' AND pipeline = :pipeline
                AND (low_priority, seq) < (:low_priority, :seq)""",
            pipeline=job.pipeline,
            low_priority=job.low_priority,
            seq=job.seq,
        )

    def waiting(self) -> int:
        """Length of the queue."""
        return self._number("SELECT count(*) FROM jobs WHERE state = 'IN_QUEUE'")

    def counts(self, now: float) -> tuple[dict[JobState, int], int]:
        """How many jobs are in each state, and how many retries they had."""
        rows = self._connection.execute(
            """SELECT state, count(*), sum(retries) FROM jobs WHERE expires > ? GROUP BY state""",
            (now,),
        ).fetchall()
        return {JobState(row[0]): row[1] for row in rows}, sum(row[2] for row in rows)

    def image(self, job_id: str) -> bytes | None:
        """The input image's file."""
        row = self._connection.execute(
            "SELECT data FROM images WHERE job_id = ?", (job_id,)
        ).fetchone()
        return None if row is None else row[0]

    def files(self, job_id: str) -> tuple[File, ...]:
        """What a completed job made."""
        rows = self._connection.execute(
            "SELECT * FROM files WHERE job_id = ? ORDER BY position", (job_id,)
        ).fetchall()
        return tuple(
            File(row["data"], row["media_type"], int(row["seed"]), bool(row["nsfw"]), row["url"])
            for row in rows
        )

    # Running ----------------------------------------------------------------------------

    def start(self, job_id: str, now: float) -> int:
        """Note that the worker started a job; how often it did so far, 0 if the job has ended."""
        row = self._connection.execute(
            f"""UPDATE jobs SET state = 'IN_PROGRESS', started = :now, attempts = attempts + 1
                WHERE id = :id AND {ALIVE} RETURNING attempts""",
            {"id": job_id, "now": now},
        ).fetchall()
        return row[0][0] if row else 0

    def requeue(self, job_id: str, uncount: int = 0) -> bool:
        """Put a job that was started back into its place, and forget `uncount` of its starts."""
        return self._changed(
            f"""UPDATE jobs SET state = 'IN_QUEUE', started = NULL,
                attempts = attempts - :uncount WHERE id = :id AND {ALIVE}""",
            id=job_id,
            uncount=uncount,
        )

    def complete(self, job_id: str, files: Sequence[File], warnings: str, now: float) -> bool:
        """End a job with its result; False if it has ended otherwise.

        Its input image goes: a completed job is not run again.
        """
        with self._transaction():
            changed = self._changed(
                f"""UPDATE jobs SET state = 'COMPLETED', warnings = :warnings, {_ENDED}
                    WHERE id = :id AND {ALIVE}""",
                id=job_id,
                now=now,
                warnings=warnings,
            )
            if changed:
                self._room.make_for_result(sum(len(file.data) for file in files))
                self._connection.execute("DELETE FROM images WHERE job_id = ?", (job_id,))
                self._connection.executemany(
                    "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        (job_id, i, file.media_type, str(file.seed), file.nsfw, file.url, file.data)
                        for i, file in enumerate(files)
                    ),
                )
        return changed

    def end(self, job_id: str, state: JobState, error: str, now: float) -> bool:
        """End a job without a result; False if it has ended already."""
        with self._transaction():
            changed = self._changed(
                f"""UPDATE jobs SET state = :state, error = :error, {_ENDED}
                    WHERE id = :id AND {ALIVE}""",
                id=job_id,
                state=state,
                error=error,
                now=now,
            )
            if changed and state is JobState.CANCELLED:  # it cannot be retried
                self._connection.execute("DELETE FROM images WHERE job_id = ?", (job_id,))
        return changed

    def recover(self, most_attempts: int, now: float) -> tuple[int, int]:
        """After the end of the process: running jobs wait again, or fail at their last start.

        Returns:
            How many wait again, and how many failed.
        """
        reason = (
            f"The service ended while it ran this job, {most_attempts} times (JOB_ATTEMPTS); "
            "it is not started again."
        )
        with self._transaction():
            failed = self._connection.execute(
                f"""UPDATE jobs SET state = 'FAILED', error = :error, {_ENDED}
                    WHERE state = 'IN_PROGRESS' AND attempts >= :most""",
                {"error": reason, "most": most_attempts, "now": now},
            )
            again = self._connection.execute(
                """UPDATE jobs SET state = 'IN_QUEUE', started = NULL
                    WHERE state = 'IN_PROGRESS'"""
            )
        return again.rowcount, failed.rowcount

    # Removing ---------------------------------------------------------------------------

    def purge(self) -> list[str]:
        """Remove all jobs that wait; their ids."""
        rows = self._connection.execute("DELETE FROM jobs WHERE state = 'IN_QUEUE' RETURNING id")
        return [row[0] for row in rows.fetchall()]

    def remove(self, job_id: str) -> bool:
        """Remove a job and its result."""
        return self._changed("DELETE FROM jobs WHERE id = :id", id=job_id)

    def remove_expired(self, now: float) -> list[str]:
        """Remove the jobs whose time is over, and give their room on the disk back; their ids.

        Those of which a webhook is still to hear stay a while longer; no client finds them.
        """
        rows = self._connection.execute(
            """DELETE FROM jobs WHERE expires <= :now
                AND (webhook_due IS NULL OR expires <= :now - :grace) RETURNING id""",
            {"now": now, "grace": _WEBHOOK_GRACE},
        ).fetchall()
        self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES_FREED})").fetchall()
        return [row[0] for row in rows]

    # Webhooks ---------------------------------------------------------------------------

    def due_webhooks(
        self, now: float, most: int, without: Collection[str] = ()
    ) -> list[DurableJob]:
        """The ended jobs of which a webhook is to hear now, those that wait longest first.

        `without` are beginnings of URLs that are not to be called now.
        """
        others = "AND instr(webhook, ?) != 1 " * len(without)
        condition = f"WHERE webhook_due <= ? {others}ORDER BY webhook_due LIMIT ?"
        return self._all(condition, now, *without, most)

    def plan_webhook(self, job: DurableJob, due: float | None) -> None:
        """Note that a webhook was called, and when it is to be called again, if at all.

        Nothing is changed where the job has been run again in the meantime: its new end is due.
        """
        self._changed(
            """UPDATE jobs SET webhook_tries = webhook_tries + 1, webhook_due = :due
                WHERE id = :id AND webhook_due = :seen AND retries = :retries""",
            id=job.id,
            due=due,
            seen=job.webhook_due,
            retries=job.retries,
        )

    # Inside -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._room.forget()  # what was removed in it is there again
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _changed(self, statement: str, **values: object) -> bool:
        return self._connection.execute(statement, values).rowcount > 0

    def _number(self, query: str, **values: object) -> int:
        return int(self._connection.execute(query, values).fetchone()[0])

    def _one(self, condition: str, *marks: object, **values: object) -> DurableJob | None:
        return next(iter(self._all(condition, *marks, **values)), None)

    def _all(self, condition: str, *marks: object, **values: object) -> list[DurableJob]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM jobs {condition}", marks or values)
        return [_job(row) for row in rows.fetchall()]


def _job(row: sqlite3.Row) -> DurableJob:
    typed = {
        "state": JobState(row["state"]),
        "low_priority": bool(row["low_priority"]),
        "by_url": ByUrl(row["by_url"]),
    }
    return DurableJob(**{**dict(row), **typed})
