"""RunPod's own client, and a client that polls with plain HTTP, against a real service."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.jobs.conftest import TINY
from tests.server import PATIENCE, ServerProcess, fake_server
from tests.waiting import wait_until

pytest.importorskip("runpod", reason="RunPod's client is not installed")

TOKEN = "s3cret"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("service")
    with fake_server(folder, AUTH_TOKEN=TOKEN) as running:
        yield running.wait_ready()


def run_client(service: ServerProcess, script: str, tmp_path: Path) -> None:
    """A program of its own: the SDK reads its address at import, and sets up logging."""
    path = tmp_path / "client.py"
    path.write_text(script)
    environment = os.environ | {
        "RUNPOD_ENDPOINT_BASE_URL": f"{service.url}/v2",
        "RUNPOD_API_KEY": TOKEN,
        "TINY": repr(TINY),
    }
    run = subprocess.run(
        [sys.executable, path], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr


PRELUDE = """
import ast, asyncio, base64, os
import runpod
from runpod import AsyncioEndpoint, AsyncioJob, http_client
runpod.api_key = os.environ["RUNPOD_API_KEY"]
TINY = ast.literal_eval(os.environ["TINY"])

def check(output):
    assert base64.b64decode(output["body"]).startswith(b"\\x89PNG"), output
"""

SYNC = """
endpoint = runpod.Endpoint("mine")
job = endpoint.run({"input": TINY})
check(job.output(timeout=60))
assert job.status() == "COMPLETED"
check(endpoint.run_sync(TINY, timeout=60))
assert endpoint.run_sync({"prompt": "oom", "num_inference_steps": 1}, timeout=60) is None
pieces = list(endpoint.run({"input": TINY}).stream())
check(pieces[-1])
job = endpoint.run(TINY | {"prompt": "fail"})
assert job.output(timeout=60) is None
assert job.status() == "FAILED"
health = endpoint.health(timeout=60)
assert health["jobs"]["completed"] >= 3, health
assert health["workers"]["ready"] == 1, health
assert endpoint.purge_queue(timeout=60) == {"removed": 0, "status": "completed"}
cancelled = endpoint.run(TINY)
assert cancelled.cancel(timeout=60)["id"] == cancelled.job_id
assert cancelled.status() in ("CANCELLED", "COMPLETED")
runpod.api_key = "wrong"
try:
    runpod.Endpoint("mine").run(TINY)
except RuntimeError as error:
    assert "401" in str(error)
else:
    raise AssertionError("a wrong key was taken")
"""

ASYNC = """
async def main():
    async with http_client.AsyncClientSession() as session:
        endpoint = AsyncioEndpoint("mine", session)
        jobs = await asyncio.gather(*(endpoint.run(TINY) for _ in range(5)))
        for job in jobs:
            check(await job.output(timeout=60))
            assert await job.status() == "COMPLETED"
        pieces = [piece async for piece in (await endpoint.run(TINY)).stream()]
        check(pieces[-1])
        job = await endpoint.run(TINY)
        assert (await job.cancel())["id"] == job.job_id
        assert (await endpoint.health())["workers"]["ready"] == 1
        assert (await endpoint.purge_queue())["status"] == "completed"

asyncio.run(main())
"""


def test_the_synchronous_client(service: ServerProcess, tmp_path: Path) -> None:
    run_client(service, PRELUDE + SYNC, tmp_path)


def test_the_asynchronous_client(service: ServerProcess, tmp_path: Path) -> None:
    run_client(service, PRELUDE + ASYNC, tmp_path)


def test_a_page_that_posts_and_polls(service: ServerProcess) -> None:
    with service.client() as client:
        client.headers["Authorization"] = TOKEN
        job = client.post("/v2/mine/run", json={"input": {**TINY, "prompt": "a castle"}}).json()

        def status() -> dict[str, Any]:
            return dict(client.get(f"/v2/mine/status/{job['id']}").json())

        wait_until(lambda: status()["status"] in ("COMPLETED", "FAILED"), PATIENCE)
        job = status()
    assert base64.b64decode(job["output"]["body"]).startswith(PNG)


def test_many_clients_at_a_time(service: ServerProcess) -> None:
    async def main() -> None:
        headers = {"Authorization": TOKEN}
        async with httpx.AsyncClient(
            base_url=service.url, headers=headers, timeout=PATIENCE
        ) as client:

            async def one(seed: int) -> int:
                given = {"input": {**TINY, "seed": seed}}
                job = (await client.post("/runsync", json=given)).json()
                return int(job["output"]["seed"])

            seeds = range(40)
            assert await asyncio.gather(*map(one, seeds)) == list(seeds)

    asyncio.run(main())
