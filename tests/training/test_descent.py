"""What the trainings share, on a network of one weight."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from training.descent import Descent

SECONDS = 0.3


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processor time that goes on by half a millisecond with each look: any machine is as fast."""
    looks = itertools.count()
    fake = SimpleNamespace(process_time=lambda: next(looks) / 2000, monotonic=time.monotonic)
    monkeypatch.setattr("training.budget.time", fake)


class Valley:
    """A weight that should become 3, and what was asked of it."""

    def __init__(self) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        self.shares: list[float] = []

    def descent(self, folder: Path) -> Descent:
        return Descent({"valley": self.network}, folder / "state.pt", peak_rate=0.2, decay=0.5)

    def loss(self, share: float) -> Tensor:
        self.shares.append(share)
        return self.distance().square()

    def distance(self) -> Tensor:
        return (self.network.weight - 3).sum()


def test_it_goes_down_within_its_budget(tmp_path: Path) -> None:
    valley = Valley()
    before = valley.distance().abs()
    descent = valley.descent(tmp_path)
    descent.run("valley", SECONDS, valley.loss)
    assert valley.distance().abs() < before
    assert descent.step == len(valley.shares)
    assert valley.shares == sorted(valley.shares)
    assert 0 <= valley.shares[0] < valley.shares[-1] <= 1


def test_it_goes_on_after_a_stop(tmp_path: Path) -> None:
    first, second = Valley(), Valley()
    earlier = first.descent(tmp_path)
    earlier.run("valley", SECONDS, first.loss)
    later = second.descent(tmp_path)
    assert later.step == earlier.step
    later.run("valley", 2 * SECONDS, second.loss)
    assert second.shares[0] >= 0.5
    assert later.step == earlier.step + len(second.shares)


def test_a_spent_budget_only_gives_the_average(tmp_path: Path) -> None:
    first, second = Valley(), Valley()
    first.descent(tmp_path).run("valley", SECONDS, first.loss)
    second.descent(tmp_path).run("valley", SECONDS, second.loss)
    assert not second.shares
    assert torch.equal(second.network.weight, first.network.weight)
    assert not second.network.training
