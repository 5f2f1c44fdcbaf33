"""Being asked: what is told, what is answered, whom answers go through, what is passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents import PayloadRejected, PayloadTooLarge, QueryReceived, UnknownQuery
from serfevents.answers import QueryBuffer
from serfevents.filters import encode_filters
from serfevents.wire.codec import encode_relay
from serfevents.wire.messages import Query, Relay
from tests.serfevents.vocabulary import (
    OLD_VERSIONS,
    Sent,
    Told,
    ack,
    address,
    answer,
    drain,
    encode,
    hears,
    join,
    joins,
    machine,
    only,
    query,
    relay,
)


def received(to: Query, number: int, now: float = 0.0) -> QueryReceived:
    return QueryReceived(number, to.ltime, to.id, to.name, to.payload, to.source, now + to.timeout)


# --- asked -----------------------------------------------------------------------------------


def test_a_query_is_told_and_passed_on_as_it_came() -> None:
    a = machine("a", knows="b")
    load = query("load", 7, 9, payload=b"?")

    hears(a, load, now=2.0)

    told, event = drain(a)
    assert told == Told(load)
    assert event == received(load, event.query, now=2.0)
    assert a.statistics()["query_time"] == "8"
    assert a.stats.query_names == {"load": 1}


def test_queries_of_one_time_differ_by_their_ids_and_each_is_told_once() -> None:
    a = machine("a", knows="b")

    hears(a, *(query("load", 7, number) for number in (1, 2, 3, 1, 3)))

    assert len(only(drain(a), QueryReceived)) == 3
    assert a.stats.duplicates == 2


def test_a_repeat_with_other_bytes_is_a_repeat() -> None:
    a = machine("a", knows="b")
    hears(a, query("load", 7, 1))
    drain(a)

    hears(a, query("load", 7, 1, payload=b"other"))

    assert drain(a) == []
    assert a.stats.duplicates == 1


def test_a_query_older_than_the_buffer_is_too_old() -> None:
    a = machine("a", query_buffer=4)
    hears(a, query("load", 9))
    drain(a)

    hears(a, query("load", 5), query("load", 6))

    outputs = drain(a)
    assert [out.reason for out in only(outputs, PayloadRejected)] == ["query-too-old"]
    assert [out.ltime for out in only(outputs, QueryReceived)] == [6]


def test_a_query_from_a_far_time_is_not_believed() -> None:
    a = machine("a", ltime_jump_max=10)

    hears(a, query("load", 100))

    assert [out.reason for out in drain(a)] == ["ltime-too-far"]


def test_a_query_that_asks_not_to_be_passed_on_is_not() -> None:
    a = machine("a", knows="b")

    hears(a, query(flags=2))

    assert only(drain(a), Told) == []


def test_a_query_for_others_is_only_passed_on() -> None:
    a = machine("a", knows="b", tags={"role": "web"})
    others = query("load", 1, 1, filters=encode_filters(("b",), {}), flags=1)
    us = query("load", 1, 2, filters=encode_filters(("a",), {"role": "^web"}))

    hears(a, others, us)

    told, both, event = drain(a)
    assert [told, both] == [Told(others), Told(us)]
    assert event.id == 2


@pytest.mark.parametrize("blob", [b"", b"\x07\x80", b"\x00\xa1n", b"\x01\x82\xa4Expr\xa1("])
def test_a_filter_that_is_none_concerns_nobody_and_is_passed_on(blob: bytes) -> None:
    a = machine("a", knows="b")
    odd = query(filters=(blob,), flags=1)

    hears(a, odd)

    told, rejected = drain(a)
    assert told == Told(odd)
    assert (rejected.reason, rejected.source) == ("bad-filter", address("b"))


def test_an_expression_that_is_none_concerns_nobody() -> None:
    a = machine("a", knows="b")

    hears(a, query(filters=(b"\x01\x82\xa4Expr\xa1(\xa3Tag\xa4role",)))

    assert [out.reason for out in only(drain(a), PayloadRejected)] == ["bad-filter"]


def test_an_ack_goes_straight_to_who_asked() -> None:
    a = machine("a", knows="b")
    load = query(flags=1)

    hears(a, load)

    assert only(drain(a), Sent) == [Sent("b", ack(load, "a"))]


def test_a_query_of_serfs_own_that_is_not_known_is_only_passed_on() -> None:
    a = machine("a", knows="b")
    future = query("_serf_future", flags=1)

    hears(a, future)

    told, sent, rejected = drain(a)
    assert (told, sent) == (Told(future), Sent("b", ack(future, "a")))
    assert (rejected.reason, rejected.detail) == ("unknown-internal-query", "_serf_future")


# --- answered --------------------------------------------------------------------------------


def test_a_query_is_answered_once() -> None:
    a = machine("a", knows="b")
    load = query()
    hears(a, load)
    (event,) = only(drain(a), QueryReceived)

    a.respond(event.query, b"fine", 1.0)

    assert drain(a) == [Sent("b", answer(load, "a", b"fine"))]
    with pytest.raises(UnknownQuery) as refused:
        a.respond(event.query, b"again", 1.0)
    assert refused.value.reason == "answered"


def test_an_answer_after_the_deadline_is_refused() -> None:
    a = machine("a", knows="b")
    hears(a, query(timeout=5.0))
    (event,) = only(drain(a), QueryReceived)

    with pytest.raises(UnknownQuery) as refused:
        a.respond(event.query, b"", 5.1)
    a.respond(event.query, b"", 5.0)

    assert refused.value.reason == "expired"


def test_an_answer_to_nothing_is_refused() -> None:
    a = machine("a")

    with pytest.raises(UnknownQuery, match="query 9 can't be answered: unknown"):
        a.respond(9, b"", 0.0)


def test_an_answer_above_its_limit_is_refused_and_may_be_tried_again() -> None:
    a = machine("a", knows="b", query_response_size_limit=100)
    hears(a, query())
    (event,) = only(drain(a), QueryReceived)

    with pytest.raises(PayloadTooLarge) as refused:
        a.respond(event.query, bytes(100), 0.0)
    a.respond(event.query, bytes(20), 0.0)

    assert (refused.value.what, refused.value.limit) == ("response", 100)
    assert len(drain(a)) == 1


def test_only_so_many_queries_wait_for_an_answer() -> None:
    a = machine("a", knows="b", pending_queries_max=2)
    hears(a, *(query("load", 1, number) for number in (1, 2, 3)))
    events = only(drain(a), QueryReceived)

    with pytest.raises(UnknownQuery, match="unknown"):
        a.respond(events[0].query, b"", 0.0)
    a.respond(events[1].query, b"", 0.0)
    a.respond(events[2].query, b"", 0.0)


def test_queries_whose_time_is_up_make_room() -> None:
    a = machine("a", knows="b", pending_queries_max=2)
    hears(a, query("load", 1, 1, timeout=1.0))
    hears(a, query("load", 1, 2, timeout=9.0), query("load", 1, 3), now=2.0)

    assert a.dump()["queries_pending"] == 2


def test_who_is_nowhere_gets_no_answer() -> None:
    a = machine("a", knows="b")
    nowhere = query(flags=1)
    nowhere.address = None

    hears(a, nowhere)

    assert [out.reason for out in only(drain(a), PayloadRejected)] == ["bad-address"]


# --- through others --------------------------------------------------------------------------


def test_an_answer_goes_through_others_besides() -> None:
    a = machine("a", knows="bcdef")
    load = query(relay_factor=2)
    hears(a, load)
    (event,) = only(drain(a), QueryReceived)

    a.respond(event.query, b"fine", 0.0)

    straight, *others = drain(a)
    response = answer(load, "a", b"fine")
    assert straight == Sent("b", response)
    assert [out.message for out in others] == [relay("b", response)] * 2
    assert len({out.to for out in others} - {"a", "b"}) == 2


def test_acks_go_through_others_too() -> None:
    a = machine("a", knows="bc")

    hears(a, query(flags=1, relay_factor=1))

    assert [out.to for out in only(drain(a), Sent)] == ["b", "c"]


def test_the_asker_passes_on_to_itself_only_where_there_is_nobody_else() -> None:
    a = machine("a", knows="b")

    hears(a, query(flags=1, relay_factor=1))

    assert [out.to for out in only(drain(a), Sent)] == ["b", "b"]


def test_in_a_cluster_too_small_for_the_factor_nobody_passes_on() -> None:
    """Source: serf/query.go relayResponse: more members than the factor."""
    a = machine("a", knows="b")

    hears(a, query(flags=1, relay_factor=2))

    assert [out.to for out in only(drain(a), Sent)] == ["b"]


def test_only_living_members_that_are_able_to_pass_on() -> None:
    a = machine("a", knows="bcd")
    joins(a, "e", versions=OLD_VERSIONS)
    joins(a, "f", versions=b"")
    a.member_failed("c", 0.0)
    drain(a)

    hears(a, query(flags=1, relay_factor=4))

    assert [out.to for out in only(drain(a), Sent)] == ["b", "d"]


def test_a_stranger_that_asks_has_nobody_but_others() -> None:
    a = machine("a")
    joins(a, "e", versions=OLD_VERSIONS)
    drain(a)

    hears(a, query(source="z", flags=1, relay_factor=1))

    assert [out.to for out in only(drain(a), Sent)] == ["z"]


# --- passed on -------------------------------------------------------------------------------


def test_an_answer_is_passed_on_to_a_known_member() -> None:
    a = machine("a", knows="bc")
    response = answer(query(), "c", b"fine")

    hears(a, relay("b", response), source="c")

    assert drain(a) == [Sent("b", response)]
    assert a.stats.relayed == 1


def test_old_members_do_not_name_whom_they_mean() -> None:
    a = machine("a", knows="bc")
    response = answer(query(), "c", b"fine")

    hears(a, relay("", response, at=address("b")), source="c")

    assert drain(a) == [Sent("b", response)]


def test_an_answer_for_us_is_taken() -> None:
    a = machine("a", knows="bc")
    a.query("load", b"", 0.0, nodes=["b", "c"])
    ours = only(drain(a), Told)[0].message

    hears(a, relay("a", answer(ours, "b", b"fine")), source="c")

    (out,) = drain(a)
    assert (out.source, out.payload) == ("b", b"fine")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (relay("z", answer(query(), "c")), "relay-unknown-destination"),
        (relay("b", answer(query(), "c"), at=address("y")), "relay-unknown-destination"),
        (relay("", answer(query(), "c"), at=address("y")), "relay-unknown-destination"),
        (relay("b", join("b", 1)), "relay-bad-message"),
        (Relay(address("b"), "b", b""), "relay-bad-message"),
        (Relay(address("b"), "b", b"\x05\xff"), "malformed"),
        (Relay(None, "b", encode(answer(query(), "c"))), "bad-address"),
        (relay("b", answer(query(), "c", bytes(2100))), "too-large"),
    ],
)
def test_nothing_else_is_passed_on_and_to_nobody_else(message: Relay, reason: str) -> None:
    a = machine("a", knows="b")

    a.receive(encode_relay(message), address("c"), 0.0)

    assert [(out.reason, out.source) for out in drain(a)] == [(reason, address("c"))]


# --- the buffer ------------------------------------------------------------------------------


def test_a_full_buffer_forgets_its_oldest_times() -> None:
    buffer = QueryBuffer(times=64, ids_max=4, ltime_min=0)
    for ltime in (1, 2, 3, 3):
        buffer.add(ltime, buffer.count, 50)

    assert buffer.add(9, 1, 50) == "new"
    assert buffer.add(1, 0, 50) == "query-too-old"
    assert buffer.add(3, 9, 50) == "new"
    buffer.check_invariants()


def test_the_smallest_buffer_knows_the_newest() -> None:
    buffer = QueryBuffer(times=64, ids_max=1, ltime_min=0)

    assert buffer.add(1, 1, 50) == "new"
    assert buffer.add(2, 1, 50) == "new"
    assert buffer.add(2, 1, 50) == "duplicate"


def test_a_full_buffer_does_not_forget_the_new_for_the_old() -> None:
    buffer = QueryBuffer(times=64, ids_max=2, ltime_min=0)
    buffer.add(9, 1, 50)
    buffer.add(9, 2, 50)

    assert buffer.add(8, 1, 50) == "query-buffer-full"
    assert buffer.add(9, 3, 50) == "query-buffer-full"


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=60))
def test_the_buffer_is_upstreams_ring(sent: list[tuple[int, int]]) -> None:
    """A model: slot = LTime mod size, older than clock - size is refused."""
    buffer = QueryBuffer(times=4, ids_max=1 << 20, ltime_min=0)
    ring: dict[int, tuple[int, list[int]]] = {}
    time = 1

    for ltime, number in sent:
        time = max(time, ltime + 1)
        if time > 4 and ltime < time - 4:
            expected = "query-too-old"
        else:
            slot = ring.get(ltime % 4)
            if slot is None or slot[0] != ltime:
                slot = ring[ltime % 4] = ltime, []
            expected = "duplicate" if number in slot[1] else "new"
            slot[1].append(number)
        assert buffer.add(ltime, number, time) == expected
        buffer.check_invariants()
