"""The simulation against what can be worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulation.capacity import capacity
from simulation.fleet import Fleet, p95
from simulation.routing import POLICIES
from simulation.workload import WORKLOADS, NotMeasured, Workload, measured, with_mixed_sizes
from tests.server import ROOT

ONE_AT_A_TIME = Workload(
    "simple", "by hand", steps=10, launch_seconds=0.0, row_seconds=0.1, fixed_seconds=0.0,
    max_rows=1,
)  # fmt: skip


def test_a_lone_request_takes_its_steps() -> None:
    workload = WORKLOADS["sdxl"]
    found = Fleet(workload, 1, POLICIES["fewest-rows"], 1, 0).latencies(1e-6, 20)
    assert found == pytest.approx(np.full(20, workload.alone_seconds))


def test_a_single_server_waits_as_the_formula_says() -> None:
    # M/D/1: the mean wait is load / (2 (1 - load)) services.
    found = Fleet(ONE_AT_A_TIME, 1, POLICIES["fewest-rows"], 1, 1).latencies(0.5, 40_000)
    assert found.mean() == pytest.approx(1 + 0.5 / (2 * 0.5), rel=0.05)


def test_a_full_batch_serves_what_the_workload_says() -> None:
    workload = WORKLOADS["sd15"]
    fleet = Fleet(workload, 1, POLICIES["fewest-rows"], 1, 0)
    seconds = fleet.latencies(1000.0, 800)
    assert 800 / seconds.max() == pytest.approx(workload.most_per_second, rel=0.02)


def test_more_gpus_hold_more_than_their_number() -> None:
    workload = WORKLOADS["sdxl"]
    target = 2 * workload.alone_seconds
    one, ten = (capacity(workload, count, target, POLICIES["like-sizes"]) for count in (1, 10))
    assert one.rate > 0
    assert ten.rate > 10 * one.rate
    assert ten.p95 <= target


def test_fewest_rows_beats_chance() -> None:
    workload = with_mixed_sizes(WORKLOADS["sdxl"])
    rate = 0.85 * 8 * workload.most_per_second
    by = {name: p95(workload, 8, rate, policy, requests=3000) for name, policy in POLICIES.items()}
    assert by["fewest-rows"] < by["two-choices"] < by["random"]
    assert by["like-sizes"] < 1.1 * by["fewest-rows"]


def bench_file(folder: Path, outputs: int, seconds: float) -> Path:
    document = {
        "model_id": "demo", "device": "cpu",
        "work": {"width": 128, "height": 128, "num_inference_steps": 10},
        "runs": [{"outputs": outputs, "seconds": seconds}],
    }  # fmt: skip
    path = folder / f"{outputs}.json"
    path.write_text(json.dumps(document))
    return path


def test_step_times_come_from_bench(tmp_path: Path) -> None:
    workload = measured([bench_file(tmp_path, 1, 1.5), bench_file(tmp_path, 4, 3.0)])
    assert workload.launch_seconds == pytest.approx(0.1)
    assert workload.row_seconds == pytest.approx(0.05)


def test_a_file_that_is_none_of_benchs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("[]")
    with pytest.raises(NotMeasured, match=r"other\.json"):
        measured([path])


def test_the_command_prints_its_tables() -> None:
    command = [sys.executable, "-m", "simulation", "--gpus", "1", "--workload", "sd-turbo"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "| 1 |" in run.stdout
    assert "asynchronous jobs, one store" in run.stdout
