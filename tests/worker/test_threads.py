"""Threads of a call: one where there is little to compute, all of them where there is much."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from app.worker.calls import Call, Part, SharedValues, describe
from app.worker.roles import Roles
from app.worker.threads import Threads

WIDTH = 256
ROLES = Roles(("input",))


class Network(nn.Sequential):
    """Layers that note the threads in use; a row of negative numbers breaks them."""

    def __init__(self, layers: int = 1) -> None:
        super().__init__(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
        self.seen: list[tuple[str, int, int]] = []

    def forward(self, input: torch.Tensor) -> Any:
        name = threading.current_thread().name
        self.seen.append((name, torch.get_num_threads(), len(input)))
        if bool((input < 0).any()):
            raise ValueError("broken")
        return (super().forward(input),)

    def used(self) -> int:
        """Threads of the last call."""
        return self.seen[-1][1]


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


def call(network: nn.Module, rows: int, tokens: int, value: float = 0.0) -> Call:
    arguments = {"input": torch.full((rows, tokens, WIDTH), value)}
    return describe(network, arguments, ROLES, SharedValues())


def whole(asked: Call) -> list[Part]:
    return [Part(asked, 0, asked.rows)]


def test_small_calls_are_not_shared_and_large_ones_are() -> None:
    network, threads = Network(), Threads(adapt=True)
    small, large = call(network, 2, 8), call(network, 8, 512)
    for asked, expected in ((small, 2), (small, 1), (large, 2), (small, 1)):
        threads.run(whole(asked))  # in the first one, its arithmetic is counted
        assert network.used() == expected
    assert torch.get_num_threads() == 1


def test_layers_count_not_their_sum() -> None:
    deep, threads = Network(layers=200), Threads(adapt=True)
    for _ in range(2):
        threads.run(whole(call(deep, 2, 8)))
    assert deep.used() == 1


def test_several_large_calls_are_made_side_by_side() -> None:
    network, threads = Network(), Threads(adapt=True)
    threads.run(whole(call(network, 2, 8)))
    parts = [part for value in range(6) for part in whole(call(network, 2, 512, float(value)))]
    network.seen.clear()
    outcomes = threads.run(parts)
    assert sorted(rows for _, _, rows in network.seen) == [6, 6]
    assert {used for _, used, _ in network.seen} == {1}
    assert len({name for name, _, _ in network.seen}) == 2
    for part in parts:
        (alone,) = network(part.call.arguments["input"])
        torch.testing.assert_close(outcomes[part][0], alone)


@pytest.mark.parametrize("broken", [0, 3])
def test_a_failure_on_either_side_is_raised(broken: int) -> None:
    network, threads = Network(), Threads(adapt=True)
    threads.run(whole(call(network, 2, 8)))
    values = [-1.0 if place == broken else 0.0 for place in range(4)]
    parts = [part for value in values for part in whole(call(network, 2, 512, value))]
    with pytest.raises(ValueError, match="broken"):
        threads.run(parts)
    threads.run(whole(call(network, 2, 8)))
    assert network.used() == 1


def test_who_must_not_be_looked_into_keeps_all_threads() -> None:
    network, threads = Network(), Threads(adapt=False)
    for _ in range(3):
        threads.run(whole(call(network, 2, 8)))
    assert [used for _, used, _ in network.seen] == [2, 2, 2]
