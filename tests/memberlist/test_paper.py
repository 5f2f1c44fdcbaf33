"""What the papers say a member does, sentence by sentence, shown on single machines.

SWIM is Das, Gupta, Motivala: "SWIM: Scalable Weakly-consistent Infection-style Process Group
Membership Protocol" (DSN 2002). Lifeguard is Dadgar, Phillips, Currey: "Lifeguard: Local Health
Awareness for More Accurate Failure Detection" (DSN 2018). What they say of whole clusters
(detection times, false positives, load) is in tests/simulation/test_papers.py. Where memberlist
departs from a paper and we follow it, the test says so.
"""

import math
from typing import Any

import pytest

from memberlist import HealthChanged, MemberFailed, Memberlist, MemberSuspected, NodeState
from memberlist.broadcasts import retransmit_limit
from memberlist.messages import IndirectPing, Ping
from memberlist.node import ALIVE, DEAD, LEFT, SUSPECT
from memberlist.suspicion import suspicion_timeout, suspicion_timeout_min
from tests.memberlist.vocabulary import (
    Message,
    Sent,
    ack,
    ack_from,
    address,
    alive,
    dead,
    drain,
    hears,
    indirect_ping,
    left,
    machine,
    nack,
    nack_from,
    news,
    next_probe,
    node,
    of,
    peace,
    ping,
    run,
    sent,
    suspect,
    tell_all,
    timeline,
)

# --- SWIM ------------------------------------------------------------------------------------


def test_in_each_protocol_period_one_member_is_pinged() -> None:
    """SWIM 3.1: "a random member is selected (say Mj) and a ping message sent to it"."""
    a = machine("a", knows="bcd")
    line = [(at, packet) for at, packet in timeline(a, 0.999) if isinstance(packet, Sent)]
    for _ in range(20):
        probe = next_probe(a)
        line.append((probe.at, probe.packet))
        ack_from(a, probe.node, probe.sequence, now=probe.at)

    times = [at for at, packet in line if isinstance(packet.messages[0], Ping)]
    assert len({int(at - times[1] + 0.5) for at in times[1:]}) == 20


def test_an_ack_answers_the_ping_of_its_period_only() -> None:
    """SWIM 3.1: "unique period sequence numbers [...] included in the message"."""
    a = machine("a", knows="b")
    first = next_probe(a)
    run(a, first.at + 1.0)
    second = next_probe(a)

    ack_from(a, "b", first.sequence, now=second.at + 0.1)
    assert drain(a) == []
    ack_from(a, "b", second.sequence, now=second.at + 0.1)
    assert len(drain(a)) > 0


def test_without_an_ack_k_members_are_asked_to_ping_in_our_place() -> None:
    """SWIM 3.1: "Mi selects k members at random and sends each a ping-req(Mj) message"."""
    a = machine("a", knows="bcdefgh", indirect_checks=3)
    probe = next_probe(a)

    requests = of(Sent, run(a, probe.at + 0.5))

    assert len({packet.to for packet in requests}) == 3
    assert all(
        (request.sequence, request.node, request.target)
        == (probe.sequence, probe.node, address(probe.node))
        for packet in requests
        for request in packet.messages
        if isinstance(request, IndirectPing)
    )
    assert not {address("a"), address(probe.node)} & {packet.to for packet in requests}


def test_a_helper_pings_and_forwards_the_ack() -> None:
    """SWIM 3.1: "each of these members in turn pings Mj, and forwards the ack [...] to Mi"."""
    h = machine("h", knows="ac", probe_interval=1000.0)
    (asked,) = hears(h, indirect_ping(77, "c", by="a"), source="a", now=1.0)
    assert asked.to == address("c")

    answer = hears(h, ack(asked.messages[0].sequence), source="c", now=1.1)

    assert answer == [sent("a", ack(77))]


@pytest.mark.parametrize(
    ("answers", "suspected"), [("direct", 0), ("indirect", 0), ("nobody", 1), ("late", 1)]
)
def test_at_the_end_of_the_period_any_ack_will_do(answers: str, suspected: int) -> None:
    """SWIM 3.1: "checks if it has received any acks, directly from Mj or indirectly"."""
    a = machine("a", knows="bcd")
    probe = next_probe(a)
    run(a, probe.at + 0.99)
    helper = next(name for name in "bcd" if name != probe.node)
    if answers in ("direct", "indirect"):
        source = probe.node if answers == "direct" else helper
        ack_from(a, source, probe.sequence, now=probe.at + 0.99)
    outputs = drain(a) + run(a, probe.at + 1.0)
    if answers == "late":
        ack_from(a, probe.node, probe.sequence, now=probe.at + 1.0)

    assert len(of(MemberSuspected, outputs + drain(a))) == suspected


