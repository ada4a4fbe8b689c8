"""What a call leaves behind: a VAE in the wrong type, results in memory, limits of rows."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch

from app.diffusion.accelerators.active import Active
from app.diffusion.accelerators.memory import offload_models
from app.diffusion.loading import LoadedPipeline
from app.diffusion.profiles import profile_for
from app.engine.messages import Failed, Finished, Inputs, Run
from app.errors import JobCancelled
from app.pipelines import PIPELINES
from app.settings import Settings
from app.worker.calls import Call
from app.worker.copies import Copies, StepDone
from app.worker.hub import Task
from app.worker.limits import FITS_BEFORE_MORE, USABLE, BatchPolicy, RowLimits
from app.worker.loading import Parts, assemble
from app.worker.memory import free_cached_memory, peak_memory
from app.worker.warmup import warm_up_rounds
from tests.worker.conftest import LoadPipe, Serving, alone, text
from tests.worker.test_families import FAMILIES
from tests.worker.test_worker import Worker

SETTINGS = Settings(pipeline="text-to-image", model_id="some/model")
ONE_BY_ONE = Active(keeps_state=True)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def ignore(_: StepDone) -> None:
    """Nobody follows the request."""


def parts_of(pipe: Any, active: Active = Active()) -> Parts:  # noqa: B008  # frozen
    device, dtype = torch.device("cpu"), torch.float32
    profile = profile_for("some/model")
    loaded = LoadedPipeline(pipe, device, dtype, profile, SETTINGS.model_dir, active)
    return assemble(loaded, SETTINGS)


def inputs(*seeds: int) -> Inputs:
    values = {"prompt": "a", "width": 32, "height": 32, "num_inference_steps": 2}
    params = PIPELINES["text-to-image"].params.model_validate(values)
    return Inputs("text-to-image", params, seeds or (0,))


def test_a_vae_left_in_another_type_is_put_right(
    load_pipe: LoadPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(deepcopy(load_pipe("sd")), ONE_BY_ONE)
    vae = parts.loaded.pipe.vae

    def runs_out(*_: object, **__: object) -> None:
        vae.to(torch.float64)  # as SDXL does with its own for a while, in single precision
        raise torch.OutOfMemoryError("CUDA out of memory")

    with torch.no_grad():
        with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
            patch.setattr(vae, "decode", runs_out)
            parts.generator.generate(inputs(), None, ignore)
        assert vae.dtype == torch.float32
        parts.generator.generate(inputs(), None, ignore)


@pytest.mark.parametrize(
    "error",
    [JobCancelled(), torch.OutOfMemoryError("CUDA out of memory")],
    ids=["cancel", "memory"],
)
def test_with_offload_nothing_of_a_failed_request_stays_on_the_gpu(
    load_pipe: LoadPipe, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cpu:0` stands in for the GPU: weights go there and back, and PyTorch need not have one."""
    with torch.no_grad():
        expected = parts_of(load_pipe("sd"), ONE_BY_ONE).generator.generate(inputs(), None, ignore)
    pipe = deepcopy(load_pipe("sd"))
    offload_models(pipe, SETTINGS, torch.device("cpu:0"))
    parts = parts_of(pipe, ONE_BY_ONE)
    on_gpu = record_moves(pipe, monkeypatch)

    def fails(_: StepDone) -> None:
        assert "unet" in on_gpu
        raise error

    with torch.no_grad():
        with pytest.raises(type(error)):
            parts.generator.generate(inputs(), None, fails)
        assert on_gpu == set()
        pixels = parts.generator.generate(inputs(), None, ignore)
    assert on_gpu == set()
    assert torch.equal(pixels, expected)


