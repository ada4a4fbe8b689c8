"""handler.py in RunPod's real worker loop, from the job's hand-out to its result."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.gate import Gate
from tests.pictures import opened
from tests.serverless.conftest import RunPodWorker, StartWorker
from tests.serverless.platform import WORKER, Platform
from tests.waiting import wait_until

SMALL = {"width": 32, "height": 16, "num_inference_steps": 3}
DATA_URL = "data:image/png;base64,"
Shared = tuple[Platform, RunPodWorker]


def test_a_prompt_becomes_a_png(shared: Shared) -> None:
    platform, _ = shared
    platform.submit("png-1", {"prompt": "a fox", "seed": 7, **SMALL})

    output = platform.result("png-1")["output"]

    assert output["statusCode"] == 200
    assert output["headers"] == {"Content-Type": "application/json"}
    assert (output["content_type"], output["seed"], output["nsfw"]) == ("image/png", 7, False)
    image = opened(output["body"])
    assert image.size == (32, 16)
    assert image.getpixel((3, 3)) == (7, 7, 7)
    wait_until(lambda: platform.pings)
    assert not platform.unauthorised


def test_several_images_come_with_their_seeds(shared: Shared) -> None:
    platform, _ = shared
    platform.submit(
        "several-1", {"prompt": "a fox", "seed": 7, "num_images_per_prompt": 2, **SMALL}
    )

    output = platform.result("several-1")["output"]

    assert [image["seed"] for image in output["images"]] == [7, 8]
    assert output["images"][0]["url"] == DATA_URL + output["body"]


def test_progress_never_overtakes_the_result(shared: Shared) -> None:
    platform, worker = shared
    worker.gate("step-2").close()
    platform.slow_progress = 0.3
    platform.submit("steady-1", {"prompt": "a fox", **SMALL, "num_inference_steps": 20})
    platform.wait_for_progress("steady-1")
    worker.gate("step-2").open()

    platform.result("steady-1")
    platform.submit("steady-2", {"prompt": "a fox", **SMALL})
    platform.result("steady-2")

    reports = platform.progress("steady-1")
    assert reports[0] == {"step": 1, "steps": 20}
    steps = [report["step"] for report in reports]
    assert steps == sorted(set(steps))
    of_job = [message for message in platform.messages if message.job_id == "steady-1"]
    assert not of_job[-1].is_progress
    assert [message.is_progress for message in of_job].count(False) == 1


def test_a_stopped_job_leaves_its_place(shared: Shared) -> None:
    platform, worker = shared
    worker.gate("step-2").close()
    platform.submit("stopped-1", {"prompt": "a fox", **SMALL, "num_inference_steps": 100})
    platform.wait_for_progress("stopped-1")

    platform.stop("stopped-1")
    wait_until(lambda: "Job stopped" in worker.log)
    worker.gate("step-2").open()
    platform.submit("stopped-2", {"prompt": "a hare", **SMALL})

    assert platform.result("stopped-2")["output"]["statusCode"] == 200
    assert all(
        message.is_progress for message in platform.messages if message.job_id == "stopped-1"
    )
    assert "job=stopped-1" in worker.log
    assert "outcome=JobCancelled" in worker.log


def test_failures_are_errors_in_words(shared: Shared) -> None:
    platform, _ = shared
    inputs = {
        "no-prompt": {},
        "odd": {"prompt": "a fox", "width": 36, "height": 32},
        "no-memory": {"prompt": "oom", **SMALL},
        "other-model": {"prompt": "a fox", "model_id": "other/model", **SMALL},
        "killer": {"prompt": "always die", **SMALL},
    }
    for job_id, job_input in inputs.items():
        platform.submit(job_id, job_input)
    results = {job_id: platform.result(job_id) for job_id in inputs}

    assert all(set(result) == {"error"} for result in results.values()), results
    assert "prompt" in results["no-prompt"]["error"]
    assert "divisible by 8" in results["odd"]["error"]
    assert results["no-memory"]["error"].startswith("Out of memory")
    assert "called with other/model" in results["other-model"]["error"]
    assert "worker process ended" in results["killer"]["error"]

    platform.submit("after", {"prompt": "a fox", **SMALL})
    assert platform.result("after")["output"]["statusCode"] == 200


def test_jobs_are_taken_together_where_they_run_together(
    platform: Platform, start_worker: StartWorker
) -> None:
    worker = start_worker(MODEL_ID="some/pair")
    worker.gate("step").close()
    platform.submit("job-1", {"prompt": "a fox", **SMALL})
    platform.submit("job-2", {"prompt": "a hare", **SMALL})

    wait_until(lambda: platform.taken == ["job-1", "job-2"])
    worker.gate("step").open()

    assert platform.result("job-1")["output"]["statusCode"] == 200
    assert platform.result("job-2")["output"]["statusCode"] == 200


def test_no_job_is_taken_before_the_model_is_loaded(
    platform: Platform, start_worker: StartWorker
) -> None:
    (worker := start_worker(MODEL_ID="some/unloadable"))
    platform.submit("job-1", {"prompt": "a fox", **SMALL})

    assert worker.process.wait(60) == 1
    assert worker.log.splitlines()[-1] == "error: MODEL_ID=unloadable is not on disk: download it."
    assert not platform.taken
    assert "Traceback" not in worker.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_model_loads_ends_it_without_a_word(
    platform: Platform, start_worker: StartWorker, tmp_path: Path, number: signal.Signals
) -> None:
    gate = Gate(tmp_path, "load")
    gate.close()
    worker = start_worker()
    gate.wait_reached()

    worker.process.send_signal(number)

    assert worker.process.wait(20) == 128 + number
    assert worker.log == ""


def test_sigterm_lets_the_running_job_finish(platform: Platform, start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.gate("step-2").close()
    platform.submit("job-1", {"prompt": "a fox", **SMALL})
    platform.wait_for_progress("job-1")

    worker.process.send_signal(signal.SIGTERM)
    worker.gate("step-2").open()

    assert worker.process.wait(60) == 0
    assert platform.result("job-1", 1)["output"]["statusCode"] == 200


def test_pings_name_the_job_that_runs(shared: Shared) -> None:
    platform, worker = shared
    worker.gate("step").close()
    platform.submit("pinged-1", {"prompt": "a fox", **SMALL})

    wait_until(lambda: any(ping.get("job_id") == ["pinged-1"] for ping in platform.pings))
    worker.gate("step").open()

    assert platform.result("pinged-1")["output"]["statusCode"] == 200
    assert WORKER in platform.environment["RUNPOD_POD_ID"]
