"""Real service processes that are killed, or told to end, in the middle of their work."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.jobs.conftest import TINY, Gate, StartService
from tests.server import ServerProcess, wait_until

JOBS = 100
KILLS = 5

LOG_ENDS = """
    CREATE TABLE ends (id TEXT, state TEXT);
    CREATE TRIGGER log_ends AFTER UPDATE OF state ON jobs
        WHEN new.state NOT IN ('IN_QUEUE', 'IN_PROGRESS')
        BEGIN INSERT INTO ends VALUES (new.id, new.state); END;
    CREATE TRIGGER forbid_revivals BEFORE UPDATE OF state ON jobs
        WHEN old.state NOT IN ('IN_QUEUE', 'IN_PROGRESS')
        BEGIN SELECT raise(ABORT, 'a job that has ended was touched'); END;
"""


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / "data" / "jobs.sqlite3", timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def kill(service: ServerProcess) -> None:
    """As the power switch does: the worker dies with its parent, of the closed channel."""
    service.process.send_signal(signal.SIGKILL)
    service.process.wait()


def submit(service: ServerProcess, **given: object) -> str:
    response = httpx.post(f"{service.url}/run", json={"input": TINY | given}, timeout=60)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def status(service: ServerProcess, job_id: str) -> dict[str, object]:
    return dict(httpx.get(f"{service.url}/status/{job_id}", timeout=60).json())


def wait_for(service: ServerProcess, job_id: str, state: str) -> None:
    wait_until(lambda: status(service, job_id)["status"] == state)


def test_a_hundred_jobs_survive_five_kills_each_ending_once(
    start_service: StartService, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, "load")
    gate.close()
    service = start_service()
    with ThreadPoolExecutor(4) as clients:
        ids = list(clients.map(lambda seed: submit(service, seed=seed), range(JOBS)))
    assert len(set(ids)) == JOBS
    with database(tmp_path) as connection:
        connection.executescript(LOG_ENDS)

        def count(state: str) -> int:
            query = "SELECT count(*) FROM jobs WHERE state = ?"
            return int(connection.execute(query, (state,)).fetchone()[0])

        gate.open()
        for stop in range(1, KILLS + 1):
            # At a moment of its own each time, in the middle of some job.
            wait_until(lambda stop=stop: count("COMPLETED") >= stop * JOBS // (KILLS + 2))  # type: ignore[misc]
            kill(service)
            assert count("COMPLETED") < JOBS
            service = start_service()
        wait_until(lambda: count("COMPLETED") == JOBS, 120)
        ends = connection.execute("SELECT id, state FROM ends").fetchall()
    assert sorted(ends) == sorted((job_id, "COMPLETED") for job_id in ids)
    for seed, job_id in enumerate(ids):
        job = status(service, job_id)
        assert job["status"] == "COMPLETED"
        assert job["output"]["seed"] == seed  # type: ignore[index]


def test_a_running_job_is_run_again_but_not_for_ever(
    start_service: StartService, gate: Gate
) -> None:
    gate.close()
    service = start_service(JOB_ATTEMPTS=2)
    deadly, next_one = submit(service), submit(service)
    for _ in range(2):
        wait_for(service, deadly, "IN_PROGRESS")
        assert status(service, next_one)["status"] == "IN_QUEUE"
        kill(service)
        service = start_service(JOB_ATTEMPTS=2)
    job = status(service, deadly)
    assert job["status"] == "FAILED"
    assert "2 times (JOB_ATTEMPTS)" in str(job["error"])
    gate.open()
    wait_for(service, next_one, "COMPLETED")


def test_sigterm_leaves_the_jobs_on_disk(start_service: StartService, gate: Gate) -> None:
    gate.close()
    service = start_service(DRAIN_SECONDS="0.2", JOB_ATTEMPTS=1)
    ids = [submit(service, seed=seed) for seed in range(3)]
    wait_for(service, ids[0], "IN_PROGRESS")
    with ThreadPoolExecutor(2) as clients:
        # Neither who waits for a job nor who watches it holds the end up.
        waiting = clients.submit(httpx.get, f"{service.url}/status-sync/{ids[2]}", timeout=60)
        watching = clients.submit(httpx.get, f"{service.url}/jobs/{ids[1]}/events", timeout=60)
        wait_until(lambda: httpx.get(f"{service.url}/ping").status_code == 200)
        time.sleep(0.3)  # both are on their way
        start = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_exit(30) == 0, service.log
        assert time.monotonic() - start < 15
        assert waiting.result().json()["status"] == "IN_QUEUE"
        assert '"state": "queued"' in watching.result().text
    gate.open()
    service = start_service(JOB_ATTEMPTS=1)  # the interrupted start did not count
    for job_id in ids:
        wait_for(service, job_id, "COMPLETED")


def test_a_job_that_finishes_while_the_service_drains_is_kept(
    start_service: StartService, gate: Gate
) -> None:
    gate.close()
    service = start_service(DRAIN_SECONDS="30")
    job_id = submit(service)
    gate.wait_reached()
    service.process.send_signal(signal.SIGTERM)
    wait_until(lambda: httpx.post(f"{service.url}/run", json={"input": TINY}).status_code == 429)
    gate.open()
    assert service.wait_exit(30) == 0, service.log
    assert status(start_service(), job_id)["status"] == "COMPLETED"


def test_the_worker_dies_with_the_service(start_service: StartService, gate: Gate) -> None:
    gate.close()
    service = start_service().wait_ready()
    submit(service)
    gate.wait_reached()
    workers = service.children()
    kill(service)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
