"""Attacks on the store: what a hostile peer, a careless program and a long run can do to it.

Costs are counted, in rows and in bytes, never timed.
"""

from __future__ import annotations

import gc
import tracemalloc
import zlib
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.acl.access import AclMode
from kvstore.acl.authorizer import Authorizer
from kvstore.acl.rules import Level, Policy, Rule, Token
from kvstore.codec.codec import (
    VERSION,
    decode_command,
    decode_result,
    encode_command,
    encode_result,
    read_command,
)
from kvstore.codec.wire import pack, pack_list
from kvstore.commands import (
    Compact,
    Count,
    Create,
    Delete,
    DeleteRange,
    DropQuota,
    DropToken,
    Get,
    Keys,
    Lock,
    Noop,
    Put,
    Range,
    Rebase,
    SessionClose,
    SessionOpen,
    SessionRenew,
    SetQuota,
    SetToken,
    Tick,
    Txn,
    Unlock,
)
from kvstore.config import TIME_MAX, Config
from kvstore.dialects.etcd import Etcd
from kvstore.dialects.etcd_messages import RangeRequest
from kvstore.errors import DecodeError, ImportRefused
from kvstore.refusals import Denied, Unsupported
from kvstore.results import TickOk
from kvstore.snapshots.frames import COMPRESSED, CONTINUED, FRAME_SIZE_MAX
from kvstore.snapshots.snapshot import SnapshotReader
from kvstore.store import Store
from kvstore.watches.values import WaitDone, WatchBatch, WatchSpec
from kvstore.watches.watches import Watches
from tests.kvstore.driving import done, made
from tests.kvstore.messages import any_command
from tests.kvstore.snapshots.test_export import busy_store
from tests.kvstore.snapshots.test_frames import forged
from tests.kvstore.snapshots.test_importing import imported, told
from tests.kvstore.test_contract import restored, snapshot

#: A number that Python refuses to write out.
HUGE = 10**5000


# --- time


