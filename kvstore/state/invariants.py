"""What must always hold between the parts of the state. For tests: it looks at everything."""

from __future__ import annotations

from kvstore.change import CHANGED_KEY, LINK, NEW, OLD, REVISION
from kvstore.entry import (
    BONDS,
    CREATE_REVISION,
    KEY,
    LOCK_COUNT,
    LOCK_SESSION,
    MOD_REVISION,
    NO_BONDS,
    OWNER,
    SEQUENCE,
    TTL,
    VALUE,
    VERSION,
)
from kvstore.keys import prefix_end
from kvstore.state.quotas import key_size
from kvstore.state.state import State


def check_invariants(state: State) -> None:
    """Raise AssertionError if parts of a state contradict each other. Complexity: O(n)."""
    _check_tree(state)
    _check_history(state)
    _check_directories(state)
    _check_bonds(state)
    _check_quotas(state)


def _check_tree(state: State) -> None:
    tree = state.tree
    tree.keys.check_invariants()
    tree.deleted_keys.check_invariants()
    assert list(tree.keys) == sorted(tree.records)
    assert list(tree.deleted_keys) == sorted(tree.tombstones)
    assert not tree.records.keys() & tree.tombstones.keys()
    for key, record in tree.records.items():
        assert record[KEY] == key
        assert 0 < record[CREATE_REVISION] <= record[MOD_REVISION] <= tree.revision
        assert record[VERSION] > 0
        assert record[SEQUENCE] < tree.history.sequence
        assert record[BONDS] != NO_BONDS
    assert tree.revision <= state.index


def _check_history(state: State) -> None:
    tree, history = state.tree, state.tree.history
    assert history.base <= history.freed <= history.floor_sequence <= history.sequence
    assert len(history.changes) == history.sequence - history.base
    assert history.floor <= state.index
    last = (0, "")
    for sequence in range(history.freed, history.sequence):
        change = history.at(sequence)
        assert (change[REVISION] > history.floor) == (sequence >= history.floor_sequence)
        assert change[REVISION] >= last[0]
        last = change[REVISION], change[CHANGED_KEY]
        new, old = change[NEW], change[OLD]
        assert new is not None or old is not None
        if new is not None:
            assert new[SEQUENCE] == sequence
            assert new[MOD_REVISION] == change[REVISION]
        if old is not None:
            assert old[SEQUENCE] < sequence
        assert change[LINK] < sequence
    for key, sequence in tree.tombstones.items():
        assert history.freed <= sequence
        assert history.at(sequence)[NEW] is None
        assert history.at(sequence)[CHANGED_KEY] == key


def _check_directories(state: State) -> None:
    tree = state.tree
    newest: dict[str, int] = {}
    for record in tree.records.values():
        for name in tree.directories.above(record[KEY]):
            newest[name] = max(newest.get(name, 0), record[MOD_REVISION])
    for key, sequence in tree.tombstones.items():
        for name in tree.directories.above(key):
            revision = tree.history.at(sequence)[REVISION]
            newest[name] = max(newest.get(name, 0), revision)
    assert len(tree.directories) == len(newest)
    for name, revision in newest.items():
        index = tree.directories.index(name)
        assert index is not None
        assert revision <= index <= tree.revision


def _check_bonds(state: State) -> None:
    sessions = state.sessions
    parties: dict[str, set[str]] = {}
    with_ttl = set()
    for key, record in state.tree.records.items():
        bonds = record[BONDS]
        if bonds is None:
            continue
        assert bool(bonds[LOCK_SESSION]) == bool(bonds[2])
        assert bonds[LOCK_COUNT] or not bonds[LOCK_SESSION]
        for party in (bonds[LOCK_SESSION], bonds[OWNER]):
            if party:
                assert party in sessions.table
                parties.setdefault(party, set()).add(key)
        if bonds[TTL] is not None:
            with_ttl.add(key)
    assert set(state.deadlines.table) == with_ttl
    for id_, session in sessions.table.items():
        assert session.id == id_
        assert sessions.keys(id_) == sorted(parties.get(id_, ()))
        assert (id_ in sessions.deadlines.table) == (session.ttl is not None)


def _check_quotas(state: State) -> None:
    records = state.tree.records
    assert state.limited == bool(state.quotas.table)
    for prefix in state.quotas.table:
        keys = state.tree.keys.between(prefix, prefix_end(prefix))
        size = sum(key_size(key) + len(records[key][VALUE]) for key in keys)
        assert state.quotas.usage(prefix) == (len(keys), size)
