"""Files that an earlier version of the service wrote."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from app.jobs.durable import ByUrl, JobState
from app.jobs.schema import prepare
from app.jobs.store import JobStore
from tests.conftest import MakeSettings
from tests.jobs.conftest import TINY
from tests.jobs.running import ended, running

VERSION_1 = (Path(__file__).parent / "schema_1.sql").read_text()


def connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def add(connection: sqlite3.Connection, job_id: str, urls: int, base_url: str) -> None:
    """A job that waits, as version 1 wrote it."""
    connection.execute(
        """INSERT INTO jobs (id, door, pipeline, params, state, low_priority, created, expires,
            execution_timeout, ttl, retention, result_limit, urls, base_url, webhook)
            VALUES (?, 'test', 'text-to-image', ?, 'IN_QUEUE', 0, 0.0, 1e12, 600.0, 1e12, 1800.0,
            1000000, ?, ?, '')""",
        (job_id, json.dumps(TINY), urls, base_url),
    )


@pytest.mark.parametrize(
    ("urls", "base_url", "by_url"),
    [
        (0, "", ByUrl.NEVER),
        (0, "http://test", ByUrl.IF_LARGE),
        (1, "http://test", ByUrl.ALWAYS),
    ],
)
def test_how_a_job_of_version_1_is_answered_stays(urls: int, base_url: str, by_url: ByUrl) -> None:
    connection = connect(":memory:")
    connection.executescript(VERSION_1)
    add(connection, "old", urls, base_url)
    job = JobStore(connection, most_bytes=100).find("old", 0.0)
    assert job is not None
    assert (job.by_url, job.base_url) == (by_url, base_url)


def test_a_file_of_version_1_gets_the_columns_of_a_new_one() -> None:
    old, new = connect(":memory:"), connect(":memory:")
    old.executescript(VERSION_1)
    tables = []
    for connection in (old, new):
        prepare(connection)
        prepare(connection)  # it is opened again
        tables.append({row[1:4] for row in connection.execute("PRAGMA table_info(jobs)")})
    assert tables[0] == tables[1]


def test_the_jobs_of_version_1_run(make_settings: MakeSettings) -> None:
    settings = make_settings()
    settings.data_dir.mkdir()
    connection = connect(settings.data_dir / "jobs.sqlite3")
    connection.executescript(VERSION_1)
    add(connection, "old", 0, "http://test")
    connection.close()

    async def main() -> None:
        async with running(settings) as (_, services):
            job = await ended(services, await services.queue.get("old"))
            assert job.state is JobState.COMPLETED
            assert len(await services.queue.files("old")) == 1

    asyncio.run(main())
