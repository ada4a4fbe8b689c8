"""What Prometheus scrapes: counted jobs, refusals and the state of queue, worker and GPUs."""

from __future__ import annotations

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.engine.backend import Health, Status
from app.engine.messages import Usage
from app.metrics import Metrics
from app.schemas import GPUStats

SMALL = {"prompt": "a", "width": 64, "height": 32, "num_inference_steps": 3}


class Backend:
    """A backend of which only the status is asked."""

    def status(self) -> Status:
        return Status(Health.OK, 3, 2, 1, None, usage=Usage(busy_seconds=4.5, compilations=7))


def scrape(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, in the order of the labels' names."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return samples(response.text)


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_jobs_are_counted_by_door_and_outcome(client: httpx.Client) -> None:
    before = scrape(client)
    client.post("/text-to-image", json=SMALL)
    client.post("/text-to-image", json=SMALL | {"prompt": "oom"})
    client.post("/text-to-image", json=SMALL | {"width": 100})
    client.post("/run", json={"input": SMALL | {"width": 100}})
    after = scrape(client)

    def grew(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    for outcome in ("ok", "OutOfMemory", "SizeInvalid"):
        assert grew("runner_requests_total", "livepeer", outcome, "text-to-image") == 1, outcome
    assert grew("runner_requests_total", "runpod", "SizeInvalid", "text-to-image") == 1
    assert grew("runner_steps_total") == 3
    assert grew("runner_outputs_total") == 1
    assert grew("runner_inference_seconds_count") == 1
    assert grew("runner_queue_seconds_count") == 2
    assert after["runner_healthy",] == 1


def test_the_state_of_now_is_read_when_asked() -> None:
    gpu = GPUStats(
        id="GPU-1",
        name="H200",
        memory_total=100,
        memory_free=25,
        utilization_compute=50,
        utilization_memory=10,
    )
    metrics = Metrics(Backend(), lambda: {"0": gpu}, lambda: 123, "text-to-image")
    now = samples(metrics.render().decode())
    assert now["runner_queue_depth",] == 3
    assert now["runner_running_jobs",] == 2
    assert now["runner_worker_restarts_total",] == 1
    assert now["runner_compilations_total",] == 7
    assert now["runner_worker_busy_seconds_total",] == 4.5
    assert now["runner_stored_bytes",] == 123
    assert now["runner_gpu_memory_used_bytes", "0"] == 75
    assert now["runner_gpu_utilization_ratio", "0"] == 0.5


def test_names_and_texts_follow_prometheus_rules(client: httpx.Client) -> None:
    """The rules of `promtool check metrics`."""
    client.post("/text-to-image", json=SMALL)
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    assert len(families) > 10
    for family in families:
        assert re.fullmatch(r"runner_[a-z_]+", family.name)
        assert family.documentation
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)\b", family.name)
        assert not re.search(r"_(counter|gauge|histogram)$", family.name)
        is_counter = any(sample.name == f"{family.name}_total" for sample in family.samples)
        if family.type == "counter":
            assert is_counter
        else:
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))


@pytest.mark.parametrize("path", ["/metrics"])
def test_metrics_stay_open(make_client: object, path: str) -> None:
    client = make_client(auth_token="s3cret")  # type: ignore[operator]
    assert client.get(path).status_code == 200
