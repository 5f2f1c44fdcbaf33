"""The counters: they begin at nothing, and Serf's are found under its names."""

import attrs

from serfevents import Stats
from serfevents.stats import count_name
from tests.serfevents.vocabulary import ack, drain, event, hears, joins, machine, query


def test_they_begin_at_nothing() -> None:
    assert not any(attrs.asdict(Stats()).values())


def test_rejections_are_counted_by_reason() -> None:
    stats = Stats()

    stats.reject("malformed")
    stats.reject("malformed")
    stats.reject("too-large")

    assert stats.rejected == {"malformed": 2, "too-large": 1}


def test_names_are_counted_up_to_a_limit() -> None:
    names: dict[str, int] = {}

    for name in "abcab":
        count_name(names, name, 2)

    assert names == {"a": 2, "b": 2}


def test_metrics_have_serfs_names() -> None:
    a = machine("a")
    joins(a, "b")
    a.member_failed("b", 1.0)
    joins(a, "b", now=2.0)
    number = a.query("load", b"", 3.0, ack=True)
    assert number
    told = [out for out in drain(a) if hasattr(out, "message")]
    hears(a, ack(told[0].message, "b"), ack(told[0].message, "b"), event("x", 9), query("q", 9))

    metrics = a.stats.metrics()

    assert {name: count for name, count in metrics.items() if count} == {
        "serf.events": 1,
        "serf.events.x": 1,
        "serf.queries": 2,
        "serf.queries.load": 1,
        "serf.queries.q": 1,
        "serf.member.join": 3,
        "serf.member.failed": 1,
        "serf.member.flap": 1,
        "serf.msgs.received": 4,
        "serf.msgs.sent": 3,
        "serf.query_acks": 2,
        "serf.query_duplicate_acks": 1,
    }
