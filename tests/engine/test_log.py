"""The log of a real server: one line a job, as text or JSON, and nothing that is secret."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.server import fake_server
from tests.waiting import wait_until

BODY = {"prompt": "my secret garden", "width": 64, "height": 32, "num_inference_steps": 3}


def log_of_one_job(folder: Path, **settings: object) -> tuple[str, str]:
    """The whole log, and the job's line in it."""
    headers = {"Authorization": "Bearer t0ken", "X-Request-Id": "order-66"}
    with fake_server(folder, AUTH_TOKEN="t0ken", **settings) as running:
        answer = httpx.post(f"{running.url}/text-to-image", json=BODY, headers=headers, timeout=60)
        assert answer.headers["x-request-id"] == "order-66"
        wait_until(lambda: "order-66" in running.log)
        (line,) = [line for line in running.lines if "order-66" in line]
    return running.log, line


def test_text(tmp_path: Path) -> None:
    log, line = log_of_one_job(tmp_path)
    assert "job=order-66 door=livepeer size=64x32 steps=3 images=1" in line
    assert line.rstrip().endswith("outcome=ok")
    assert "garden" not in log
    assert "t0ken" not in log


def test_json(tmp_path: Path) -> None:
    log, line = log_of_one_job(tmp_path, LOG_FORMAT="json", VERBOSE_LOGGING="true")
    fields = json.loads(line)
    assert fields["job"] == "order-66"
    assert fields["outcome"] == "ok"
    assert fields["steps"] == 3
    assert all(json.loads(line)["level"] for line in log.splitlines())
    assert "garden" not in log
    assert "t0ken" not in log


@pytest.mark.parametrize("kind", ["text", "json"])
def test_prompts_when_asked_for(tmp_path: Path, kind: str) -> None:
    _, line = log_of_one_job(tmp_path, LOG_FORMAT=kind, LOG_PROMPTS="true")
    assert "my secret garden" in line
