"""What the activity door tells of recent jobs and of the log."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from app.activity import Activity, Durations, Window, total
from app.engine.channel import Channel
from app.engine.messages import Logged
from app.engine.records import JobRecord
from app.log_tail import LogTail
from app.worker.log import ChannelHandler
from tests.conftest import MakeClient
from tests.waiting import wait_until

NOON = 1_700_000_000.0


def record(finished_at: float, outcome: str = "ok", seconds: float = 2.0) -> JobRecord:
    return JobRecord(
        id="a",
        door="livepeer",
        pipeline="text-to-image",
        size=(8, 8),
        steps=4,
        images=1,
        queue_seconds=0.5,
        inference_seconds=seconds,
        encode_seconds=0.1,
        outcome=outcome,
        finished_at=finished_at,
        rows=3.0,
    )


@pytest.mark.parametrize("window", Window)
def test_a_window_holds_what_ended_in_it(window: Window) -> None:
    activity = Activity(clock=lambda: NOON)
    length = window.bucket_seconds * window.buckets
    activity.observe(record(NOON - length - window.bucket_seconds))
    activity.observe(record(NOON - length / 2))
    activity.observe(record(NOON, outcome="OutOfMemory"))
    buckets = activity.buckets(window)
    assert len(buckets) == window.buckets
    assert total(buckets).outcomes == {"ok": 1, "OutOfMemory": 1}
    assert buckets[-1][1].outcomes == {"OutOfMemory": 1}
    assert total(buckets).mean_rows == 3.0


def test_memory_does_not_grow_with_time() -> None:
    activity = Activity(clock=lambda: NOON)
    for hour in range(24 * 30):
        activity.observe(record(NOON + 3600 * hour))
    held = [len(timeline._buckets) for timeline in activity._timelines.values()]
    assert all(count <= window.buckets for count, window in zip(held, Window, strict=True))


def test_percentiles_are_within_five_per_cent() -> None:
    durations = Durations()
    for hundredth in range(1, 1001):
        durations.add(hundredth / 100)
    assert durations.percentile(0.5) == pytest.approx(5, rel=0.05)
    assert durations.percentile(0.95) == pytest.approx(9.5, rel=0.05)
    assert Durations().percentile(0.5) is None
    durations = Durations()
    durations.add(0.0)
    assert durations.percentile(0.5) == 0.0


def test_the_log_tail_is_bounded_and_searched() -> None:
    tail = LogTail(lines=3)
    logger = logging.Logger("app.x")
    logger.addHandler(tail)
    for number in range(5):
        logger.info("job=j%d outcome=ok", number)
    assert [line.job for line in tail.find()] == ["j2", "j3", "j4"]
    assert [line.text for line in tail.find(job="j3")] == ["job=j3 outcome=ok"]
    assert [line.job for line in tail.find(text="J4")] == ["j4"]
    assert [line.job for line in tail.find(limit=1)] == ["j4"]
    assert tail.find(job="j0") == []


@pytest.mark.parametrize("log_prompts", [False, True])
def test_a_served_request_is_in_the_report(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, log_prompts: bool
) -> None:
    caplog.set_level(logging.INFO)
    client = make_client(log_prompts=log_prompts)
    wait_until(lambda: client.get("/health").status_code == 200)
    secret = "the prompt is nobody's business"
    body = {"prompt": secret, "width": 16, "height": 16, "num_inference_steps": 3}
    assert client.post("/text-to-image", json=body).status_code == 200
    assert client.post("/text-to-image", json=body | {"prompt": "oom"}).status_code == 500
    answer = client.get("/activity", params={"window": "1h"})
    report = answer.json()
    assert report["summary"]["outcomes"] == {"ok": 1, "OutOfMemory": 1}
    assert report["summary"]["execution"]["p50"] > 0
    assert report["moments"][-1]["succeeded"] + report["moments"][-2]["succeeded"] == 1
    assert report["worker"]["state"] == "OK"
    assert report["worker"]["device"] == "cpu"
    job = next(line["job"] for line in report["log"] if "outcome=ok" in line["text"])
    lines = client.get("/activity", params={"job": job}).json()["log"]
    assert [line["job"] for line in lines] == [job]
    assert secret not in answer.text


def test_the_workers_log_is_part_of_it(client: TestClient) -> None:
    wait_until(lambda: client.get("/health").status_code == 200)
    body = {"prompt": "fail", "width": 16, "height": 16}
    headers = {"X-Request-Id": "unlucky"}
    assert client.post("/text-to-image", json=body, headers=headers).status_code == 500
    (line,) = client.get("/activity", params={"job": "unlucky", "text": "failed"}).json()["log"]
    assert (line["logger"], line["level"]) == ("app.worker.loop", "ERROR")
    assert line["text"] == "job unlucky failed"


def test_a_line_of_the_worker_travels_with_its_traceback() -> None:
    ours, theirs = Channel.pair()
    logger = logging.Logger("app.worker.x")
    logger.addHandler(ChannelHandler(Channel(theirs)))
    try:
        raise ValueError("a cause")
    except ValueError:
        logger.exception("job %s failed", "j")
    line, _ = ours.receive()
    assert isinstance(line, Logged)
    assert line.text.startswith("job j failed\nTraceback")
    assert "ValueError: a cause" in line.text
    ours.close()
    logger.info("to nobody")  # the API process is gone: no complaint


def test_the_token_guards_the_report(make_client: MakeClient) -> None:
    client = make_client(auth_token="s3cret")
    assert client.get("/activity").status_code == 401
    answer = client.get("/activity", headers={"Authorization": "Bearer s3cret"})
    assert answer.status_code == 200
    assert "s3cret" not in answer.text
    assert client.get("/activity", params={"window": "2y"}).status_code == 401


def test_an_unknown_window_is_refused(client: TestClient) -> None:
    assert client.get("/activity", params={"window": "2y"}).status_code == 422
