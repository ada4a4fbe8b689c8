"""What a call leaves behind: a VAE in the wrong type, results in memory, limits of rows."""

from __future__ import annotations

import gc
from copy import deepcopy
from typing import Any

import pytest
import torch

from app.diffusion.accelerators.active import Active
from app.diffusion.loading import LoadedPipeline
from app.diffusion.profiles import profile_for
from app.engine.messages import Inputs
from app.pipelines import PIPELINES
from app.settings import Settings
from app.worker.calls import Call
from app.worker.copies import Copies, StepDone
from app.worker.hub import Task
from app.worker.limits import FITS_BEFORE_MORE, BatchPolicy, RowLimits
from app.worker.loading import Parts, assemble
from app.worker.warmup import warm_up_rounds
from tests.worker.conftest import LoadPipe, Serving, text
from tests.worker.test_worker import Worker

SETTINGS = Settings(pipeline="text-to-image", model_id="some/model")


def parts_of(pipe: Any, active: Active = Active()) -> Parts:  # noqa: B008  # frozen
    device, dtype = torch.device("cpu"), torch.float32
    profile = profile_for("some/model")
    loaded = LoadedPipeline(pipe, device, dtype, profile, SETTINGS.model_dir, active)
    return assemble(loaded, SETTINGS)


def inputs(seed: int = 0) -> Inputs:
    values = {"prompt": "a", "width": 32, "height": 32, "num_inference_steps": 2}
    params = PIPELINES["text-to-image"].params.model_validate(values)
    return Inputs("text-to-image", params, (seed,))


def test_a_vae_left_in_another_type_is_put_right(
    load_pipe: LoadPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(deepcopy(load_pipe("sd")), Active(keeps_state=True))
    vae = parts.loaded.pipe.vae

    def runs_out(*_: object, **__: object) -> None:
        vae.to(torch.float64)  # as SDXL does with its own for a while, in single precision
        raise torch.OutOfMemoryError("CUDA out of memory")

    with torch.no_grad():
        with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
            patch.setattr(vae, "decode", runs_out)
            parts.generator.generate(inputs(), None, lambda _: None)
        assert vae.dtype == torch.float32
        parts.generator.generate(inputs(), None, lambda _: None)


def test_what_was_delivered_does_not_wait_for_the_garbage_collector(load_pipe: LoadPipe) -> None:
    worker = Worker(parts_of(load_pipe("sd")))
    gc.collect()
    gc.disable()
    try:
        before = calls_and_tasks()
        for seed in range(3):
            worker.make(inputs(seed))
        kept = calls_and_tasks() - before
    finally:
        gc.enable()
    assert len(kept) <= 2  # the last task and its call may still be on their way out


def calls_and_tasks() -> set[int]:
    """Identities of all that are in memory."""
    return {id(it) for it in gc.get_objects() if type(it) in (Call, Task)}


def test_a_finished_task_holds_no_result(load_pipe: LoadPipe) -> None:
    serving = Serving(load_pipe("sd"))
    task = serving.add(text(0, 2))
    serving.finish()
    assert task.call is None


def test_a_copy_of_the_scheduler_reports_nothing(load_pipe: LoadPipe) -> None:
    reports: list[StepDone] = []
    own = Copies(load_pipe("sd"), None).make((), reports.append)
    own.scheduler.set_timesteps(3)
    silent = deepcopy(own.scheduler)
    sample = torch.zeros(1, 4, 4, 4)
    for timestep in silent.timesteps:
        silent.step(sample, timestep, sample)
    assert not reports
    own.scheduler.step(sample, own.scheduler.timesteps[0], sample)
    assert len(reports) == 1


def test_rows_that_did_not_fit_are_tried_again_much_later() -> None:
    limits = RowLimits(BatchPolicy())
    limits.did_not_fit(8, "kind")
    assert limits.most(64, "kind") == 4
    for _ in range(FITS_BEFORE_MORE):
        assert limits.most(64, "kind") == 4
        limits.did_fit(2, "kind")
        limits.did_fit(4, "kind")
    assert limits.most(64, "kind") == 8


def test_a_call_of_unknown_size_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("is_available", "memory_allocated", "memory_reserved", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda: 1)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 1))
    limits = RowLimits(BatchPolicy())
    with limits.measuring(), limits.watching(0):
        pass
    assert limits.bytes_per_number == 0


@pytest.mark.parametrize(
    ("pipeline", "rows"),
    [("text-to-image", [[3], [1]]), ("image-to-video", [[1], [1, 1]])],
)
def test_what_is_compiled_for_one_row_and_for_several_is_warmed_up(
    load_pipe: LoadPipe, pipeline: str, rows: list[list[int]]
) -> None:
    loaded = parts_of(load_pipe("sd"), Active(warms_up=True)).loaded
    rounds = warm_up_rounds(pipeline, loaded, [(64, 64)])
    assert [[len(order.seeds) for order, _ in requests] for requests in rounds] == rows
