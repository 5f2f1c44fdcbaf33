"""The machine as a whole: its life from the first member to the last output."""

import random
from typing import Any

import pytest

from serfevents import (
    Change,
    Config,
    LeaveMembership,
    Left,
    MembersChanged,
    NotRunning,
    PayloadRejected,
    PayloadTooLarge,
    QueryReceived,
    Recovered,
    Rejoin,
    Remember,
    SerfEvents,
    Status,
    UpdateMeta,
    UserEventReceived,
    encode_tags,
)
from serfevents.filters import encode_filters
from serfevents.outputs import Broadcast
from serfevents.records import Alive, Clock, EventClock, Leave, NotAlive, QueryClock, Record
from serfevents.wire.messages import PushPull
from tests.serfevents.vocabulary import (
    VERSIONS,
    Told,
    address,
    changed,
    drain,
    event,
    hears,
    join,
    joins,
    leave,
    machine,
    member,
    merges,
    meta,
    only,
    query,
    state,
    status,
    wait,
)


def records(outputs: list[Any]) -> list[Record]:
    return [out.record for out in only(outputs, Remember)]


def number_of(made: SerfEvents) -> int:
    """Return the number of the broadcast that was just put out."""
    (told,) = [out for out in iter(made.poll, None) if isinstance(out, Broadcast)]
    return told.number


# --- what it is ------------------------------------------------------------------------------


def test_it_tells_who_it_is() -> None:
    a = machine("a", tags={"role": "web"}, event_buffer=4)

    assert (a.name, a.own.address, a.config.event_buffer) == ("a", address("a"), 4)
    assert a.meta == encode_tags({"role": "web"}, 5)
    assert a.own.versions == VERSIONS
    assert a.member("z") is None
    assert not a.is_leaving
    assert not a.is_over
    assert a.rotation is None


def test_its_versions_may_be_given() -> None:
    a = machine("a", options={"versions": bytes([1, 5, 2, 2, 5, 4])})

    assert a.own.versions == bytes([1, 5, 2, 2, 5, 4])
    with pytest.raises(ValueError, match="six bytes"):
        machine("a", options={"versions": b"12345"})


def test_its_statistics_have_serfs_names() -> None:
    a = machine("a", knows="bcd", options={"keys": lambda: [bytes(16)]})
    a.member_failed("b", 0.0)
    a.member_left("c", 0.0)
    a.fire("x", b"", 0.0)

    assert a.statistics() == {
        "members": "4",
        "failed": "1",
        "left": "1",
        "member_time": "1",
        "event_time": "2",
        "query_time": "1",
        "intent_queue": "0",
        "event_queue": "1",
        "query_queue": "0",
        "encrypted": "true",
    }


def test_a_dump_is_plain() -> None:
    a = machine("a", knows="b", tags={"role": "web"})

    dump = a.dump()

    assert dump["members"]["a"] == {
        "status": "alive",
        "address": "10.0.0.1:7946",
        "status_ltime": 0,
        "tags": {"role": "web"},
        "versions": list(VERSIONS),
    }
    assert dump["stats"]["member_join"] == 2


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"name": ""}, ValueError),
        ({"name": "x" * 129}, ValueError),
        ({"name": 1}, TypeError),
        ({"address": ("0.0.0.0", 1)}, ValueError),
        ({"address": ("10.0.0.1", 0)}, ValueError),
        ({"address": "10.0.0.1"}, ValueError),
        ({"now": float("nan")}, ValueError),
        ({"now": "0"}, TypeError),
        ({"tags": {"role": "x" * 600}}, PayloadTooLarge),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], refusal: type[Exception]) -> None:
    good: dict[str, Any] = {"name": "a", "address": address("a"), "now": 0.0}
    given = good | arguments

    with pytest.raises(refusal):
        SerfEvents(given.pop("name"), given.pop("address"), rng=random.Random(1), **given)


# --- what comes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "unknown-type"),
        (b"\x63", "unknown-type"),
        (b"\x02\x80", "unknown-type"),
        (b"\x03", "malformed"),
        (b"\x03\x93\x01\x02\x03", "malformed"),
        (b"\x03\x81\xa5LTime\xa1x", "bad-field"),
        (b"\x03" + bytes(200_000), "too-large"),
    ],
)
def test_a_payload_that_is_none_is_rejected_and_counted(payload: bytes, reason: str) -> None:
    a = machine()

    a.receive(payload, "b", 0.0)

    (out,) = drain(a)
    assert (out.source, out.reason) == ("b", reason)
    assert a.stats.rejected == {reason: 1}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "unknown-type"),
        (b"\x03\x80", "unknown-type"),
        (b"\x02", "malformed"),
        (b"\x02\x81\xacStatusLTimes\x81\xa1a\xff", "bad-field"),
        (b"\x02" + bytes(5 << 20), "too-large"),
    ],
)
def test_a_state_that_is_none_is_rejected_and_counted(payload: bytes, reason: str) -> None:
    a = machine()

    a.merge(payload, 0.0, join=False, source="b")

    (out,) = drain(a)
    assert (out.source, out.reason) == ("b", reason)


