"""`python handler.py --test_input …` as a user types it, with the real worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import make
from tests.pictures import opened
from tests.server import ROOT
from tests.serverless.conftest import REAL, environment


def run(job: object, settings: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """What the command did."""
    command = [sys.executable, *REAL, "--test_input", json.dumps(job)]
    return subprocess.run(
        command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings of a model with random weights."""
    folder = tmp_path_factory.mktemp("models")
    model_id = make("sd", folder)
    return {"PIPELINE": "text-to-image", "MODEL_ID": model_id, "MODEL_DIR": folder}


def test_it_prints_what_the_job_made(settings: dict[str, object]) -> None:
    small = {"prompt": "a fox", "width": 64, "height": 64, "num_inference_steps": 2, "seed": 7}
    done = run({"input": small}, settings)

    assert done.returncode == 0, done.stderr
    output = json.loads(next(line for line in done.stdout.splitlines() if line[:1] == "{"))
    assert output["seed"] == 7
    assert opened(output["body"]).size == (64, 64)


def test_a_model_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    done = run({"input": {"prompt": "a fox"}}, {"MODEL_ID": "no/model", "MODEL_DIR": tmp_path})

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: MODEL_ID=no/model is not in MODEL_DIR")


def test_a_setting_that_cannot_work_is_one_line() -> None:
    done = run({"input": {"prompt": "a fox"}}, {"PIPELINE": "none"})

    assert done.returncode == 1
    assert done.stderr.startswith("error: PIPELINE='none' is not valid")
