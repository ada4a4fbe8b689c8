"""The application on a real Ray cluster of this machine, its replicas with the fake worker.

One cluster for all: on two busy cores it takes minutes to start, and so `make test-ray` runs these.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.gate import Gate
from tests.serve_fake import FAKE_WORKER
from tests.server import ROOT
from tests.waiting import wait_until

ray = pytest.importorskip("ray", reason="needs pip install -r requirements-ray.txt")
from ray import serve  # noqa: E402

from app.ray_backend.deployment import ray_application  # noqa: E402
from app.ray_backend.ray_settings import RaySettings  # noqa: E402

START = 300.0
"""Seconds that anything may take on a machine that does other things."""
REQUESTS = 200


@dataclass
class Cluster:
    """Ray on this machine.

    Attributes:
        url: of the service.
        models: MODEL_DIR, where the fake worker looks for gates.
        logs: Ray's folder of logs.
    """

    url: str
    models: Path
    logs: Path

    def deploy(self, **deployment: float) -> None:
        """Serve with these RaySettings."""
        settings = Settings(
            pipeline="text-to-image",
            model_id="some/model",
            model_dir=self.models,
            data_dir=self.models / "data",
            queue_limit=REQUESTS,
        )
        values = {"replica_gpus": 0, "replica_cpus": 0.1, "replica_jobs": 4} | deployment
        application = ray_application(settings, RaySettings.model_validate(values), FAKE_WORKER)
        serve.run(application)
        wait_until(lambda: httpx.get(f"{self.url}/health", timeout=START).is_success, START)

    def metrics(self) -> str:
        """What the service counts, in Prometheus' text format."""
        return httpx.get(f"{self.url}/metrics", timeout=START).text

    def replicas(self) -> list[str]:
        """Names of the actors of the running replicas."""
        details = serve.status().applications["default"].deployments["Replica"]
        running = details.replica_states.get("RUNNING", 0)
        names = [it["name"] for it in ray.util.list_named_actors(all_namespaces=True)]
        found = [name for name in names if "#Replica#" in name]
        return found if len(found) == running else []

    def closed_gate(self, name: str = "step") -> Gate:
        """Hold all workers there, until it is opened."""
        gate = Gate(self.models, name)
        gate.close()
        return gate


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    session = _start_ray()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    yield Cluster(f"http://127.0.0.1:{port}", tmp_path_factory.mktemp("models"), session / "logs")
    serve.shutdown()
    ray.shutdown()


def _start_ray() -> Path:
    """Folder of the session. Ray gives its node 30 seconds, too few for a machine that is busy."""
    for attempts_left in (2, 1, 0):
        try:
            context = ray.init(
                num_cpus=4,
                include_dashboard=False,
                log_to_driver=False,
                runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}},
            )
            return Path(context.address_info["session_dir"])
        except Exception as error:
            ray.shutdown()
            if not attempts_left or "timed out during startup" not in str(error):
                raise
    raise AssertionError("not reached")


async def ask(client: httpx.AsyncClient, seed: int) -> int:
    """The seed that an image was made of."""
    body = {"prompt": "hi", "width": 64, "height": 64, "num_inference_steps": 3, "seed": seed}
    answer = await client.post("/text-to-image", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["images"][0]["seed"])


def client_of(cluster: Cluster) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=REQUESTS)
    return httpx.AsyncClient(base_url=cluster.url, timeout=START, limits=limits)


def test_a_killed_replica_costs_none_of_200_requests(cluster: Cluster) -> None:
    cluster.deploy(min_replicas=2, max_replicas=2)
    wait_until(lambda: len(cluster.replicas()) == 2, START)
    # Each replica's first job gets there, and so counts as running.
    gate = cluster.closed_gate("step-2")

    async def scenario() -> list[int]:
        # The requests take all of their client's connections.
        async with client_of(cluster) as client, client_of(cluster) as watcher:
            asked = [asyncio.create_task(ask(client, seed)) for seed in range(REQUESTS)]
            while "runner_running_jobs 2.0" not in (await watcher.get("/metrics")).text:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            victim = ray.get_actor(cluster.replicas()[0], namespace="serve")
            ray.kill(victim)
            gate.open()
            return await asyncio.gather(*asked)

    assert asyncio.run(scenario()) == list(range(REQUESTS))
    assert "runner_worker_restarts_total 0.0" not in cluster.metrics()


def test_who_leaves_is_no_longer_worked_for(cluster: Cluster) -> None:
    gate = cluster.closed_gate()

    async def leave() -> None:
        async with client_of(cluster) as client:
            asking = asyncio.create_task(ask(client, 1))
            while not gate.is_reached():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    def replicas_say(text: str) -> bool:
        files = (cluster.logs / "serve").glob("replica_default_Replica_*.log")
        return any(text in file.read_text() for file in files)

    asyncio.run(leave())
    wait_until(lambda: replicas_say("CALL paint CANCELLED"), START)
    gate.open()
    wait_until(lambda: "JobCancelled" in cluster.metrics(), START)


def test_jobs_are_visible_through_the_same_port_whoever_runs_them(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.url, timeout=START) as client:
        size = {"width": 64, "height": 64, "num_inference_steps": 3}
        ids = [
            client.post("/run", json={"input": {"prompt": "hi", "seed": seed} | size}).json()["id"]
            for seed in range(6)
        ]
        for job_id in ids:
            wait_until(
                lambda job_id=job_id: (
                    client.get(f"/status/{job_id}").json()["status"] == "COMPLETED"
                ),
                START,
            )


def test_replicas_come_with_the_queue_and_go_with_it(cluster: Cluster) -> None:
    cluster.deploy(
        min_replicas=0, max_replicas=2, target_jobs=1, upscale_delay=0, downscale_delay=2
    )
    wait_until(lambda: not _running(), START)
    gate = cluster.closed_gate()

    async def scenario() -> list[int]:
        async with client_of(cluster) as client:
            asked = [asyncio.create_task(ask(client, seed)) for seed in range(6)]
            while _running() < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            gate.open()
            return await asyncio.gather(*asked)

    assert asyncio.run(scenario()) == list(range(6))
    wait_until(lambda: not _running(), START)


def _running() -> int:
    details = serve.status().applications["default"].deployments["Replica"]
    return int(details.replica_states.get("RUNNING", 0))
