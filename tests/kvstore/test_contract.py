"""The rules of the contract, for the store and for its hub of watches.

Numbers are those of tests/contract.py, whose battery is for machines with one queue: a store has
neither queue nor timers, and a hub is polled watch by watch.
"""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.commands import Command, Get, Lock, Noop, Put, Rebase, SessionClose, SessionOpen
from kvstore.config import Config
from kvstore.errors import StaleIndex, UnknownWatch
from kvstore.refusals import NoSession
from kvstore.results import Applied
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.store import Store
from kvstore.testing import strategies as kv
from kvstore.testing.strategies import LogEntry
from kvstore.watches.values import WatchSpec
from kvstore.watches.watches import Watches
from tests.kvstore.driving import contents

SCRIPT = """
from hashlib import sha256
from random import Random
from kvstore.acl.rules import Policy, Role, Token
from kvstore.commands import *
from kvstore.config import Config
from kvstore.snapshots.snapshot import SnapshotWriter
from kvstore.store import Store
from kvstore.watches.values import WatchSpec
from kvstore.watches.watches import Watches

rng = Random(5)
store = Store(Config(history_changes=50))
hub = Watches(store)
watches = [hub.watch(WatchSpec(prefix=prefix), 0.0) for prefix in ("", "a", "b/")]
told = sha256()
sessions = [f"s{number}" for number in range(8)]
bindings = [f"node:{number}" for number in range(5)]
keys = [f"{a}/{b}" for a in "abc" for b in "wxyz"] + ["q"]
for step in range(3000):
    key, session = rng.choice(keys), rng.choice(sessions)
    command = rng.choice([
        Put(key, bytes([rng.randrange(5)]), ttl=rng.choice([KEEP, None, 40])),
        Put(key, owner=session), Delete(key), DeleteRange(key[:2]), Lock(key, session),
        Unlock(key, session), Create("q/", sequence="counter"), Touch(tuple(keys)),
        SessionOpen(session, rng.choice([None, 1000]), bindings=tuple(rng.sample(bindings, 2))),
        SessionClose(session), Invalidate(tuple(rng.sample(bindings, 2))), Tick(3),
        SessionRenew(tuple(sessions)), SetQuota(key[:2], max_keys=rng.randrange(1, 9)),
        DropQuota(key[:2]), SetPolicy(Policy(key)), SetRole(Role(session)),
        SetToken(Token(session)),
        Txn((Check(key),), (Put(key, b"t"), Get(key), Delete(rng.choice(keys)), Range("")),
            (Put(key), Lock(key, session), Keys(), Count("a"))),
        Range("", sort="mod", include_deleted_since=store.floor), Keys("a"),
    ])
    applied = store.apply(command, now=step * 7)
    hub.publish(applied)
    told.update(repr((applied.result, applied.events)).encode())
    if step % 100 == 0:
        for watch in hub.ready():
            told.update(repr((watch, hub.poll(watch))).encode())
print(told.hexdigest(), store.digest())
print(sha256(b"".join(SnapshotWriter(store.view()))).hexdigest())
"""


def run(store: Store, log: list[LogEntry]) -> list[object]:
    """Apply a log and return what it told."""
    told: list[object] = []
    for command, now, actor in log:
        applied = store.apply(command, now=now, actor=actor)
        told.append((applied.index, applied.changed, applied.result, applied.events))
    return told


def snapshot(store: Store) -> bytes:
    return b"".join(SnapshotWriter(store.view()))


def restored(data: bytes) -> Store:
    reader = SnapshotReader(Store.importer)
    reader.feed(data)
    return reader.finish()


# --- the store


def test_c8_the_same_log_gives_the_same_bytes_under_any_hash_seed() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "random")
    }

    assert len(told) == 1
    assert told != {b""}


@given(kv.logs(min_size=10))
def test_c8_two_replicas_give_the_same_answers_digests_and_bytes(log: list[LogEntry]) -> None:
    one, other = Store(), Store()

    assert run(one, log) == run(other, log)
    assert one.digest() == other.digest()
    assert snapshot(one) == snapshot(other)