def test_only_bytes_are_taken() -> None:
    a = machine()

    with pytest.raises(TypeError, match="a payload is bytes"):
        a.receive(bytearray(b"\x03"), None, 0.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a state must be bytes"):
        a.merge("text", 0.0, join=False)  # type: ignore[arg-type]


def test_traffic_is_counted() -> None:
    a = machine()
    hears(a, event("x", 1))
    hears(a, query(flags=1))

    stats = a.stats
    assert (stats.messages_received, stats.messages_sent) == (2, 3)
    assert 0 < stats.bytes_received < stats.bytes_sent


def test_a_report_of_a_broadcast_counts_once() -> None:
    a = machine()
    a.fire("x", b"", 0.0)
    number = number_of(a)

    a.broadcast_finished(number, 0.0)
    a.broadcast_finished(number, 0.0)
    a.broadcast_finished(-1, 0.0)

    assert a.statistics()["event_queue"] == "0"


def test_time_must_be_a_number_of_seconds() -> None:
    a = machine()

    with pytest.raises(ValueError, match="finite"):
        a.handle_timeout(float("inf"))
    with pytest.raises(ValueError, match="finite"):
        a.receive(b"", None, 1e15)


# --- tags ------------------------------------------------------------------------------------


def test_new_tags_are_announced_and_told() -> None:
    a = machine("a", tags={"role": "web"})

    a.set_tags({"role": "db"}, 0.0)

    assert drain(a) == [
        changed(Change.UPDATE, member("a", role="db")),
        UpdateMeta(meta(role="db")),
    ]
    assert a.meta == meta(role="db")


def test_the_same_tags_are_announced_again_but_no_change() -> None:
    a = machine("a", tags={"role": "web"})

    a.set_tags({"role": "web"}, 0.0)

    assert drain(a) == [UpdateMeta(meta(role="web"))]


def test_queries_match_the_new_tags() -> None:
    a = machine("a", tags={"role": "web"})
    a.set_tags({"role": "db"}, 0.0)
    drain(a)

    hears(a, query(filters=encode_filters((), {"role": "db"})))

    assert len(only(drain(a), QueryReceived)) == 1


def test_before_version_3_only_the_role_is_told() -> None:
    a = machine("a", tags={"role": "web", "dc": "east"}, protocol_version=2)

    assert a.meta == b"web"
    assert a.own.tags == {"role": "web"}


def test_who_is_leaving_does_not_change_its_tags() -> None:
    a = machine("a", knows="b")
    a.leave(0.0)

    with pytest.raises(NotRunning):
        a.set_tags({}, 0.0)


# --- leaving ---------------------------------------------------------------------------------


def test_a_leave_is_told_before_the_membership_is_left_and_then_rests() -> None:
    a = machine("a", knows="b", leave_propagate_delay=1.0)

    a.leave(1.0)
    number = number_of(a)
    a.broadcast_finished(number + 1, 1.5)
    early = drain(a)
    a.broadcast_finished(number, 2.0)
    told = drain(a)
    a.membership_left(3.0)

    assert early == []
    assert told == [LeaveMembership()]
    assert drain(a) == [changed(Change.LEAVE, member("a", Status.LEFT))]
    assert wait(a, 3.9) == []
    assert wait(a, 4.0) == [Left()]
    assert a.is_over
    assert a.next_timeout() is None


def test_a_leave_that_is_not_sent_in_time_goes_on() -> None:
    a = machine("a", knows="b", broadcast_timeout=5.0)

    a.leave(0.0)

    assert drain(a) == [Told(leave("a", 1))]
    assert wait(a, 5.0) == [LeaveMembership()]
    assert status(a, "a") is Status.LEAVING


def test_where_nobody_is_left_to_be_told_the_membership_is_left_at_once() -> None:
    a = machine("a", knows="b", leave_propagate_delay=0.0)
    a.member_failed("b", 0.0)
    drain(a)

    a.leave(0.0)
    told = drain(a)
    a.membership_left(0.0)

    assert told == [Told(leave("a", 1)), LeaveMembership()]
    assert drain(a)[-1] == Left()


def test_our_leave_intent_is_not_refuted_by_its_echo_or_anybody() -> None:
    a = machine("a", knows="b")
    a.leave(0.0)
    drain(a)

    hears(a, leave("a", 1), leave("a", 9))
    merges(a, PushPull(status_ltimes={"a": 20}))
    a.join_ended(1, 0.0)

    assert drain(a) == [Told(leave("a", 9))]


def test_events_and_queries_go_on_while_it_leaves() -> None:
    a = machine("a", knows="b")
    a.leave(0.0)
    drain(a)

    hears(a, event("x", 1), query())

    assert len(only(drain(a), UserEventReceived, QueryReceived)) == 2


def test_a_report_that_nobody_waits_for_is_nothing() -> None:
    a = machine("a", knows="b")

    a.membership_left(0.0)

    assert drain(a) == []
    assert not a.is_over


def test_it_leaves_once() -> None:
    a = machine("a", knows="b")
    a.leave(0.0)

    with pytest.raises(NotRunning):
        a.leave(0.0)


def gone(**changes: Any) -> SerfEvents:
    """Return a member that has left."""
    a = machine("a", knows="b", leave_propagate_delay=0.0, **changes)
    a.leave(0.0)
    a.broadcast_finished(number_of(a), 0.0)
    a.membership_left(0.0)
    assert a.is_over
    drain(a)
    return a


def test_after_the_end_nothing_is_taken() -> None:
    a = gone()

    hears(a, event("x", 1), now=9.0)
    merges(a, PushPull(ltime=9), now=9.0)
    joins(a, "z", now=9.0)
    a.member_updated("b", address("b"), meta(x="y"), VERSIONS, 9.0)
    a.member_failed("b", 9.0)
    a.member_left("b", 9.0)
    a.name_conflict("a", address("z"), 9.0)
    a.broadcast_finished(1, 9.0)
    a.join_begun(9.0)
    a.join_ended(1, 9.0)
    a.membership_left(9.0)
    a.keyring_changed(1, 9.0)
    a.handle_timeout(9.0)
    a.shutdown(9.0)

    assert drain(a) == []
    with pytest.raises(NotRunning):
        a.leave(9.0)
    with pytest.raises(NotRunning):
        a.force_leave("b", 9.0)


# --- coming back -----------------------------------------------------------------------------


def test_a_member_that_left_can_come_back() -> None:
    a = gone()

    a.rejoin(1.0)

    assert drain(a) == [changed(Change.JOIN, member("a")), Told(join("a", 2))]
    assert not a.is_leaving
    assert a.next_timeout() is not None
    hears(a, leave("a", 9), now=2.0)
    assert drain(a) == [Told(join("a", 10))]


def test_broadcasts_that_are_reported_after_a_leave_do_not_count_as_waiting_for_ever() -> None:
    a = machine("a", broadcast_timeout=1.0, leave_propagate_delay=0.0, knows="b")
    a.leave(0.0)
    number = number_of(a)
    wait(a, 1.0)
    a.membership_left(1.0)
    assert a.is_over

    a.broadcast_finished(number, 2.0)
    a.rejoin(3.0)
    a.broadcast_finished(number_of(a), 4.0)

    assert a.statistics()["intent_queue"] == "0"


def test_a_leave_can_be_called_off() -> None:
    a = machine("a", knows="b")
    a.leave(0.0)
    drain(a)

    a.rejoin(1.0)

    assert drain(a) == [Told(join("a", 2))]
    assert status(a, "a") is Status.ALIVE
    assert only(wait(a, 10.0), LeaveMembership) == []


def test_who_has_not_left_can_not_come_back() -> None:
    a = machine("a")

    with pytest.raises(ValueError, match="has not left"):
        a.rejoin(0.0)


def test_who_was_shut_down_can_not_come_back() -> None:
    a = machine("a")
    a.shutdown(0.0)

    with pytest.raises(NotRunning):
        a.rejoin(0.0)
    assert a.is_over
    assert not a.is_leaving


# --- what is remembered ----------------------------------------------------------------------


def test_who_is_alive_and_who_is_not_is_remembered() -> None:
    a = machine("a", fresh=True, snapshot=True)
    joins(a, "b")
    a.member_updated("b", address("b"), meta(x="y"), VERSIONS, 0.0)
    a.member_updated("b", address("y"), meta(x="y"), VERSIONS, 0.0)
    a.member_failed("b", 0.0)
    a.member_left("b", 0.0)
    a.member_updated("b", address("z"), meta(), VERSIONS, 0.0)

    assert records(drain(a)) == [
        Alive("a", address("a")),
        Alive("b", address("b")),
        Alive("b", address("y")),
        NotAlive("b"),
    ]


def test_a_member_that_is_pruned_alive_is_not_remembered_as_alive() -> None:
    """Serf's snapshot goes on listing it."""
    a = machine("a", knows="b", snapshot=True)
    a.force_leave("b", 0.0, prune=True)

    outputs = drain(a) + wait(a, 10.0)

    assert records(outputs) == [Clock(1), NotAlive("b")]


def test_clocks_are_remembered_now_and_then_as_what_was_seen() -> None:
    a = machine("a", snapshot=True, remember_interval=0.5)

    hears(a, event("x", 40), event("y", 41), query("q", 50), join("b", 9), now=1.0)

    assert records(drain(a)) == []
    assert records(wait(a, 1.4)) == []
    assert records(wait(a, 1.5)) == [Clock(9), EventClock(41), QueryClock(50)]
    a.fire("x", b"", 2.0)
    assert records(wait(a, 3.0)) == [EventClock(42)]
    assert records(wait(a, 9.0)) == []


def test_a_leave_is_remembered_after_the_clocks_and_before_the_rest() -> None:
    a = machine("a", knows="b", snapshot=True)
    hears(a, event("x", 40))

    a.leave(0.1)
    a.shutdown(0.2)

    assert records(drain(a)) == [EventClock(40), Leave(), Clock(1)]


def test_without_a_snapshot_nothing_is_remembered() -> None:
    a = machine("a", knows="b")
    hears(a, event("x", 40))
    a.leave(0.0)

    assert records(drain(a) + wait(a, 30.0)) == []


def test_who_comes_back_remembers_who_is_there() -> None:
    a = gone(snapshot=True)

    a.rejoin(1.0)

    assert records(drain(a)) == [Alive("b", address("b")), Alive("a", address("a"))]


def test_a_new_life_goes_on_where_the_old_one_ended() -> None:
    past = Recovered(
        (Alive("b", address("b")), Alive("a", address("a")), Alive("c", address("c"))), 42, 50, 100
    )

    a = machine("a", fresh=True, options={"recovered": past})

    (rejoin,) = only(drain(a), Rejoin)
    assert sorted(rejoin.addresses) == [address("b"), address("c")]
    clocks = [a.statistics()[key] for key in ("member_time", "event_time", "query_time")]
    assert clocks == ["43", "51", "101"]
    hears(a, event("old", 50), query("old", 100), event("new", 51), query("new", 101))
    outputs = drain(a)
    names = [out.name for out in only(outputs, UserEventReceived, QueryReceived)]
    assert sorted(names) == ["new", "new"]
    reasons = [out.reason for out in only(outputs, PayloadRejected)]
    assert reasons == ["event-too-old", "query-too-old"]


def test_the_order_of_rejoining_is_one_of_chance() -> None:
    past = Recovered(tuple(Alive(f"n{i}", address(f"n{i}")) for i in range(20)))

    orders = set()
    for seed in range(5):
        a = machine("a", seed=seed, fresh=True, options={"recovered": past})
        orders.add(only(drain(a), Rejoin)[0].addresses)

    assert len(orders) == 5


def test_a_past_of_nobody_but_us_asks_for_nothing() -> None:
    past = Recovered((Alive("a", address("a")),), 3)

    a = machine("a", fresh=True, options={"recovered": past})

    assert drain(a) == [MembersChanged(Change.JOIN, (member("a"),))]


# --- push/pull -------------------------------------------------------------------------------


def test_a_state_carries_everything_from_one_member_to_another() -> None:
    a, b = machine("a", knows="bc"), machine("b", knows="ac")
    a.fire("x", b"p", 0.0)
    hears(a, leave("c", 5), query("q", 7))

    b.merge(a.state(join=True), 0.0, join=True, source=address("a"))

    assert state(b).status_ltimes == {"b": 0, "a": 0, "c": 5}
    assert only(drain(b), UserEventReceived) == [UserEventReceived(1, "x", b"p", True)]
    assert b.statistics()["query_time"] == a.statistics()["query_time"] == "8"


def test_clocks_of_a_state_from_a_far_time_are_not_believed() -> None:
    a = machine("a", ltime_jump_max=10)

    merges(a, PushPull(event_ltime=100, query_ltime=100))

    assert a.statistics()["event_time"] == "1"
    assert [out.reason for out in drain(a)] == ["ltime-too-far"] * 2


def test_a_hostile_state_does_not_make_future_events_too_old() -> None:
    a = machine("a", ltime_jump_max=10)
    a.join_begun(0.0, ignore_old=True)

    merges(a, PushPull(event_ltime=2**60), join=True)
    a.join_ended(1, 0.0)
    drain(a)
    hears(a, event("x", 1))

    assert len(only(drain(a), UserEventReceived)) == 1
    assert Config().event_buffer == 512
