"""What spares a scheduler from waiting for the GPU on which its timesteps are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Timesteps:
    """The timesteps of a request's own scheduler, which pipelines keep on the GPU.

    DDIM, PNDM, LCM, TCD and DDPM look their coefficients up in tables in main memory, by a
    timestep: each step would wait until the GPU has done all it was given. With the same timestep
    from main memory they compute the same without waiting. LCM, TCD and DDPM read the next one
    from their own list, which has to be there as well. The list is copied once per request.

    All others count their steps, but look the first one up on the GPU, where the pipeline does
    not say which it is.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._looks_up = hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "sigmas")
        self._seen: torch.Tensor | None = None
        self._host: torch.Tensor | None = None

    def prepare(self, timestep: Any) -> Any:
        """What to call the scheduler with in place of an entry of its list.

        Done before the first forward it waits for the least: the GPU does little for the request
        until then.
        """
        scheduler, timesteps = self._scheduler, self._scheduler.timesteps
        if not _is_entry(timestep, timesteps) or timestep.device.type == "cpu":
            return timestep
        place = timestep.storage_offset() - timesteps.storage_offset()
        if self._looks_up:
            if self._host is None or timesteps is not self._seen:
                self._seen, self._host = timesteps, timesteps.cpu()
            return self._host[place]
        if getattr(scheduler, "begin_index", 0) is None and scheduler.step_index is None:
            scheduler.set_begin_index(place)
        return timestep

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Around a step: the scheduler's own list is in main memory, if that helps."""
        scheduler, on_gpu = self._scheduler, self._scheduler.timesteps
        if self._host is None or on_gpu is not self._seen:
            yield
            return
        scheduler.timesteps = self._host
        try:
            yield
        finally:  # the pipeline goes on with entries of the other one
            scheduler.timesteps = on_gpu


def _is_entry(value: Any, values: Any) -> bool:
    """Whether a tensor is an element of a one-dimensional one, in the same memory."""
    return (
        isinstance(value, torch.Tensor)
        and isinstance(values, torch.Tensor)
        and value.ndim == 0
        and values.ndim == 1
        and values.is_contiguous()
        and value.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    )