def test_updates_ride_on_pings_requests_and_acks() -> None:
    """SWIM 4.1: piggybacked "on the ping, ping-req and ack messages"; no multicast is needed."""
    update = alive("e", 1)
    a = machine("a", knows="bcd", indirect_checks=2)
    hears(a, update, now=0.0)

    probe = next_probe(a)
    requests = of(Sent, run(a, probe.at + 0.5))
    (answer,) = hears(a, ping(5), now=probe.at + 0.6)

    assert len(requests) == 2
    assert all(update in packet.messages for packet in (probe.packet, *requests, answer))


@pytest.mark.parametrize("n", [5, 50])
def test_an_update_is_piggybacked_lambda_log_n_times(n: int) -> None:
    """SWIM 4.1: "at most lambda log n times"; memberlist takes lambda 4 and whole decades."""
    a = machine("a", knows=[f"n{number}" for number in range(2, n)])
    hears(a, alive("b", 1), now=0.0)
    told = 0
    while news(a, 0.0):
        told += 1

    assert told == retransmit_limit(4, n) == 4 * math.ceil(math.log10(n + 1))


def test_what_was_gossiped_less_is_preferred() -> None:
    """SWIM 4.1: "elements [...] gossiped fewer number of times are preferred"."""
    small = [alive(f"n{number}", 1, meta=bytes(200)) for number in range(1, 4)]
    a = machine("a", knows="bc", datagram_size=600)
    hears(a, small[0], now=0.0)
    news(a, 0.0)
    hears(a, small[1], now=0.0)
    hears(a, small[2], now=0.0)

    assert news(a, 0.0)[0] == small[2]
    assert small[0] not in news(a, 0.0)[:1]


def test_a_suspected_member_is_still_in_the_list() -> None:
    """SWIM 4.2: "Mj is treated similar to a non-faulty member with respect to ping target"."""
    a = machine("a", knows="c")
    hears(a, suspect("c", by="b"), now=0.0)

    assert next_probe(a).node == "c"


def test_a_suspected_member_that_does_not_answer_in_time_is_declared_faulty() -> None:
    """SWIM 4.2: "declares Mj as faulty [...] and begins to disseminate a Confirm message"."""
    a = machine("a", knows="bcd")
    hears(a, suspect("c", by="b"), now=0.0)

    (failed,) = of(MemberFailed, [output for _, output in peace(a, 24.0)])

    assert (failed.node.name, failed.declared_by) == ("c", "a")
    assert news(a, 24.0) == (dead("c", by="a"),)


def test_only_a_member_itself_raises_its_incarnation() -> None:
    """SWIM 4.2: "only Mi can increment its own incarnation number"."""
    a, c = machine("a", knows="bcd"), machine("c", knows="abd")
    accusation = suspect("c", 1, by="b")

    hears(a, accusation, now=0.0)
    hears(c, accusation, now=0.0)

    held = a.member("c")
    assert held is not None
    assert (held.incarnation, c.incarnation) == (1, 2)
    assert news(c, 0.0) == (alive("c", 2),)


def believed(held: tuple[NodeState, int], claim: Message) -> bool:
    """Tell whether a claim changes what a machine holds of c."""
    state, incarnation = held
    a = machine("a", knows=["b", node("c", incarnation)])
    before: dict[NodeState, Message] = {
        SUSPECT: suspect("c", incarnation, by="b"),
        DEAD: dead("c", incarnation, by="b"),
        LEFT: left("c", incarnation),
    }
    if state is not ALIVE:
        hears(a, before[state], now=0.0)
    hears(a, claim, source="b", now=0.0)
    after = a.member("c")
    assert after is not None
    return (after.state, after.incarnation) != held


ORDER = [(i, j) for i in (1, 2, 3) for j in (1, 2, 3)]


@pytest.mark.parametrize(("i", "j"), ORDER)
def test_alive_overrides_by_a_higher_incarnation_only(i: int, j: int) -> None:
    """SWIM 4.2: Alive i overrides Suspect j and Alive j, i > j."""
    assert believed((ALIVE, j), alive("c", i)) == (i > j)
    assert believed((SUSPECT, j), alive("c", i)) == (i > j)


