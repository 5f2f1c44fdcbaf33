"""Sessions: what depends on them, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.change import Cause
from kvstore.commands import (
    Invalidate,
    Lock,
    Put,
    SessionClose,
    SessionOpen,
    SessionRenew,
    Tick,
    Touch,
    Txn,
    Unlock,
)
from kvstore.config import Config
from kvstore.refusals import BadTtl, Malformed, SessionExists, TooLarge
from kvstore.results import CloseOk, RenewOk, SessionOk, TickOk
from kvstore.state.sessions import Session
from kvstore.store import Store
from tests.kvstore.driving import done, keys, made, refused


def test_a_session_is_told_as_it_was_asked_for() -> None:
    store = Store()
    command = SessionOpen("s", 10_000, "delete", 70_000, ("node:web-1",), "web", (("k", "v"),))

    result = done(store, command, SessionOk, now=500)

    session = Session("s", 10_000, "delete", 60_000, ("node:web-1",), "web", (("k", "v"),), 1)
    assert result == SessionOk(session, 10_500)
    assert store.session("s") == session
    assert store.sessions() == (session,)
    assert store.session_deadline("s") == 10_500
    assert session.node == "web-1"
    assert store.revision == 0


def test_an_id_is_made_from_the_index() -> None:
    store = made(Put("a"))

    result = done(store, SessionOpen(), SessionOk)

    assert result.session.id == "0000000000000002"
    assert (result.deadline, result.session.node) == (None, "")


def test_an_id_that_is_taken_is_refused() -> None:
    store = made(SessionOpen("s"))

    assert refused(store, SessionOpen("s"), SessionExists).session == "s"


def test_a_ttl_out_of_range_is_refused_with_the_range() -> None:
    store = Store(Config(session_ttl_min=100, session_ttl_max=200))

    refusal = refused(store, SessionOpen(ttl=99), BadTtl)

    assert (refusal.ttl, refusal.minimum, refusal.maximum) == (99, 100, 200)
    refused(store, SessionOpen(ttl=201), BadTtl)
    made(SessionOpen(ttl=100), SessionOpen(ttl=200), store=store)


def test_a_session_lasts_its_ttl_times_the_grace() -> None:
    store = Store(Config(session_grace=2))

    assert done(store, SessionOpen("s", 1000), SessionOk, now=100).deadline == 2100


def test_renewal_begins_the_ttl_anew_for_many_at_once() -> None:
    store = made(SessionOpen("s", 1000), SessionOpen("t"), now=0)

    applied = store.apply(SessionRenew(("s", "gone", "t", "s")), now=700)

    assert applied.result == RenewOk((("s", 1700), ("t", None)), ("gone",))
    assert applied.changed is False


# --- the end


def test_closing_releases_what_it_holds_and_deletes_what_it_owns() -> None:
    store = made(SessionOpen("s"), Lock("held", "s", b"1"), Put("owned", owner="s"), Put("x"))

    applied = store.apply(SessionClose("s"))

    assert applied.result == CloseOk(("s",), 1, 1)
    assert [(event.kind, event.key, event.cause) for event in applied.events] == [
        ("put", "held", Cause.SESSION),
        ("delete", "owned", Cause.SESSION),
    ]
    held = store.get("held")
    assert held is not None
    assert (held.lock_session, held.lock_count, held.value, held.version) == ("", 1, b"1", 2)
    assert store.session("s") is None
    store.check_invariants()


def test_a_session_may_delete_what_it_holds() -> None:
    store = made(SessionOpen("s", on_end="delete"), Lock("b", "s"), Lock("a", "s"))

    applied = store.apply(SessionClose("s"))

    assert applied.result == CloseOk(("s",), 0, 2)
    assert [event.key for event in applied.events] == ["a", "b"]


def test_a_key_that_is_held_and_owned_goes_once() -> None:
    store = made(SessionOpen("s"), Lock("a", "s"), Put("a", owner="s"), now=0)

    assert done(store, SessionClose("s"), CloseOk, now=0) == CloseOk(("s",), 0, 1)
    assert store.lock_delay("a") == 15_000


def test_the_owner_keeps_a_key_whose_holder_ends() -> None:
    store = made(SessionOpen("s"), SessionOpen("t"), Put("a", owner="t"), Lock("a", "s"))

    assert done(store, SessionClose("s"), CloseOk) == CloseOk(("s",), 1, 0)
    assert store.session_keys("t") == ("a",)


def test_closing_an_unknown_session_is_done_already() -> None:
    store = Store()

    assert done(store, SessionClose("s"), CloseOk) == CloseOk((), 0, 0)


def test_any_end_arms_the_delay_but_unlocking_does_not() -> None:
    store = made(SessionOpen("s", on_end="delete"), Lock("a", "s"), Lock("b", "s"), now=0)
    made(Unlock("b", "s"), SessionClose("s"), store=store, now=100)

    assert (store.lock_delay("a"), store.lock_delay("b")) == (15_100, None)


def test_a_session_without_delay_leaves_none() -> None:
    store = made(SessionOpen("s", lock_delay=0), Lock("a", "s"), SessionClose("s"))

    assert store.lock_delay("a") is None


def test_the_longer_of_two_delays_counts() -> None:
    store = made(SessionOpen("s", lock_delay=10_000), SessionOpen("t", lock_delay=1_000), now=0)
    made(Lock("a", "s"), SessionClose("s"), store=store, now=0)
    made(Lock("a", "t"), store=store, now=10_000)
    made(SessionClose("t"), store=store, now=10_000)

    assert store.lock_delay("a") == 11_000


def test_bindings_end_every_session_that_has_one() -> None:
    store = made(
        SessionOpen("t", bindings=("node:x", "check:y")),
        SessionOpen("s", bindings=("node:x", "node:x")),
        SessionOpen("u", bindings=("node:z",)),
        Lock("b", "s"),
        Lock("a", "t"),
    )

    applied = store.apply(Invalidate(("node:x", "check:y", "node:unknown")))

    assert applied.result == CloseOk(("s", "t"), 2, 0)
    assert [event.key for event in applied.events] == ["b", "a"]
    assert [session.id for session in store.sessions()] == ["u"]
    assert done(store, Invalidate(("node:x",)), CloseOk) == CloseOk((), 0, 0)


def test_a_key_of_two_sessions_that_end_at_once_changes_once() -> None:
    store = made(
        SessionOpen("s", bindings=("n",)),
        SessionOpen("t", bindings=("n",)),
        Lock("a", "s"),
        Put("a", owner="t"),
        Lock("b", "t"),
        Put("b", owner="s"),
    )

    applied = store.apply(Invalidate(("n",)))

    assert applied.result == CloseOk(("s", "t"), 1, 2)
    assert [(event.kind, event.key) for event in applied.events] == [
        ("delete", "a"),
        ("delete", "b"),
    ]
    store.check_invariants()


# --- time


def test_a_tick_ends_what_is_due_and_nothing_else() -> None:
    store = made(SessionOpen("s", 1000), SessionOpen("t", 2000), now=0)
    made(Put("owned", owner="s"), Put("a", ttl=500), Put("b", ttl=5000), store=store, now=0)

    assert done(store, Tick(), TickOk, now=499) == TickOk((), 0, False)
    applied = store.apply(Tick(), now=1000)

    assert applied.result == TickOk(("s",), 1, False)
    assert [(event.key, event.cause) for event in applied.events] == [
        ("a", Cause.TTL),
        ("owned", Cause.SESSION),
    ]
    assert store.next_deadline == 2000
    store.check_invariants()


def test_a_stale_or_repeated_tick_changes_nothing() -> None:
    store = made(SessionOpen("s", 1000), SessionRenew(("s",)), now=0)
    made(SessionRenew(("s",)), store=store, now=800)

    assert done(store, Tick(), TickOk, now=1000).sessions == ()
    assert done(store, Tick(), TickOk, now=1800).sessions == ("s",)
    assert store.apply(Tick(), now=1800).changed is False


def test_a_renewed_key_outlives_its_first_deadline() -> None:
    store = made(Put("a", ttl=100), now=0)
    made(Touch(("a",)), store=store, now=90)

    assert done(store, Tick(), TickOk, now=100).keys == 0
    assert done(store, Tick(), TickOk, now=190).keys == 1


def test_a_tick_does_a_bounded_part_and_tells_that_there_is_more() -> None:
    store = made(*(SessionOpen(f"s{number}", 1000) for number in range(3)), now=0)
    made(*(Put(f"k{number}", ttl=1000) for number in range(3)), store=store, now=0)

    told = [done(store, Tick(2), TickOk, now=1000) for _ in range(4)]

    assert [(tick.sessions, tick.keys, tick.more) for tick in told] == [
        (("s0", "s1"), 0, True),
        (("s2",), 1, True),
        ((), 2, False),
        ((), 0, False),
    ]


def test_a_session_with_more_keys_than_a_tick_may_take_ends_whole() -> None:
    store = made(SessionOpen("s", 1000), SessionOpen("t", 1000), now=0)
    made(*(Put(f"k{number}", owner="s") for number in range(5)), store=store, now=0)

    first = done(store, Tick(2), TickOk, now=1000)

    assert (first.sessions, first.more, keys(store)) == (("s",), True, [])
    assert done(store, Tick(2), TickOk, now=1000).sessions == ("t",)


def test_a_session_that_does_not_fit_waits_for_the_next_tick() -> None:
    store = made(SessionOpen("s", 1000), SessionOpen("t", 1000), now=0)
    made(*(Put(f"k{number}", owner="t") for number in range(5)), store=store, now=0)

    assert done(store, Tick(3), TickOk, now=1000).sessions == ("s",)
    assert done(store, Tick(3), TickOk, now=1000).sessions == ("t",)


def test_sessions_of_one_tick_end_in_the_order_of_their_ids() -> None:
    store = Store()
    made(SessionOpen("b", 1000), store=store, now=0)
    made(SessionOpen("a", 2000), store=store, now=0)
    made(Put("kb", owner="b"), Put("ka", owner="a"), store=store)

    applied = store.apply(Tick(), now=3000)

    assert applied.result == TickOk(("a", "b"), 0, False)
    assert [event.key for event in applied.events] == ["ka", "kb"]


def test_ended_delays_are_forgotten_in_time() -> None:
    store = made(SessionOpen("s"), Lock("a", "s"), SessionClose("s"), now=0)

    made(Tick(), store=store, now=15_000)

    assert store.lock_delay("a") is None
    assert not store.state.sessions.delays.table


def test_time_goes_on_in_a_transaction_s_index_too() -> None:
    store = made(Put("a", ttl=10), Txn((), (Touch(("a",)),)), now=100)

    assert store.next_deadline == 110


# --- what is refused

WRONG: Any = object()


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (SessionOpen(""), "id"),
        (SessionOpen(5), "id"),  # type: ignore[arg-type]
        (SessionOpen(ttl="1"), "ttl"),  # type: ignore[arg-type]
        (SessionOpen(on_end="keep"), "on_end"),  # type: ignore[arg-type]
        (SessionOpen(on_end=WRONG), "on_end"),
        (SessionOpen(lock_delay=-1), "lock_delay"),
        (SessionOpen(bindings="node:x"), "bindings"),  # type: ignore[arg-type]
        (SessionOpen(name=b"x"), "name"),  # type: ignore[arg-type]
        (SessionOpen(meta={"a": "b"}), "meta"),  # type: ignore[arg-type]
        (SessionOpen(meta=(("a",),)), "meta"),  # type: ignore[arg-type]
        (SessionOpen(meta=(("a", 1),)), "meta"),  # type: ignore[arg-type]
        (SessionOpen(meta=("ab",)), "meta"),  # type: ignore[arg-type]
        (SessionRenew("s"), "ids"),  # type: ignore[arg-type]
        (SessionClose(5), "id"),  # type: ignore[arg-type]
        (Invalidate(("a", 1)), "bindings"),  # type: ignore[arg-type]
        (Tick(0), "limit"),
    ],
)
def test_a_malformed_field_is_refused_and_named(command: Any, field: str) -> None:
    assert refused(Store(), command, Malformed).field == field


@pytest.mark.parametrize(
    "command",
    [
        SessionOpen("s" * 5000),
        SessionOpen(bindings=("b",) * 1001),
        SessionOpen(meta=(("a", "b"),) * 65),
    ],
)
def test_what_is_too_large_is_refused(command: Any) -> None:
    refused(Store(), command, TooLarge)
