"""The counters: they begin at nothing, only grow, and count each thing once."""

import attrs
import pytest

from memberlist import Memberlist, Stats
from tests.memberlist.vocabulary import (
    ack_from,
    alive,
    deliver,
    drain,
    encode,
    hears,
    indirect_ping,
    machine,
    next_probe,
    peace,
    ping,
    run,
    suspect,
)


def counted(member: Memberlist) -> dict[str, int]:
    """Return the counters that are not 0, rejections by their reasons."""
    values = attrs.asdict(member.stats)
    rejected: dict[str, int] = values.pop("rejected")
    return {name: value for name, value in (values | rejected).items() if value}


def busy() -> Memberlist:
    """Return a machine in whose life most things happened."""
    a = machine("a", knows="bcd", stream_pings=True)
    hears(a, ping(1), ping(2, "x"), suspect("a", 1, by="b"), indirect_ping(9, "c"), now=0.0)
    hears(a, suspect("d", by="b"), now=0.0)
    probe = next_probe(a)
    ack_from(a, probe.node, probe.sequence, now=probe.at)
    peace(a, 30.0, silent="d")
    a.broadcast(b"x", 30.0, key="k")
    a.broadcast(b"y", 30.0, key="k")
    run(a, 40.0)
    return a


def test_they_begin_at_nothing() -> None:
    assert not any(attrs.astuple(Stats()))
    assert counted(machine("a", fresh=True)) == {}


def test_packets_are_counted_with_their_bytes() -> None:
    a = machine("a", fresh=True)
    question = encode(ping(1))
    deliver(a, ping(1), now=0.0)
    (answer,) = drain(a)
    assert answer

    assert a.stats.packets_received == a.stats.packets_sent == 1
    assert a.stats.bytes_received == len(question)
    assert a.stats.bytes_sent > 0


def test_a_packet_of_many_parts_is_one_packet_and_each_bad_part_one_rejection() -> None:
    a = machine("a", fresh=True)
    deliver(a, ping(1, "x"), ping(2, "x"), ping(3, "x"), now=0.0)

    assert a.stats.packets_received == 1
    assert a.stats.rejected == {"wrong-node": 3}


def test_each_thing_is_counted_under_its_name() -> None:
    assert {
        "probes",
        "probes_failed",
        "indirect_pings",
        "nacks_missed",
        "suspicions",
        "suspicions_expired",
        "suspicions_degraded",
        "refutations",
        "streams_opened",
        "broadcasts_superseded",
        "wrong-node",
    } <= set(counted(busy()))


def test_they_only_grow() -> None:
    a = machine("a", knows="bcd", stream_pings=True)
    before = attrs.asdict(a.stats)
    for number in range(60):
        hears(a, alive("e", number), suspect("b", number, by="c"), ping(number), now=float(number))
        run(a, float(number))
        after = attrs.asdict(a.stats)
        for name, value in before.items():
            if name != "rejected":
                assert after[name] >= value
        before = after


@pytest.mark.parametrize("reason", ["crc", "plaintext"])
def test_rejections_are_counted_by_reason(reason: str) -> None:
    stats = Stats()
    stats.reject(reason)
    stats.reject(reason)

    assert stats == Stats(rejected={reason: 2})


def test_a_dump_has_every_counter_as_a_plain_value() -> None:
    a = busy()

    assert a.dump()["stats"] == attrs.asdict(a.stats)
