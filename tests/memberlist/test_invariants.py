from typing import Any

import pytest

from memberlist.invariants import OUTPUTS_MAX, WATCHED_MAX, InvariantBroken, Invariants
from memberlist.node import DEAD, LEFT, SUSPECT
from memberlist.outputs import (
    Evidence,
    HealthChanged,
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    SendDatagram,
)
from memberlist.testing import Cluster
from tests.memberlist.toy import record, toys

A = ("10.0.0.1", 7946)


def broken(rule: str, *events: Any) -> None:
    """Let a member say something; the last of it must break one rule."""
    cluster = toys(2, idle=True)
    for event in events[:-1]:
        cluster.call("n1", "say", event)
    with pytest.raises(InvariantBroken, match=rf"^{rule}: ") as caught:
        cluster.call("n1", "say", events[-1])
    assert caught.value.rule == rule


def invariants(cluster: Cluster) -> Invariants:
    assert cluster.invariants is not None
    return cluster.invariants


# --- each invariant can fail


def test_an_incarnation_that_goes_back_is_seen_in_what_others_hold_of_it() -> None:
    broken(
        "incarnation", MemberJoined(record("x", 5)), MemberFailed(record("x", 4, DEAD), "n1", None)
    )


def test_an_incarnation_that_goes_back_is_seen_at_the_member_itself() -> None:
    cluster = toys(2, idle=True)
    cluster.call("n1", "become", 5)

    with pytest.raises(InvariantBroken, match=r"^incarnation: n1 went back to 4 itself"):
        cluster.call("n1", "become", 4)


def test_a_restarted_member_begins_anew_and_so_does_what_it_knows() -> None:
    cluster = toys(2, idle=True)
    cluster.call("n1", "become", 5)
    cluster.call("n1", "say", MemberJoined(record("x", 5)))

    cluster.restart("n1")
    cluster.call("n1", "say", MemberJoined(record("x", 2)))

    assert cluster.machine("n1").incarnation == 0


@pytest.mark.parametrize(
    "end", [MemberFailed(record("x", 5, DEAD), "n1", None), MemberLeft(record("x", 5, LEFT))]
)
def test_a_resurrection_needs_a_newer_incarnation(end: Any) -> None:
    broken("resurrection", MemberJoined(record("x", 5)), end, MemberJoined(record("x", 5)))


def test_a_refutation_needs_a_newer_incarnation() -> None:
    suspected = MemberSuspected(record("x", 5, SUSPECT), Evidence("n1", (), 0.0, 1.0, None, 0))

    broken("resurrection", suspected, MemberRefuted(record("x", 5), 1.0))


def test_a_life_with_newer_incarnations_breaks_nothing() -> None:
    cluster = toys(1)
    suspected = MemberSuspected(record("x", 5, SUSPECT), Evidence("n1", (), 0.0, 1.0, None, 0))
    life = [
        MemberJoined(record("x", 5)),
        suspected,
        MemberRefuted(record("x", 6), 1.0),
        MemberUpdated(record("x", 6), record("x", 5)),
        MemberFailed(record("x", 6, DEAD), "n1", None),
        MemberJoined(record("x", 7)),
        MemberLeft(record("x", 7, LEFT)),
        MemberForgotten(record("x", 7, LEFT)),
        MemberJoined(record("x", 1)),
    ]

    for event in life:
        cluster.call("n1", "say", event)

    assert [event for _, _, event in cluster.trace] == life


def test_a_packet_over_its_size_is_seen() -> None:
    broken("datagram-size", SendDatagram(A, bytes(1401)))


def test_a_record_that_is_changed_is_seen() -> None:
    cluster = toys(2, idle=True)
    node = record("x", 5)
    cluster.call("n1", "say", MemberJoined(node))
    invariants(cluster).finish()

    node.incarnation = 6

    with pytest.raises(
        InvariantBroken, match=r"^mutation: MemberJoined node=<x .* alive 5> became"
    ):
        invariants(cluster).finish()


def test_a_shared_record_that_is_changed_is_seen() -> None:
    cluster = toys(2, idle=True)
    cluster.machine("n1").others[0].meta = b"mine"

    with pytest.raises(
        InvariantBroken, match=r"^mutation: <n2 .* alive 1> became <n2 .* meta=.mine"
    ):
        invariants(cluster).finish()


def test_an_output_that_is_changed_is_seen_as_the_run_goes_on() -> None:
    cluster = toys(2, idle=True)
    sent = SendDatagram(A, b"x")
    cluster.call("n1", "say", sent)
    sent.data = b"y"

    for _ in range(WATCHED_MAX - 1):
        cluster.call("n1", "say", HealthChanged(1, 0, "late"))
    with pytest.raises(InvariantBroken, match=r"^mutation: .*b'x'"):
        cluster.call("n1", "say", HealthChanged(1, 0, "late"))


def test_a_flood_of_outputs_is_seen() -> None:
    cluster = toys(1)
    toy = cluster.machine("n1")
    toy._outputs.extend([HealthChanged(1, 0, "late")] * (OUTPUTS_MAX + 1))

    with pytest.raises(InvariantBroken, match=r"^bounded: 202 outputs of one input of n1"):
        cluster.call("n1", "say", HealthChanged(1, 0, "late"))


def test_a_table_that_holds_more_than_ever_existed_is_seen() -> None:
    cluster = toys(2, idle=True)
    cluster.machine("n1").others.extend([record("ghost", 1)])

    with pytest.raises(InvariantBroken, match=r"^bounded: n1 knows more members than ever were"):
        cluster.call("n1", "become", 1)


def test_a_deadline_in_the_past_is_seen() -> None:
    cluster = toys(2, idle=True)
    cluster.run(5.0)

    with pytest.raises(InvariantBroken, match=r"^busy: at 5.0 the deadline of n1 is 4.0"):
        cluster.call("n1", "wake_at", 4.0)


def test_a_machine_that_finds_itself_broken_stops_the_run() -> None:
    cluster = Cluster(seed=1)
    cluster.start(2)
    cluster.machine("n1")._table._rotation.clear()

    with pytest.raises(AssertionError, match="rotation"):
        cluster.run(5.0)


def test_disagreement_is_seen_on_demand() -> None:
    cluster = toys(2)
    cluster.machine("n1").others.clear()

    with pytest.raises(
        InvariantBroken, match=r"^convergence: at 0.000: n1 holds None, the truth is"
    ):
        cluster.check_convergence()
