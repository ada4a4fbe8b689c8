"""Two Ray replicas against one: `python -m benchmarks.replicas` (needs requirements-ray.txt).

Sixteen clients send the demo model's requests to a Ray Serve application on this machine, which
has one replica and two in turn; each replica's worker computes on one thread. Where there are cores
to spare the ratio says what the front end and Ray cost. It may exceed two: a replica takes
REPLICA_JOBS requests at a time, so that beside one replica the other eight wait.
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
import time
from pathlib import Path

import ray
from ray import serve

from app.ray_backend.deployment import ray_application
from app.ray_backend.ray_settings import RaySettings
from app.settings import Settings
from benchmarks.http_clients import together
from benchmarks.verdict import verdict
from benchmarks.work import Work
from tests.server import ROOT

CLIENTS, REQUESTS = 16, 48
PATIENCE = 300.0
"""Seconds that a deployment may take."""


def deploy(url: str, folder: Path, replicas: int) -> None:
    """Have so many replicas, and wait until all of them run."""
    settings = Settings(
        pipeline="text-to-image", model_id="demo", data_dir=folder, safety_checker="off"
    )
    values = {"min_replicas": replicas, "max_replicas": replicas, "replica_gpus": 0}
    serve.run(ray_application(settings, RaySettings.model_validate(values)))
    end = time.monotonic() + PATIENCE
    while running() != replicas:
        if time.monotonic() > end:
            raise TimeoutError(f"{running()} of {replicas} replicas run")
        time.sleep(0.2)
    together(url, [Work(128, 128, 4, seed=i) for i in range(8 * replicas)], CLIENTS)


def running() -> int:
    """Replicas that serve."""
    states = serve.status().applications["default"].deployments["Replica"].replica_states
    return int(states.get("RUNNING", 0)) if set(states) == {"RUNNING"} else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ray.init(num_cpus=8, include_dashboard=False, runtime_env={"env_vars": variables})
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    url = f"http://127.0.0.1:{port}"
    works = [Work(128, 128, 8 + i % 5, seed=i) for i in range(REQUESTS)]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            seconds = []
            for replicas in (1, 2):
                deploy(url, Path(folder), replicas)
                seconds.append(together(url, works, CLIENTS))
            ratios.append(seconds[0] / seconds[1])
            print(f"one replica {seconds[0]:.2f} s, two {seconds[1]:.2f} s", flush=True)
    serve.shutdown()
    ray.shutdown()
    print(verdict(f"two replicas against one, on {os.cpu_count()} cores", ratios, 1.7))


if __name__ == "__main__":
    main()
