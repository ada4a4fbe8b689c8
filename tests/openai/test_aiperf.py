"""NVIDIA's load generator against the demo model; `make test-load` has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server import ROOT, ServerProcess

AIPERF = shutil.which("aiperf")
REQUESTS, CLIENTS = 16, 4

pytestmark = pytest.mark.skipif(AIPERF is None, reason="aiperf is not on PATH: make test-load")


def test_every_request_of_a_load_is_served(tmp_path: Path) -> None:
    settings = {"PIPELINE": "text-to-image", "MODEL_ID": "demo", "DATA_DIR": tmp_path / "data"}
    with ServerProcess(settings) as server:
        server.wait_ready(300)
        options = {
            "--url": server.url,
            "--model": "demo",
            "--endpoint-type": "image-generation",
            "--concurrency": CLIENTS,
            "--request-count": REQUESTS,
            "--tokenizer": ROOT / "demo/image/tokenizer",
            "--synthetic-input-tokens-mean": 20,
            "--artifact-dir": tmp_path,
            "--ui": "none",
        }
        extras = ("--extra-inputs", "size:auto", "--extra-inputs", "num_inference_steps:8")
        arguments = [str(it) for pair in options.items() for it in pair]
        command = [str(AIPERF), "profile", *arguments, *extras, "--no-gpu-telemetry"]
        # Told to be offline, it would look for the tokenizer in the Hub's cache only.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "profile_export_aiperf.json").read_text())
    assert report["completed_request_count"]["avg"] == REQUESTS
    assert report["request_error_rate"]["avg"] == 0
    assert report["effective_concurrency"]["avg"] > CLIENTS / 2