@pytest.mark.parametrize(("i", "j"), ORDER)
def test_suspect_overrides_alive_of_its_own_incarnation_too(i: int, j: int) -> None:
    """SWIM 4.2: Suspect i overrides Suspect j, i > j, and Alive j, i >= j."""
    assert believed((ALIVE, j), suspect("c", i, by="b")) == (i >= j)
    assert believed((SUSPECT, j), suspect("c", i, by="b")) == (i > j)


@pytest.mark.parametrize("state", [ALIVE, SUSPECT])
@pytest.mark.parametrize(("i", "j"), ORDER)
def test_dead_overrides_alive_and_suspect(state: NodeState, i: int, j: int) -> None:
    """SWIM 4.2: Confirm overrides whatever incarnation; memberlist's only i >= j."""
    assert believed((state, j), dead("c", i, by="b")) == (i >= j)


@pytest.mark.parametrize("state", [DEAD, LEFT])
@pytest.mark.parametrize(("i", "j"), ORDER)
def test_the_dead_come_back_by_a_higher_incarnation_only(state: NodeState, i: int, j: int) -> None:
    """SWIM 4.2 lets nobody come back; memberlist's members do, with i > j."""
    assert believed((state, j), alive("c", i)) == (i > j)


def test_every_member_is_pinged_within_two_rounds() -> None:
    """SWIM 4.3: round robin; "at most 2n - 1 protocol periods apart"."""
    a = machine("a", knows="bcdef")
    order = []
    for _ in range(200):
        probe = next_probe(a)
        ack_from(a, probe.node, probe.sequence, now=probe.at)
        order.append(probe.node)

    for start in range(0, 200, 5):
        assert sorted(order[start : start + 5]) == list("bcdef")


def test_a_new_member_is_inserted_at_a_random_place() -> None:
    """SWIM 4.3: "inserted in the membership list at a position [...] chosen uniformly"."""
    places = []
    for seed in range(60):
        a = machine("a", knows="bcd", seed=seed)
        hears(a, alive("e", 1), now=0.0)
        round_ = []
        for _ in range(4):
            probe = next_probe(a)
            ack_from(a, probe.node, probe.sequence, now=probe.at)
            round_.append(probe.node)
        places.append(round_.index("e"))

    assert all(6 <= places.count(place) <= 26 for place in range(4))


# --- Lifeguard: LHA-Probe --------------------------------------------------------------------


def score_after(happenings: str) -> tuple[int, list[Any]]:
    """Let things happen to a member (r: it refutes, a: an ack) and return its health."""
    a = machine("a", knows="bcd")
    changes = []
    for happening in happenings:
        if happening == "r":
            changes += of(HealthChanged, hears(a, suspect("a", a.incarnation, by="b"), now=0.0))
        else:
            probe = next_probe(a)
            ack_from(a, probe.node, probe.sequence, now=probe.at)
            changes += of(HealthChanged, drain(a))
    return a.health, changes


def test_refuting_a_suspicion_about_oneself_is_a_sign_of_bad_health() -> None:
    """Lifeguard, LHA-Probe: refute +1, successful probe -1."""
    assert score_after("rr") == (
        2,
        [HealthChanged(1, 0, "refuted"), HealthChanged(2, 1, "refuted")],
    )
    assert score_after("rra")[0] == 1


def test_the_multiplier_saturates_on_both_sides() -> None:
    """Lifeguard, LHA-Probe: from 0 to S; memberlist stops at S - 1 = 7."""
    assert score_after("aa")[0] == 0
    assert score_after("r" * 20)[0] == 7
    assert score_after("r" * 20 + "a")[0] == 6


def test_a_failed_probe_is_a_sign_of_bad_health() -> None:
    """Lifeguard, LHA-Probe: failed probe +1 (here with nobody who could say nack)."""
    a = machine("a", knows="b")
    probe = next_probe(a)

    assert of(HealthChanged, run(a, probe.at + 1.0)) == [HealthChanged(1, 0, "probe-failed")]


@pytest.mark.parametrize("nacks", [0, 1, 2])
def test_each_missed_nack_is_a_sign_of_bad_health(nacks: int) -> None:
    """Lifeguard, LHA-Probe: missed nack +1; a failed probe with all nacks is the peer's fault."""
    a = machine("a", knows="bcd")
    probe = next_probe(a)
    run(a, probe.at + 0.5)
    for helper in [name for name in "bcd" if name != probe.node][:nacks]:
        nack_from(a, helper, probe.sequence, now=probe.at + 0.9)
    peace(a, probe.at + 1.4, silent=probe.node)

    assert a.health == 2 - nacks