def record_moves(pipe: Any, patch: pytest.MonkeyPatch) -> set[str]:
    """Names of the parts that are on the device `cpu:0`, always up to date."""
    there: set[str] = set()
    names = {id(it): name for name, it in pipe.components.items()}
    move = torch.nn.Module.to

    def moving(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        device, *_ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and id(module) in names:
            (there.discard if device.index is None else there.add)(names[id(module)])
        return move(module, *args, **kwargs)

    patch.setattr(torch.nn.Module, "to", moving)
    return there


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


class Followed:
    """Tensors and schedulers of a request, without keeping them; it may end early."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[weakref.ref[Any]] = []
        self.error = error

    def __call__(self, done: StepDone) -> None:
        self.seen += [weakref.ref(it) for it in (done.scheduler, done.prediction, done.sample)]
        if self.error is not None:
            raise self.error

    def forward(self, own: Callable[..., Any]) -> Callable[..., Any]:
        """A network's, that fails after the first step."""

        def fails(*args: Any, **kwargs: Any) -> Any:
            if self.seen:
                raise ValueError("no more")
            result = own(*args, **kwargs)
            self.seen.append(weakref.ref(result[0]))
            return result

        return fails

    @property
    def kept(self) -> list[Any]:
        """What of it is still in memory."""
        assert self.seen
        return [it for ref in self.seen if (it := ref()) is not None]


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_a_finished_request_waits_for_the_garbage_collector(
    load_pipe: LoadPipe, family: str
) -> None:
    request, followed = FAMILIES[family](0, 2), Followed()
    request.on_step = followed
    (outcome,) = Serving(load_pipe(family)).serve([request])
    assert isinstance(outcome, torch.Tensor)
    assert not followed.kept


@pytest.mark.usefixtures("_no_collector")
def test_nothing_of_a_cancelled_request_waits_for_the_garbage_collector(
    load_pipe: LoadPipe,
) -> None:
    request, followed = text(0, 2), Followed(JobCancelled())
    request.on_step = followed
    serving = Serving(load_pipe("sd"))
    assert isinstance(serving.serve([request]).pop(), JobCancelled)
    followed.error = None  # which knows where it was raised
    assert not followed.kept


@pytest.mark.usefixtures("_no_collector")
def test_nothing_of_a_failed_request_waits_for_the_garbage_collector(
    load_pipe: LoadPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, request, followed = load_pipe("sd"), text(0, 2), Followed()
    request.on_step = followed
    monkeypatch.setattr(pipe.unet, "forward", followed.forward(pipe.unet.forward))
    serving = Serving(pipe)
    assert isinstance(serving.serve([request]).pop(), ValueError)
    assert not followed.kept


class Starving:
    """A denoiser that runs out of memory in its first calls, and looks what is left of them."""

    def __init__(self, own: Callable[..., Any], failures: int) -> None:
        self.own = own
        self.failures = failures
        self.activations: list[weakref.ref[torch.Tensor]] = []
        self.kept: list[int] = []

    def __call__(self, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self.look()
        activation = torch.empty_like(sample)
        self.activations.append(weakref.ref(activation))
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.own(sample, *args, **kwargs)

    def look(self) -> None:
        self.kept.append(sum(ref() is not None for ref in self.activations))


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(
    ("failures", "end"), [(1, Finished), (3, Finished), (8, Finished), (1000, Failed)]
)
def test_nothing_of_a_failed_forward_is_in_the_way_of_the_next_attempt(
    load_pipe: LoadPipe, monkeypatch: pytest.MonkeyPatch, failures: int, end: type
) -> None:
    """Nor when memory is given back to the device; collecting garbage is the first part of it."""
    pipe = load_pipe("sd")
    starving = Starving(pipe.unet.forward, failures)
    monkeypatch.setattr(pipe.unet, "forward", starving)
    monkeypatch.setattr(gc, "collect", starving.look)
    worker = Worker(parts_of(pipe))
    worker.ask(Run("job", inputs(1, 2)))
    assert isinstance(worker.hear()["job"][-1][0], end)
    assert len(starving.kept) > 2
    assert not any(starving.kept)


def test_a_row_that_does_not_fit_alone_is_tried_again_with_memory_freed(
    load_pipe: LoadPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, request = load_pipe("sd"), text(0, 2, guidance_scale=1.0)
    expected = alone(pipe, request)
    starving = Starving(pipe.unet.forward, failures=1)
    monkeypatch.setattr(pipe.unet, "forward", starving)
    (outcome,) = Serving(pipe).serve([request])
    assert torch.equal(outcome, expected)


def test_a_finished_task_holds_no_result(load_pipe: LoadPipe) -> None:
    serving = Serving(load_pipe("sd"))
    task = serving.add(text(0, 2))
    serving.finish()
    assert task.call is None


def test_a_copy_of_the_scheduler_reports_nothing(load_pipe: LoadPipe) -> None:
    reports: list[StepDone] = []
    with Copies(load_pipe("sd"), None).lend((), reports.append) as own:
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


def test_rows_that_are_filled_up_are_tried_again_as_well() -> None:
    """The limit is one that calls reach: no call has 5 rows here."""
    limits = RowLimits(BatchPolicy(buckets=(1, 2, 4, 8, 12)))
    limits.did_not_fit(11, "kind")
    assert limits.most(64, "kind") == 4
    for _ in range(FITS_BEFORE_MORE):
        limits.did_fit(4, "kind")
    assert limits.most(64, "kind") == 8


@pytest.fixture
def peaks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that each forward takes of a stand-in for a GPU, the next one's first."""
    found: list[int] = []
    for name in ("memory_allocated", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, lambda: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: found.pop(0))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1000, 1000))
    return found


def test_the_loads_own_peak_is_told_whatever_the_warm_up_measures(
    load_pipe: LoadPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(9, 7), (2, 8), (4, 4)]
    monkeypatch.setattr("app.worker.loop.peak_memory", lambda _: found.pop(0))
    loop = Worker(parts_of(load_pipe("sd"))).loop
    loop.warm_up("text-to-image", [])
    usages = [loop.usage(), loop.usage()]
    assert [(it.allocated_bytes, it.reserved_bytes) for it in usages] == [(9, 8), (4, 4)]


def test_a_call_of_unknown_size_is_not_measured(peaks: list[int]) -> None:
    limits, peaks[:] = RowLimits(BatchPolicy()), [1]
    with limits.measuring(CUDA), limits.watching(0):
        pass
    assert limits.bytes_per_element == 0


def test_a_replayed_graph_does_not_hide_what_its_capture_took(peaks: list[int]) -> None:
    limits, peaks[:] = RowLimits(BatchPolicy()), [400, 10]
    with limits.measuring(CUDA):
        for _ in range(2):
            with limits.watching(10):
                pass
    assert limits.most(1, "kind") == 1000 * USABLE // 40


def test_a_gpu_that_the_model_does_not_use_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question to it would make a context there, which takes its memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("the GPU was asked"))
    limits = RowLimits(BatchPolicy())
    with limits.measuring(CPU), limits.watching(10):
        free_cached_memory()
    assert limits.most(1, "kind") > 1000
    assert min(peak_memory(CPU)) > 2**20


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