@pytest.mark.parametrize("now", [-1, TIME_MAX + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_an_entry_with_an_impossible_time_stops_no_replica(now: int) -> None:
    entry = pack((VERSION, 48, now, "alice"))

    with pytest.raises(DecodeError, match="bad-field"):
        decode_command(entry)
    command, time, actor = read_command(entry)
    applied = Store().apply(command, now=time, actor=actor)

    assert (time, actor) == (None, "alice")
    assert isinstance(applied.result, Unsupported)
    with pytest.raises(ValueError, match="now must be"):
        encode_command(Noop(), now=now)


def test_the_last_time_there_is_ends_what_is_due_and_nothing_breaks() -> None:
    store = made(SessionOpen("s", 1000), Put("a", ttl=2**62), now=0)

    ended = store.apply(Tick(), now=TIME_MAX)
    again = done(store, Put("b", ttl=2**63 - 1), object, now=TIME_MAX)

    assert store.session("s") is None
    assert (ended.ok, store.get("a"), store.clock) == (True, None, TIME_MAX)
    assert getattr(again, "expires", None) == 2**63 - 1
    store.check_invariants()


def test_a_proposer_whose_clock_is_wrong_is_made_good_by_a_rebase() -> None:
    store = made(SessionOpen("s", 10_000), Put("a", ttl=10_000), now=5_000)

    # The next one's clock is years ahead, the one after it years behind.
    for now in (10**12, 10**12 + 4_000, 7, 3_007):
        store.apply(Rebase() if now in {10**12, 7} else Noop(), now=now)
    alive = store.session("s") is not None, store.get("a") is not None
    due = store.next_deadline

    assert (alive, store.clock, due) == ((True, True), 12_000, 15_000)
    assert done(store, Tick(), TickOk, now=6_007).sessions == ("s",)


@pytest.mark.parametrize("now", [None, 0, 4_999, 5_000])
def test_time_that_stands_or_goes_back_ends_nothing(now: int | None) -> None:
    store = made(SessionOpen("s", 1_000), now=5_000)

    assert done(store, Tick(), TickOk, now=now).sessions == ()
    assert (store.clock, store.session_deadline("s")) == (5_000, 6_000)


# --- bytes


@given(st.lists(any_command(), max_size=15), st.data())
def test_whatever_a_log_can_hold_is_answered(log: list[Any], data: st.DataObject) -> None:
    store = busy_store()
    for command in log:
        now = data.draw(st.none() | st.integers(0, TIME_MAX))
        entry = encode_command(command, now=now, actor=data.draw(st.none() | st.text()))

        read, time, actor = read_command(entry)
        applied = store.apply(read, now=time, actor=actor)

        assert decode_result(encode_result(applied.result)) == applied.result
        assert str(applied.result)
    store.check_invariants()
    assert restored(snapshot(store)).digest() == store.digest()


@pytest.mark.parametrize(
    "elements",
    [
        b"\xc0" * 20_000,
        b"\x91\x09" * 20_000,
        b"\x92\x09\xa0" * 20_000,
        (b"\x91" * 900 + b"\x09") * 50,
        (b"\xdc\x00\x40" + b"\x91\x00" * 64) * 200,
        pack((1, "a", b"")) * 10_000,
        pack((13, b"", b"", b"")) * 10_000,
    ],
    ids=lambda elements: elements[:4].hex(),
)
def test_a_message_costs_memory_in_proportion_to_its_bytes(elements: bytes) -> None:
    message = pack((VERSION, 13, None, None, b"", elements))

    tracemalloc.start()
    read_command(message)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 64 * len(message)


# What a value in a row is replaced by. Counters at their very end are left out: a store that
# goes on from there tells numbers that none reads.
ODD = [None, True, 1.5, 0, 1, -1, 9, 1000, 2**31, 2**64 - 1, 2**64, "", "a", "web/", "web/a", "s1",
       "\0", "\ud800", "x" * 5000, b"", b"x", ()]  # fmt: skip


def changed(value: Any, rng: Random) -> Any:
    """Return a row, or a value in it, that is different in one place."""
    if type(value) is tuple and value:
        place = rng.randrange(len(value))
        return (*value[:place], changed(value[place], rng), *value[place + 1 :])
    near = [value - 1, value + 1] if type(value) is int else []
    return rng.choice([*ODD, *near])


def test_a_snapshot_that_lies_is_refused_or_tells_a_store_that_works(seed: int) -> None:
    rng = Random(seed)
    for _ in range(60):
        header, rows = told(busy_store())
        section = rng.choice(sorted(rows.keys() - {"policies", "roles", "tokens"}))
        if rng.random() < 0.1:
            name = rng.choice(sorted(header))
            header[name] = changed(header[name], rng)
        else:
            place = rng.randrange(len(rows[section]))
            rows[section][place] = changed(rows[section][place], rng)
        try:
            store = imported(header, rows)
        except ImportRefused:
            continue
        for command in GOING_ON:
            store.apply(command, now=store.clock + 1000)
            store.check_invariants()
            store.range("", revision=store.floor)

            assert restored(snapshot(store)).digest() == store.digest()


GOING_ON: list[Any] = [
    Put("web/a", b"new"),
    Put("web/b", ttl=9),
    Put("gone"),
    Lock("locks/a", "s1", b"x"),
    Unlock("locks/b", "s2"),
    Create("jobs/", sequence="counter"),
    Txn((), (Put("back"), Delete("owned"))),
    Tick(),
    SessionClose("s1"),
    Compact(25),
    DeleteRange(""),
]


# --- numbers


@pytest.mark.parametrize(
    "command",
    [
        Put("a", cas=HUGE),
        Put("a", flags=-HUGE),
        Put("a", ttl=HUGE),
        Create("a", sequence="counter", width=HUGE),
        Tick(HUGE),
        Compact(-HUGE),
        Range("", limit=HUGE),
        Range("", revision=HUGE),
        SessionOpen("s", HUGE),
        Txn((), (Get("a", HUGE),)),
    ],
    ids=lambda command: type(command).__name__,
)
def test_numbers_too_large_to_be_written_are_refused_as_any_other(command: Any) -> None:
    store = Store()

    applied = store.apply(command)

    assert "a number of 16610 bits" in str(applied.result)
    assert (applied.ok, store.applied_index) == (False, 1)


# --- memory


def test_lock_delays_that_ran_out_are_forgotten_without_a_tick() -> None:
    # No session has a ttl: nothing is ever due, and nobody proposes a tick.
    store = Store()
    for number in range(2000):
        made(
            SessionOpen("s", lock_delay=10),
            Lock(f"k{number}", "s"),
            SessionClose("s"),
            store=store,
            now=number,
        )

    assert store.next_deadline is None
    assert store.lock_delay("k1999") == 2009
    assert len(store.state.sessions.delays.table) <= 100


def test_waits_that_ended_early_leave_no_timers_behind() -> None:
    hub = Watches(Store())
    hub.watch(WatchSpec(prefix="", progress_interval=10.0), 0.0)
    # Warm up: what Python and the hub keep anyway.
    hub.cancel(hub.wait(Get("a"), 1, 0.0, timeout=600.0))
    tracemalloc.start()
    for _ in range(20_000):
        hub.cancel(hub.wait(Get("a"), 1, 0.0, timeout=600.0))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (len(hub), hub.next_timeout()) == (1, 10.0)
    assert grown < 50_000


def test_what_is_over_leaves_nothing_behind(seed: int) -> None:
    rng = Random(seed)
    store = Store(Config(history_changes=100))
    hub = Watches(store)
    names = [f"{directory}/{name}" for directory in "abc" for name in range(20)]
    sessions = [f"s{number}" for number in range(10)]
    watches: list[int] = []
    now = 0

    def write(commands: int) -> None:
        nonlocal now
        for _ in range(commands):
            now += 10
            key, session = rng.choice(names), rng.choice(sessions)
            choices: list[Any] = [
                Put(key, bytes(rng.randrange(50))),
                Put(key, ttl=50),
                Delete(key),
                SessionOpen(session, 1000, "delete", 500, ("node:" + session,)),
                SessionRenew(tuple(sessions)),
                SessionClose(session),
                Lock(key, session),
                Create(f"{now}/x", sequence="counter"),
                DeleteRange(f"{now - 100}/"),
                DeleteRange(start="0", end=f"{now - 200}"),
                SetQuota(key, 10),
                DropQuota(key),
                SetToken(Token(session, rules=(Rule("key", key),))),
                Tick(),
            ]
            hub.publish(store.apply(rng.choice(choices), now=now))
            if rng.random() < 0.1:
                watches.append(hub.watch(WatchSpec(prefix=key, progress_interval=1.0), now / 1000))
                watches.append(hub.watch(WatchSpec(start=key, end=key + "x"), now / 1000))
                watches.append(hub.wait(Get(key), store.applied_index, 0.0, timeout=300.0))
            while len(watches) > 50:
                hub.cancel(watches.pop(rng.randrange(50)))

    tracemalloc.start()
    write(6000)
    for watch in watches:
        hub.cancel(watch)
    for session in sessions:
        made(SessionClose(session), DropToken(session), store=store)
    made(*map(DropQuota, names), DeleteRange(""), store=store)
    # What is forgotten is freed piece by piece, with the commands that follow.
    made(Compact(store.applied_index), *[Noop()] * 10, store=store)
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (store.stats.keys, store.stats.history, len(hub)) == (0, 0, 0)
    assert left < 120_000


def test_a_compressed_snapshot_costs_memory_in_proportion_to_its_bytes() -> None:
    # One row that goes on from frame to frame, each of them nothing but zeros.
    header = pack_list(sorted(Store().view().header.items()))
    zeros = zlib.compress(bytes(FRAME_SIZE_MAX), 9)
    stream = forged((1, 0, header), *[(2, COMPRESSED | CONTINUED, zeros)] * 500)

    tracemalloc.start()
    with pytest.raises(DecodeError, match="too-large"):
        SnapshotReader(Store.importer).feed(stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * len(stream)


# --- rights


def guarded() -> Store:
    """Return a store in which "root" may do all, and "alice" may read below "a/" only."""
    store = Store(Config(acl=AclMode.DENY))
    acl = store.state.acl
    acl.set_policy(Policy("reader", (Rule("key", "a/", Level.READ, prefix=True),)))
    acl.set_token(Token("root", management=True))
    acl.set_token(Token("alice", policies=("reader",)))
    return store


def test_a_watch_does_not_tell_that_a_secret_changed() -> None:
    store = guarded()
    hub = Watches(store)
    secret = hub.watch(WatchSpec(key="secret", actor="alice"), 0.0)
    everything = hub.watch(WatchSpec(prefix="", actor="alice"), 0.0)

    for value in (b"1", b"2"):
        hub.publish(store.apply(Put("secret", value), actor="root"))

        assert hub.poll(secret) is None
        assert hub.poll(everything) is None
    hub.publish(store.apply(Put("a/b"), actor="root"))
    batch = hub.poll(everything)

    assert isinstance(batch, WatchBatch)
    assert [event.key for event in batch.events] == ["a/b"]
    # What was told completely is known all the same.
    assert hub.progress(secret) == hub.progress(everything) == 3


@pytest.mark.parametrize("actor", ["alice", "nobody"])
def test_a_query_of_a_secret_is_refused_at_once_and_not_when_the_secret_changes(
    actor: str,
) -> None:
    store = guarded()
    hub = Watches(store)

    wait = hub.wait(Get("secret"), 1, 0.0, timeout=10.0, actor=actor)
    answer = hub.poll(wait)

    assert isinstance(answer, WaitDone)
    assert isinstance(answer.result, Denied)
    assert hub.next_timeout() is None


@pytest.mark.parametrize("query", [Range(""), Count(""), Keys("")])
def test_a_list_without_the_right_to_list_is_refused_at_once(query: Any) -> None:
    store = guarded()
    store.state.reconfigure(Config(acl=AclMode.DENY, list_needs_right=True))
    hub = Watches(store)

    refused = hub.poll(hub.wait(query, 1, 0.0, actor="alice"))
    waiting = hub.poll(hub.wait(query, 1, 0.0, actor="root"))

    assert isinstance(refused, WaitDone)
    assert isinstance(refused.result, Denied)
    assert waiting is None


def test_a_query_of_what_may_be_read_waits() -> None:
    store = guarded()
    hub = Watches(store)

    for query in (Get("a/b"), Range("")):
        assert hub.poll(hub.wait(query, 1, 0.0, actor="alice")) is None


@pytest.mark.parametrize("query", [Range("", limit=1), Count(""), Keys(""), Range("", sort="mod")])
def test_who_may_read_little_costs_little(query: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = guarded()
    for key in (*(f"others/{number}" for number in range(1000)), "a/b", "a/c", "z"):
        store.apply(Put(key), actor="root")
    looked_at = []

    def counting(self: Authorizer, keys: Iterable[str], level: int = Level.READ) -> list[str]:
        looked_at.extend(found := list(keys))
        return [key for key in found if self.allows_key(key, level)]

    monkeypatch.setattr(Authorizer, "filter_keys", counting)

    for actor, expected in (("alice", ["a/b", "a/c"]), (None, [])):
        looked_at.clear()
        result = store.query(query, actor=actor)

        assert looked_at == expected
        assert getattr(result, "filtered", None) is (actor is not None)


def test_who_may_not_write_learns_nothing_of_names_that_were_given() -> None:
    store = guarded()
    for number in range(3):
        store.apply(Put(f"a/{number:010}"), actor="root")

    refusal = store.apply(Create("a/", sequence="counter"), actor="alice").result
    created = store.apply(Create("a/", sequence="counter"), actor="root").result

    assert isinstance(refusal, Denied)
    assert refusal.label == "a/0000000000"
    assert getattr(created, "key", None) == "a/0000000003"


def test_who_may_read_nothing_fills_no_memory_by_asking() -> None:
    store = guarded()
    store.query(Get("warm up"))
    tracemalloc.start()
    for number in range(2000):
        store.query(Get(f"{number:060000}"))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 100_000


class Text(str):
    """A text as programs have them, of an enumeration for one."""

    __slots__ = ()


@pytest.mark.parametrize(
    "build",
    [
        lambda: Token(Text("a")),
        lambda: Token("a", Text("secret")),
        lambda: Token("a", policies=(Text("p"),)),
        lambda: Policy("p", description=Text("d")),
        lambda: Rule(Text("key"), "a"),
        lambda: Rule("key", Text("a")),
    ],
)
def test_what_cannot_be_written_to_a_snapshot_does_not_get_into_a_store(build: Any) -> None:
    with pytest.raises(TypeError, match="it must be str"):
        build()


# --- façades


@pytest.mark.parametrize("id_", ["web-1", "0" * 17, "F" * 16])
def test_sessions_of_other_programs_are_no_leases_of_etcd(id_: str) -> None:
    store = Store()
    etcd = Etcd(store)
    for session in (id_, "other"):
        made(SessionOpen(session, 1000), Put(session, owner=session), store=store, now=0)

    entry = etcd.range(RangeRequest(b"other")).kvs[0]

    assert entry.lease == 0
    assert etcd.lease_leases().leases == ()
    assert etcd.tick(10_000) == ()
    assert store.sessions() == ()
