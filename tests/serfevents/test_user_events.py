"""User events: fired, told once, too old, too large, gathered, replayed to newcomers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents import (
    Broadcast,
    NotRunning,
    PayloadRejected,
    PayloadTooLarge,
    QueueFull,
    UserEventReceived,
)
from serfevents.user_events import DUPLICATE, FULL, NEW, TOO_OLD, EventBuffer
from serfevents.wire.messages import PushPull, UserEvent
from tests.serfevents.vocabulary import (
    Told,
    address,
    drain,
    encode,
    event,
    hears,
    machine,
    merges,
    only,
    state,
    wait,
)


def received(name: str, ltime: int, payload: bytes = b"", *, coalesce: bool = False) -> object:
    return UserEventReceived(ltime, name, payload, coalesce)


def rejected(reason: str, detail: str) -> PayloadRejected:
    return PayloadRejected(address("b"), reason, detail)


# --- fired -----------------------------------------------------------------------------------


def test_an_event_is_told_here_and_broadcast_with_the_time_of_the_clock() -> None:
    a = machine()

    first, second = a.fire("deploy", b"v1", 0.0), a.fire("deploy", b"v1", 0.0, coalesce=False)

    assert (first, second) == (1, 2)
    assert drain(a) == [
        received("deploy", 1, b"v1", coalesce=True),
        Told(event("deploy", 1, b"v1", coalesce=True)),
        received("deploy", 2, b"v1"),
        Told(event("deploy", 2, b"v1")),
    ]
    assert a.stats.event_names == {"deploy": 2}


def test_name_and_payload_are_limited_and_so_is_their_encoding() -> None:
    a = machine(user_event_size_limit=100)

    with pytest.raises(PayloadTooLarge) as raw:
        a.fire("n", bytes(100), 0.0)
    with pytest.raises(PayloadTooLarge) as encoded:
        a.fire("n", bytes(99), 0.0)

    assert (raw.value.size, raw.value.limit, raw.value.what) == (101, 100, "user event")
    assert encoded.value.size > 100
    assert drain(a) == []
    assert a.fire("n", bytes(60), 0.0) == 1


def test_events_of_our_own_are_refused_while_too_many_wait() -> None:
    a = machine(queue_depth_max=1)
    a.fire("x", b"", 0.0)

    with pytest.raises(QueueFull, match="user events"):
        a.fire("y", b"", 0.0)

    (told,) = [out for out in iter(a.poll, None) if isinstance(out, Broadcast)]
    a.broadcast_finished(told.number, 0.0)
    assert a.fire("y", b"", 0.0) == 2


def test_nothing_is_fired_once_it_is_over() -> None:
    a = machine()
    a.shutdown(0.0)

    with pytest.raises(NotRunning):
        a.fire("x", b"", 0.0)


# --- received --------------------------------------------------------------------------------


def test_a_new_event_is_told_and_passed_on_as_it_came() -> None:
    a = machine()
    # Fields in another order than ours, and one that we don't know.
    payload = b"\x03\x85\xa5LTime\x09\xa4Name\xa1x\xa3New\x01\xa7Payload\xa1p\xa2CC\xc3"

    a.receive(payload, address("b"), 0.0)

    told, *outputs = list(iter(a.poll, None))
    assert isinstance(told, Broadcast)
    assert told.payload == payload
    assert outputs == [received("x", 9, b"p", coalesce=True)]
    assert a.fire("y", b"", 0.0) == 10


def test_the_same_event_is_told_once_however_it_is_written() -> None:
    a = machine()

    hears(a, event("x", 9), event("x", 9), event("x", 9, coalesce=True))

    assert drain(a) == [Told(event("x", 9)), received("x", 9)]
    assert a.stats.duplicates == 2


def test_events_of_one_time_differ_by_name_or_payload() -> None:
    a = machine()

    hears(a, event("x", 9), event("y", 9), event("x", 9, b"other"))

    names = [(out.name, out.payload) for out in only(drain(a), UserEventReceived)]
    assert names == [("x", b""), ("y", b""), ("x", b"other")]


def test_our_own_event_that_comes_back_is_a_repeat() -> None:
    a = machine()
    a.fire("x", b"", 0.0)
    drain(a)

    hears(a, event("x", 1, coalesce=True))

    assert drain(a) == []


def test_an_event_older_than_the_buffer_is_too_old() -> None:
    a = machine(event_buffer=4)
    hears(a, event("x", 9))
    drain(a)

    hears(a, event("still", 6), event("late", 5))

    assert drain(a) == [
        Told(event("still", 6)),
        received("still", 6),
        rejected("event-too-old", "late of Lamport time 5"),
    ]
    assert a.stats.rejected == {"event-too-old": 1}


def test_events_are_not_passed_on_where_too_many_wait_but_told() -> None:
    a = machine(queue_depth_max=1)

    hears(a, event("x", 1), event("y", 1))

    assert drain(a) == [Told(event("x", 1)), received("x", 1), received("y", 1)]
    assert a.stats.rejected == {"queue-full": 1}


def test_an_event_above_all_limits_is_not_believed() -> None:
    a = machine()

    hears(a, event("x", 1, bytes(9216)))

    assert drain(a) == [rejected("too-large", "a user event of 9217 bytes")]


def test_a_time_far_ahead_is_not_believed() -> None:
    a = machine(ltime_jump_max=1000)

    hears(a, event("x", 1002), event("x", 1001))

    assert drain(a) == [
        rejected("ltime-too-far", "1002 while our clock is at 1"),
        Told(event("x", 1001)),
        received("x", 1001),
    ]


def test_only_so_many_names_have_a_counter() -> None:
    a = machine(counted_names_max=1)

    hears(a, event("x", 1), event("y", 2), event("x", 3))

    assert a.stats.event_names == {"x": 2}
    assert a.stats.events == 3


# --- gathered --------------------------------------------------------------------------------

GATHERING: dict[str, Any] = {"user_coalesce_period": 3.0, "user_quiescent_period": 1.0}


def test_the_newest_events_of_each_name_are_told_once_it_is_quiet() -> None:
    a = machine(**GATHERING)

    hears(a, event("x", 5, b"1", coalesce=True), now=0.0)
    hears(a, event("x", 4, b"0", coalesce=True), event("y", 1, coalesce=True), now=0.5)
    hears(a, event("x", 6, b"2", coalesce=True), event("x", 6, b"3", coalesce=True), now=0.9)

    assert only(drain(a), UserEventReceived) == []
    assert only(wait(a, 1.8), UserEventReceived) == []
    assert wait(a, 1.9) == [
        received("x", 6, b"2", coalesce=True),
        received("x", 6, b"3", coalesce=True),
        received("y", 1, coalesce=True),
    ]


def test_they_are_told_at_the_end_of_the_period_however_busy_it_is() -> None:
    a = machine(**GATHERING)
    told = []

    for step in range(40):
        now = step * 0.1
        hears(a, event("x", step + 1, coalesce=True), now=now)
        told += [(now, out.ltime) for out in only(wait(a, now), UserEventReceived)]

    assert told == [(3.0, 31)]


def test_an_event_that_must_not_be_gathered_is_told_at_once() -> None:
    a = machine(**GATHERING)

    hears(a, event("x", 1), event("x", 2, coalesce=True))

    assert only(drain(a), UserEventReceived) == [received("x", 1)]


def test_too_many_gathered_events_are_told_early() -> None:
    a = machine(**GATHERING, coalesced_max=2)

    hears(a, event("x", 1, coalesce=True), event("y", 1, coalesce=True))

    assert len(only(drain(a), UserEventReceived)) == 2
    assert only(wait(a, 9.0), UserEventReceived) == []


def test_what_was_gathered_is_told_at_the_end() -> None:
    a = machine(**GATHERING)
    hears(a, event("x", 1, coalesce=True))
    drain(a)

    a.shutdown(0.1)

    assert drain(a) == [received("x", 1, coalesce=True)]


# --- replayed --------------------------------------------------------------------------------


def test_a_newcomer_is_told_of_old_events_in_order_with_their_flag() -> None:
    a = machine()
    events = (event("z", 7), event("x", 3, b"p", coalesce=True), event("y", 5), event("x", 3))

    merges(a, PushPull(event_ltime=8, events=events))

    assert drain(a) == [
        received("x", 3, b"p", coalesce=True),
        received("x", 3),
        received("y", 5),
        received("z", 7),
    ]
    assert a.fire("new", b"", 0.0) == 8


def test_what_is_known_is_not_replayed() -> None:
    a = machine(event_buffer=4)
    hears(a, event("x", 9))
    drain(a)

    merges(a, PushPull(event_ltime=10, events=(event("x", 9), event("old", 2))))

    assert drain(a) == []
    assert a.stats.rejected == {"event-too-old": 1}


def test_a_state_tells_of_all_events_in_the_buffer() -> None:
    a = machine(event_buffer=4)
    hears(a, event("x", 1), event("y", 7, b"p", coalesce=True), event("z", 6), event("w", 5))

    told = state(a)

    assert told.event_ltime == 8
    assert told.events == (event("w", 5), event("z", 6), event("y", 7, b"p", coalesce=True))


def test_a_join_that_ignores_old_events_tells_none_of_them() -> None:
    a = machine()
    old = PushPull(event_ltime=8, events=(event("x", 3), event("y", 7)))

    a.join_begun(0.0, ignore_old=True)
    merges(a, old, join=True)
    a.join_ended(0, 0.0)
    hears(a, event("z", 7), event("new", 8))

    assert drain(a) == [
        rejected("event-too-old", "z of Lamport time 7"),
        Told(event("new", 8)),
        received("new", 8),
    ]


def test_only_states_of_the_join_are_ignored() -> None:
    a = machine()
    old = PushPull(event_ltime=8, events=(event("x", 3),))

    a.join_begun(0.0, ignore_old=True)
    merges(a, old, join=False)

    assert drain(a) == [received("x", 3)]


def test_a_hostile_replay_ends_at_what_is_not_believed() -> None:
    a = machine(ltime_jump_max=1000)

    merges(a, PushPull(events=(event("x", 1), event("y", 5000), event("z", 6000))))

    assert drain(a) == [
        received("x", 1),
        rejected("ltime-too-far", "5000 while our clock is at 2"),
    ]


# --- the buffer ------------------------------------------------------------------------------


def test_a_full_buffer_forgets_its_oldest_times() -> None:
    buffer = EventBuffer(times=64, size_max=1000)
    for ltime in range(10):
        assert buffer.add(event("x", ltime, bytes(35)), 50) is NEW

    assert buffer.add(event("x", 20, bytes(35)), 50) is NEW

    assert [each.ltime for each in buffer] == [2, 3, 4, 5, 6, 7, 8, 9, 20]
    assert buffer.add(event("x", 1), 50) is TOO_OLD
    buffer.check_invariants()


def test_a_large_event_may_take_the_place_of_all_others() -> None:
    buffer = EventBuffer(times=64, size_max=250)
    assert buffer.add(event("x", 20), 50) is NEW

    assert buffer.add(event("y", 30, bytes(180)), 50) is NEW

    assert [each.name for each in buffer] == ["y"]


def test_a_full_buffer_does_not_forget_the_new_for_the_old() -> None:
    buffer = EventBuffer(times=64, size_max=250)
    assert buffer.add(event("x", 30, bytes(135)), 50) is NEW

    assert buffer.add(event("x", 20), 50) is FULL
    assert buffer.add(event("y", 30), 50) is FULL
    assert buffer.add(event("x", 30, bytes(135)), 50) is DUPLICATE
    buffer.check_invariants()


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("xy")), max_size=60))
def test_the_buffer_is_upstreams_ring(sent: list[tuple[int, str]]) -> None:
    """A model: slot = LTime mod size, older than clock - size is refused."""
    buffer = EventBuffer(times=4, size_max=1 << 20)
    ring: dict[int, tuple[int, list[str]]] = {}
    time = 1

    for ltime, name in sent:
        time = max(time, ltime + 1)
        if time > 4 and ltime < time - 4:
            expected = TOO_OLD
        else:
            slot = ring.get(ltime % 4)
            if slot is None or slot[0] != ltime:
                slot = ring[ltime % 4] = ltime, []
            expected = DUPLICATE if name in slot[1] else NEW
            slot[1].append(name)
        assert buffer.add(UserEvent(ltime, name, b""), time) is expected
        buffer.check_invariants()


def test_an_event_is_encoded_once_for_all() -> None:
    assert encode(event("x", 1)) == encode(UserEvent(1, "x", b"", coalesce=False))
