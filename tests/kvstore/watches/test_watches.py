"""Watches and blocking queries: who hears of what, and when."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from kvstore.acl.access import AclMode
from kvstore.acl.rules import Level, Policy, Rule, Token
from kvstore.change import Cause
from kvstore.commands import (
    Command,
    Compact,
    Configure,
    Count,
    Delete,
    DeleteRange,
    Get,
    Keys,
    Lock,
    Noop,
    Put,
    Range,
    SessionClose,
    SessionOpen,
    Tick,
    Txn,
    Unlock,
)
from kvstore.config import Config
from kvstore.errors import TooManyWatches, UnknownWatch, WatchExists
from kvstore.results import CountOk, GetOk, KeysOk, RangeOk
from kvstore.store import Store
from kvstore.watches.cursor import SCAN
from kvstore.watches.values import WaitDone, WatchBatch, WatchSpec
from kvstore.watches.watches import GATHER, Watches
from tests.kvstore.driving import made
from tests.kvstore.watches.rig import Rig

# --- what is told


def test_a_watch_tells_what_comes_after_it() -> None:
    rig = Rig()
    rig.do(Put("a", b"0"))
    watch = rig.watch(prefix="a")

    rig.do(Put("a", b"1"), Put("b"), Delete("a"))

    batch = rig.batch(watch)
    assert [(event.kind, event.key, event.revision) for event in batch.events] == [
        ("put", "a", 2),
        ("delete", "a", 4),
    ]
    assert (batch.kind, batch.revision, batch.more, batch.final) == ("events", 4, False, False)
    assert batch.events[0].entry is not None
    assert batch.events[0].entry.value == b"1"
    assert batch.events[0].previous is None
    assert rig.hub.poll(watch) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"key": "a/b"}, ["a/b"]),
        ({"prefix": ""}, ["a", "a/b", "a/b/c", "a/bc", "b"]),
        ({"prefix": "a"}, ["a", "a/b", "a/b/c", "a/bc"]),
        ({"prefix": "a/"}, ["a/b", "a/b/c", "a/bc"]),
        ({"prefix": "a/b"}, ["a/b", "a/b/c", "a/bc"]),
        ({"prefix": "a/b/"}, ["a/b/c"]),
        ({"start": "a/b", "end": "a/bc"}, ["a/b", "a/b/c"]),
        ({"start": "a/bc"}, ["a/bc", "b"]),
        ({"start": "b", "end": "a"}, []),
        ({"key": "absent"}, []),
    ],
)
def test_keys_prefixes_and_ranges_are_watched(fields: dict[str, Any], expected: list[str]) -> None:
    rig = Rig()
    now, past = rig.watch(**fields), rig.watch(from_revision=1, **fields)
    rig.do(*(Put(key) for key in ("b", "a/bc", "a/b/c", "a/b", "a")))
    late = rig.watch(from_revision=1, **fields)

    for watch in (now, past, late):
        assert sorted(key for _, key, _ in rig.told(watch)) == expected


def test_the_past_is_told_from_any_revision_that_is_kept() -> None:
    rig = Rig()
    rig.do(Put("a", b"1"), Put("b"), Put("a", b"2"), Delete("a"))

    assert rig.told(rig.watch(prefix="", from_revision=3)) == [("put", "a", 3), ("delete", "a", 4)]
    assert len(rig.told(rig.watch(prefix="", from_revision=1))) == 4
    assert rig.told(rig.watch(key="a", from_revision=5)) == []


def test_a_revision_in_the_future_is_waited_for_in_silence() -> None:
    rig = Rig()
    watch = rig.watch(prefix="", from_revision=3)

    rig.do(Put("a"), Put("b"), Put("c"), Put("d"))

    assert rig.told(watch) == [("put", "c", 3), ("put", "d", 4)]


def test_the_entry_before_can_be_told_and_values_left_out() -> None:
    rig = Rig()
    rig.do(Put("a", b"1"))
    watch = rig.watch(key="a", previous=True, keys_only=True)
    with_values = rig.watch(key="a", previous=True)
    rig.do(Put("a", b"2"), Delete("a"))

    bare, full = rig.batch(watch).events, rig.batch(with_values).events

    assert [event.previous and event.previous.value for event in full] == [b"1", b"2"]
    assert [event.previous and event.previous.value for event in bare] == [b"", b""]
    assert [event.entry and event.entry.value for event in bare] == [b"", None]


def test_kinds_can_be_left_out() -> None:
    rig = Rig()
    puts, deletes = rig.watch(prefix="", kinds=("put",)), rig.watch(prefix="", kinds=("delete",))

    rig.do(Put("a"), Delete("a"), Put("b"))

    assert rig.told(puts) == [("put", "a", 1), ("put", "b", 3)]
    assert rig.told(deletes) == [("delete", "a", 2)]
    assert rig.told(rig.watch(prefix="", kinds=("delete",), from_revision=1)) == [
        ("delete", "a", 2)
    ]


def test_once_ends_with_the_first_event() -> None:
    rig = Rig()
    watch = rig.watch(prefix="", once=True)

    rig.do(Txn((), (Put("a"), Put("b"))), Put("c"))

    batch = rig.batch(watch)
    assert ([event.key for event in batch.events], batch.final) == (["a"], True)
    with pytest.raises(UnknownWatch):
        rig.hub.poll(watch)


def test_coalescing_keeps_the_newest_event_of_each_key() -> None:
    rig = Rig()
    rig.do(Put("a", b"0"))
    watch = rig.watch(prefix="", coalesce=True, previous=True)

    rig.do(Put("a", b"1"), Put("b"), Put("a", b"2"), Put("c"), Delete("c"))

    events = rig.batch(watch).events
    assert [(event.kind, event.key, event.revision) for event in events] == [
        ("put", "b", 3),
        ("put", "a", 4),
        ("delete", "c", 6),
    ]
    assert events[1].previous is not None
    assert events[1].previous.value == b"0"


def test_coalescing_makes_room_where_it_can() -> None:
    rig = Rig(history_changes=None)
    watch = rig.watch(prefix="", coalesce=True, pending_max=3)
    few = rig.watch(prefix="", coalesce=True, pending_max=2, from_revision=1)

    for number in range(500):
        rig.do(Put("ab"[number % 2], b"%d" % number))

    assert rig.told(watch) == [("put", "a", 499), ("put", "b", 500)]
    assert rig.told(few) == [("put", "a", 499), ("put", "b", 500)]


def test_causes_are_told() -> None:
    rig = Rig()
    watch = rig.watch(prefix="")

    rig.do(SessionOpen("s"), Lock("l", "s"), Unlock("l", "s"), Lock("l", "s"), SessionClose("s"))
    rig.do(Put("t", ttl=5), Tick(), DeleteRange(""), now=10)
    rig.do(Tick(), now=20)

    causes = [event.cause for event in rig.batch(watch).events]
    assert causes == [
        Cause.LOCK,
        Cause.UNLOCK,
        Cause.LOCK,
        Cause.SESSION,
        Cause.COMMAND,
        Cause.RANGE,
        Cause.RANGE,
    ]


# --- batches


def test_a_revision_is_never_torn_by_a_limit() -> None:
    rig = Rig()
    watch = rig.watch(prefix="")
    rig.do(Put("x"), Txn((), (Put("a"), Put("b"), Put("c"))), Put("y"))

    batches = [rig.batch(watch, 3) for _ in range(3)]

    assert [[event.key for event in batch.events] for batch in batches] == [
        ["x"],
        ["a", "b", "c"],
        ["y"],
    ]
    assert [(batch.revision, batch.more, batch.fragment) for batch in batches] == [
        (1, True, False),
        (2, True, False),
        (3, False, False),
    ]


def test_a_revision_of_more_than_fits_comes_in_marked_fragments() -> None:
    rig = Rig()
    watch = rig.watch(prefix="")
    rig.do(Put("x"), Txn((), tuple(Put(f"k{number}") for number in range(5))), Put("y"))

    batches = [rig.batch(watch, 2) for _ in range(4)]

    assert [len(batch.events) for batch in batches] == [1, 2, 2, 2]
    assert [batch.fragment for batch in batches] == [False, True, True, False]
    assert [batch.revision for batch in batches] == [1, 1, 1, 3]


@pytest.mark.parametrize("from_revision", [None, 1])
def test_a_revision_of_more_than_may_wait_comes_in_fragments_too(from_revision: int | None) -> None:
    rig = Rig(operations_max=1000)
    watch = rig.watch(prefix="", pending_max=2, from_revision=from_revision)
    rig.do(Txn((), tuple(Put(f"k{number}") for number in range(5))), Put("y"))

    batches = [rig.batch(watch) for _ in range(3)]

    assert [len(batch.events) for batch in batches] == [2, 2, 2]
    assert [batch.fragment for batch in batches] == [True, True, False]
    assert [batch.revision for batch in batches] == [0, 0, 2]


def test_what_waits_beyond_the_limit_is_read_from_the_history() -> None:
    rig = Rig()
    watch = rig.watch(prefix="", pending_max=3)

    rig.do(*(Put(f"{number}") for number in range(1000)))

    assert len(rig.hub._all[watch].pending) == 3
    assert [revision for _, _, revision in rig.told(watch)] == list(range(1, 1001))
    rig.do(Put("more"))
    assert rig.told(watch) == [("put", "more", 1001)]


def test_a_slow_watcher_holds_up_nobody_and_is_lost_when_history_is_forgotten() -> None:
    rig = Rig(history_changes=100)
    slow, quick = rig.watch(prefix="", pending_max=10), rig.watch(prefix="")

    told = []
    for number in range(3000):
        rig.do(Put("a", b"%d" % number))
        if number % 50 == 0:
            told += rig.told(quick)
    told += rig.told(quick)

    assert [revision for _, _, revision in told] == list(range(1, 3001))
    first = rig.batch(slow)
    assert [event.revision for event in first.events] == list(range(1, 11))
    assert rig.batch(slow) == WatchBatch(slow, "lost", rig.store.floor, final=True)
    with pytest.raises(UnknownWatch):
        rig.hub.poll(slow)


def test_a_watch_that_is_lost_has_reached_no_more_than_it_was_told() -> None:
    rig = Rig(history_changes=10)
    slow, reset = rig.watch(prefix="", pending_max=5), rig.watch(prefix="")

    rig.do(*(Put("a", b"%d" % number) for number in range(3000)))
    told = rig.batch(slow).events
    rig.hub.reset(rig.store)

    assert [event.revision for event in told] == [1, 2, 3, 4, 5]
    assert rig.hub.progress(slow) <= 5
    assert rig.hub.progress(reset) == 0
    assert rig.batch(slow).kind == rig.batch(reset).kind == "lost"


def test_a_watch_that_fell_behind_what_is_kept_has_reached_what_it_was_told() -> None:
    rig = Rig(history_changes=10)
    slow = rig.watch(prefix="", pending_max=5)

    rig.do(*(Put("a", b"%d" % number) for number in range(3000)))
    told = rig.batch(slow).events

    assert told[-1].revision == 5
    assert rig.hub.progress(slow) == 5
    assert rig.batch(slow).kind == "lost"


def test_a_revision_whose_rest_is_forgotten_is_not_told_as_if_it_was_whole() -> None:
    rig = Rig()
    watch = rig.watch(prefix="", pending_max=1)
    rig.do(Txn((), (Put("a"), Put("b"))))
    rig.do(Compact(1), Noop(), Noop())

    first = rig.batch(watch)
    second = rig.batch(watch)

    assert [event.key for event in first.events] == ["a"]
    assert (first.kind, first.revision, first.fragment, first.final) == ("events", 0, True, False)
    assert (second.kind, second.revision, second.final) == ("lost", 1, True)


def test_looking_for_events_takes_bounded_steps() -> None:
    rig = Rig(history_changes=None)
    rig.do(*(Put(f"other/{number}") for number in range(2 * SCAN)), Put("mine"))
    watch = rig.watch(key="mine", from_revision=1)

    first, second, third = (rig.batch(watch) for _ in range(3))

    assert (first.kind, first.revision, first.more) == ("progress", SCAN, True)
    assert (second.kind, second.revision, second.more) == ("progress", 2 * SCAN, True)
    assert [event.key for event in third.events] == ["mine"]
    assert rig.hub.ready() == ()


def test_a_step_that_ends_within_a_revision_waits_for_the_rest_of_it() -> None:
    rig = Rig(history_changes=None, operations_max=10_000)
    rig.do(*(Put(f"other/{number}") for number in range(SCAN - 2)))
    rig.do(Txn((), tuple(Put(f"mine/{number}") for number in range(5))))
    watch = rig.watch(prefix="mine/", from_revision=1)

    first, second = rig.batch(watch), rig.batch(watch)

    assert (first.kind, first.revision) == ("progress", SCAN - 2)
    assert (len(second.events), second.fragment) == (5, False)


# --- compaction


def test_a_watch_from_the_compacted_revision_is_told_that_it_lost_a_delete() -> None:
    """etcd 3.4.23 tells such a watch nothing, and the delete is gone (etcd issue 18089)."""
    rig = Rig()
    rig.do(Put("a"), Delete("a"), Compact(2))

    watch = rig.watch(key="a", from_revision=2)

    assert rig.batch(watch) == WatchBatch(watch, "lost", 2, final=True)


def test_a_delete_at_the_compacted_revision_reaches_who_watched_before() -> None:
    rig = Rig()
    watch, late = rig.watch(key="a"), rig.watch(key="a", from_revision=1)

    rig.do(Put("a"), Delete("a"), Compact(2))

    assert rig.told(watch) == rig.told(late) == [("put", "a", 1), ("delete", "a", 2)]


def test_a_watch_from_above_the_floor_loses_nothing() -> None:
    rig = Rig()
    rig.do(Put("a"), Put("a", b"1"), Delete("a"), Compact(2))

    assert rig.told(rig.watch(key="a", from_revision=3)) == [("delete", "a", 3)]


def test_a_watch_from_below_the_floor_is_lost_even_if_nothing_was_there() -> None:
    rig = Rig()
    rig.do(Noop(), Noop(), Compact(2))

    assert rig.batch(rig.watch(prefix="", from_revision=1)).kind == "lost"


def test_changes_reach_watches_even_where_no_history_is_kept() -> None:
    rig = Rig(history_changes=0)
    watch = rig.watch(prefix="", pending_max=10_000)

    rig.do(*(Put("a", b"%d" % number) for number in range(5000)))

    assert [revision for _, _, revision in rig.told(watch)] == list(range(1, 5001))


# --- progress


def test_progress_promises_that_everything_up_to_it_was_told() -> None:
    rig = Rig()
    watch, filtered = rig.watch(prefix="a"), rig.watch(prefix="", kinds=("delete",))
    rig.do(Put("b"), Put("a"), Put("b", b"1"))

    assert (rig.hub.progress(watch), rig.hub.progress(filtered)) == (1, 3)
    rig.told(watch)
    assert rig.hub.progress(watch) == 3
    rig.do(Noop())
    assert rig.hub.progress(watch) == 4


def test_a_quiet_watch_tells_how_far_it_is() -> None:
    rig = Rig()
    watch = rig.watch(prefix="a", progress_interval=10.0)
    rig.do(Put("b"), Put("b", b"1"))

    rig.hub.handle_timeout(9.9)
    assert rig.hub.ready() == ()
    rig.hub.handle_timeout(10.0)

    assert rig.hub.ready() == (watch,)
    assert rig.batch(watch) == WatchBatch(watch, "progress", 2)
    assert rig.hub.next_timeout() == 20.0


def test_a_watch_that_told_something_is_not_quiet() -> None:
    rig = Rig()
    watch = rig.watch(prefix="a", progress_interval=10.0)
    rig.do(Put("a"))
    rig.told(watch)

    rig.hub.handle_timeout(10.0)
    assert rig.hub.ready() == ()
    rig.hub.handle_timeout(25.0)
    assert rig.batch(watch).kind == "progress"
    rig.do(Put("a", b"1"))
    rig.hub.handle_timeout(36.0)
    assert rig.batch(watch).kind == "events"


# --- the hub


def test_ready_tells_who_has_something_in_the_order_it_came() -> None:
    rig = Rig()
    first, second, third = (rig.watch(prefix=prefix) for prefix in "abc")

    rig.do(Put("b"), Put("a"), Put("b", b"1"))

    assert rig.hub.ready() == (second, first)
    rig.told(second)
    assert rig.hub.ready() == (first,)
    assert rig.hub.poll(third) is None
    assert len(rig.hub) == 3


def test_a_cancelled_watch_is_gone() -> None:
    rig = Rig()
    watches = [
        rig.watch(key="a", progress_interval=5.0),
        rig.watch(prefix="a/b", progress_interval=6.0),
        rig.watch(prefix="a/b", progress_interval=6.0),
        rig.watch(start="a", end="b"),
    ]
    rig.do(Put("a"), Put("a/b"))

    for watch in watches:
        rig.hub.cancel(watch)

    assert (len(rig.hub), rig.hub.ready(), rig.hub.next_timeout()) == (0, (), None)
    rig.do(Put("a", b"1"), Put("a/b", b"1"))
    assert rig.hub.ready() == ()
    for call in (rig.hub.cancel, rig.hub.poll, rig.hub.progress):
        with pytest.raises(UnknownWatch):
            call(watches[0])


def test_ids_can_be_chosen_and_are_taken_once() -> None:
    rig = Rig()
    spec = WatchSpec(prefix="")

    assert rig.hub.watch(spec, 0.0, id=7) == 7
    assert rig.hub.watch(spec, 0.0) == 8
    assert rig.hub.watch(spec, 0.0, id=2) == 2
    assert rig.hub.watch(spec, 0.0) == 9
    with pytest.raises(WatchExists) as caught:
        rig.hub.watch(spec, 0.0, id=7)
    assert caught.value.watch == 7


def test_watches_are_bounded() -> None:
    hub = Watches(Store(), watches_max=1)
    hub.watch(WatchSpec(prefix=""), 0.0)

    with pytest.raises(TooManyWatches) as caught:
        hub.wait(Get("a"), 0, 0.0)
    assert caught.value.limit == 1


def test_what_was_not_published_is_found_in_the_history() -> None:
    rig = Rig()
    watch, waiting = rig.watch(prefix=""), rig.watch(prefix="")
    rig.do(Put("a"))
    wait = rig.hub.wait(Get("b"), 1, 0.0)
    idle = rig.hub.wait(Get("c"), 1, 0.0)

    rig.store.apply(Put("b"))

    assert set(rig.hub.ready()) == {watch, waiting, wait}
    assert rig.told(watch) == [("put", "a", 1), ("put", "b", 2)]
    rig.do(Put("d"))
    rig.do(Noop())
    assert rig.told(waiting) == [("put", "a", 1), ("put", "b", 2), ("put", "d", 3)]
    assert rig.told(watch) == [("put", "d", 3)]
    assert rig.hub.poll(idle) is None


def test_a_watch_that_is_behind_goes_on_where_it_is_if_something_was_not_published() -> None:
    rig = Rig()
    watch = rig.watch(prefix="", pending_max=1)
    rig.do(Put("a"), Put("b"), Put("c"))
    rig.hub.ready()

    rig.store.apply(Put("d"))

    assert [key for _, key, _ in rig.told(watch)] == ["a", "b", "c", "d"]


def test_what_is_published_late_is_told_once_and_wakes_no_strangers() -> None:
    rig = Rig()
    watch, stranger = rig.watch(prefix="a/"), rig.watch(prefix="b/")
    applied = [rig.store.apply(Put(f"a/{number}")) for number in range(3 * GATHER)]

    for one in applied[:GATHER]:
        rig.hub.publish(one)
    rig.hub.ready()
    for one in applied[GATHER:]:
        rig.hub.publish(one)

    assert rig.hub.ready() == (watch,)
    assert [revision for _, _, revision in rig.told(watch)] == list(range(1, 3 * GATHER + 1))
    assert rig.hub.poll(stranger) is None


def test_what_was_published_is_told_though_it_was_compacted_since() -> None:
    rig = Rig()
    watch = rig.watch(prefix="a/")

    rig.do(Put("a/1"), Put("b/1"), Delete("a/1"), Compact(3), Noop())

    assert rig.store.state.tree.history.freed == 3
    assert rig.told(watch) == [("put", "a/1", 1), ("delete", "a/1", 3)]


def test_who_could_have_heard_what_was_forgotten_unpublished_is_lost() -> None:
    rig = Rig(history_changes=10)
    watch, behind = rig.watch(prefix="a/"), rig.watch(prefix="", pending_max=1)
    wait = rig.hub.wait(Get("a/7"), 1, 0.0)
    idle = rig.hub.wait(Get("b"), 1, 0.0)
    rig.do(Put("b"), Put("c"))
    rig.hub.ready()

    for number in range(5000):
        rig.store.apply(Put(f"a/{number}"))

    assert rig.store.state.tree.history.freed > 2
    assert set(rig.hub.ready()) == {watch, behind, wait}
    assert rig.batch(watch).kind == "lost"
    assert [event.key for event in rig.batch(behind).events] == ["b"]
    assert rig.batch(behind).kind == "lost"
    assert rig.hub.poll(idle) is None


def test_what_was_published_twice_is_told_once() -> None:
    rig = Rig()
    watch = rig.watch(prefix="")
    applied = rig.store.apply(Put("a"))

    rig.hub.publish(applied)
    rig.hub.publish(applied)

    assert rig.told(watch) == [("put", "a", 1)]


def test_after_a_restore_watches_are_lost_and_waits_are_ready() -> None:
    rig = Rig()
    watch, wait = rig.watch(prefix=""), rig.hub.wait(Get("a"), 5, 0.0, timeout=9.0)
    rig.do(Put("a"))
    other = made(Put("a", b"other"), Put("b"), Compact(2))

    rig.hub.reset(other)

    assert rig.hub.poll(watch) == WatchBatch(watch, "lost", 2, final=True)
    done = rig.hub.poll(wait)
    assert isinstance(done, WaitDone)
    assert isinstance(done.result, GetOk)
    assert (done.reset, done.timed_out, done.result.revision) == (True, False, 3)
    fresh = rig.watch(prefix="")
    rig.hub.publish(other.apply(Put("c")))
    assert rig.told(fresh) == [("put", "c", 4)]


def test_another_separator_changes_nothing_for_watches() -> None:
    rig = Rig()
    watches = [rig.watch(prefix=prefix) for prefix in ("a.", "a", "a.b", "")]
    exact = rig.watch(key="a.b.c")

    rig.do(Configure(Config(separator=".")), Put("a.b.c"), Put("ab"))

    assert [len(rig.told(watch)) for watch in watches] == [1, 2, 1, 2]
    assert len(rig.told(exact)) == 1


def test_directories_whose_numbers_are_given_anew_are_not_mixed_up(seed: int) -> None:
    rng = Random(seed)
    rig = Rig(history_changes=0)
    deep = "d/" * 40
    specs = ["", "a/", "b/", "a/x", "a/x/", "b/y/z/", deep, "d/"]
    watches = {prefix: rig.watch(prefix=prefix, pending_max=100_000) for prefix in specs}
    deletes = rig.watch(prefix="", pending_max=100_000, kinds=("delete",))
    expected: dict[str, list[int]] = {prefix: [] for prefix in specs}
    for step in range(4000):
        key = rng.choice("abcd") + "/" + rng.choice(["x/1", "x", "y/z/1", "y/2", str(step)])
        if rng.random() < 0.05:
            key = deep + key
        choices: list[Command] = [Put(key, b"%d" % step), Delete(key), DeleteRange(key[:2])]
        command = rng.choice(choices)
        applied = rig.store.apply(command)
        rig.hub.publish(applied)
        for event in applied.events:
            for prefix in specs:
                if event.key.startswith(prefix):
                    expected[prefix].append(event.revision)
        if rng.random() < 0.01:
            rig.hub.ready()

    assert rig.store.state.tree.directories.reused > 0
    for prefix, watch in watches.items():
        assert [revision for _, _, revision in rig.told(watch)] == expected[prefix]
    assert {kind for kind, _, _ in rig.told(deletes)} == {"delete"}


# --- rights


def test_what_an_actor_may_not_read_is_left_out() -> None:
    rig = Rig(acl=AclMode.DENY)
    acl = rig.store.state.acl
    acl.set_policy(Policy("p", (Rule("key", "a/", Level.READ, prefix=True),)))
    acl.set_token(Token("alice", policies=("p",)))
    acl.set_token(Token("root", management=True))
    watch = rig.watch(prefix="", actor="alice")
    everything = rig.watch(prefix="")
    wait = rig.hub.wait(Range(""), 0, 0.0, actor="alice")
    for key in ("b", "a/1"):
        rig.hub.publish(rig.store.apply(Put(key), actor="root"))

    assert rig.told(watch) == [("put", "a/1", 2)]
    assert len(rig.told(everything)) == 2
    done = rig.hub.poll(wait)
    assert isinstance(done, WaitDone)
    assert isinstance(done.result, RangeOk)
    assert done.result.keys == ("a/1",)

    rig.hub.publish(rig.store.apply(Put("b", b"1"), actor="root"))
    assert rig.hub.poll(watch) is None
    assert rig.hub.progress(watch) == 3
    acl.drop_token("alice")
    rig.hub.publish(rig.store.apply(Put("b", b"2"), actor="root"))
    assert rig.batch(watch) == WatchBatch(watch, "closed", 4, final=True)


# --- blocking queries


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (Get("a/b"), GetOk),
        (Range("a/"), RangeOk),
        (Range("a"), RangeOk),
        (Range(start="a/a", end="a/c"), RangeOk),
        (Range(start="a"), RangeOk),
        (Count("a/b"), CountOk),
        (Keys("a/"), KeysOk),
    ],
)
def test_a_query_waits_for_news_and_answers_as_a_read_does(query: Any, kind: type) -> None:
    rig = Rig()
    rig.do(Put("a/b"), Put("z"))
    wait = rig.hub.wait(query, 2, 0.0)
    assert rig.hub.poll(wait) is None

    rig.do(Put("Z"), Put("z/x") if getattr(query, "start", None) != "a" else Noop())
    assert rig.hub.ready() == ()
    rig.do(Delete("a/b"))

    assert rig.hub.ready() == (wait,)
    done = rig.hub.poll(wait)
    assert isinstance(done, WaitDone)
    assert isinstance(done.result, kind)
    assert (done.timed_out, done.reset) == (False, False)
    assert len(rig.hub) == 0


@pytest.mark.parametrize(
    "query", [Get("a/b"), Range("a/"), Range("a/b"), Range(start="a/b", end="a/c"), Count("")]
)
def test_a_query_whose_news_is_there_already_does_not_wait(query: Any) -> None:
    rig = Rig()
    rig.do(Put("x"), Put("a/b"))

    assert rig.hub.ready() == ()
    wait = rig.hub.wait(query, 1, 0.0, timeout=10.0)

    assert rig.hub.ready() == (wait,)
    assert rig.hub.next_timeout() is None


def test_a_stranger_next_door_wakes_no_query() -> None:
    rig = Rig()
    rig.do(Put("a/b"), Put("a/c"))

    wait = rig.hub.wait(Range("a/b"), 1, 0.0)

    rig.do(Put("a/c", b"1"), Put("a/a"))
    assert rig.hub.poll(wait) is None


def test_when_the_time_is_over_the_answer_is_told_as_it_is() -> None:
    rig = Rig()
    rig.do(Put("a"))
    wait = rig.hub.wait(Get("a"), 1, 5.0, timeout=10.0)

    rig.hub.handle_timeout(14.9)
    assert rig.hub.poll(wait) is None
    assert rig.hub.next_timeout() == 15.0
    rig.hub.handle_timeout(15.0)

    done = rig.hub.poll(wait)
    assert isinstance(done, WaitDone)
    assert isinstance(done.result, GetOk)
    assert (done.timed_out, done.result.index) == (True, 1)
    assert rig.hub.next_timeout() is None


def test_news_that_came_before_the_end_are_no_timeout() -> None:
    rig = Rig()
    wait = rig.hub.wait(Get("a"), 0, 0.0, timeout=10.0)
    rig.do(Put("a"))
    rig.hub.ready()

    rig.hub.handle_timeout(10.0)

    done = rig.hub.poll(wait)
    assert isinstance(done, WaitDone)
    assert not done.timed_out


def test_timers_of_what_was_cancelled_do_not_fire() -> None:
    rig = Rig()
    first = rig.hub.wait(Get("a"), 0, 0.0, timeout=1.0)
    second = rig.hub.wait(Get("a"), 0, 0.0, timeout=2.0)
    third = rig.hub.wait(Get("a"), 0, 0.0, timeout=3.0)
    rig.hub.cancel(second)

    rig.hub.handle_timeout(5.0)

    assert rig.hub.ready() == (first, third)
    assert rig.hub.next_timeout() is None


def test_older_times_count_as_the_newest_seen() -> None:
    rig = Rig()
    rig.hub.handle_timeout(100.0)
    rig.hub.wait(Get("a"), 0, 5.0, timeout=1.0)

    assert rig.hub.next_timeout() == 101.0


def test_an_interval_below_the_clocks_precision_is_one_round() -> None:
    hub = Watches(Store())
    hub.watch(WatchSpec(key="a", progress_interval=1e-300), 10.0)

    hub.handle_timeout(20.0)

    timeout = hub.next_timeout()
    assert timeout is not None
    assert timeout > 20.0
