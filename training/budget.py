"""Time budgets and checkpoints, so that training ends on time and a stop loses little.

Budgets count processor time, over all threads: a busy machine then takes longer, but trains as
much.
"""

import math
import os
import time
from pathlib import Path
from typing import Any

import torch

SAVE_EVERY_SECONDS = 120.0


class Budget:
    """A budget in processor seconds that goes on where an earlier run stopped."""

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        """Start counting; ``spent`` seconds were used by earlier runs."""
        self._seconds = seconds
        self._start = time.process_time() - spent

    @property
    def spent(self) -> float:
        """Seconds used so far."""
        return time.process_time() - self._start

    @property
    def share(self) -> float:
        """Part of the budget that is used, 0 to 1."""
        return min(1.0, self.spent / self._seconds)

    def rate(self, step: int, peak: float, warmup: int = 100, floor: float = 0.02) -> float:
        """Return the learning rate: a short warm-up, then a cosine down to ``floor * peak``."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.share)
        return peak * min(1.0, (step + 1) / warmup) * max(floor, cosine)


class Checkpoint:
    """A training state in one file, written every two minutes and at the end."""

    def __init__(self, path: Path) -> None:
        """Keep the state at ``path``."""
        self._path = path
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the last state, or None for a fresh start."""
        if not self._path.exists():
            return None
        state: dict[str, Any] = torch.load(
            self._path, map_location=torch.get_default_device(), weights_only=False
        )
        return state

    def due(self) -> bool:
        """Say whether it is time to save again."""
        return time.monotonic() - self._saved > SAVE_EVERY_SECONDS

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file as one step, so a stop never leaves half a state."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self._path)
        self._saved = time.monotonic()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
