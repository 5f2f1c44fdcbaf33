"""The common ground: numbers, depths of queues, clocks that are believed and remembered."""

import random

import pytest

from serfevents import Config, Kind, PayloadRejected, QueueFull, Recovered, Remember
from serfevents.core import Core
from serfevents.outputs import Broadcast
from serfevents.records import Clock, EventClock


def core(recovered: Recovered | None = None, **changes: object) -> Core:
    config = Config().changed(**changes)
    return Core("a", config, random.Random(1), 0.0, recovered or Recovered())


def test_the_first_time_of_every_clock_is_1_or_after_what_was_seen() -> None:
    fresh, old = core(), core(Recovered((), 42, 50, 100))

    assert [fresh.clock.time, fresh.event_clock.time, fresh.query_clock.time] == [1, 1, 1]
    assert [old.clock.time, old.event_clock.time, old.query_clock.time] == [43, 51, 101]


def test_broadcasts_are_numbered_and_counted_by_kind_until_reported() -> None:
    a = core()

    first = a.broadcast(Kind.EVENT, b"x")
    second = a.broadcast(Kind.INTENT, b"y", "key")

    assert first != second
    assert list(a.outputs) == [
        Broadcast(first, b"x", Kind.EVENT),
        Broadcast(second, b"y", Kind.INTENT, "key"),
    ]
    assert [a.depth(kind) for kind in Kind] == [1, 0, 1]
    assert (a.broadcast_finished(first), a.broadcast_finished(first)) == (True, False)
    assert [a.depth(kind) for kind in Kind] == [1, 0, 0]
    a.check_invariants()


def test_a_full_queue_refuses_our_own_and_drops_what_others_said() -> None:
    a = core(queue_depth_max=1)
    a.pass_on(Kind.QUERY, b"x")

    with pytest.raises(QueueFull, match="queries"):
        a.require_room(Kind.QUERY)
    a.pass_on(Kind.QUERY, b"y")
    a.require_room(Kind.EVENT)

    assert a.depth(Kind.QUERY) == 1
    assert a.stats.rejected == {"queue-full": 1}


@pytest.mark.parametrize(
    ("least", "members", "depth"), [(0, 100, 9), (16, 100, 200), (999, 1, 999)]
)
def test_the_depth_may_grow_with_the_members(least: int, members: int, depth: int) -> None:
    a = core(queue_depth_max=9, queue_depth_min=least)

    a.member_count = members

    assert a.depth_max == depth


def test_a_far_time_is_not_believed() -> None:
    a = core(ltime_jump_max=10)

    assert a.witness(a.clock, 12, "b") is False
    assert a.witness(a.clock, 11, "b") is True
    assert a.witness(a.clock, 5, "b") is True

    assert a.clock.time == 12
    assert list(a.outputs) == [PayloadRejected("b", "ltime-too-far", "12 while our clock is at 1")]


def test_moved_clocks_are_remembered_together_after_a_while() -> None:
    a = core(snapshot=True, remember_interval=0.5)
    a.witness(a.clock, 5, None)
    a.witness(a.event_clock, 6, None)
    a.witness(a.event_clock, 7, None)

    assert a.timers.next() == 0.5
    due = a.timers.pop_due(0.5)
    assert due is not None
    due[0](due[1])

    assert list(a.outputs) == [Remember(Clock(5)), Remember(EventClock(7))]
    assert a.timers.next() is None


def test_clocks_can_be_remembered_at_once() -> None:
    a = core(snapshot=True)
    a.witness(a.clock, 5, None)

    a.remember_clocks()
    a.remember_clocks()

    assert list(a.outputs) == [Remember(Clock(5))]
    assert a.timers.next() is None


def test_without_a_snapshot_there_is_no_timer() -> None:
    a = core()

    a.witness(a.clock, 5, None)
    a.remember_clocks()

    assert a.timers.next() is None
    assert not a.outputs
