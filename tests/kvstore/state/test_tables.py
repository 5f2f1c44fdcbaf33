"""Tables that can be read as they were."""

from __future__ import annotations

from kvstore.state.tables import Table


def test_a_view_sees_rows_as_they_were() -> None:
    table = Table({"a": 1, "b": 2})
    frozen = table.freeze()

    table.assign("a", 10)
    table.assign("a", 11)
    table.discard("b")
    table.assign("c", 3)

    assert list(frozen) == [("a", 1), ("b", 2)]
    assert [frozen.get(key) for key in "abcd"] == [1, 2, None, None]
    assert dict(table) == {"a": 11, "c": 3}


def test_each_view_sees_its_own_time() -> None:
    table = Table({"a": 1})
    first = table.freeze()
    table.assign("a", 2)
    second = table.freeze()
    table.assign("a", 3)

    assert (first.get("a"), second.get("a"), table["a"]) == (1, 2, 3)


def test_a_row_that_went_and_came_is_as_it_was() -> None:
    table = Table({"a": 1})
    frozen = table.freeze()

    table.discard("a")
    table.assign("a", 2)

    assert list(frozen) == [("a", 1)]


def test_a_closed_view_saves_nothing_more() -> None:
    table = Table({"a": 1})
    open_view, closed = table.freeze(), table.freeze()
    closed.close()

    table.assign("a", 2)

    assert closed.saved == {}
    assert open_view.get("a") == 1
    assert len(open_view) >= 1


def test_discarding_tells_what_was_there() -> None:
    table = Table({"a": 1})

    assert (table.discard("a"), table.discard("a")) == (1, None)
