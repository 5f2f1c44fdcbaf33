"""The store as a whole: the one way in, direct reads, and what never goes back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given

from kvstore.change import Cause
from kvstore.commands import (
    Check,
    Command,
    Compact,
    Count,
    Create,
    Delete,
    DeleteRange,
    Get,
    Keys,
    Noop,
    Put,
    Range,
    SessionOpen,
    Txn,
)
from kvstore.config import INTEGER_MAX, Config
from kvstore.entry import Entry
from kvstore.errors import CompactedRevision, FutureRevision, StaleIndex
from kvstore.refusals import Malformed
from kvstore.results import CountOk, GetOk, PutOk, TxnOk
from kvstore.snapshots.snapshot import SnapshotWriter
from kvstore.store import Store
from kvstore.testing import strategies as kv
from kvstore.testing.strategies import LogEntry
from tests.kvstore.driving import contents, done, keys, made

WRONG: Any = object()

# --- the way in


def test_indexes_count_on_or_are_the_log_s_own() -> None:
    store = Store()

    indexes = [store.apply(Noop(), index=index).index for index in (None, None, 10, None, 99)]

    assert indexes == [1, 2, 10, 11, 99]
    assert (store.applied_index, store.revision) == (99, 0)


def test_the_revision_is_the_index_of_the_last_change() -> None:
    store = Store()
    store.apply(Put("a"), index=7)
    store.apply(Noop(), index=9)

    assert (store.revision, store.applied_index) == (7, 9)
    entry = store.get("a")
    assert entry is not None
    assert entry.mod_revision == 7


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"index": 3}, StaleIndex),
        ({"index": 2}, StaleIndex),
        ({"index": -1}, StaleIndex),
        ({"index": 2**63}, ValueError),
        ({"index": 4.0}, TypeError),
        ({"index": True}, TypeError),
        ({"now": -1}, ValueError),
        ({"now": 2**62 + 1}, ValueError),
        ({"now": 1.5}, TypeError),
        ({"actor": 5}, TypeError),
        ({"index": 9, "actor": b"t"}, TypeError),
        ({"index": 9, "now": "1"}, TypeError),
    ],
)
def test_a_mistake_of_the_program_raises_and_changes_nothing(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    store = made(Put("a"), Put("b"), Noop(), now=100)
    before = (contents(store), store.applied_index, store.clock)

    with pytest.raises(error):
        store.apply(Put("c"), **arguments)

    assert (contents(store), store.applied_index, store.clock) == before


def test_what_is_no_command_raises() -> None:
    store = Store()

    for call in (store.apply, store.query, store.read):
        with pytest.raises(TypeError, match="object is no command"):
            call(WRONG)
    with pytest.raises(TypeError, match="actor"):
        store.query(Get("a"), actor=WRONG)

    assert store.applied_index == 0


@pytest.mark.parametrize(
    "misuse",
    [
        lambda _: Store(WRONG),
        lambda store: store.get(5),
        lambda store: store.get([]),
        lambda store: store.get(b"a"),
        lambda store: store.get(5, 1),
        lambda store: store.get("a", 1.0),
        lambda store: store.records(5),
        lambda store: store.changes_since(None),
        lambda store: store.changes_since(2, 5),
        lambda store: store.index_of(b"a"),
        lambda store: store.index_below(5),
        lambda store: store.session(5),
        lambda store: store.session_deadline(5),
        lambda store: store.session_keys(5),
        lambda store: store.lock_delay(b"a"),
        lambda store: Store.importer(WRONG),
        lambda store: store.continuation(None, 1),
        SnapshotWriter,
        lambda store: SnapshotWriter(store.view(), since=WRONG),
    ],
)
def test_an_argument_of_a_wrong_type_raises(misuse: Callable[[Any], object]) -> None:
    store = made(Put("a"), Put("b"))

    with pytest.raises(TypeError, match=r"must be|is no view"):
        misuse(store)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda store: store.range(5),
        lambda store: store.range("a", limit="1"),
        lambda store: store.range(start="a", end=5),
        lambda store: store.count(None),
        lambda store: store.keys(5),
        lambda store: store.keys("a", separator=None),
        lambda store: store.keys("a", after=5),
    ],
)
def test_a_selection_that_is_none_raises(misuse: Callable[[Any], object]) -> None:
    store = made(Put("a"), Put("b"))

    with pytest.raises(ValueError, match=r"must be|is missing"):
        misuse(store)


def test_a_stale_index_tells_what_it_had_to_be_above() -> None:
    store = made(Noop(), Noop())

    with pytest.raises(StaleIndex) as caught:
        store.apply(Noop(), index=1)

    assert (caught.value.index, caught.value.applied_index) == (1, 2)


def test_the_last_index_there_is_can_be_applied() -> None:
    store = Store()
    store.apply(Noop(), index=INTEGER_MAX)

    with pytest.raises(ValueError, match="2\\*\\*63"):
        store.apply(Noop())


def test_a_refusal_moves_the_index_and_the_clock_and_nothing_else() -> None:
    store = made(Put("a"), now=100)

    applied = store.apply(Put("a", cas=9), now=200)

    assert (applied.ok, applied.changed, applied.events) == (False, False, ())
    assert (store.applied_index, store.clock, store.revision) == (2, 200, 1)


def test_what_was_applied_tells_its_changes() -> None:
    store = made(Put("a", b"1"))

    applied = store.apply(Put("a", b"2"))

    (event,) = applied.events
    assert (event.kind, event.key, event.revision, event.cause) == ("put", "a", 2, Cause.COMMAND)
    assert event.entry == store.get("a")
    assert event.previous == Entry("a", b"1", 0, 1, 1, 1)
    assert applied == made(Put("a", b"1")).apply(Put("a", b"2"))
    assert applied != made(Put("a", b"1")).apply(Put("a", b"3"))
    assert applied != "Applied"
    assert "index=2" in repr(applied)


# --- queries


def test_a_query_answers_as_the_command_would_without_a_place_in_the_log() -> None:
    store = made(Put("a", b"1"), Put("b"))

    assert isinstance(store.query(Get("a")), GetOk)
    assert store.query(Count("")) == CountOk(2, 2, 2)
    result = store.query(Txn((Check("a"),), (Get("a"), Range("")), (Keys(),)))
    assert isinstance(result, TxnOk)
    assert store.applied_index == 2


@pytest.mark.parametrize(
    "command",
    [
        Put("a"),
        Noop(),
        Txn((), (), (Put("a"),)),
        Txn((), (Txn((), (Delete("a"),)),)),
        SessionOpen(),
    ],
)
def test_a_query_that_may_change_something_is_refused(command: Any) -> None:
    store = Store()

    assert isinstance(store.query(command), Malformed)
    assert store.applied_index == 0


# --- direct reads


def test_direct_reads_tell_what_commands_tell() -> None:
    store = made(SessionOpen("s"), Put("a/1", b"1", owner="s", ttl=50), Put("a/2"), now=100)

    entry = store.get("a/1")
    assert entry == Entry("a/1", b"1", 0, 2, 2, 1, 0, "", 0, "s", 50, 150)
    assert store.get("absent") is None
    assert store.range("a/").entries == (entry, store.get("a/2"))
    assert store.range(start="a/1", end="a/2").entries == (entry,)
    assert store.range("a/", limit=1).next == "a/1"
    assert store.range("a/", after="a/1").keys == ("a/2",)
    assert store.range("a/", revision=2).keys == ("a/1",)
    assert store.keys("").names == ("a/",)
    assert store.keys("a/", limit=1).next == "a/1"
    assert [record[0] for record in store.records("a/")] == ["a/1", "a/2"]


def test_the_past_is_read_directly_too() -> None:
    store = made(Put("a", b"1"), Put("a", b"2"), Delete("a"))

    first = store.get("a", revision=1)
    assert first is not None
    assert first.value == b"1"
    assert store.get("a", revision=3) is None
    assert store.get("b", revision=1) is None
    assert store.count("", revision=2) == 1


def test_what_cannot_be_read_raises() -> None:
    store = made(Put("a"), Put("b"), Compact(2))

    with pytest.raises(CompactedRevision) as compacted:
        store.get("a", revision=1)
    assert (compacted.value.revision, compacted.value.floor) == (1, 2)
    with pytest.raises(FutureRevision) as future:
        store.range("", revision=4)
    assert (future.value.revision, future.value.applied_index) == (4, 3)
    with pytest.raises(ValueError, match="start is missing"):
        store.range()
    with pytest.raises(ValueError, match="prefix must be text"):
        store.range(WRONG)
    with pytest.raises(ValueError, match="revision"):
        store.get("a", revision=-1)
    with pytest.raises(CompactedRevision):
        store.changes_since(1)


def test_changes_since_a_revision_include_deletions() -> None:
    store = made(Put("a/1"), Put("b"), Put("a/1", b"1"), Delete("a/1"), DeleteRange(""))

    changes = store.changes_since(1, "a/")

    assert [(event.kind, event.key, event.revision) for event in changes] == [
        ("put", "a/1", 3),
        ("delete", "a/1", 4),
    ]
    assert changes[1].previous == changes[0].entry
    assert [event.key for event in store.changes_since(0)] == ["a/1", "b", "a/1", "a/1", "b"]
    assert store.changes_since(5) == ()


# --- indexes that never go back


def test_the_index_of_a_key_is_its_last_change_deletions_included() -> None:
    store = made(Put("a"), Put("b"), Delete("a"), Put("c"))

    assert [store.index_of(key) for key in ("a", "b", "absent")] == [3, 2, 1]


def test_an_index_is_never_0_once_a_command_was_applied() -> None:
    store = Store()
    assert (store.index_of("a"), store.index_below("")) == (0, 0)

    made(Noop(), store=store)

    assert (store.index_of("a"), store.index_below(""), store.range("").index) == (1, 1, 1)


def test_a_waiter_for_a_missing_key_is_not_woken_by_strangers() -> None:
    store = made(Put("a/x"), Delete("a/x"))
    before = store.index_of("a/missing")

    made(Put("b/y"), Put("b/z"), store=store)

    assert store.index_of("a/missing") == before
    assert store.index_below("a/") == 2


def test_a_prefix_index_moves_with_every_change_below_it_and_no_other() -> None:
    store = made(Put("a/b/1"), Put("a/2"), Put("ab"), Put("a/b/1", b"1"), Delete("a/2"))

    below = {
        prefix: store.index_below(prefix)
        for prefix in ("", "a/", "a/b/", "a", "a/b", "ab", "none/", "none")
    }

    assert below == {
        "": 5,
        "a/": 5,
        "a/b/": 4,
        "a": 5,
        "a/b": 4,
        "ab": 3,
        "none/": 1,
        "none": 1,
    }


def test_an_index_does_not_slide_back_when_deletions_are_forgotten() -> None:
    store = made(Put("a/old"), Put("a/new"), Put("a/b/x"), Delete("a/new"), Delete("a/b/x"))
    before = [store.index_below(prefix) for prefix in ("a/", "a/b/", "a/n", "a/b")]

    made(Compact(5), Noop(), Put("other"), Noop(), store=store)

    assert store.index_below("a/") == 5
    after = [store.index_below(prefix) for prefix in ("a/", "a/b/", "a/n", "a/b")]
    assert all(now >= then for now, then in zip(after, before, strict=True))


def test_an_index_does_not_slide_back_while_a_view_keeps_what_is_forgotten() -> None:
    store = made(Put("a/x1"), Put("a/y"), Delete("a/x1"), Put("a/z"))
    view = store.view()

    before = store.index_below("a/x")
    made(Compact(3), store=store)

    assert store.state.tree.tombstones == {"a/x1": 2}
    assert store.index_below("a/x") == store.index_of("a/x1") == before == 3
    view.close()
    made(Noop(), store=store)
    assert store.state.tree.tombstones == {}
    assert store.index_below("a/x") == store.index_of("a/x1") == 3


def test_deep_prefixes_have_indexes_too() -> None:
    deep = "d/" * 40
    store = made(Put(deep + "x"), Put("d/y"), Put(deep + "z"), Delete(deep + "x"))

    assert store.index_below(deep) == 4
    assert store.index_below("d/" * 35) == 4
    assert store.index_below("d/y") == 2
    assert store.index_of(deep + "x") == 4
    made(DeleteRange(""), Compact(5), Noop(), store=store)
    assert store.stats.directories == 0
    store.check_invariants()


@given(kv.logs(min_size=5))
def test_no_index_ever_goes_back_or_moves_without_a_change_near_it(log: list[LogEntry]) -> None:
    store = Store(Config(history_changes=3))
    world = kv.World()
    prefixes = sorted({key[:length] for key in world.keys for length in range(len(key) + 1)})
    indexes = dict.fromkeys(prefixes, 0)
    for command, now, actor in log:
        changed = [event.key for event in store.apply(command, now=now, actor=actor).events]
        for prefix in prefixes:
            index = store.index_below(prefix)
            assert index >= indexes[prefix]
            if any(key.startswith(prefix) for key in changed):
                assert index == store.revision == store.applied_index
            indexes[prefix] = index


# --- history, from one end to the other


def test_every_revision_can_be_read_back_as_it_was(seed: int) -> None:
    rng = Random(seed)
    store = Store(Config(history_changes=None))
    names = [f"{a}/{b}" for a in "ab" for b in "xyz"]
    past: list[dict[str, Entry]] = [{}]
    for _ in range(300):
        choices: list[Command] = [
            Put(rng.choice(names), bytes([rng.randrange(4)])),
            Put(rng.choice(names), bytes([rng.randrange(4)])),
            Delete(rng.choice(names)),
            DeleteRange(rng.choice(["a/", "b/", ""])),
            Txn((), (Delete(rng.choice(names)), Put(rng.choice(names)), Create("c"))),
        ]
        store.apply(rng.choice(choices))
        past.append({entry.key: entry for entry in store.range("").entries})

    floor = 0
    for revision in [*range(len(past)), *rng.sample(range(len(past)), 60)]:
        if revision > floor and rng.random() < 0.05:
            made(Compact(revision), store=store)
            floor = revision
            past += [past[-1]]
        if revision < floor:
            continue
        then = past[revision]
        assert {one.key: one for one in store.range("", revision=revision).entries} == then
        for name in names:
            assert store.get(name, revision=revision) == then.get(name)
        store.check_invariants()


def test_changes_replayed_from_any_revision_lead_to_the_present(seed: int) -> None:
    rng = Random(seed)
    store = Store(Config(history_changes=None))
    for _ in range(200):
        key = f"{rng.randrange(8)}"
        choices: list[Command] = [Put(key, bytes([rng.randrange(9)])), Delete(key)]
        command = rng.choice(choices)
        store.apply(command)

    for revision in range(0, 200, 7):
        copy = {entry.key: entry for entry in store.range("", revision=revision).entries}
        for event in store.changes_since(revision):
            assert event.previous == copy.get(event.key)
            if event.entry is None:
                del copy[event.key]
            else:
                copy[event.key] = event.entry
        assert copy == {entry.key: entry for entry in store.range("").entries}


# --- what else there is


def test_sizes_are_told() -> None:
    store = made(SessionOpen("s"), Put("a/b", ttl=5), Put("c"), now=1)

    with store.view():
        stats = store.stats

    assert (stats.keys, stats.history, stats.floor, stats.sessions) == (2, 2, 0, 1)
    assert (stats.deadlines, stats.directories, stats.views) == (1, 1, 1)
    assert store.next_deadline == 6
    assert store.session_keys("s") == ()
    assert store.session_deadline("s") is None


def test_everything_is_found_by_the_longest_prefix_there_is() -> None:
    top = "\U0010ffff"
    store = made(Put(top), Put(top + "a"), Put("a"))

    assert keys(store, top) == [top, top + "a"]
    assert done(store, Create(top + "b"), PutOk).created
