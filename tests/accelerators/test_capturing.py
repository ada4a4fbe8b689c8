"""In which order a capture asks what of PyTorch; the real thing needs a GPU (`test_on_gpu.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from app.diffusion.accelerators import capturing
from app.diffusion.accelerators.capturing import GpuCapture


class Stream:
    """Notes who waits for whom."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self._log = log

    def wait_stream(self, other: Stream) -> None:
        self._log.append(f"{self.name} waits for {other.name}")


class FakeTorch:
    """What of `torch` a capture uses; `is_open`: a capture that failed stays so."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.is_open = False
        self.current = Stream("main", self.log)
        self._pools = 0
        self.cuda = SimpleNamespace(
            CUDAGraph=lambda: SimpleNamespace(replay=lambda: None),
            Stream=lambda: Stream("side", self.log),
            current_device=lambda: 0,
            current_stream=lambda: self.current,
            graph=self._graph,
            graph_pool_handle=self._new_pool,
            set_stream=self._set_stream,
            stream=self._on,
        )
        self._C = SimpleNamespace(_cuda_endAllocateToPool=self._end)

    def zeros(self, *_: object, **__: object) -> str:
        self.log.append("zeros")
        return "zeros"

    def _new_pool(self) -> int:
        self._pools += 1
        return self._pools

    def _set_stream(self, stream: Stream) -> None:
        self.current = stream

    @contextmanager
    def _on(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        self.log.append(f"on {stream.name}")
        yield
        self.current = before

    @contextmanager
    def _graph(
        self, _graph: object, *, pool: int, stream: Stream, capture_error_mode: str
    ) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        before, self.current = self.current, stream
        self.log.append(f"captures on {stream.name} in pool {pool}")
        yield  # not put back after a failure, as by the real one
        self.current = before

    def _end(self, _device: int, pool: int) -> None:
        if not self.is_open:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.is_open = False
        self.log.append(f"ends pool {pool}")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTorch:
    fake = FakeTorch()
    monkeypatch.setattr(capturing, "torch", fake)
    return fake


def test_it_warms_up_on_the_stream_on_which_it_captures(fake: FakeTorch) -> None:
    capture = GpuCapture()
    assert fake.log == ["captures on side in pool 1", "zeros"]  # the pool's own graph
    del fake.log[:]
    captured = capture(lambda: fake.log.append("runs"))
    assert captured.outputs is None
    assert fake.log == [
        *("side waits for main", "on side", "runs", "main waits for side"),
        *("captures on side in pool 1", "runs"),
    ]
    assert fake.current.name == "main"


@pytest.mark.parametrize("stays_open", [False, True])
def test_after_a_failure_the_next_one_is_as_good(fake: FakeTorch, stays_open: bool) -> None:
    capture, runs = GpuCapture(), 0

    def fails_at_the_capture() -> Any:
        nonlocal runs
        runs += 1
        if runs == 2:
            fake.is_open = stays_open
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="capturing"):
        capture(fails_at_the_capture)
    assert fake.current.name == "main"
    del fake.log[:]
    capture(lambda: None)
    assert fake.log[-1] == f"captures on side in pool {2 if stays_open else 1}"
    assert fake.log.count("zeros") == stays_open


def test_a_warm_up_that_fails_changes_nothing(fake: FakeTorch) -> None:
    capture: Any = GpuCapture()
    with pytest.raises(ZeroDivisionError):
        capture(lambda: 1 / 0)
    capture(lambda: None)
    assert fake.log[-1] == "captures on side in pool 1"