@given(kv.logs(min_size=10), st.integers(0, 30))
def test_c8_a_replica_restored_anywhere_goes_on_the_same(log: list[LogEntry], place: int) -> None:
    whole, first = Store(), Store()
    run(first, log[:place])
    run(whole, log[:place])

    second = restored(snapshot(first))

    assert run(second, log[place:]) == run(whole, log[place:])
    assert second.digest() == whole.digest()
    assert snapshot(second) == snapshot(whole)
    second.check_invariants()


@given(kv.logs(min_size=10))
def test_c8_what_is_local_changes_no_answer(log: list[LogEntry]) -> None:
    plain, busy = Store(), Store()
    hub = Watches(busy)
    watch = hub.watch(WatchSpec(prefix=""), 0.0)
    views = []
    told = []
    for place, entry in enumerate(log):
        told += run(busy, [entry])
        if place % 3 == 0:
            views.append(busy.view())
        if place % 5 == 0:
            busy.digest()
            hub.ready()
        if place % 7 == 6:
            views.pop(0).close()
    hub.cancel(watch)

    assert told == run(plain, log)
    assert busy.digest() == plain.digest()
    assert snapshot(busy) == snapshot(plain)


@given(kv.logs(min_size=5))
def test_c1_reads_change_nothing(log: list[LogEntry]) -> None:
    store = Store()
    run(store, log)
    before = (contents(store), store.applied_index, store.clock)

    store.range("")
    store.range("a", limit=1)
    store.count("")
    store.keys()
    store.get("a")
    store.changes_since(store.floor)
    store.query(Get("a"))
    store.index_below("a")
    store.digest()
    store.check_invariants()
    assert (store.stats, store.next_deadline) == (store.stats, store.next_deadline)
    list(store.records())

    assert (contents(store), store.applied_index, store.clock) == before


@given(kv.logs(min_size=5))
def test_c14_misuse_leaves_no_trace(log: list[LogEntry]) -> None:
    careful, careless = Store(), Store()
    wrong = [
        ("not a command", {}),
        (Noop(), {"index": 0}),
        (Noop(), {"now": -1}),
        (Put("a"), {"actor": 5, "now": 10**6}),
    ]
    told = []
    for entry in log:
        for command, arguments in wrong:
            with pytest.raises((TypeError, ValueError, StaleIndex)):
                careless.apply(command, **arguments)  # type: ignore[arg-type]
        told += run(careless, [entry])

    assert told == run(careful, log)
    assert snapshot(careless) == snapshot(careful)


def held(store: Store, clock: int) -> tuple[object, list[tuple[str, list[Any]]]]:
    """Return the state row by row, without the lock-delays that are over at `clock`."""
    header, sections = contents(store)
    rows = [
        (name, [row for row in rows if name != "delays" or row[1] > clock])
        for name, rows in sections
    ]
    return header, [(name, left) for name, left in rows if left or name != "delays"]


def assert_refusals_change_nothing(log: list[LogEntry]) -> list[Applied]:
    """Apply a log, look at the state before and after each refusal, and return the refused."""
    store, refused = Store(), []
    for command, now, actor in log:
        clock = store.clock if now is None else max(store.clock, now + store.clock_offset)
        before = held(store, clock)
        applied = store.apply(command, now=now, actor=actor)
        if not applied.ok:
            assert held(store, clock) == before
            assert not applied.changed
            refused.append(applied)
    return refused


@given(kv.logs(min_size=10))
def test_a_refusal_changes_nothing_but_the_index_and_the_clock(log: list[LogEntry]) -> None:
    assert_refusals_change_nothing(log)


def test_a_refusal_changes_nothing_by_the_clock_of_another_proposer_either() -> None:
    log: list[LogEntry] = [
        (SessionOpen("s", lock_delay=1000), 5000, None),
        (Lock("a", "s"), 5000, None),
        (SessionClose("s"), 5000, None),
        (Rebase(), 0, None),
        (Lock("a", "nobody"), 2000, None),
    ]

    assert [applied.result for applied in assert_refusals_change_nothing(log)] == [
        NoSession("nobody")
    ]


