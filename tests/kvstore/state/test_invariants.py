"""What holds between the parts of a state: whatever is broken is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvstore.change import NEW, OLD, REVISION
from kvstore.commands import Delete, Lock, Put, SessionOpen, SetQuota
from kvstore.entry import BONDS, CREATE_REVISION, MOD_REVISION, SEQUENCE, VERSION
from kvstore.state.invariants import check_invariants
from kvstore.state.state import State
from tests.kvstore.driving import made


def sound() -> State:
    """Return a state with something in every part."""
    return made(
        SetQuota("d/", 10),
        SessionOpen("s", ttl=5_000),
        Put("d/a", b"1", ttl=9_000),
        Put("d/a", b"2"),
        Put("d/b", owner="s"),
        Lock("e", "s"),
        Put("gone"),
        Delete("gone"),
        now=1,
    ).state


def set_field(state: State, key: str, field: int, value: object) -> None:
    """Put another value into a record, which is a tuple."""
    record: list[object] = list(state.tree.records[key])
    record[field] = value
    state.tree.records[key] = tuple(record)  # type: ignore[assignment]


def set_change(state: State, place: int, field: int, value: object) -> None:
    """Put another value into a change, which is a tuple."""
    change: list[object] = list(state.tree.history.changes[place] or ())
    change[field] = value
    state.tree.history.changes[place] = tuple(change)  # type: ignore[assignment]


def bury(state: State) -> None:
    """Remember the deletion of a key that is there."""
    state.tree.tombstones["e"] = 5
    state.tree.deleted_keys.add("e")


def empty(state: State) -> None:
    """Leave nothing of a change."""
    set_change(state, 0, NEW, None)
    set_change(state, 0, OLD, None)


BREAKS: dict[str, Callable[[State], object]] = {
    "a key has no record": lambda state: state.tree.records.pop("e"),
    "a record has no key": lambda state: state.tree.keys.remove("e"),
    "a tombstone has no key": lambda state: state.tree.deleted_keys.remove("gone"),
    "a key is there and was deleted": bury,
    "a record is another key's": lambda state: set_field(state, "e", 0, "f"),
    "a key is older than its creation": lambda state: set_field(state, "e", CREATE_REVISION, 99),
    "a key is newer than the tree": lambda state: set_field(state, "e", MOD_REVISION, 99),
    "a key has no version": lambda state: set_field(state, "e", VERSION, 0),
    "a change of a key is to come": lambda state: set_field(state, "e", SEQUENCE, 99),
    "a revision is above the index": lambda state: setattr(state, "index", 3),
    "a floor is above the index": lambda state: setattr(state.tree.history, "floor", 99),
    "a change is missing": lambda state: state.tree.history.changes.pop(),
    "a change is below the floor": lambda state: set_change(state, 0, REVISION, 0),
    "changes are not in order": lambda state: set_change(state, 3, REVISION, 3),
    "a change changes nothing": empty,
    "a tombstone is no deletion": lambda state: state.tree.tombstones.update(gone=0),
    "a directory is missing": lambda state: state.tree.directories.release("d/", 99),
    "a directory is too old": lambda state: state.tree.directories.assign("d/", 3),
    "bonds are empty": lambda state: set_field(state, "e", BONDS, (0, "", 0, "", None)),
    "a lock has no revision": lambda state: set_field(state, "e", BONDS, (1, "s", 0, "", None)),
    "a lock was never taken": lambda state: set_field(state, "e", BONDS, (0, "s", 6, "", None)),
    "a holder has ended": lambda state: state.sessions.table.discard("s"),
    "a key of a session is not its own": lambda state: set_field(state, "d/b", BONDS, None),
    "a session has no deadline": lambda state: state.sessions.deadlines.disarm("s"),
    "a ttl has no deadline": lambda state: state.deadlines.disarm("d/a"),
    "a deadline has no ttl": lambda state: state.deadlines.put("e", 5),
    "a quota is not counted": lambda state: state.quotas.count("d/a", 1, 0),
    "quotas are passed over": lambda state: setattr(state, "limited", False),
}


def test_a_sound_state_passes() -> None:
    check_invariants(sound())


@pytest.mark.parametrize("what", BREAKS)
def test_whatever_is_broken_is_found(what: str) -> None:
    state = sound()
    BREAKS[what](state)

    with pytest.raises(AssertionError):
        check_invariants(state)
