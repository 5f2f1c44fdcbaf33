"""Drafts: what is rolled back never was, and what is committed is one change for each key."""

from __future__ import annotations

from random import Random

from kvstore.applying.draft import Draft
from kvstore.change import Cause
from kvstore.commands import Delete, Put, SessionOpen, SetQuota
from kvstore.entry import KEY, VALUE, make_bonds
from kvstore.refusals import QuotaExceeded
from kvstore.store import Store
from tests.kvstore.driving import contents, made

KEYS = ("a", "b", "d/a", "d/b")


def scribble(store: Store, draft: Draft, rng: Random) -> dict[str, bytes]:
    """Write and delete in a draft, and return what is there in the end."""
    records = store.state.tree.records
    here = {key: record[VALUE] for key, record in records.items()}
    for _ in range(rng.randrange(12)):
        key, value = rng.choice(KEYS), rng.choice((b"1", b"2"))
        old = records.get(key)
        if old is None:
            bonds = rng.choice((None, make_bonds(0, "", 0, "s", None)))
            draft.create(key, value, 0, bonds, Cause.COMMAND)
        elif rng.random() < 0.4:
            draft.delete(old, Cause.COMMAND)
            del here[key]
            continue
        else:
            draft.update(old, value, 0, None, Cause.COMMAND)
        here[key] = value
    draft.put_sequence("d/", rng.randrange(3))
    return here


def begun(rng: Random) -> Store:
    """Return a store with some keys, in the middle of a command."""
    store = made(SessionOpen("s"), Put("a", b"1", owner="s"), Put("d/a", b"1"), Put("gone"))
    store.apply(Delete("gone"))
    if rng.random() < 0.5:
        store.apply(Put("d/b", b"2"))
    store.state.index += 1
    return store


def test_what_is_rolled_back_never_was(seed: int) -> None:
    rng = Random(seed)
    for _ in range(50):
        store = begun(rng)
        before = contents(store)
        draft = Draft(store.state)
        scribble(store, draft, rng)

        draft.roll_back()

        assert contents(store) == before
        store.check_invariants()


def test_what_is_committed_is_one_change_for_each_key_that_differs(seed: int) -> None:
    rng = Random(seed)
    for _ in range(50):
        store = begun(rng)
        tree, history = store.state.tree, store.state.tree.history
        before = {key: store.get(key) for key in KEYS}
        first = history.sequence
        draft = Draft(store.state)
        here = scribble(store, draft, rng)

        assert draft.commit() is None

        changed = [history.at(place)[1] for place in range(first, history.sequence)]
        assert {key: record[VALUE] for key, record in tree.records.items()} == here
        assert sorted(changed) == [key for key in KEYS if store.get(key) != before[key]]
        store.check_invariants()


def test_there_must_be_room_in_the_end_only() -> None:
    store = made(SetQuota("d/", 1), Put("d/a"))
    store.state.index += 1

    def moved(*, away: bool) -> Draft:
        draft = Draft(store.state)
        draft.create("d/b", b"", 0, None, Cause.COMMAND)
        if away:
            draft.delete(store.state.tree.records["d/a"], Cause.COMMAND)
        return draft

    assert isinstance(moved(away=False).commit(), QuotaExceeded)
    assert [record[KEY] for record in store.records()] == ["d/a"]
    assert moved(away=True).commit() is None
    assert [record[KEY] for record in store.records()] == ["d/b"]
