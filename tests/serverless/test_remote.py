"""The whole service in front of another host's queue."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.engine.job import JobOptions, State
from app.engine.messages import Inputs
from app.errors import DeadlineExceeded, JobCancelled, ShuttingDown
from app.pipelines import PIPELINES
from app.serverless.remote import RemoteBackend
from app.serverless.remote_service import create_remote_app
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.gate import Gate
from tests.pictures import opened, picture
from tests.server import ServerProcess, settings_of
from tests.serverless.fake_host import FakeHost
from tests.waiting import wait_until

SMALL = {"width": 32, "height": 16, "num_inference_steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MODEL_DIR, where the fake worker looks for its gates."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    """A client of the service in front of a host."""
    settings = Settings(
        pipeline="text-to-image", model_id="some/model", model_dir=folder, data_dir=folder / "data"
    )
    host = FakeHost(settings)
    with TestClient(create_remote_app(settings, host)) as client:
        yield client
        assert client.portal is not None
        client.portal.call(host.close)


def status_of(client: TestClient, job_id: str) -> str:
    """The state of a job."""
    return str(client.get(f"/status/{job_id}").json()["status"])


def test_a_request_is_painted_by_the_host_and_encoded_here(client: TestClient) -> None:
    answer = client.post("/text-to-image", json={"prompt": "a fox", "seed": 7, **SMALL})

    assert answer.status_code == 200
    (media,) = answer.json()["images"]
    image = opened(media["url"])
    assert (image.size, image.getpixel((1, 1)), media["seed"]) == ((32, 16), (7, 7, 7), 7)


def test_the_hosts_errors_are_the_services(client: TestClient) -> None:
    answer = client.post("/text-to-image", json={"prompt": "oom", **SMALL})

    assert answer.status_code == 500
    assert answer.json()["detail"]["msg"].startswith("Out of memory error.")


def test_what_is_wrong_is_told_before_the_host_hears_of_it(client: TestClient) -> None:
    wrong = {"prompt": "a fox", "width": 36, "height": 32}

    assert client.post("/text-to-image", json=wrong).status_code == 400
    answer = client.post("/run", json={"input": wrong})
    assert answer.status_code == 400
    assert "divisible by 8" in answer.json()["error"]


@pytest.mark.parametrize("prefix", ["", "/v2/any"])
def test_a_job_goes_through_the_hosts_queue(client: TestClient, prefix: str) -> None:
    job = client.post(f"{prefix}/run", json={"input": {"prompt": "a fox", **SMALL}}).json()
    assert job["status"] == "IN_QUEUE"

    done = client.get(f"{prefix}/status-sync/{job['id']}").json()

    assert (done["id"], done["status"]) == (job["id"], "COMPLETED")
    assert base64.b64decode(done["output"]["body"])[1:4] == b"PNG"


def test_a_stream_tells_an_output_once(client: TestClient) -> None:
    job = client.post("/run", json={"input": {"prompt": "a fox", **SMALL}}).json()
    done = client.get(f"/status-sync/{job['id']}").json()

    first, second = (client.post(f"/stream/{job['id']}").json() for _ in range(2))

    assert first == {"status": "COMPLETED", "stream": [{"output": done["output"]}]}
    assert second == {"status": "COMPLETED", "stream": []}


def test_a_stream_tells_each_step_once(client: TestClient, folder: Path) -> None:
    gate = Gate(folder, "step-2")
    gate.close()
    job_id = client.post("/run", json={"input": {"prompt": "a fox", **SMALL}}).json()["id"]
    wait_until(lambda: status_of(client, job_id) == "IN_PROGRESS")

    first, second = (client.get(f"/stream/{job_id}").json() for _ in range(2))
    gate.open()
    client.get(f"/status-sync/{job_id}")

    step = {"output": {"progress": {"step": 1, "steps": 3}}}
    assert first == {"status": "IN_PROGRESS", "stream": [step]}
    assert second == {"status": "IN_PROGRESS", "stream": []}
    (last,) = client.get(f"/stream/{job_id}").json()["stream"]
    assert last["output"]["content_type"] == "image/png"


RUNPODS_CLIENT = """
import runpod
runpod.api_key = "any"
small = {"prompt": "a fox", "width": 32, "height": 16, "num_inference_steps": 3, "seed": 7}
assert list(runpod.Endpoint("mine").run({"input": small}).stream())[-1]["seed"] == 7
"""


def test_runpods_client_comes_to_the_end_of_a_stream(tmp_path: Path) -> None:
    pytest.importorskip("runpod", reason="RunPod's client is not installed")
    settings = settings_of(tmp_path)
    with ServerProcess(settings, ("-m", "tests.serverless.serve_remote")) as service:
        address = {"RUNPOD_ENDPOINT_BASE_URL": f"{service.url}/v2"}
        client = subprocess.run(
            [sys.executable, "-c", RUNPODS_CLIENT],
            env=os.environ | address,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert client.returncode == 0, client.stderr


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"webhook": "https://example.com/done"}, "webhook"),
        ({"policy": {"executionTimeout": 60_000}}, "policy"),
        ({"webhook": "https://example.com", "policy": {"ttl": 60_000}}, "webhook and policy"),
    ],
)
@pytest.mark.parametrize("call", ["/run", "/runsync"])
def test_what_the_hosts_queue_does_not_keep_is_refused(
    client: TestClient, call: str, asked: dict[str, object], named: str
) -> None:
    answer = client.post(call, json={"input": {"prompt": "a fox", **SMALL}, **asked})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{named}: not offered here.")


def test_the_pages_request_is_taken(client: TestClient) -> None:
    """It asks for URLs, and shows an output without one just as well."""
    plain = {"input": {"prompt": "a fox", **SMALL}, "webhook": None, "policy": {}}

    assert client.post("/run?response=url", json=plain).json()["status"] == "IN_QUEUE"


def test_runsync_waits_for_the_end(client: TestClient) -> None:
    done = client.post("/runsync", json={"input": {"prompt": "a fox", **SMALL}}).json()

    assert done["status"] == "COMPLETED"


def test_a_failed_job_says_why(client: TestClient) -> None:
    job = client.post("/runsync", json={"input": {"prompt": "oom", **SMALL}}).json()

    assert job["status"] == "FAILED"
    assert job["error"].startswith("Out of memory error.")


def test_a_job_tells_its_progress_and_can_be_cancelled(client: TestClient, folder: Path) -> None:
    gate = Gate(folder, "step-2")
    gate.close()
    job_id = client.post("/run", json={"input": {"prompt": "a fox", **SMALL}}).json()["id"]
    wait_until(lambda: status_of(client, job_id) == "IN_PROGRESS")
    output = client.get(f"/status/{job_id}").json()["output"]

    cancelled = client.post(f"/cancel/{job_id}").json()
    gate.open()

    assert output == {"progress": {"step": 1, "steps": 3}}
    assert cancelled == {"id": job_id, "status": "CANCELLED"}
    wait_until(lambda: status_of(client, job_id) == "CANCELLED")
    assert client.post("/runsync", json={"input": {"prompt": "a fox", **SMALL}}).is_success


def test_an_unknown_job_is_not_found(client: TestClient) -> None:
    answer = client.get("/status/fc-unknown")

    assert answer.status_code == 404
    assert "fc-unknown" in answer.json()["error"]


def test_a_video_that_openais_clients_ask_for_is_made(make_settings: MakeSettings) -> None:
    settings = make_settings(pipeline="image-to-video")
    host = FakeHost(settings)
    with TestClient(create_remote_app(settings, host)) as client:
        files = {"input_reference": ("a.png", picture(), "image/png")}
        form = {"prompt": "waves", "size": "64x32", "num_inference_steps": "2"}
        video = client.post("/v1/videos", data=form, files=files).json()
        path = f"/v1/videos/{video['id']}"
        wait_until(lambda: client.get(path).json()["status"] == "completed")
        assert client.get(f"{path}/content").content[4:8] == b"ftyp"
        assert client.portal is not None
        client.portal.call(host.close)


def test_the_token_guards_the_jobs(make_settings: MakeSettings) -> None:
    settings = make_settings(auth_token="secret")
    with TestClient(create_remote_app(settings, FakeHost(settings))) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ping").status_code == 200
        assert client.post("/run", json={"input": {}}).status_code == 401
        answer = client.post("/run", json={"input": {}}, headers={"Authorization": "secret"})
        assert answer.status_code == 400


def test_a_door_that_is_shut_is_shut(make_settings: MakeSettings) -> None:
    settings = make_settings(doors=["livepeer"])
    with TestClient(create_remote_app(settings, FakeHost(settings))) as client:
        assert client.post("/run", json={"input": {}}).status_code == 404


def test_what_only_a_queue_of_ours_can_do_is_not_offered(client: TestClient) -> None:
    for method, path in (("POST", "/retry/x"), ("POST", "/purge-queue"), ("GET", "/v2/x/health")):
        assert client.request(method, path).status_code == 404


# The backend alone --------------------------------------------------------------------------


def inputs(prompt: str) -> Inputs:
    """A checked request."""
    params = PIPELINES["text-to-image"].params.model_validate({"prompt": prompt, **SMALL})
    return Inputs("text-to-image", params, seeds=(7,))


def test_a_job_cancelled_on_its_way_to_the_host_does_not_run_there(
    make_settings: MakeSettings,
) -> None:
    async def scenario() -> None:
        host = FakeHost(make_settings())
        backend = RemoteBackend(make_settings(), host)
        host.queueing.clear()
        job = backend.submit(inputs("a fox"), None, JobOptions("test"))
        await asyncio.sleep(0)  # the call is on its way

        assert backend.cancel(job.id)
        with pytest.raises(JobCancelled):
            await job.result()
        host.queueing.set()
        await backend.stop()

        assert host.cancelled == ["fc-1"]
        assert job.state is State.CANCELLED
        assert not backend.cancel(job.id)
        await host.close()

    asyncio.run(scenario())


def test_a_job_that_takes_too_long_is_stopped_at_the_host(make_settings: MakeSettings) -> None:
    async def scenario() -> None:
        settings = make_settings()
        Gate(settings.model_dir, "load").close()
        host = FakeHost(settings)
        backend = RemoteBackend(settings, host)
        job = backend.submit(inputs("a fox"), None, JobOptions("test", time_limit=0.05))

        with pytest.raises(DeadlineExceeded):
            await job.result()

        assert host.cancelled == ["fc-1"]
        await host.close()

    asyncio.run(scenario())


def test_a_stopped_backend_leaves_nothing_at_the_host(make_settings: MakeSettings) -> None:
    async def scenario() -> None:
        settings = make_settings(drain_seconds=0)
        Gate(settings.model_dir, "load").close()
        host = FakeHost(settings)
        backend = RemoteBackend(settings, host)
        job = backend.submit(inputs("a fox"), None, JobOptions("test"))
        await asyncio.sleep(0)

        await backend.drain()

        assert host.cancelled == ["fc-1"]
        with pytest.raises(ShuttingDown):
            await job.result()
        with pytest.raises(ShuttingDown):
            backend.submit(inputs("a fox"), None, JobOptions("test"))
        await host.close()

    asyncio.run(scenario())
