"""The host stays ahead of the accelerator: no step of a scheduler waits for it."""

from __future__ import annotations

import inspect
from copy import deepcopy
from types import SimpleNamespace

import diffusers
import pytest
import torch

from app.diffusion.previews import estimate
from app.worker.copies import StepDone, _report_steps
from app.worker.timesteps import Timesteps, _is_entry
from tests.worker.conftest import LoadPipe, Serving, alone
from tests.worker.pretended import DEVICE, Accelerator, back, take
from tests.worker.test_families import FAMILIES

CPU = torch.device("cpu")
COUNTING = (
    "EulerDiscrete",
    "EulerAncestralDiscrete",
    "HeunDiscrete",
    "DPMSolverMultistep",
    "UniPCMultistep",
    "FlowMatchEulerDiscrete",
)
LOOKING_UP = ("DDIM", "PNDM", "LCM", "TCD", "DDPM")


def test_timesteps_that_are_entries_of_the_schedule_are_recognised() -> None:
    timesteps = torch.tensor([9, 5, 1])
    assert [_is_entry(entry, timesteps) for entry in timesteps] == [True] * 3
    assert _is_entry(timesteps[1:][0], timesteps)
    assert not _is_entry(torch.tensor(5), timesteps)
    assert not _is_entry(5, timesteps)


@pytest.mark.parametrize("name", ["DDIM", "EulerDiscrete"])
def test_timesteps_in_main_memory_stay_as_they_are(name: str) -> None:
    scheduler = getattr(diffusers, f"{name}Scheduler")()
    scheduler.set_timesteps(3)
    timesteps = Timesteps(scheduler)
    assert all(timesteps.prepare(entry) is entry for entry in scheduler.timesteps)
    assert getattr(scheduler, "begin_index", None) is None


def results(name: str, accelerator: Accelerator | None, first: int = 0) -> list[torch.Tensor]:
    """Of each step of a scheduler, as a pipeline calls it, previews included."""
    device = CPU if accelerator is None else DEVICE
    scheduler = getattr(diffusers, f"{name}Scheduler")()
    scheduler.set_timesteps(4, device=device)
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(1, 2, 4, 4, generator=generator).to(device)]
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    options = {"generator": generator} if takes_generator else {}

    def look(done: StepDone) -> None:
        estimate(done.scheduler, done.prediction, done.timestep, done.sample, done.result)
        found.append(done.result.prev_sample)

    _report_steps(SimpleNamespace(scheduler=scheduler), look)
    timesteps = scheduler.timesteps
    if accelerator is not None:
        accelerator.reads.clear()
    for timestep in timesteps[first:]:
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(found[-1], timestep)
        scheduler.step(found[0] / 2, timestep, found[-1], **options)
        assert scheduler.timesteps is timesteps
    return [back(it) for it in found]


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("name", [*COUNTING, *LOOKING_UP])
def test_no_step_waits(name: str, first: int) -> None:
    expected = results(name, None, first)
    with Accelerator() as accelerator:
        found = results(name, accelerator, first)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert accelerator.reads == ([] if name in COUNTING else ["_to_copy"])  # the list, once


@pytest.mark.parametrize("family", ["sd", "sdxl", "instruct-pix2pix", "sd3", "flux"])
def test_once_its_steps_run_a_request_waits_for_nothing(
    load_pipe: LoadPipe, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = FAMILIES[family](1, 3)
    expected = alone(load_pipe(family), request)
    pipe = deepcopy(load_pipe(family))
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            take(part)
    monkeypatch.setattr(type(pipe), "_execution_device", DEVICE)
    with Accelerator() as accelerator:
        request.on_step = lambda done: accelerator.reads.clear() if done.step == 1 else None
        (outcome,) = Serving(pipe).serve([request])
    assert accelerator.reads == []
    torch.testing.assert_close(back(outcome), expected, rtol=0, atol=1e-5)
