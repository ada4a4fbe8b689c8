"""Threads of a call: one where there is little to compute, all of them where there is much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from app.worker.calls import Call, SharedValues, describe
from app.worker.roles import Roles
from app.worker.threads import Threads

WIDTH = 256
ROLES = Roles(("input",))


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def call(network: nn.Module, rows: int, tokens: int) -> Call:
    arguments = {"input": torch.zeros(rows, tokens, WIDTH)}
    return describe(network, arguments, ROLES, SharedValues())


def used(threads: Threads, asked: Call) -> int:
    """Threads while a call runs."""
    with threads.for_call(asked, asked.rows):
        asked.function(**asked.arguments)
        return torch.get_num_threads()


def test_small_calls_are_not_shared_and_large_ones_are() -> None:
    network, threads = nn.Linear(WIDTH, WIDTH), Threads(adapt=True)
    small, large = call(network, 2, 8), call(network, 8, 512)
    assert used(threads, small) == 2  # its arithmetic is counted
    assert used(threads, small) == 1
    assert used(threads, large) == 2
    assert torch.get_num_threads() == 2  # its single rows are large as well
    assert used(threads, small) == 1
    assert torch.get_num_threads() == 1


def test_layers_count_not_their_sum() -> None:
    deep, threads = (
        nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(200))),
        Threads(adapt=True),
    )
    small = call(deep, 2, 8)
    used(threads, small)
    assert used(threads, small) == 1


def test_a_failed_call_leaves_the_next_one_be() -> None:
    network, threads = nn.Linear(WIDTH, WIDTH), Threads(adapt=True)
    small = call(network, 2, 8)
    used(threads, small)
    with pytest.raises(ValueError, match="broken"), threads.for_call(small, 2):
        raise ValueError("broken")
    assert used(threads, small) == 1


def test_who_must_not_be_looked_into_keeps_all_threads() -> None:
    network, threads = nn.Linear(WIDTH, WIDTH), Threads(adapt=False)
    small = call(network, 2, 8)
    assert [used(threads, small) for _ in range(3)] == [2, 2, 2]
