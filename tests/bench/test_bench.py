"""bench.py from end to end, on tiny models with the real worker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import checkpoints
from tests.server import ROOT


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def bench(model_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MODEL_DIR": str(model_dir), "DEVICE": "cpu"}
    command = [sys.executable, "bench.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_lines_of_the_contract(model_dir: Path) -> None:
    model_id = checkpoints.make("sd", model_dir)
    options = ["--pipeline", "text-to-image", "--model_id", model_id, "--size", "64x64"]
    run = bench(
        model_dir, *options, "--runs", "2", "--batch_size", "3", "--num_inference_steps", "2"
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    for i in range(2):
        start = f"inference {i} batch_size=3"
        for what, unit in (
            ("time", "s"),
            ("time per output", "s"),
            ("max GPU memory allocated", "GiB"),
            ("max GPU memory reserved", "GiB"),
        ):
            pattern = rf"{start} {what}: \d+\.\d{{3}}{unit}"
            assert any(re.fullmatch(pattern, line) for line in lines), pattern
    summary = lines[lines.index("----AGGREGATE METRICS----") + 1 :]
    assert [line.rpartition(":")[0] for line in summary] == [
        "pipeline load time",
        "pipeline load max GPU memory allocated",
        "pipeline load max GPU memory reserved",
        "avg inference time",
        "avg inference time per output",
        "avg inference max GPU memory allocated",
        "avg inference max GPU memory reserved",
    ]
    assert "no CUDA device: the memory lines show the worker process's peak" in run.stdout
    assert float(re.findall(r"allocated: (\S+)GiB", run.stdout)[0]) > 0.01


def test_everything_at_once(model_dir: Path, tmp_path: Path) -> None:
    model_id = checkpoints.make("sd", model_dir)
    options = ["--pipeline", "text-to-image", "--model_id", model_id, "--size", "64x64"]
    options += [
        "--num_inference_steps",
        "4",
        "--baseline",
        "--load",
        "3",
        "--requests",
        "6",
        "--roof",
    ]
    written, drawn = tmp_path / "result.json", tmp_path / "result.svg"
    run = bench(model_dir, *options, "--json", str(written), "--plot", str(drawn))
    assert run.returncode == 0, run.stderr
    result = json.loads(written.read_text())
    assert result["load"]["requests"] == 6
    assert result["load"]["p50"] <= result["load"]["p95"] <= result["load"]["p99"]
    assert result["load"]["rows_per_forward"] >= 2  # guidance alone makes two
    assert result["load_baseline_seconds"] > 0
    assert result["flops"]["steps"] == 4
    assert result["roof"] > 1e8
    assert "served core against the plain loop" in run.stdout
    assert "rate: " in run.stdout
    ElementTree.fromstring(drawn.read_text())


def test_variants_side_by_side(model_dir: Path) -> None:
    model_id = checkpoints.make("sd", model_dir)
    options = ["--pipeline", "text-to-image", "--model_id", model_id, "--size", "64x64"]
    names = "plain,CHANNELS_LAST+VAE_SLICING,OFFLOAD=model"
    run = bench(model_dir, *options, "--num_inference_steps", "2", "--compare", names)
    assert run.returncode == 0, run.stderr
    rows = [line.split(" | ") for line in run.stdout.splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == names.split(",")
    assert rows[0][2] == "1.00 ×"
    assert float(rows[1][3]) < 1  # grey levels
    assert "refused: OFFLOAD=model needs an NVIDIA GPU" in rows[2][1]


def test_videos(model_dir: Path) -> None:
    model_id = checkpoints.make("svd", model_dir)
    options = ["--pipeline", "image-to-video", "--model_id", model_id, "--size", "64x64"]
    run = bench(model_dir, *options, "--num_inference_steps", "2")
    assert run.returncode == 0, run.stderr
    assert "avg inference time per output: " in run.stdout


def test_settings_that_contradict_each_other_are_one_line(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFAST", "true")
    monkeypatch.setenv("TORCH_COMPILE", "true")
    run = bench(model_dir, "--pipeline", "text-to-image", "--model_id", "nobody/nothing")
    assert run.returncode == 1
    assert run.stderr.startswith("error: SFAST")
    assert "Traceback" not in run.stderr


def test_a_model_that_is_not_there_is_one_line(model_dir: Path) -> None:
    run = bench(model_dir, "--pipeline", "text-to-image", "--model_id", "nobody/nothing")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: MODEL_ID=nobody/nothing")