def test_a_helper_says_nack_at_80_percent_of_the_timeout() -> None:
    """Lifeguard, footnote 5."""
    h = machine("h", knows="ac")
    hears(h, indirect_ping(77, "c", by="a"), source="a", now=1.0)

    line = [at for at, output in timeline(h, 2.0) if output == sent("a", nack(77))]

    assert line == [1.0 + 0.8 * h.config.probe_timeout]


@pytest.mark.parametrize("score", [0, 1, 4])
def test_timeout_and_interval_grow_with_the_multiplier(score: int) -> None:
    """Lifeguard, LHA-Probe: both x (LHM + 1), with `scale_probe_timeout`."""
    a = machine("a", knows="bcd", scale_probe_timeout=True)
    for _ in range(score):
        hears(a, suspect("a", a.incarnation, by="b"), now=0.0)
    tell_all(a, 0.0)
    probe = next_probe(a)

    line = timeline(a, probe.at + score + 1.0)

    asked = [at for at, output in line if isinstance(output, Sent)]
    suspected = [at for at, output in line if isinstance(output, MemberSuspected)]
    assert asked[:2] == [pytest.approx(probe.at + 0.5 * (score + 1))] * 2
    assert suspected == [pytest.approx(probe.at + score + 1.0)]


# --- Lifeguard: LHA-Suspicion ----------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "beta", "n"), [(4, 6, 4), (5, 6, 128), (2, 2, 20)])
def test_the_timeout_starts_at_beta_times_alpha_log_n(alpha: int, beta: int, n: int) -> None:
    """Lifeguard, LHA-Suspicion: Min = alpha log10(n) ProbeInterval, Max = beta Min."""
    a = machine(
        "a",
        knows=[f"n{number}" for number in range(2, n + 1)],
        suspicion_mult=alpha,
        suspicion_timeout_max_mult=beta,
    )
    minimum = suspicion_timeout_min(alpha, n, 1.0)

    (event,) = of(MemberSuspected, hears(a, suspect("n2", by="b"), now=0.0))

    assert minimum == pytest.approx(alpha * max(1.0, math.log10(n)), abs=alpha * 1e-3)
    assert event.evidence.timeout == pytest.approx(minimum * (beta if alpha > 2 else 1))


def test_it_falls_to_the_minimum_with_k_independent_suspicions() -> None:
    """Lifeguard, LHA-Suspicion: max(Min, Max - (Max - Min) log(C + 1) / log(K + 1))."""
    falls = [suspicion_timeout(c, expected=3, minimum=10.0, maximum=60.0) for c in range(5)]

    expected = [max(10.0, 60.0 - 50.0 * math.log(c + 1) / math.log(4)) for c in range(5)]
    assert falls == pytest.approx(expected, abs=1e-3)


def test_each_of_the_first_k_independent_suspicions_is_gossiped_again() -> None:
    """Lifeguard, LHA-Suspicion: "re-gossip the first K independent suspicions"; no more."""
    a = machine("a", knows=[f"n{number}" for number in range(2, 30)], suspicion_mult=5)
    hears(a, suspect("n2", by="b"), now=0.0)
    again = []
    for accuser in "cbdcef":
        tell_all(a, 0.0)
        hears(a, suspect("n2", by=accuser), now=0.0)
        again += list(news(a, 0.0))

    assert again == [suspect("n2", by=accuser) for accuser in "cde"]


# --- Lifeguard: Buddy System -----------------------------------------------------------------


def refuter() -> Memberlist:
    return machine("c", knows="ab")


def test_a_suspected_member_is_told_at_the_first_opportunity() -> None:
    """Lifeguard, Buddy System: the ping of a suspected member carries the suspicion, always."""
    a = machine("a", knows="c")
    hears(a, suspect("c", 1, by="b"), now=0.0)
    tell_all(a, 0.0)
    assert news(a, 0.0) == ()

    probe = next_probe(a)

    assert probe.packet.messages[1:] == (suspect("c", 1, by="a"),)
    answers = of(Sent, hears(refuter(), *probe.packet.messages, source="a", now=1.0))
    assert [message for packet in answers for message in packet.messages] == [
        ack(probe.sequence),
        alive("c", 2),
    ]


def test_others_are_pinged_without_it() -> None:
    """Lifeguard, Buddy System."""
    a = machine("a", knows="d")

    assert len(next_probe(a).packet.messages) == 1
