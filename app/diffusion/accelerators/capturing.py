"""Captures what a function does on the GPU as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Captured:
    """A function's work that can be replayed.

    Attributes:
        outputs: what the function returned; each replay overwrites the tensors in it, and so may
            the replay of another graph.
        replay: does the work again, with what the tensors that it read hold now.
    """

    outputs: Any
    replay: Callable[[], None]


Capture = Callable[[Callable[[], Any]], Captured]
"""Makes a function's work replayable, for which it is called twice. It may read no value of a
tensor, and what else it reads stays as it is now."""


class GpuCapture:
    """Captures on this machine's GPU.

    All graphs have one pool of memory for what is between their inputs and their outputs. They
    are replayed in any order, but one after the other on one stream, and what they left is copied
    before the next one: so none needs what another overwrites.
    """

    def __init__(self) -> None:
        """Capture a trifle.

        Raises:
            RuntimeError: this machine cannot.
        """
        # The same for all: libraries have their workspaces by stream.
        self._stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool: Any = None
        self._open_pool()

    def __call__(self, run: Callable[[], Any]) -> Captured:
        """See `Capture`.

        Raises:
            Exception: what the function raises, or why it cannot be captured.
        """
        self._warm_up(run)
        if self._pool is None:
            self._open_pool()
        return self._record(run)

    def _open_pool(self) -> None:
        """Begin a pool, and keep a graph in it: PyTorch refuses to share one that has none left."""
        self._pool = torch.cuda.graph_pool_handle()
        self._keeper = self._record(lambda: torch.zeros(1, device="cuda"))

    def _warm_up(self, run: Callable[[], Any]) -> None:
        """Have libraries allocate and compile, which they cannot during a capture."""
        around = torch.cuda.current_stream()
        self._stream.wait_stream(around)
        with torch.cuda.stream(self._stream):
            run()
        around.wait_stream(self._stream)

    def _record(self, run: Callable[[], Any]) -> Captured:
        graph = torch.cuda.CUDAGraph()
        around = torch.cuda.current_stream()
        # Beside it, another thread checks images and fetches pixels.
        recording = torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        )
        try:
            with recording:
                outputs = run()
        except BaseException:
            torch.cuda.set_stream(around)  # it is put back after a success only
            self._leave_pool_if_open()
            raise
        return Captured(outputs, graph.replay)

    def _leave_pool_if_open(self) -> None:
        """Have the next capture begin another pool, if the failed one is open in this one.

        So it is up to PyTorch 2.11: no other could begin in it, and while one is open, the
        allocator gives nothing back where memory is short.
        """
        try:
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), self._pool)
        except RuntimeError:  # it is not
            return
        self._pool = None
