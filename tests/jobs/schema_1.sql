-- The tables of a store as version 1 wrote them.
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
    urls INTEGER NOT NULL,
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
PRAGMA user_version = 1;
COMMIT;
