"""In what order a device does its work, and how far the host runs ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch

AHEAD = 2
"""Turns that a GPU may have to do yet when another one begins: one that it works at, and one so
that it need not wait for the host."""


class Moment(Protocol):
    """A point in the device's work, such as a `torch.cuda.Event`."""

    def record(self) -> object:
        """Put it behind what the device has to do."""

    def synchronize(self) -> object:
        """Wait until the device is there."""


class Pace:
    """Bounds the turns whose work the device has not done.

    Without it a host that only starts CUDA graphs puts whole requests into the device's queue:
    what arrives meanwhile could not join them, and what is cancelled would be computed all the
    same.
    """

    def __init__(self, moment: Callable[[], Moment] | None) -> None:
        """Prepare; `moment` makes one, None for a device that works as it is told."""
        self._moment = moment
        self._ends: deque[Moment] = deque()

    @classmethod
    def of(cls, device: torch.device) -> Pace:
        """The one for a device."""
        return cls(_moment if device.type == "cuda" else None)

    def begin(self) -> None:
        """Before a turn: wait until the device has caught up."""
        if len(self._ends) == AHEAD:
            self._ends.popleft().synchronize()

    def end(self) -> None:
        """After a turn."""
        if self._moment:
            moment = self._moment()
            moment.record()
            self._ends.append(moment)


def step_aside(device: torch.device) -> None:
    """Have what the calling thread starts on a GPU run beside the denoiser's forwards.

    Else it would stand in one line with them: each would wait for the other.
    """
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]


def _moment() -> Moment:
    # Not spinning leaves the core to the threads that encode and send.
    event: Moment = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    return event
