"""Asking the cluster: who is expected, what counts, when it is over."""

import pytest

from serfevents import (
    InvalidExpression,
    NotRunning,
    PayloadRejected,
    PayloadTooLarge,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    QueueFull,
    SerfEvents,
    UnsupportedVersion,
    default_query_timeout,
)
from serfevents.wire.codec import decode_filter
from serfevents.wire.messages import NodeFilter, Query, TagFilter
from tests.serfevents.vocabulary import (
    OLD_VERSIONS,
    Sent,
    Told,
    ack,
    address,
    answer,
    drain,
    hears,
    joins,
    machine,
    only,
    query,
    wait,
)

HEARD = (QueryAcknowledged, QueryAnswered, QueryFinished)


def asked(made: SerfEvents) -> Query:
    """Return the query that was just broadcast or sent."""
    told = [out.message for out in drain(made) if isinstance(out, Told | Sent)]
    assert isinstance(told[0], Query)
    return told[0]


def respond_ourselves(made: SerfEvents, payload: bytes = b"", now: float = 0.0) -> None:
    (received,) = only(drain(made), QueryReceived)
    made.respond(received.query, payload, now)


# --- asked -----------------------------------------------------------------------------------


def test_a_query_is_broadcast_and_asked_here_too() -> None:
    a = machine("a", knows="b")

    number = a.query("load", b"?", 1.0)

    told, received = drain(a)
    ours = told.message
    assert (ours.ltime, ours.source, ours.address) == (1, "a", address("a"))
    assert (ours.name, ours.payload, ours.flags) == ("load", b"?", 0)
    assert 0 <= ours.id < 2**31
    assert received == QueryReceived(
        received.query, 1, ours.id, "load", b"?", "a", 1.0 + ours.timeout
    )
    assert received.query != number


def test_an_ack_of_ours_comes_at_once() -> None:
    a = machine("a", knows="b")

    number = a.query("load", b"", 0.0, ack=True)

    assert only(drain(a), *HEARD) == [QueryAcknowledged(number, "a")]


def test_filters_and_factor_are_told() -> None:
    a = machine("a", knows="bc")

    a.query("load", b"", 0.0, nodes=["b", "c"], tags={"role": "^web"}, relay_factor=3, ack=True)

    ours = asked(a)
    assert [decode_filter(each) for each in ours.filters] == [
        NodeFilter(("b", "c")),
        TagFilter("role", "^web"),
    ]
    assert (ours.relay_factor, ours.flags) == (3, 1)


def test_the_default_timeout_grows_with_the_members() -> None:
    few = machine("a", gossip_interval=0.1)
    many = machine("a", knows=[f"n{i}" for i in range(9)], gossip_interval=0.1)

    few.query("load", b"", 0.0)
    many.query("load", b"", 0.0)

    assert (asked(few).timeout, asked(many).timeout) == (1.6, 3.2)
    assert many.default_query_timeout == default_query_timeout(10, 0.1, 16)


def test_a_query_that_is_not_broadcast_goes_to_those_concerned() -> None:
    a = machine("a")
    joins(a, "b", role="web")
    joins(a, "c", role="db")
    drain(a)

    a.query("load", b"", 0.0, tags={"role": "web"}, broadcast=False)

    (sent,) = drain(a)
    assert sent.to == "b"
    assert sent.message.flags == 2


def test_a_query_that_is_not_broadcast_goes_to_few_only() -> None:
    a = machine("a", knows="bcd", direct_query_max=2)

    with pytest.raises(ValueError, match="direct_query_max is 2"):
        a.query("load", b"", 0.0, broadcast=False)

    assert drain(a) == []


def test_a_query_above_its_limit_is_refused() -> None:
    a = machine("a", query_size_limit=200)

    with pytest.raises(PayloadTooLarge) as refused:
        a.query("load", bytes(150), 0.0)

    assert (refused.value.what, refused.value.limit) == ("query", 200)
    assert drain(a) == []


def test_too_many_open_queries_are_refused() -> None:
    a = machine("a", knows="b", open_queries_max=1)
    a.query("load", b"", 0.0)

    with pytest.raises(QueueFull, match="open queries"):
        a.query("load", b"", 0.0)

    wait(a, 10.0)
    a.query("load", b"", 10.0)


