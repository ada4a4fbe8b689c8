"""Which replica has how many rows in flight, and which is to have the next ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Replica = TypeVar("Replica", bound=Hashable)
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place(Generic[Replica]):
    """Where a request is: so many rows of a size, at a replica."""

    replica: Replica
    rows: int
    size: Size


class RowsInFlight(Generic[Replica]):
    """Counts the rows of the requests that went through one front end.

    Requests of one size share the forwards of a replica, another size needs its own. So a replica
    that is busy with other sizes counts as having `mixing_penalty` rows more.
    """

    def __init__(self, mixing_penalty: float) -> None:
        self._mixing_penalty = mixing_penalty
        self._places: dict[str, Place[Replica]] = {}
        self._rows: Counter[Replica] = Counter()
        self._sizes: Counter[tuple[Replica, Size]] = Counter()

    def place(self, request: str, place: Place[Replica]) -> None:
        """Count a request; if it was counted elsewhere, no longer there."""
        self.drop(request)
        self._places[request] = place
        self._rows[place.replica] += place.rows
        self._sizes[place.replica, place.size] += place.rows

    def drop(self, request: str) -> None:
        """Count a request no longer; nothing happens if it is not counted."""
        place = self._places.pop(request, None)
        if place is None:
            return
        _subtract(self._rows, place.replica, place.rows)
        _subtract(self._sizes, (place.replica, place.size), place.rows)

    def order(self, replicas: Iterable[Replica], size: Size) -> list[Replica]:
        """The replicas, the best for a request of this size first; equals in any order."""
        shuffled = list(replicas)
        random.shuffle(shuffled)  # several front ends must not all choose the same
        return sorted(shuffled, key=lambda replica: self._score(replica, size))

    def _score(self, replica: Replica, size: Size) -> float:
        rows = self._rows[replica]
        mixes = rows > 0 and (replica, size) not in self._sizes
        return rows + (self._mixing_penalty if mixes else 0)


Key = TypeVar("Key")


def _subtract(counter: Counter[Key], key: Key, number: int) -> None:
    """Keys of nothing are removed: replicas come and go."""
    counter[key] -= number
    if counter[key] <= 0:
        del counter[key]
