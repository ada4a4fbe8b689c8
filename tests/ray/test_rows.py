"""The choice of a replica."""

from __future__ import annotations

from app.ray_backend.rows import Place, RowsInFlight

SQUARE, WIDE = (512, 512), (768, 512)


def test_the_fewest_rows_come_first() -> None:
    rows: RowsInFlight[str] = RowsInFlight(mixing_penalty=0)
    rows.place("one", Place("a", 4, SQUARE))
    rows.place("two", Place("b", 1, SQUARE))
    assert rows.order(["a", "b", "c"], SQUARE) == ["c", "b", "a"]


def test_a_size_goes_where_it_is_unless_that_costs_more_rows() -> None:
    rows: RowsInFlight[str] = RowsInFlight(mixing_penalty=1.5)
    rows.place("one", Place("squares", 2, SQUARE))
    rows.place("two", Place("wides", 1, WIDE))
    assert rows.order(["squares", "wides"], SQUARE) == ["squares", "wides"]
    assert rows.order(["squares", "wides"], WIDE) == ["wides", "squares"]
    rows.place("three", Place("squares", 1, SQUARE))
    assert rows.order(["squares", "wides"], SQUARE) == ["wides", "squares"]


def test_an_idle_replica_is_never_penalised() -> None:
    rows: RowsInFlight[str] = RowsInFlight(mixing_penalty=100)
    rows.place("one", Place("busy", 1, SQUARE))
    assert rows.order(["busy", "idle"], SQUARE) == ["idle", "busy"]


def test_a_request_counts_once_and_only_while_it_is_there() -> None:
    rows: RowsInFlight[str] = RowsInFlight(mixing_penalty=0)
    rows.place("one", Place("a", 3, SQUARE))
    rows.place("one", Place("b", 3, SQUARE))
    assert rows.order(["a", "b"], SQUARE) == ["a", "b"]
    rows.drop("one")
    rows.drop("one")
    rows.place("two", Place("a", 1, SQUARE))
    assert rows.order(["a", "b"], SQUARE) == ["b", "a"]


def test_equals_are_chosen_by_chance() -> None:
    rows: RowsInFlight[str] = RowsInFlight(mixing_penalty=0)
    first = {rows.order(["a", "b", "c"], SQUARE)[0] for _ in range(200)}
    assert first == {"a", "b", "c"}
