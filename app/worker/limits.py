"""How many rows go into one call: as many as pay, and never more than fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

USEFUL_ON_CPU = 2**17
"""Elements of the latents of one forward beyond which more rows gain nothing: 8 images of 512
pixels' side, 32 of 256, all that come at 128 (measured with small models on two cores)."""

USEFUL_ON_GPU = 2**19
"""The same for a data-centre GPU: 32 images of 512 pixels' side, 8 of 1024, with latents of four
channels; a quarter of it for those of sixteen, whose transformers have more to do for each."""

DECODED_ON_CPU = 2**12
"""Elements of the latents of one decoding: an image of 256 pixels' side, or 4 of 128."""

DECODED_ON_GPU = 2**16
"""The same for a GPU: an image of 1024 pixels' side, or 4 of 512."""

MOST_ROWS = 64
"""Beyond it nothing is gained at any size."""

FITS_BEFORE_MORE = 100
"""Calls of as many rows as once fitted after which twice as many are tried again."""

USABLE = 0.8
"""Part of the free memory that forwards may take; the rest is for VAE and text encoders."""


@dataclass(slots=True)
class BatchPolicy:
    """What may share a call.

    Attributes:
        merge: whether requests may share calls at all; not where an accelerator keeps state
            from step to step, or where a pipeline changes its denoiser during a call.
        max_rows: rows in one call, None for as many as pay.
        buckets: numbers of rows that calls are filled up to, ascending; empty for none.
        useful_elements: of the latents of one forward, beyond which more rows gain nothing.
        decoded: the same for the VAE, where it also bounds how long the others' steps wait.
    """

    merge: bool = True
    max_rows: int | None = None
    buckets: tuple[int, ...] = ()
    useful_elements: int = USEFUL_ON_CPU
    decoded: int = DECODED_ON_CPU


@dataclass(slots=True)
class RowLimits:
    """Rows per call, by the policy and by what was learnt of the memory.

    Attributes:
        policy: what may share a call.
        bytes_per_element: memory that a forward takes per element of its latents, as measured;
            0 for unknown.
        free_bytes: memory that forwards may use, 0 for unknown.
    """

    policy: BatchPolicy
    bytes_per_element: float = 0.0
    free_bytes: int = 0
    _fitting: dict[object, int] = field(default_factory=dict)
    _fits: Counter[object] = field(default_factory=Counter)
    _is_measuring: bool = False

    def most(self, row_size: int, kind: object, *, is_step: bool = True) -> int:
        """Rows that a call may have at all; larger ones are divided.

        Args:
            row_size: elements of one row of the latents.
            kind: what calls that need the same memory have in common.
            is_step: whether it is a forward, which is what was measured and is filled up.
        """
        limits = [self._fitting.get(kind), self.policy.max_rows]
        if is_step and self.bytes_per_element and self.free_bytes and row_size:
            limits.append(int(self.free_bytes / (self.bytes_per_element * row_size)))
        most = max(1, min((limit for limit in limits if limit is not None), default=2**31))
        # Filled up, a call of fewer rows than the next bucket would have more than the limit.
        return self._bucket_below(most) if is_step else most

    def padded(self, rows: int) -> int | None:
        """The number of rows that a call of `rows` is filled up to, None if to none."""
        return next((bucket for bucket in self.policy.buckets if bucket >= rows), None)

    def did_not_fit(self, rows: int, kind: object) -> None:
        """Remember that a call of so many rows ran out of memory."""
        fitting = max(1, min(rows // 2, self._fitting.get(kind, rows)))
        self._fitting[kind], self._fits[kind] = self._bucket_below(fitting), 0

    def did_fit(self, rows: int, kind: object) -> None:
        """Remember that a call went through: what was short of memory may long be over."""
        if rows < self._fitting.get(kind, rows + 1):
            return
        self._fits[kind] += 1
        if self._fits[kind] == FITS_BEFORE_MORE:
            self._fitting[kind], self._fits[kind] = 2 * rows, 0

    def _bucket_below(self, rows: int) -> int:
        """The largest bucket of at most so many rows; without any, these rows."""
        return max((bucket for bucket in self.policy.buckets if bucket <= rows), default=rows)

    @contextmanager
    def measuring(self, device: torch.device) -> Iterator[None]:
        """Learn from the forwards in this context what memory they take, if they run on CUDA.

        Args:
            device: the model's; a GPU that it does not use is left alone.
        """
        self._is_measuring = device.type == "cuda"
        try:
            yield
        finally:
            if self._is_measuring:
                unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
                self.free_bytes = int(USABLE * (torch.cuda.mem_get_info()[0] + unused))
            self._is_measuring = False

    @contextmanager
    def watching(self, elements: int) -> Iterator[None]:
        """Around a forward with so many elements in its latents; the largest measured counts.

        A CUDA graph that was captured in one forward takes nothing but its output in the next.
        """
        if not self._is_measuring or not elements:
            yield
            return
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        yield
        taken = (torch.cuda.max_memory_allocated() - before) / elements
        self.bytes_per_element = max(self.bytes_per_element, taken)


def useful_rows(row_size: int, elements: int) -> int:
    """Rows beyond which merging calls gains nothing.

    Args:
        row_size: elements of one row of the latents.
        elements: of the latents of one call, beyond which more gain nothing.
    """
    return max(1, min(MOST_ROWS, elements // max(1, row_size)))
