"""A stand-in for a GPU that captures: it breaks what the real one would break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from app.diffusion.accelerators.capturing import Captured

READING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "lift_fresh")
"""Operators that bring a value to the host, or one from there; during a capture both fail."""


class FakeGpu:
    """Captures on a CPU.

    A capture computes nothing and may read nothing. A replay reads the inputs' memory as it is
    then, and overwrites the outputs of all graphs, as they share their memory.
    """

    def __init__(self) -> None:
        self.captures = self.replays = 0
        self.error: Exception | None = None
        self._outputs: list[torch.Tensor] = []

    def capture(self, run: Callable[[], Any]) -> Captured:
        """See `app.diffusion.accelerators.capturing.Capture`."""
        run()
        if self.error is not None:
            raise self.error
        self.captures += 1
        with NothingRead():
            outputs = run()
        own = _tensors(outputs)
        self._outputs += own
        self._forget()
        return Captured(outputs, lambda: self._replay(run, own))

    def _replay(self, run: Callable[[], Any], outputs: list[torch.Tensor]) -> None:
        self.replays += 1
        results = _tensors(run())
        self._forget()
        for output, result in zip(outputs, results, strict=True):
            output.copy_(result)

    def _forget(self) -> None:
        for output in self._outputs:
            output.fill_(torch.nan if output.is_floating_point() else 0)


class NothingRead(TorchDispatchMode):
    """Fails where a GPU that captures would."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function._schema.name.removeprefix("aten::")
        if name in READING:
            raise RuntimeError(f"CUDA error: {name} is not permitted when stream is capturing")
        return function(*args, **(kwargs or {}))


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
