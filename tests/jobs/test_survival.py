"""Real service processes that are killed, or told to end, in the middle of their work."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.gate import Gate
from tests.jobs.conftest import TINY, StartService
from tests.server import PATIENCE, ServerProcess
from tests.waiting import wait_until

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
    with service.client() as client:
        response = client.post("/run", json={"input": TINY | given})
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def status(service: ServerProcess, job_id: str) -> dict[str, object]:
    with service.client() as client:
        return dict(client.get(f"/status/{job_id}").json())


def ask(client: httpx.Client, path: str, asked: threading.Event) -> httpx.Response:
    """The answer; `asked` says when the whole request is on its way to the server."""

    def follow(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            asked.set()

    return client.get(path, extensions={"trace": follow})


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
            # At a moment of its own each time, in the middle of some job, most of them still to do.
            wait_until(lambda stop=stop: count("COMPLETED") >= stop * JOBS // (4 * KILLS))  # type: ignore[misc]
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
    with (
        service.client() as client,
        ThreadPoolExecutor(1) as pool,
        client.stream("GET", f"/jobs/{ids[1]}/events") as events,
    ):
        # Neither who waits for a job nor who watches it holds the end up.
        lines = events.iter_lines()
        assert any('"state": "queued"' in line for line in lines)
        asked = threading.Event()
        waiting = pool.submit(ask, client, f"/status-sync/{ids[2]}", asked)
        assert asked.wait(PATIENCE)
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_exit() == 0, service.log
        assert waiting.result().json()["status"] == "IN_QUEUE"
        assert not any("data:" in line for line in lines)
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
    with service.client() as client:
        wait_until(lambda: client.post("/run", json={"input": TINY}).status_code == 429)
    gate.open()
    assert service.wait_exit() == 0, service.log
    assert status(start_service(), job_id)["status"] == "COMPLETED"


def test_the_worker_dies_with_the_service(start_service: StartService, gate: Gate) -> None:
    gate.close()
    service = start_service().wait_ready()
    submit(service)
    gate.wait_reached()
    workers = service.children()
    kill(service)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