def test_a_refusal_after_the_end_of_a_lock_delay_changes_nothing_else() -> None:
    log: list[LogEntry] = [
        (SessionOpen("s", lock_delay=1000), 0, None),
        (Lock("a", "s"), 0, None),
        (SessionClose("s"), 0, None),
        (Lock("a", "nobody"), 2000, None),
    ]

    assert [applied.result for applied in assert_refusals_change_nothing(log)] == [
        NoSession("nobody")
    ]


@given(kv.logs(min_size=10))
def test_c15_what_is_kept_is_bounded(log: list[LogEntry]) -> None:
    store = Store(Config(history_changes=5))
    run(store, log)

    history = store.state.tree.history
    assert len(history) <= 5 + 1024 + 128
    assert len(store.state.tree.tombstones) <= len(history)


# --- the hub


def play(store: Store, polled: list[bool], seed: int) -> list[str]:
    """Drive a hub and return what its watches told, watch by watch, whenever they are polled."""
    rng = Random(seed)
    hub = Watches(store)
    specs = [
        WatchSpec(prefix="a", progress_interval=5.0),
        WatchSpec(prefix="", pending_max=3),
        WatchSpec(key="a/x", previous=True),
    ]
    ids = [hub.watch(spec, 0.0) for spec in specs]
    told: dict[int, list[str]] = {id_: [] for id_ in ids}

    def poll() -> None:
        for id_ in ids:
            while (batch := hub.poll(id_)) is not None:
                told[id_] += map(repr, getattr(batch, "events", ()))

    for step in range(100):
        command: Command = Put(rng.choice(["a/x", "a/y", "b"]), b"%d" % rng.randrange(9))
        hub.publish(store.apply(command))
        if polled[step % len(polled)]:
            poll()
    poll()
    return [line for id_ in ids for line in told[id_]]


@given(st.lists(st.booleans(), min_size=1), st.integers(0, 3))
def test_c2_when_a_hub_is_polled_does_not_matter(polled: list[bool], seed: int) -> None:
    assert play(Store(), polled, seed) == play(Store(), [True], seed)


def quiet() -> tuple[Watches, int]:
    hub = Watches(Store())
    return hub, hub.watch(WatchSpec(prefix="", progress_interval=10.0), 100.0)


def test_c2_polling_moves_no_deadline() -> None:
    hub, watch = quiet()
    hub.handle_timeout(110.0)
    deadline = hub.next_timeout()

    hub.poll(watch)

    assert hub.next_timeout() == deadline == 120.0


def test_c4_an_older_time_counts_as_the_newest_seen() -> None:
    hub, _ = quiet()
    hub.handle_timeout(105.0)

    hub.handle_timeout(3.0)
    hub.watch(WatchSpec(prefix="", progress_interval=1.0), 4.0)

    assert hub.next_timeout() == 106.0


def test_c5_an_early_timeout_changes_nothing() -> None:
    hub, _ = quiet()

    hub.handle_timeout(109.999)

    assert (hub.ready(), hub.next_timeout()) == ((), 110.0)


def test_c6_a_timeout_on_the_dot_moves_on() -> None:
    hub, watch = quiet()

    hub.handle_timeout(110.0)

    assert (hub.ready(), hub.next_timeout()) == ((watch,), 120.0)


def test_c7_a_late_timeout_is_one_round() -> None:
    hub, watch = quiet()

    hub.handle_timeout(1_000_000.0)

    assert hub.next_timeout() == 1_000_010.0
    assert hub.poll(watch) is not None
    assert hub.poll(watch) is None


def test_c14_a_refused_registration_leaves_no_trace() -> None:
    hub, watch = quiet()

    for spec in ({}, {"prefix": "a", "key": "b"}):
        with pytest.raises(ValueError, match="watch is of"):
            hub.watch(WatchSpec(**spec), 0.0)  # type: ignore[arg-type]
    with pytest.raises(UnknownWatch):
        hub.cancel(watch + 1)

    assert (len(hub), hub.next_timeout()) == (1, 110.0)
