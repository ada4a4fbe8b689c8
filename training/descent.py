"""What all trainings share: optimiser, averaged weights, budget, and going on after a stop."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.budget import Budget, Checkpoint, set_rate

REPORT_EVERY = 25
"""Steps between two lines of output."""


class Descent:
    """Networks under training. ``rng`` is for choosing samples; it goes on after a stop."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        file: Path,
        peak_rate: float,
        decay: float,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
        """Take up the state in ``file``, if there is one.

        ``decay`` (0 to 1) is how much of the averaged weights a step keeps; parameters that need
        no gradient are left alone.
        """
        self.step = 0
        self.rng = random.Random(seed)
        self._networks = networks
        self._peak_rate, self._decay = peak_rate, decay
        self._parameters = [
            parameter
            for network in networks.values()
            for parameter in network.parameters()
            if parameter.requires_grad
        ]
        self._optimizer = torch.optim.AdamW(
            self._parameters, peak_rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True
        )
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._checkpoint = Checkpoint(file)
        state = self._checkpoint.load()
        self._spent = self._restore(state) if state is not None else 0.0

    def run(self, name: str, seconds: float, loss_of: Callable[[float], Tensor]) -> None:
        """Follow ``loss_of`` down for ``seconds`` of processor time, then take the average.

        It is called with the part of the training that is over, 0 to 1. Losses are printed under
        ``name``, as a moving mean.
        """
        budget, smooth = Budget(seconds, self._spent), 0.0
        while budget.share < 1:
            set_rate(self._optimizer, budget.rate(self.step, self._peak_rate))
            loss = self._down(loss_of(budget.share))
            smooth = loss if not smooth else 0.98 * smooth + 0.02 * loss
            if self.step % REPORT_EVERY == 0:
                print(f"{name} {self.step} loss {smooth:.4f} {budget.spent:.0f} s", flush=True)
            if self._checkpoint.due():
                self._checkpoint.save(self._state(budget.spent))
        if self._spent < seconds:
            self._checkpoint.save(self._state(seconds))
        self._take_average()

    def _down(self, loss: Tensor) -> float:
        """Do one optimiser step; the averaged weights follow fast at first."""
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.step += 1
        decay = min(self._decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, [p.detach() for p in self._parameters], 1 - decay)
        return float(loss.item())

    def _state(self, spent: float) -> dict[str, Any]:
        """Gather what a later run needs to go on."""
        return {
            "networks": {name: network.state_dict() for name, network in self._networks.items()},
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
            "step": self.step,
            "spent": spent,
        }

    def _restore(self, state: Mapping[str, Any]) -> float:
        """Take over a stored state and return the seconds it had spent."""
        for name, network in self._networks.items():
            network.load_state_dict(state["networks"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average = state["average"]
        self.step = state["step"]
        self.rng.seed(self.step)
        torch.manual_seed(self.step)
        return float(state["spent"])

    @torch.no_grad()
    def _take_average(self) -> None:
        """Give the networks their averaged weights, for use."""
        for parameter, value in zip(self._parameters, self._average, strict=True):
            parameter.copy_(value)
        for network in self._networks.values():
            network.eval()
