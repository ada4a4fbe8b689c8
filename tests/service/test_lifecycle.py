"""The life of a real server process: start, crash, overload, shutdown. The worker is fake."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app import main
from tests.conftest import MakeClient
from tests.gate import Gate
from tests.server import ROOT, ServerProcess, fake_server
from tests.waiting import wait_until

BODY = {"prompt": "a", "width": 64, "height": 32, "num_inference_steps": 3}


@pytest.fixture
def step_gate(tmp_path: Path) -> Gate:
    gate = Gate(tmp_path)
    gate.close()
    return gate


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def post(running: ServerProcess, **changes: object) -> httpx.Response:
    with running.client() as client:
        return client.post("/text-to-image", json=BODY | changes)


def get(running: ServerProcess, path: str) -> httpx.Response:
    with running.client() as client:
        return client.get(path)


def wait_depth(running: ServerProcess, jobs: int) -> None:
    """Wait until so many jobs wait for the worker."""
    with running.client() as client:
        line = f"runner_queue_depth {jobs:.1f}\n"
        wait_until(lambda: line in client.get("/metrics").text)


@contextmanager
def impatient(url: str, more: int = 0, **changes: object) -> Iterator[socket.socket]:
    """A client that sends its request and hangs up at the end of the block.

    With `more`, so many bytes of its body are missing.
    """
    body = json.dumps(BODY | changes)
    head = "POST /text-to-image HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body) + more}\r\n\r\n{body}".encode())
        yield connection


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def message(response: httpx.Response) -> str:
    return response.json()["detail"]["msg"]


def test_answers_while_the_model_loads(tmp_path: Path, clients: ThreadPoolExecutor) -> None:
    gate = Gate(tmp_path, "load")
    gate.close()
    with fake_server(tmp_path) as running:
        health = get(running, "/health")
        assert (health.status_code, health.json()) == (503, {"status": "LOADING"})
        early = clients.submit(post, running)
        gate.wait_reached()
        assert not early.done()
        gate.open()
        assert early.result().status_code == 200
        health = get(running, "/health/")
        assert (health.status_code, health.json()) == (200, {"status": "OK"})


def test_a_model_that_cannot_be_loaded_is_named_to_those_who_ask(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "ERROR_LINGER", 3600.0)  # what it does then is the next test's
    client = make_client(model_id="unloadable")
    wait_until(lambda: client.get("/health").json() == {"status": "ERROR"})
    assert client.get("/health").status_code == 503
    refusal = client.post("/text-to-image", json=BODY)
    assert refusal.status_code == 500
    assert "MODEL_ID=unloadable is not on disk: download it." in message(refusal)


def test_a_model_that_cannot_be_loaded_ends_the_process(tmp_path: Path) -> None:
    with fake_server(tmp_path, MODEL_ID="unloadable") as running:
        assert running.wait_exit() == 1
        assert "MODEL_ID=unloadable is not on disk: download it." in running.log
        assert "Traceback" not in running.log


def test_a_worker_that_dies_while_loading_is_not_restarted_for_ever(tmp_path: Path) -> None:
    running = fake_server(tmp_path, MODEL_ID="crash-on-load")
    assert running.wait_exit(180) == 1
    assert "ended 3 times while loading (exit code 9)" in running.log


@pytest.mark.parametrize("command", [["-m", "app"], ["-m", "uvicorn", "app.main:app"]])
def test_wrong_settings_end_it_with_one_line(command: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("PIPELINE", "MODEL_ID")}
    run = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment | {"PIPELINE": "text-to-music"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "PIPELINE='text-to-music' is not valid: choose one of" in run.stderr
    assert "MODEL_ID is not set" in run.stderr


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        given = {"PIPELINE": "text-to-image", "MODEL_ID": "demo", "HOST": "127.0.0.1", "PORT": port}
        run = subprocess.run(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env=os.environ | given,
            capture_output=True,
            text=True,
        )
    assert run.returncode == 1
    assert f"error: HOST=127.0.0.1 PORT={port} cannot be listened on" in run.stderr
    assert "Traceback" not in run.stderr


def test_kill_9_of_the_worker_costs_no_request(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path) as running:
        waiting = [clients.submit(post, running, seed=seed) for seed in range(4)]
        step_gate.wait_reached()
        (worker,) = running.children()
        os.kill(worker, signal.SIGKILL)
        step_gate.open()
        images = [future.result().json()["images"][0] for future in waiting]
        assert [image["seed"] for image in images] == [0, 1, 2, 3]
        assert "killed by SIGKILL" in running.log
        assert get(running, "/health").status_code == 200


def test_a_worker_that_hangs_in_a_step_is_replaced(tmp_path: Path) -> None:
    with fake_server(tmp_path, STEP_TIMEOUT="5") as running:
        assert post(running, prompt="hang").status_code == 200
        assert "no denoising step for" in running.log


def test_no_orphan_survives_the_server(
    tmp_path: Path, step_gate: Gate, clients: ThreadPoolExecutor
) -> None:
    with fake_server(tmp_path) as running:
        lost = clients.submit(post, running)
        step_gate.wait_reached()
        (worker,) = running.children()
        running.process.kill()
        wait_until(lambda: not alive(worker))
        with pytest.raises(httpx.HTTPError):
            lost.result()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_that_is_stopped_leaves_nothing_behind(number: int) -> None:
    environment = os.environ | {"PIPELINE": "text-to-image", "MODEL_ID": "demo"}
    with subprocess.Popen([sys.executable, "-m", "app"], cwd=ROOT, env=environment) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: children.read_text())
        (worker,) = map(int, children.read_text().split())
        process.send_signal(number)
        assert process.wait() in (128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL)
    wait_until(lambda: not alive(worker), 5)


def test_a_client_that_leaves_stops_its_job_at_the_next_step(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path) as running:
        with impatient(running.url, num_inference_steps=200):
            step_gate.wait_reached()
            queued = clients.submit(post, running, seed=5)
        wait_until(lambda: "outcome=JobCancelled" in running.log)
        step_gate.open()
        assert queued.result().status_code == 200


def test_a_waiting_client_that_leaves_gives_its_place_back(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path, QUEUE_LIMIT=1) as running:
        first = clients.submit(post, running)
        step_gate.wait_reached()
        with impatient(running.url):
            wait_depth(running, 1)
        wait_depth(running, 0)
        second = clients.submit(post, running)
        wait_depth(running, 1)
        step_gate.open()
        assert first.result().status_code == second.result().status_code == 200


@pytest.mark.parametrize(("setting", "status"), [("", 503), ("429", 429), ("500", 500)])
def test_overload_is_said_the_contracts_way(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate, setting: str, status: int
) -> None:
    with fake_server(tmp_path, QUEUE_LIMIT=1, OVERLOAD_STATUS=setting) as running:
        accepted = [clients.submit(post, running)]
        step_gate.wait_reached()
        # There is room for one of these two.
        pair = [clients.submit(post, running) for _ in range(2)]
        wait_until(lambda: any(future.done() for future in pair))
        refusal = next(future for future in pair if future.done()).result()
        assert refusal.status_code == status
        assert "insufficient capacity" in message(refusal)
        assert int(refusal.headers["retry-after"]) >= 1
        step_gate.open()
        assert accepted[0].result().status_code == 200
        statuses = sorted(future.result().status_code for future in pair)
        assert statuses == sorted([200, status])


def test_a_request_that_takes_too_long_ends_with_a_clear_error(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path, REQUEST_TIMEOUT="0.5") as running:
        late = [clients.submit(post, running) for _ in range(2)]
        for future in late:
            assert future.result().status_code == 500
            assert "REQUEST_TIMEOUT" in message(future.result())
        step_gate.open()
        wait_until(lambda: post(running).status_code == 200)


def test_sigterm_finishes_what_runs_and_refuses_the_rest(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path, DRAIN_SECONDS=30) as running:
        runs = clients.submit(post, running)
        step_gate.wait_reached()
        waits = clients.submit(post, running)
        wait_depth(running, 1)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "finishing the running jobs" in running.log)
        new = post(running)
        assert new.status_code == 503
        assert "shutting down" in message(new)
        assert "shutting down" in message(waits.result())
        step_gate.open()
        assert runs.result().status_code == 200
        assert running.wait_exit() == 0


def test_sigterm_waits_for_no_body(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path, DRAIN_SECONDS=600) as running:
        runs = clients.submit(post, running)
        step_gate.wait_reached()
        with impatient(running.url, more=10) as slow:
            running.process.send_signal(signal.SIGTERM)
            answer = slow.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 503 ")
        assert "shutting down" in json.loads(answer.partition("\r\n\r\n")[2])["detail"]["msg"]
        step_gate.open()
        assert runs.result().status_code == 200
        assert running.wait_exit() == 0
        assert "Traceback" not in running.log


def test_sigterm_gives_up_what_still_runs_after_drain_seconds(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path, DRAIN_SECONDS="0.2") as running:
        runs = clients.submit(post, running)
        step_gate.wait_reached()
        running.process.send_signal(signal.SIGTERM)
        assert runs.result().status_code == 503
        assert "shutting down" in message(runs.result())
        assert running.wait_exit() == 0


def test_a_second_signal_gives_up_what_still_runs(
    tmp_path: Path, clients: ThreadPoolExecutor, step_gate: Gate
) -> None:
    with fake_server(tmp_path, DRAIN_SECONDS=600) as running:
        runs = clients.submit(post, running)
        step_gate.wait_reached()
        running.process.send_signal(signal.SIGINT)
        wait_until(lambda: "finishing the running jobs" in running.log)
        running.process.send_signal(signal.SIGINT)
        assert runs.result().status_code == 503
        assert "shutting down" in message(runs.result())
        assert running.wait_exit() == 0
        assert "Traceback" not in running.log