def test_queries_are_refused_while_too_many_wait_to_be_sent() -> None:
    a = machine("a", knows="b", queue_depth_max=1)
    a.query("load", b"", 0.0)

    with pytest.raises(QueueFull, match="queries"):
        a.query("load", b"", 0.0)


def test_versions_before_4_have_no_queries() -> None:
    a = machine("a", protocol_version=3)

    with pytest.raises(UnsupportedVersion, match="needs protocol version 4"):
        a.query("load", b"", 0.0)
    with pytest.raises(UnsupportedVersion):
        a.list_keys(0.0)


def test_an_expression_that_is_none_is_refused() -> None:
    a = machine("a")

    with pytest.raises(InvalidExpression):
        a.query("load", b"", 0.0, tags={"role": "(?=web)"})


def test_nothing_is_asked_once_it_is_over() -> None:
    a = machine("a")
    a.shutdown(0.0)

    with pytest.raises(NotRunning):
        a.query("load", b"", 0.0)


# --- answered --------------------------------------------------------------------------------


def test_a_query_is_over_as_soon_as_everybody_has_answered() -> None:
    a = machine("a", knows="bc")
    number = a.query("load", b"", 0.0, ack=True)
    outputs = drain(a)
    ours = only(outputs, Told)[0].message
    (received,) = only(outputs, QueryReceived)

    a.respond(received.query, b"1", 0.1)
    hears(a, ack(ours, "b"), answer(ours, "b", b"2"), ack(ours, "c"), now=0.2)
    early = drain(a)
    hears(a, answer(ours, "c", b"3"), now=0.3)

    assert early == [
        QueryAnswered(number, "a", b"1"),
        QueryAcknowledged(number, "b"),
        QueryAnswered(number, "b", b"2"),
        QueryAcknowledged(number, "c"),
    ]
    assert drain(a) == [QueryAnswered(number, "c", b"3"), QueryFinished(number, 3, 3, 3, True)]
    assert (a.stats.query_acks, a.stats.query_responses) == (3, 3)


def test_only_those_that_match_are_expected() -> None:
    a = machine("a")
    joins(a, "b", role="web")
    joins(a, "c", role="db")
    drain(a)
    number = a.query("load", b"", 0.0, tags={"role": "web"})
    ours = asked(a)

    hears(a, answer(ours, "b"))

    assert drain(a) == [QueryAnswered(number, "b", b""), QueryFinished(number, 1, 0, 1, True)]


def test_without_all_answers_it_is_over_when_its_time_is_up() -> None:
    a = machine("a", knows="bc")
    number = a.query("load", b"", 0.0, nodes=["b", "c"], timeout=2.0)
    ours = asked(a)
    hears(a, answer(ours, "b"), now=1.0)
    drain(a)

    assert wait(a, 1.9) == []
    assert wait(a, 2.0) == [QueryFinished(number, 2, 0, 1, False)]


def test_a_query_that_concerns_nobody_known_stays_open_for_others() -> None:
    a = machine("a")
    number = a.query("load", b"", 0.0, nodes=["z"], timeout=2.0)
    ours = asked(a)

    hears(a, answer(ours, "z"), now=1.0)

    assert drain(a) == [QueryAnswered(number, "z", b"")]
    assert wait(a, 2.0) == [QueryFinished(number, 0, 0, 1, False)]


@pytest.mark.parametrize("goes", ["member_failed", "member_left"])
def test_nobody_waits_for_a_member_that_is_gone(goes: str) -> None:
    a = machine("a", knows="bc")
    number = a.query("load", b"", 0.0, nodes=["b", "c"], ack=True)
    ours = asked(a)
    hears(a, ack(ours, "b"), answer(ours, "b"), ack(ours, "c"))
    drain(a)

    getattr(a, goes)("c", 1.0)

    assert only(drain(a), QueryFinished) == [QueryFinished(number, 1, 2, 1, True)]


