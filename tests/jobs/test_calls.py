"""RunPod's calls: their answers, and the errors of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.jobs.durable import DurableJob
from app.jobs.queue import JobQueue
from app.openapi import ANSWERS
from tests.conftest import MakeClient
from tests.gate import Gate
from tests.jobs.conftest import TINY, finished, submit
from tests.pictures import opened
from tests.waiting import wait_until


@pytest.mark.parametrize("prefix", ["", "/v2/any-endpoint"])
def test_a_job_from_run_to_its_output(client: TestClient, prefix: str) -> None:
    accepted = client.post(f"{prefix}/run", json={"input": TINY}).json()
    assert accepted == {"id": accepted["id"], "status": "IN_QUEUE"}
    job = client.get(f"{prefix}/status-sync/{accepted['id']}").json()
    assert job["status"] == "COMPLETED"
    assert job["id"] == accepted["id"]
    assert min(job["delayTime"], job["executionTime"]) >= 0
    assert job["workerId"]
    output = job["output"]
    assert output["statusCode"] == 200
    assert output["headers"] == {"Content-Type": "application/json"}
    assert (output["content_type"], output["seed"], output["nsfw"]) == ("image/png", 7, False)
    assert "images" not in output
    image = opened(output["body"])
    assert (image.size, image.getpixel((0, 0))) == ((16, 16), (7, 7, 7))
    for method in ("GET", "POST"):
        assert client.request(method, f"{prefix}/status/{job['id']}").json() == job


def test_runsync_answers_with_the_finished_job(client: TestClient) -> None:
    job = client.post("/runsync", json={"input": {**TINY, "num_images_per_prompt": 2}}).json()
    assert job["status"] == "COMPLETED"
    images = job["output"]["images"]
    assert [image["seed"] for image in images] == [7, 8]
    assert images[0]["url"] == "data:image/png;base64," + job["output"]["body"]


@pytest.mark.parametrize("call", ["run", "runsync"])
def test_a_slip_in_a_field_is_told_with_the_output(client: TestClient, call: str) -> None:
    given = {**TINY, "promt": "a fox", "image": "a picture"}
    job = client.post(f"/{call}", json={"input": given}).json()
    assert finished(client, job["id"])["output"]["headers"]["Warning"] == (
        '199 - "promt is no field and was ignored: prompt is one", '
        '199 - "image is no field and was ignored"'
    )


def test_runsync_and_status_sync_wait_as_long_as_asked_within_bounds(
    make_client: MakeClient, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    wait = JobQueue.wait

    async def wait_not(queue: JobQueue, job_id: str, seconds: float) -> DurableJob:
        waits.append(seconds)
        return await wait(queue, job_id, 0.0)

    client = make_client()
    gate.close()
    with monkeypatch.context() as patch:
        patch.setattr(JobQueue, "wait", wait_not)
        job = client.post("/runsync", params={"wait": 1500}, json={"input": TINY}).json()
        assert job["status"] in ("IN_QUEUE", "IN_PROGRESS")
        for asked in ({}, {"wait": 2500}, {"wait": 1}, {"wait": 10**9}):
            job = client.get(f"/status-sync/{job['id']}", params=asked).json()
            assert job["status"] in ("IN_QUEUE", "IN_PROGRESS")
    assert waits == [1.5, 90.0, 2.5, 1.0, 300.0]
    gate.open()
    assert finished(client, job["id"])["status"] == "COMPLETED"


def test_a_wait_ends_before_its_job_does(make_client: MakeClient, gate: Gate) -> None:
    client = make_client()
    gate.close()
    job = client.post("/runsync", params={"wait": 1000}, json={"input": TINY}).json()
    assert job["status"] in ("IN_QUEUE", "IN_PROGRESS")
    gate.open()
    assert finished(client, job["id"])["status"] == "COMPLETED"


def test_progress_by_step(make_client: MakeClient, tmp_path: Path) -> None:
    client, gate = make_client(), Gate(tmp_path, "step-3")
    gate.close()
    job_id = submit(client, {**TINY, "num_inference_steps": 9})
    gate.wait_reached()
    expected = {"progress": {"step": 2, "steps": 9}}
    wait_until(lambda: client.get(f"/status/{job_id}").json().get("output") == expected)
    job = client.get(f"/status/{job_id}").json()
    assert job["status"] == "IN_PROGRESS"
    assert job["delayTime"] >= 0
    assert "executionTime" not in job
    gate.open()


def test_a_failed_job_says_why_and_can_be_retried(client: TestClient) -> None:
    job_id = submit(client, {**TINY, "prompt": "oom"})
    for _ in range(2):
        job = finished(client, job_id)
        assert job["status"] == "FAILED"
        assert job["error"].startswith("Out of memory error.")
        assert "output" not in job
        retried = client.post(f"/retry/{job_id}")
        assert retried.json() == {"id": job_id, "status": "IN_QUEUE"}


def test_only_failed_jobs_can_be_retried(client: TestClient) -> None:
    job_id = submit(client)
    finished(client, job_id)
    response = client.post(f"/retry/{job_id}")
    assert response.status_code == 400
    assert "COMPLETED" in response.json()["error"]


def test_cancel_a_job_that_waits_and_one_that_runs(make_client: MakeClient, gate: Gate) -> None:
    client = make_client()
    gate.close()
    running, waiting = submit(client), submit(client)
    gate.wait_reached()
    for job_id in (waiting, running):
        cancelled = client.post(f"/cancel/{job_id}").json()
        assert cancelled == {"id": job_id, "status": "CANCELLED"}
    gate.open()
    again = submit(client)
    assert finished(client, again)["status"] == "COMPLETED"
    for job_id in (waiting, running):
        job = client.get(f"/status/{job_id}").json()
        assert job["status"] == "CANCELLED"
        assert "output" not in job
        assert "error" not in job
    assert "executionTime" in client.get(f"/status/{running}").json()


def test_cancelling_a_finished_job_changes_nothing(client: TestClient) -> None:
    job_id = submit(client)
    finished(client, job_id)
    assert client.post(f"/cancel/{job_id}").json() == {"id": job_id, "status": "COMPLETED"}


def test_purge_removes_only_what_waits(make_client: MakeClient, gate: Gate) -> None:
    client = make_client()
    gate.close()
    running = submit(client)
    gate.wait_reached()
    waiting = [submit(client) for _ in range(3)]
    assert client.post("/purge-queue").json() == {"removed": 3, "status": "completed"}
    for job_id in waiting:
        assert client.get(f"/status/{job_id}").status_code == 404
    gate.open()
    assert finished(client, running)["status"] == "COMPLETED"
    assert client.post("/purge-queue").json() == {"removed": 0, "status": "completed"}


def test_health_counts_jobs_and_the_worker(make_client: MakeClient, gate: Gate) -> None:
    client = make_client()
    empty = {"completed": 0, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0}
    assert client.get("/v2/e/health").json()["jobs"] == empty
    for prompt in ("a", "fail"):
        finished(client, submit(client, {**TINY, "prompt": prompt}))
    gate.close()
    submit(client)
    gate.wait_reached()
    for _ in range(2):
        submit(client)
    expected = {"completed": 1, "failed": 1, "inProgress": 1, "inQueue": 2, "retried": 0}
    wait_until(lambda: client.get("/v2/e/health").json()["jobs"] == expected)
    workers = client.get("/v2/e/health").json()["workers"]
    assert workers == {"idle": 0, "initializing": 0, "ready": 1, "running": 1, "throttled": 0}
    # Bare, the path is another protocol's.
    assert client.get("/health").json() == {"status": "OK"}


def test_ping_while_loading_and_when_ready(make_client: MakeClient, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "load")
    gate.close()
    client = make_client()
    assert client.get("/ping").status_code == 204
    job_id = submit(client)
    assert client.get(f"/status/{job_id}").json() == {"id": job_id, "status": "IN_QUEUE"}
    gate.open()
    wait_until(lambda: client.get("/ping").status_code == 200)
    assert finished(client, job_id)["status"] == "COMPLETED"


def test_stream_gives_what_is_new_and_then_nothing(make_client: MakeClient, tmp_path: Path) -> None:
    client, gate = make_client(), Gate(tmp_path, "step-2")
    gate.close()
    job_id = submit(client)
    gate.wait_reached()
    pieces: list[dict[str, Any]] = []

    def nothing_is_new_of_the_completed_job() -> bool:
        answer = client.get(f"/stream/{job_id}").json()
        pieces.extend(answer["stream"])
        if pieces:
            gate.open()
        return answer["status"] == "COMPLETED" and not answer["stream"]

    wait_until(nothing_is_new_of_the_completed_job)
    assert {"output": {"progress": {"step": 1, "steps": 2}}} in pieces
    assert pieces[-1]["output"]["content_type"] == "image/png"
    assert sum("body" in piece["output"] for piece in pieces) == 1


def test_low_priority_jobs_come_last(make_client: MakeClient, gate: Gate) -> None:
    client = make_client()
    gate.close()
    submit(client)
    gate.wait_reached()
    submit(client)  # the one that is ready for the next free place
    wait_until(lambda: client.app.state.runner.backend.status().waiting == 1)  # type: ignore[attr-defined]
    low = submit(client, policy={"lowPriority": True})
    high = submit(client)
    gate.open()
    delays = [finished(client, job_id)["delayTime"] for job_id in (low, high)]
    assert delays[0] > delays[1]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "body"),
        (b"{", "Invalid JSON"),
        (b"[]", "body"),
        (b"{}", "input: Field required"),
        (b'{"input": "a fox"}', "input"),
        (b'{"input": {}}', "prompt: Field required"),
        (b'{"input": {"prompt": " "}}', "Prompt must be provided."),
        (b'{"input": {"prompt": "a", "width": 63}}', "divisible by 8"),
        (b'{"input": {"prompt": "a", "num_inference_steps": 9999}}', "MAX_STEPS"),
        (b'{"input": {"prompt": "a", "model_id": "other"}}', "called with other"),
        (b'{"input": {"prompt": "a"}, "policy": {"ttl": 1}}', "policy.ttl"),
        (b'{"input": {"prompt": "a"}, "policy": {"executionTimeout": 1}}', "executionTimeout"),
        (b'{"input": {"prompt": "a"}, "webhook": "nonsense"}', "https://"),
        (b'{"input": {"prompt": "a"}, "webhook": "http://127.0.0.1/"}', "private address"),
    ],
)
@pytest.mark.parametrize("call", ["/run", "/v2/e/runsync"])
def test_what_cannot_work_is_refused_before_it_is_queued(
    client: TestClient, call: str, body: bytes, says: str
) -> None:
    response = client.post(call, content=body)
    assert response.status_code == 400, response.text
    assert says in response.json()["error"]


def test_what_is_not_there(client: TestClient) -> None:
    for method, call in (
        ("GET", "status"),
        ("GET", "status-sync"),
        ("GET", "stream"),
        ("POST", "cancel"),
        ("POST", "retry"),
    ):
        response = client.request(method, f"/v2/e/{call}/nothing")
        assert response.status_code == 404
        assert "nothing" in response.json()["error"]
    assert client.get("/v2/e/unknown-call").json() == {"error": "Not Found"}


def test_bodies_that_are_too_large(make_client: MakeClient) -> None:
    client = make_client(max_upload_mb=30)
    body = json.dumps({"input": TINY, "padding": "x" * 10 * 2**20}).encode()
    response = client.post("/run", content=body)
    assert response.status_code == 413
    assert "10 MiB" in response.json()["error"]
    chunks = (body[i : i + 2**20] for i in range(0, len(body), 2**20))
    assert client.post("/run", content=chunks).status_code == 413
    assert client.post("/runsync", content=body).status_code == 200
    assert make_client(max_upload_mb=1).post("/run", content=body).status_code == 413


@pytest.mark.parametrize("header", ["s3cret", "Bearer s3cret", "bearer s3cret"])
def test_the_token_bare_or_as_bearer(make_client: MakeClient, header: str) -> None:
    client = make_client(auth_token="s3cret")
    for call in ("/run", "/v2/e/run", "/purge-queue", "/v2/e/purge-queue", "/cancel/x"):
        for wrong in ({}, {"Authorization": "wrong"}, {"Authorization": "Bearer wrong"}):
            response = client.post(call, content=b"not even JSON", headers=wrong)
            assert response.status_code == 401
            assert response.json() == {"error": "Invalid bearer token."}
    for call in ("/status/x", "/status-sync/x", "/stream/x", "/v2/e/health", "/v2/e/status/x"):
        assert client.get(call).status_code == 401
        assert client.get(call, headers={"Authorization": header}).status_code in (200, 404)
    assert client.get("/ping").status_code in (200, 204)
    response = client.post("/run", json={"input": TINY}, headers={"Authorization": header})
    assert response.status_code == 200


def test_a_queue_that_is_full(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(job_limit=2)
    gate.close()
    submit(client)
    gate.wait_reached()
    for _ in range(2):
        submit(client)
    response = client.post("/run", json={"input": TINY})
    assert response.status_code == 429
    assert "JOB_LIMIT" in response.json()["error"]
    assert int(response.headers["retry-after"]) > 0


def test_a_retry_does_not_overfill_the_queue(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(job_limit=2)
    failed = submit(client, {**TINY, "prompt": "fail"})
    finished(client, failed)
    gate.close()
    submit(client)
    gate.wait_reached()
    for _ in range(2):
        submit(client)
    response = client.post(f"/retry/{failed}")
    assert response.status_code == 429
    assert "JOB_LIMIT" in response.json()["error"]
    assert client.get(f"/status/{failed}").json()["status"] == "FAILED"
    client.post("/purge-queue")
    assert client.post(f"/retry/{failed}").status_code == 200


def check(path: str, answer: object) -> None:
    """Fail unless a call's answer is as the OpenAPI document describes it, to its last field."""
    model = ANSWERS[path].body
    assert model is not None
    read = model.model_validate(answer)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == answer


def test_answers_are_as_they_are_described(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client()
    gate = Gate(tmp_path, "step-2")
    gate.close()
    queued = client.post("/run", json={"input": TINY}).json()
    check("/run", queued)
    job_id = queued["id"]
    gate.wait_reached()
    check("/status/{job_id}", client.get(f"/status/{job_id}").json())
    check("/stream/{job_id}", client.post(f"/stream/{job_id}").json())
    waiting = client.post("/run", json={"input": TINY}).json()["id"]
    check("/cancel/{job_id}", client.post(f"/cancel/{waiting}").json())
    check("/purge-queue", client.post("/purge-queue").json())
    gate.open()
    done = finished(client, job_id)
    assert done["output"]["body"]
    check("/status-sync/{job_id}", done)
    check("/stream/{job_id}", client.post(f"/stream/{job_id}").json())
    several = client.post("/runsync", json={"input": {**TINY, "num_images_per_prompt": 2}}).json()
    assert len(several["output"]["images"]) == 2
    check("/runsync", several)
    failed = submit(client, {**TINY, "prompt": "fail"})
    check("/status-sync/{job_id}", finished(client, failed))
    check("/retry/{job_id}", client.post(f"/retry/{failed}").json())
