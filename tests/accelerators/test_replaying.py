"""What may share a CUDA graph and what may not, and which graphs are kept."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch

from app.diffusion.accelerators import replaying
from app.diffusion.accelerators.replaying import ReplayedForward
from app.errors import ModelNotLoaded
from tests.accelerators.fake_gpu import FakeGpu

REFUSAL = RuntimeError("CUDA error: operation not permitted when stream is capturing")


def double(x: torch.Tensor, options: Any = None, mask: Any = None) -> dict[str, torch.Tensor]:
    """Takes its options out of the dictionary, as some transformers do."""
    more = sum((options.pop(name) for name in list(options)), 0) if options else 0
    result = 2 * x + more
    return {"sample": result if mask is None else result * mask}


def replayed(gpu: FakeGpu, *, needed: bool = True) -> ReplayedForward:
    return ReplayedForward(double, gpu.capture, needed=needed)


def call(forward: ReplayedForward, rows: int = 2, mask: Any = None, **options: Any) -> torch.Tensor:
    x = torch.randn(rows, 3)
    result: torch.Tensor = forward(x, options=dict(options), mask=mask)["sample"]
    torch.testing.assert_close(result, double(x, dict(options), mask)["sample"])
    return result


KINDS: dict[str, dict[str, Any]] = {
    "rows": {"rows": 1},
    "a whole number": {"more": 1},
    "another": {"more": 2},
    "a truth": {"more": True},
    "a fraction": {"more": 1.0},
    "a tensor": {"more": torch.ones(1)},
    "a tensor of another type": {"more": torch.ones(1, dtype=torch.int64)},
    "a longer one": {"more": torch.ones(3)},
    "one of another name": {"less": torch.ones(1)},
    "a mask": {"mask": torch.ones(2, 1)},
}
"""Calls each of which needs a graph of its own."""


def test_each_kind_is_captured_at_its_second_call() -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for _ in range(3):
        for changes in ({}, *KINDS.values()):
            call(forward, **changes)
    assert gpu.captures == forward.graphs == len(KINDS) + 1
    assert gpu.replays == 2 * gpu.captures


def test_names_in_another_order_are_the_same_kind() -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for names in (("more", "less"), ("less", "more"), ("more", "less")):
        call(forward, **{name: torch.rand(1) for name in names})
    assert gpu.captures == 1


def test_the_layout_in_memory_is_no_kind_of_its_own() -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for x in (
        torch.randn(2, 3),
        torch.randn(3, 2).T,
        torch.randn(1, 3).expand(2, 3),
        torch.randn(4, 3)[::2],
    ):
        torch.testing.assert_close(forward(x)["sample"], 2 * x)
    assert gpu.captures == 1


def test_results_outlive_the_next_replay_of_any_graph() -> None:
    forward = replayed(FakeGpu())
    results = [call(forward, rows) for _ in range(3) for rows in (1, 2)]
    copies = [result.clone() for result in results]
    call(forward, 1)
    assert all(map(torch.equal, results, copies))


def test_the_callers_tensors_are_left_alone() -> None:
    forward = replayed(FakeGpu())
    given = [torch.randn(2, 3) for _ in range(4)]
    copies = [x.clone() for x in given]
    for x in given:
        forward(x)
    assert all(map(torch.equal, given, copies))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"more": torch.ones(1, device="meta")}, "tensors in several places"),
        ({"more": 1j}, "a complex among their arguments"),
    ],
)
def test_what_would_stay_in_the_graph_runs_without(
    options: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for _ in range(3):
        with contextlib.suppress(RuntimeError):  # a real one would compute with both places
            forward(torch.ones(2), {**options})
    assert gpu.captures == 0
    assert caplog.text.count(reason) == 1


def test_within_autocast_there_are_no_graphs() -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            call(forward)
    assert gpu.captures == 0


def test_the_graph_that_was_not_used_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST_GRAPHS", 2)
    gpu = FakeGpu()
    forward = replayed(gpu)
    for rows in (1, 1, 2, 2, 1, 3, 3):
        call(forward, rows)
    assert gpu.captures == 3
    call(forward, 1)
    assert gpu.captures == 3
    call(forward, 2)
    call(forward, 2)
    assert gpu.captures == 4
    assert forward.graphs == 2


def test_what_comes_once_drives_no_graph_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST_GRAPHS", 1)
    monkeypatch.setattr(replaying, "MOST_SEEN", 2)
    gpu = FakeGpu()
    forward = replayed(gpu)
    for rows in (1, 1, 2, 3, 4, 5, 2, 1):
        call(forward, rows)
    assert gpu.captures == 1
    assert gpu.replays == 2


def test_a_denoiser_that_cannot_be_captured_is_refused_with_the_remedy() -> None:
    gpu = FakeGpu()
    gpu.error = REFUSAL
    forward = replayed(gpu)
    call(forward)
    with pytest.raises(ModelNotLoaded, match="Unset CUDA_GRAPHS"):
        call(forward)


def test_another_network_goes_without(caplog: pytest.LogCaptureFixture) -> None:
    gpu = FakeGpu()
    gpu.error = REFUSAL
    forward = replayed(gpu, needed=False)
    for _ in range(4):
        call(forward)
    assert caplog.text.count("go without a graph") == 1


def test_one_kind_that_cannot_be_captured_goes_without(caplog: pytest.LogCaptureFixture) -> None:
    gpu = FakeGpu()
    forward = replayed(gpu)
    for rows in (1, 1, 2, 2, 2, 1):
        gpu.error = REFUSAL if rows == 2 else None
        call(forward, rows)
    assert gpu.captures == 1
    assert gpu.replays == 2
    assert caplog.text.count("go without a graph") == 1


def test_a_capture_that_lacks_memory_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    gpu = FakeGpu()
    gpu.error = torch.OutOfMemoryError()
    forward = replayed(gpu)
    for _ in range(3):
        call(forward)
    assert caplog.text.count("OutOfMemoryError") == 1
    assert forward.graphs == 0


def test_a_forward_that_reads_a_value_cannot_be_captured() -> None:
    def reading(x: torch.Tensor) -> torch.Tensor:
        return x * x.max().item()

    forward = ReplayedForward(reading, FakeGpu().capture, needed=True)
    forward(torch.ones(2))
    with pytest.raises(ModelNotLoaded, match="_local_scalar_dense"):
        forward(torch.ones(2))
