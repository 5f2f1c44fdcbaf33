"""Sessions: what hangs on each, and what is left when it is gone."""

from __future__ import annotations

import pytest

from kvstore.entry import make_bonds
from kvstore.state.sessions import Session, Sessions

HELD = make_bonds(1, "holder", 5, "", None)
OWNED = make_bonds(0, "", 0, "owner", None)
BOTH = make_bonds(1, "owner", 5, "owner", None)


def session(id_: str, *bindings: str) -> Session:
    return Session(id_, None, "release", 0, bindings, "", (), 1)


@pytest.mark.parametrize(
    ("bindings", "node"),
    [((), ""), (("check:a",), ""), (("check:a", "node:web-1", "node:web-2"), "web-1")],
)
def test_a_session_belongs_to_its_first_node(bindings: tuple[str, ...], node: str) -> None:
    assert session("s", *bindings).node == node


def test_sessions_are_found_by_what_they_are_bound_to() -> None:
    sessions = Sessions()
    for one in (session("b", "node:1"), session("a", "node:1", "check:1"), session("c")):
        sessions.add(one)

    assert sessions.bound(["node:1", "check:1"]) == ["a", "b"]
    sessions.remove(session("a", "node:1", "check:1"))
    assert sessions.bound(["node:1", "check:1"]) == ["b"]
    assert sessions.bound(["absent"]) == []


def test_a_key_hangs_on_its_holder_and_on_its_owner() -> None:
    sessions = Sessions()

    sessions.bind("b", None, HELD)
    sessions.bind("a", None, HELD)
    sessions.bind("c", None, OWNED)
    sessions.bind("d", None, BOTH)

    assert sessions.keys("holder") == ["a", "b"]
    assert sessions.keys("owner") == ["c", "d"]
    assert (sessions.key_count("owner"), sessions.key_count("nobody")) == (2, 0)
    sessions.bind("d", BOTH, HELD)
    sessions.bind("c", OWNED, None)
    assert sessions.keys("holder") == ["a", "b", "d"]
    assert sessions.parties() == {"holder"}


def test_what_each_session_would_gain_is_told_before() -> None:
    moves = [(None, HELD), (OWNED, HELD), (BOTH, None), (HELD, HELD)]

    assert Sessions().gains(moves) == {"holder": 2, "owner": -2}


def test_a_session_on_which_keys_hang_cannot_be_removed() -> None:
    sessions = Sessions()
    sessions.add(session("holder"))
    sessions.bind("a", None, HELD)

    with pytest.raises(AssertionError):
        sessions.remove(session("holder"))


def test_a_delay_ends_on_the_dot() -> None:
    sessions = Sessions()
    sessions.delays.put("a", 10)

    assert [sessions.delay("a", now) for now in (9, 10)] == [10, None]
    assert sessions.delay("b", 0) is None
    sessions.sweep_delays(9, 5)
    assert dict(sessions.delays.table) == {"a": 10}
    sessions.sweep_delays(10, 5)
    assert dict(sessions.delays.table) == {}
