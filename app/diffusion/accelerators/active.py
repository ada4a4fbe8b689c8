"""What the accelerators of a loaded pipeline mean for those who run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Active:
    """The accelerators that are on.

    Attributes:
        names: their settings, as /version lists them.
        keeps_state: whether the denoiser belongs to one request at a time.
        buckets: numbers of rows to which a forward is to be padded, ascending; empty where any
            number is as good.
        resets: to be called before each request, so that nothing of the last one is left.
        warms_up: whether the first forward of a size is so slow that it belongs before the
            first request.
    """

    names: tuple[str, ...] = ()
    keeps_state: bool = False
    buckets: tuple[int, ...] = ()
    resets: tuple[Callable[[], None], ...] = ()
    warms_up: bool = False

    def reset(self) -> None:
        """Forget the last request."""
        for reset in self.resets:
            reset()
