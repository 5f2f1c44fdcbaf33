"""Messages, outputs and hard states are values: compared and printed by what they say."""

from __future__ import annotations

import pytest

from raft import EntriesCommitted, HardState, Persist, SendMessage
from raft.entries import NO_ENTRIES
from raft.messages import KINDS, AppendEntries, Heartbeat, HeartbeatResponse, TimeoutNow
from tests.raft.vocabulary import entries


def test_messages_are_compared_by_kind_and_fields() -> None:
    assert Heartbeat("a", "b", 1, 2) == Heartbeat("a", "b", 1, 2)
    assert Heartbeat("a", "b", 1, 2) != Heartbeat("a", "b", 1, 3)
    assert TimeoutNow("a", "b", 1) != HeartbeatResponse("a", "b", 1)
    assert TimeoutNow("a", "b", 1) != "TimeoutNow"


def test_messages_print_their_fields() -> None:
    assert repr(HeartbeatResponse("a", "b", 1, 7)) == (
        "HeartbeatResponse(to='a', source='b', term=1, round=7)"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_named_in_the_order_of_the_constructor(kind: type) -> None:
    code = kind.__init__.__code__  # type: ignore[misc]

    assert kind.fields == code.co_varnames[1 : code.co_argcount]  # type: ignore[attr-defined]


def test_an_append_without_entries_is_a_probe() -> None:
    assert AppendEntries("a", "b", 1, 2, 1).entries is NO_ENTRIES


def test_outputs_are_compared_by_what_they_say() -> None:
    message = TimeoutNow("a", "b", 1)
    assert SendMessage(message) == SendMessage(TimeoutNow("a", "b", 1))
    assert SendMessage(message) != message
    assert SendMessage(message).to == "a"
    assert EntriesCommitted(entries(1)) == EntriesCommitted(entries(1))
    assert EntriesCommitted(entries(1)) != entries(1)
    assert Persist(1, HardState(), entries(1)) == Persist(1, HardState(), entries(1))
    assert Persist(1, HardState(), entries(1)) != Persist(2, HardState(), entries(1))
    assert repr(Persist(1, HardState(), entries(1), truncate_from=4)).endswith("truncate_from=4)")


def test_hard_states_are_values() -> None:
    assert HardState(1, "a", 2) == HardState(1, "a", 2)
    assert HardState(1, "a", 2) != HardState(1, "a", 2, regressed=True)
    assert HardState() != (0, None, 0, False)
    assert repr(HardState(1, "a", 2, regressed=True)) == (
        "HardState(term=1, voted_for='a', commit=2, regressed=True)"
    )
