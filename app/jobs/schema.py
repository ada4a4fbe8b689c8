"""The tables of the store of jobs."""

from __future__ import annotations

import sqlite3

VERSION = 2
"""Of the schema; kept in SQLite's `user_version`."""

_STATEMENTS = f"""
PRAGMA auto_vacuum = INCREMENTAL;
BEGIN IMMEDIATE;
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    door TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    params TEXT NOT NULL,
    state TEXT NOT NULL,
    low_priority INTEGER NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL,
    started REAL,
    finished REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    execution_timeout REAL NOT NULL,
    ttl REAL NOT NULL,
    retention REAL NOT NULL,
    result_limit INTEGER NOT NULL,
    by_url TEXT NOT NULL,
    base_url TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    warnings TEXT NOT NULL DEFAULT '[]',
    webhook TEXT NOT NULL,
    webhook_tries INTEGER NOT NULL DEFAULT 0,
    webhook_due REAL
);
CREATE INDEX jobs_waiting ON jobs (low_priority, seq) WHERE state = 'IN_QUEUE';
CREATE INDEX jobs_expiring ON jobs (expires);
CREATE INDEX jobs_to_report ON jobs (webhook_due) WHERE webhook_due IS NOT NULL;
CREATE TABLE images (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    data BLOB NOT NULL
);
CREATE TABLE files (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    seed TEXT NOT NULL, -- seeds may be larger than SQLite's integers
    nsfw INTEGER NOT NULL,
    url TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (job_id, position)
);
PRAGMA user_version = {VERSION};
COMMIT;
"""
_FROM_1 = """
BEGIN IMMEDIATE;
ALTER TABLE jobs ADD COLUMN by_url TEXT NOT NULL DEFAULT 'never';
UPDATE jobs SET by_url = iif(urls, 'always', 'if large') WHERE urls OR base_url != '';
ALTER TABLE jobs DROP COLUMN urls;
PRAGMA user_version = 2;
COMMIT;
"""
"""Version 1 had no word for "never": such jobs were those without a base_url."""


ALIVE = "state IN ('IN_QUEUE', 'IN_PROGRESS')"
"""Condition for jobs that have not ended."""


def version_of(connection: sqlite3.Connection) -> int:
    """Version of the schema of a file; 0 of a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring them up to this version, and set the connection up."""
    version = version_of(connection)
    if version == 0:
        connection.executescript(_STATEMENTS)
    elif version == 1:
        connection.executescript(_FROM_1)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # an accepted job survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")