def test_who_answers_is_counted_once() -> None:
    a = machine("a", knows="bc")
    a.query("load", b"", 0.0, ack=True)
    ours = asked(a)

    hears(a, ack(ours, "b"), ack(ours, "b"), answer(ours, "b"), answer(ours, "b", b"other"))

    assert len(drain(a)) == 2
    stats = a.stats
    assert (stats.query_duplicate_acks, stats.query_duplicate_responses) == (1, 1)


def test_an_answer_after_the_end_is_late_and_no_offence() -> None:
    a = machine("a", knows="b")
    a.query("load", b"", 0.0, nodes=["b"])
    ours = asked(a)
    hears(a, answer(ours, "b"))
    drain(a)

    hears(a, answer(ours, "b"), answer(ours, "c"))

    assert drain(a) == []
    assert a.stats.query_late == 2


def test_an_answer_to_nothing_is_rejected() -> None:
    a = machine("a", knows="b")
    a.query("load", b"", 0.0)
    ours = asked(a)

    hears(a, answer(query(ltime=ours.ltime, id=ours.id ^ 1), "b"))

    assert drain(a) == [PayloadRejected(address("b"), "unknown-query", "an answer of 'b'")]


def test_an_ack_that_nobody_asked_for_is_rejected() -> None:
    a = machine("a", knows="b")
    a.query("load", b"", 0.0)
    ours = asked(a)

    hears(a, ack(ours, "b"))

    assert [out.reason for out in drain(a)] == ["unwanted-ack"]


def test_two_queries_of_one_lamport_time_do_not_clobber_each_other() -> None:
    """Serf registers them by Lamport time only."""
    a = machine("a", knows="b", seed=3)
    first = a.query("load", b"", 0.0, nodes=["b"])
    one = asked(a)
    # Another member's query of the same time must not take the place of ours either.
    hears(a, query("other", one.ltime, one.id ^ 1))
    drain(a)
    second = a.query("uptime", b"", 0.0, nodes=["b"])
    two = asked(a)

    hears(a, answer(two, "b", b"2"), answer(one, "b", b"1"))

    assert only(drain(a), QueryAnswered) == [
        QueryAnswered(second, "b", b"2"),
        QueryAnswered(first, "b", b"1"),
    ]


def test_members_that_are_not_expected_may_answer_but_not_without_end() -> None:
    a = machine("a", knows="b")
    number = a.query("load", b"", 0.0, nodes=["b"], ack=True)
    ours = asked(a)

    for index in range(70):
        hears(a, ack(ours, f"n{index}"), answer(ours, f"n{index}"))

    outputs = drain(a)
    assert len(only(outputs, QueryAnswered)) == 64
    assert {out.reason for out in only(outputs, PayloadRejected)} == {"too-many-answers"}
    hears(a, ack(ours, "b"), answer(ours, "b"))
    assert only(drain(a), QueryFinished) == [QueryFinished(number, 1, 65, 65, True)]


def test_a_ping_is_over_when_everybody_has_acknowledged_it() -> None:
    a = machine("a", knows="b")
    number = a.query("_serf_ping", b"", 0.0, ack=True)
    outputs = drain(a)
    ours = only(outputs, Told)[0].message

    hears(a, ack(ours, "b"))

    assert only(outputs, QueryReceived) == []
    assert drain(a) == [QueryAcknowledged(number, "b"), QueryFinished(number, 2, 2, 0, True)]


def test_open_queries_are_finished_when_it_is_over() -> None:
    a = machine("a", knows="b")
    number = a.query("load", b"", 0.0)
    drain(a)

    a.shutdown(0.1)

    assert only(drain(a), QueryFinished) == [QueryFinished(number, 2, 0, 0, False)]


def test_our_own_answer_needs_no_network() -> None:
    a = machine("a")
    number = a.query("load", b"", 0.0, relay_factor=5)

    respond_ourselves(a, b"fine")

    assert drain(a) == [QueryAnswered(number, "a", b"fine"), QueryFinished(number, 1, 0, 1, True)]


def test_an_old_member_is_expected_too() -> None:
    a = machine("a")
    joins(a, "b", versions=OLD_VERSIONS)
    drain(a)

    number = a.query("load", b"", 0.0, nodes=["b"], timeout=1.0)
    drain(a)

    assert wait(a, 1.0) == [QueryFinished(number, 1, 0, 0, False)]
