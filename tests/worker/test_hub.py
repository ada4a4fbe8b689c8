"""Requests that come and go, fail, are cancelled and run out of memory while others run."""

from __future__ import annotations

import time
from typing import Any

import diffusers
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import JobCancelled
from app.worker.hub import FEWEST, Task
from app.worker.limits import BatchPolicy
from tests.worker.conftest import (
    LoadPipe,
    Request,
    Serving,
    alone,
    assert_same_images,
    text,
)


@pytest.fixture(scope="module")
def pipe(load_pipe: LoadPipe) -> Any:
    return load_pipe("sd")


@pytest.fixture
def serving(pipe: Any) -> Serving:
    return Serving(pipe)


def quick(seed: int, steps: int = 2, **changes: Any) -> Request:
    """A request of 16 pixels' side."""
    return text(seed, steps, height=16, width=16, **changes)


def test_requests_join_and_leave_between_steps(pipe: Any, serving: Serving) -> None:
    requests = [quick(0, 6), quick(1, 2), quick(2, 3)]
    serving.add(requests[0])
    serving.turn()
    serving.add(requests[1])
    serving.turn()
    serving.add(requests[2])
    outcomes = serving.finish()
    assert_same_images(pipe, requests, outcomes)
    assert serving.forwards == [2, 4, 6, 4, 4, 2]


def test_a_short_request_is_done_while_a_long_one_runs(serving: Serving) -> None:
    serving.add(quick(0, 20))
    serving.turn()
    serving.add(quick(1, 2))
    for _ in range(4):
        serving.turn()
    assert serving.outcomes[0] is None
    assert isinstance(serving.outcomes[1], torch.Tensor)


