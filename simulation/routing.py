"""Which replica gets the next request; the names are those of `--policy`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulation.workload import Workload


@dataclass(slots=True)
class View:
    """What a front end knows of the replicas.

    Attributes:
        rows: in flight at each replica, as far as this front end knows.
        sizes: (replica, size) of the same.
        open: which replicas have room.
    """

    rows: np.ndarray
    sizes: np.ndarray
    open: np.ndarray


Policy = Callable[[View, int, Workload, np.random.Generator], int]
"""Takes the view and the index of the request's size; returns the index of an open replica."""


def at_random(view: View, size: int, workload: Workload, rng: np.random.Generator) -> int:
    """Any replica with room."""
    del size, workload
    return int(rng.choice(np.flatnonzero(view.open)))


def two_choices(view: View, size: int, workload: Workload, rng: np.random.Generator) -> int:
    """The emptier of two drawn by chance: Ray Serve's own."""
    del size, workload
    drawn = rng.choice(np.flatnonzero(view.open), size=2)
    return int(drawn[np.argmin(view.rows[drawn])])


def fewest_rows(view: View, size: int, workload: Workload, rng: np.random.Generator) -> int:
    """The replica with the fewest rows in flight; among equals any."""
    del size, workload
    return _lowest(np.where(view.open, view.rows, np.inf), rng)


def like_sizes(view: View, size: int, workload: Workload, rng: np.random.Generator) -> int:
    """The fewest rows, where a size that is not there yet counts as rows: its own forward's."""
    extra = workload.launch_seconds / workload.row_seconds
    is_new = (view.sizes[:, size] == 0) & (view.rows > 0)
    return _lowest(np.where(view.open, view.rows + extra * is_new, np.inf), rng)


POLICIES: dict[str, Policy] = {
    "random": at_random,
    "two-choices": two_choices,
    "fewest-rows": fewest_rows,
    "like-sizes": like_sizes,
}


def _lowest(scores: np.ndarray, rng: np.random.Generator) -> int:
    lowest = np.flatnonzero(scores == scores.min())
    return int(lowest[0] if len(lowest) == 1 else lowest[rng.integers(len(lowest))])
