"""How the cores of a CPU share a call: not at all, layer by layer, or each with rows of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from app.worker.calls import Call, Part, run

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
        self._others = ThreadPoolExecutor(
            max(1, self._most - 1), "rows", initializer=torch.set_num_threads, initargs=(1,)
        )

    def run(self, parts: Sequence[Part], padded: int | None = None) -> dict[Part, Any]:
        """Make one call of all parts; see `app.worker.calls.run`.

        Where there is enough to do, each core gets whole parts and runs all layers on its own:
        they meet once a call, and not in each of its layers.
        """
        call, rows = parts[0].call, sum(part.rows for part in parts)
        elements = rows * call.row_size
        if self._most == 1 or not elements:
            return run(parts, padded)
        if call.function not in self._work:
            return self._counted(parts, padded)
        shares = _shares(parts, self._most)
        if self._work[call.function] * elements / self._most >= WORTH_SHARING and len(shares) > 1:
            with self._for_rows(call, 0):
                return self._side_by_side(shares)
        with self._for_rows(call, rows):
            return run(parts, padded)

    def _counted(self, parts: Sequence[Part], padded: int | None) -> dict[Part, Any]:
        call, rows = parts[0].call, sum(part.rows for part in parts)
        with FlopCounterMode(display=False) as counter:
            outcomes = run(parts, padded)
        work = counter.get_total_flops() / _layers(call.function)
        self._work[call.function] = work / (rows * call.row_size)
        self._use(work / rows)
        return outcomes

    def _side_by_side(self, shares: Sequence[Sequence[Part]]) -> dict[Part, Any]:
        mine, *others = shares
        running = [self._others.submit(_run_without_grad, share) for share in others]
        try:
            outcomes = run(mine)
        finally:
            wait(running)  # the networks must be at rest, whatever failed
        for future in running:
            outcomes |= future.result()
        return outcomes

    @contextmanager
    def _for_rows(self, call: Call, rows: int) -> Iterator[None]:
        """Have what runs in here, a call of so many rows, use the threads that suit it.

        What runs afterwards, such as text encoders, uses those that suit a single row.
        """
        work = self._work[call.function] * call.row_size
        self._use(work * rows)
        try:
            yield
        finally:
            self._use(work)

    def _use(self, operations: float) -> None:
        """Set the threads for layers of so many operations."""
        torch.set_num_threads(self._most if operations >= WORTH_SHARING else 1)


def _run_without_grad(parts: Sequence[Part]) -> dict[Part, Any]:
    with torch.no_grad():  # which belongs to each thread
        return run(parts)


def _shares(parts: Sequence[Part], count: int) -> list[list[Part]]:
    """The parts in at most `count` groups of about the same number of rows, in their order."""
    rows, taken = sum(part.rows for part in parts), 0
    groups: list[list[Part]] = []
    for part in parts:
        if not groups or taken >= rows * len(groups) / count:
            groups.append([])
        groups[-1].append(part)
        taken += part.rows
    return groups


def _layers(function: Callable[..., Any]) -> int:
    """How many layers with weights a network, or the one whose method this is, has."""
    network: Any = getattr(function, "__self__", function)
    return max(1, sum(bool(layer._parameters) for layer in network.modules()))
