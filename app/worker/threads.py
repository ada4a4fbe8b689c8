"""How many threads share a call on a CPU: all of them, or one where sharing costs more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from app.worker.calls import Call

WORTH_SHARING = 3e7
"""Floating-point operations of a layer from which on sharing it pays.

Every shared layer wakes the other threads and waits for them, which takes up to 0.1 ms; a core
does some 5e10 operations a second (measured on two cores, where the demonstration model's layers
pay from 16 rows on, and one picture alone took twice as long with two threads as with one).
"""


class Threads:
    """Chooses the threads of each call by its arithmetic.

    That is counted once per network, in its first call (of the warm-up, where there is one), so
    that the choice is always the same afterwards: the number of threads shows in a result's last
    bits.
    """

    def __init__(self, *, adapt: bool) -> None:
        """Take PyTorch's number of threads for the most; without `adapt` leave it alone."""
        self._most = torch.get_num_threads() if adapt else 1
        self._work: dict[Callable[..., Any], float] = {}

    @contextmanager
    def for_call(self, call: Call, rows: int) -> Iterator[None]:
        """Have what runs in here, a call of so many rows, use the threads that suit it.

        What runs afterwards, such as text encoders, uses those that suit a single row.
        """
        numbers = rows * call.row_size
        if self._most == 1 or not numbers:
            yield
        elif call.function in self._work:
            self._use(self._work[call.function] * numbers)
            try:
                yield
            finally:
                self._use(self._work[call.function] * call.row_size)
        else:
            with FlopCounterMode(display=False) as counter:
                yield
            work = counter.get_total_flops() / _layers(call.function)
            self._work[call.function] = work / numbers
            self._use(work / rows)

    def _use(self, operations: float) -> None:
        """Set the threads for layers of so many operations."""
        torch.set_num_threads(self._most if operations >= WORTH_SHARING else 1)


def _layers(function: Callable[..., Any]) -> int:
    """How many layers with weights a network, or the one whose method this is, has."""
    network: Any = getattr(function, "__self__", function)
    return max(1, sum(bool(layer._parameters) for layer in network.modules()))