def test_requests_that_come_at_once_do_not_wait_for_the_prompts_of_all(
    pipe: Any, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.serve([quick(9)])  # what a step takes is known
    encode, order = pipe.text_encoder.forward, []

    def slowly(*args: Any, **kwargs: Any) -> Any:
        order.append("prompt")
        time.sleep(0.3)
        return encode(*args, **kwargs)

    monkeypatch.setattr(pipe.text_encoder, "forward", slowly)
    requests = [quick(seed, guidance_scale=1.0) for seed in range(4)]
    requests[0].on_step = lambda done: order.append("step")
    serving.serve(requests)
    assert order.count("prompt") == 4
    assert order.index("step") < 3


def test_a_task_runs_with_the_settings_of_pytorch_that_were_made_before(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its compiler belong to a context, and the denoiser may run in the task's own."""
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 77)
    seen: list[int] = []
    task = Task(lambda _: seen.append(torch._dynamo.config.recompile_limit), (), lambda: False)
    serving.hub.add(task)
    serving.turn()
    assert seen == [77]


def test_schedulers_mix(pipe: Any, serving: Serving) -> None:
    classes = (
        None,
        diffusers.EulerDiscreteScheduler,
        diffusers.DPMSolverMultistepScheduler,
        diffusers.HeunDiscreteScheduler,
        diffusers.EulerAncestralDiscreteScheduler,
    )
    requests = [quick(seed, 3) for seed in range(len(classes))]
    for request, kind in zip(requests, classes, strict=True):
        request.scheduler = kind
    assert_same_images(pipe, requests, serving.serve(requests))
    assert max(serving.forwards) == 10


def test_requests_with_and_without_guidance_mix(pipe: Any, serving: Serving) -> None:
    requests = [quick(0), quick(1, guidance_scale=1.0)]
    assert_same_images(pipe, requests, serving.serve(requests))
    assert serving.forwards == [3, 3]


def test_sizes_take_turns(pipe: Any, serving: Serving) -> None:
    small, large = quick(0, 3), text(1, 3)
    order: list[int] = []
    small.on_step = lambda done: order.append(small.seed)
    large.on_step = lambda done: order.append(large.seed)
    assert_same_images(pipe, [small, large], serving.serve([small, large]))
    assert order == [0, 1, 0, 1, 0, 1]


def test_more_rows_than_allowed_take_turns_too(pipe: Any) -> None:
    serving = Serving(pipe, BatchPolicy(max_rows=4))
    requests = [quick(seed) for seed in range(5)]
    assert_same_images(pipe, requests, serving.serve(requests))
    assert serving.forwards == [4, 4, 4, 4, 4]


def test_a_request_with_more_rows_than_allowed_is_divided(pipe: Any) -> None:
    serving = Serving(pipe, BatchPolicy(max_rows=1))
    request = quick(0)
    assert_same_images(pipe, [request], serving.serve([request]))
    assert serving.forwards == [1, 1, 1, 1]


def test_rows_are_filled_up_to_buckets(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = pipe.unet.forward

    def counting(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(len(sample))
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(pipe.unet, "forward", counting)
    serving = Serving(pipe, BatchPolicy(buckets=(1, 2, 4, 8)))
    outcomes = serving.serve([quick(0), quick(1), quick(2)])
    monkeypatch.undo()
    assert seen == [8, 8]
    assert_same_images(pipe, [quick(0), quick(1), quick(2)], outcomes)


def test_cancelling_one_leaves_the_others_as_they_are(pipe: Any, serving: Serving) -> None:
    stop: list[int] = []
    requests = [quick(0, 4), quick(1, 4), quick(2, 4)]
    requests[1].is_cancelled = lambda: bool(stop)
    requests[0].on_step = lambda done: stop.append(1) if done.step == 2 else None
    outcomes = serving.serve(requests)
    assert isinstance(outcomes[1], JobCancelled)
    assert serving.forwards == [6, 6, 4, 4]
    assert_same_images(pipe, requests[::2], outcomes[::2])


def test_a_failure_between_steps_is_its_own(pipe: Any, serving: Serving) -> None:
    requests = [quick(0, 3), quick(1, 3)]

    def fail(done: Any) -> None:
        raise ValueError("no more")

    requests[0].on_step = fail
    outcomes = serving.serve(requests)
    assert isinstance(outcomes[0], ValueError)
    assert_same_images(pipe, requests[1:], outcomes[1:])


def test_a_failure_before_the_first_step_is_its_own(pipe: Any, serving: Serving) -> None:
    outcomes = serving.serve([text(0, height=3), quick(1)])
    assert isinstance(outcomes[0], ValueError)
    assert_same_images(pipe, [quick(1)], outcomes[1:])


class Failing:
    """A denoiser that fails when a condition on its samples holds."""

    def __init__(self, forward: Any, condition: Any, error: Exception) -> None:
        self.forward = forward
        self.condition = condition
        self.error = error
        self.rows: list[int] = []

    def __call__(self, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self.rows.append(len(sample))
        if self.condition(sample):
            raise self.error
        return self.forward(sample, *args, **kwargs)


def test_a_request_that_fails_in_a_shared_forward_fails_alone(
    pipe: Any, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [quick(seed) for seed in range(4)]
    bad = torch.zeros(1, 4, 8, 8)
    requests[2].arguments["latents"] = bad
    failing = Failing(
        pipe.unet.forward, lambda x: bool((x == 0).all((1, 2, 3)).any()), ValueError()
    )
    monkeypatch.setattr(pipe.unet, "forward", failing)
    outcomes = serving.serve(requests)
    monkeypatch.undo()
    assert isinstance(outcomes.pop(2), ValueError)
    assert_same_images(pipe, requests[:2] + requests[3:], outcomes)


@pytest.mark.parametrize("fitting", [1, 2, 5])
def test_running_out_of_memory_divides_the_rows(
    pipe: Any, serving: Serving, monkeypatch: pytest.MonkeyPatch, fitting: int
) -> None:
    failing = Failing(pipe.unet.forward, lambda x: len(x) > fitting, torch.OutOfMemoryError())
    monkeypatch.setattr(pipe.unet, "forward", failing)
    requests = [quick(seed, 3) for seed in range(4)]
    outcomes = serving.serve(requests)
    monkeypatch.undo()
    assert_same_images(pipe, requests, outcomes)
    assert all(rows <= fitting for rows in failing.rows[-4:]), "the limit is not remembered"


def test_only_the_request_that_does_not_fit_alone_fails(
    pipe: Any, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(pipe.unet.forward, lambda x: x.shape[-1] > 8, torch.OutOfMemoryError())
    monkeypatch.setattr(pipe.unet, "forward", failing)
    outcomes = serving.serve([quick(0), text(1), quick(2)])
    monkeypatch.undo()
    assert isinstance(outcomes.pop(1), torch.OutOfMemoryError)
    assert_same_images(pipe, [quick(0), quick(2)], outcomes)


def test_a_broken_device_ends_everything(
    pipe: Any, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = RuntimeError("CUDA error: an illegal memory access was encountered")
    monkeypatch.setattr(pipe.unet, "forward", Failing(None, lambda x: True, broken))
    with pytest.raises(RuntimeError, match="CUDA error"):
        serving.serve([quick(0)])


def test_decoding_many_images_lets_the_others_step(pipe: Any) -> None:
    serving = Serving(pipe, BatchPolicy(decoded=4 * 8 * 8))  # one image at a time
    requests = [quick(0, 1, num_images_per_prompt=3), quick(1, 6)]
    order: list[int] = []
    requests[1].on_step = lambda done: order.append(done.step)
    serving.add(requests[0])
    serving.add(requests[1])
    while serving.outcomes[0] is None:
        serving.turn()
    assert len(order) >= 3
    assert_same_images(pipe, requests, serving.finish())


def test_adapters_are_those_of_the_request(pipe: Any) -> None:
    """Two sets of adapters and none, in turn; what stands for them scales the prediction."""
    factor = {(): 1.0, (("some/lora", 1.0),): 0.5, (("some/lora", 0.5),): 0.75}
    active: list[Any] = [()]
    handle = pipe.unet.register_forward_hook(
        lambda module, args, output: (output[0] * factor[active[0]],)
    )

    def activate(loras: Any) -> None:
        active[0] = loras

    try:
        serving = Serving(pipe, activate=activate)
        requests = [quick(seed, 3) for seed in range(4)]
        for request, loras in zip(requests, [*factor, ()], strict=True):
            request.loras = loras
        outcomes = serving.serve(requests)
        for request, outcome in zip(requests, outcomes, strict=True):
            activate(request.loras)
            assert_same_images(pipe, [request], [outcome])
    finally:
        handle.remove()
    assert sorted(serving.forwards) == [2, 2, 2, 2, 2, 2, 4, 4, 4]


def test_no_more_adapters_are_under_way_than_stay_loaded(pipe: Any) -> None:
    loaded: list[Any] = []
    loads: list[Any] = []

    def activate(loras: Any) -> None:
        for lora in loras:
            if lora in loaded:
                loaded.remove(lora)
            else:
                loads.append(lora)
            loaded.append(lora)
        del loaded[:-2]

    serving = Serving(pipe, activate=activate, most_adapters=2)
    requests = [quick(seed, 4) for seed in range(5)]
    for request, name in zip(requests, "abcda", strict=True):
        request.loras = ((name, 1.0),)
    outcomes = serving.serve(requests)
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
    assert len(loads) <= 2 * len(requests)  # not once for each step


def test_an_unknown_denoiser_takes_turns(
    pipe: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.worker.parking.DENOISERS", {})
    serving = Serving(pipe)
    requests = [quick(0), quick(1)]
    outcomes = serving.serve(requests)
    assert caplog.text.count("UNet2DConditionModel: requests take turns") == 1
    for request, outcome in zip(requests, outcomes, strict=True):
        assert torch.equal(outcome, alone(pipe, request))


def test_few_of_an_unknown_denoisers_requests_are_under_way(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.parking.DENOISERS", {})
    requests = [quick(seed, 3) for seed in range(5)]
    order: list[int] = []
    for request in requests:
        request.on_step = lambda done, seed=request.seed: order.append(seed)
    Serving(pipe).serve(requests)
    under_way = [len({*order[:now]} & {*order[now:]}) for now in range(len(order))]
    assert max(under_way) == FEWEST


def test_grad_mode_is_as_it_was(serving: Serving) -> None:
    serving.serve([quick(0, 3), quick(1, 2)])
    assert torch.is_grad_enabled()  # `_grad_mode` switched it on


schedules = st.lists(
    st.tuples(
        st.integers(0, 3),  # turns before it arrives
        st.integers(1, 4),  # steps
        st.sampled_from([1.0, 4.0]),  # guidance
        st.sampled_from([16, 24]),  # side
        st.sampled_from([None, 0, 1, 2]),  # turns after which it is cancelled
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(schedule=schedules, max_rows=st.sampled_from([None, 1, 3]))
def test_any_schedule_gives_each_its_own_image(
    pipe: Any, schedule: list[Any], max_rows: int | None
) -> None:
    serving = Serving(pipe, BatchPolicy(max_rows=max_rows))
    requests = []
    for seed, (pause, steps, guidance, side, patience) in enumerate(schedule):
        for _ in range(pause):
            serving.turn()
        request = text(seed, steps, guidance_scale=guidance, height=side, width=side)
        if patience is not None:
            end = len(serving.forwards) + patience
            request.is_cancelled = lambda end=end: len(serving.forwards) >= end
        requests.append(request)
        serving.add(request)
    for request, outcome in zip(requests, serving.finish(), strict=True):
        if not isinstance(outcome, JobCancelled):
            assert_same_images(pipe, [request], [outcome])
