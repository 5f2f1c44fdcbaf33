"""The failure detector: one probe a period, told second by second; and the helper's side.

Machine `a` probes b, c and d. A probe's ping goes out at `probe.at`; in the LAN preset helpers are
asked half a second later, and the probe ends after a second.
"""

import heapq
import itertools
import random
from typing import Any

import pytest

from memberlist import (
    Config,
    HealthChanged,
    MemberFailed,
    Memberlist,
    MemberSuspected,
    MemberUpdated,
    NameConflict,
    OpenStream,
    PacketRejected,
    PingCompleted,
    PingFailed,
    ProbeFailed,
    ProbeRecord,
    QueueFull,
    SuspicionConfirmed,
    UnknownMember,
)
from memberlist.codec import encode_ack
from memberlist.detector import nack_delay
from memberlist.messages import IndirectPing, Ping
from memberlist.node import ALIVE, SUSPECT
from tests.memberlist.vocabulary import (
    WITHOUT_NACK,
    WITHOUT_STREAM_PING,
    Probed,
    Sent,
    ack,
    ack_from,
    address,
    alive,
    dead,
    deliver,
    drain,
    evidence,
    hears,
    indirect_ping,
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


def prober(knows: Any = "bcd", **changes: Any) -> Memberlist:
    """Return `a`, who knows these members and has nothing to tell."""
    return machine("a", knows=knows, **changes)


def probing(name: str, knows: Any = "bcd", **changes: Any) -> tuple[Memberlist, Probed]:
    """Return a prober at the moment of its first probe, which goes to this member."""
    for seed in range(100):
        a = prober(knows, seed=seed, **changes)
        if (probe := next_probe(a)).node == name:
            return a, probe
    raise AssertionError(f"nobody begins with {name}")


def helpers_of(line: list[tuple[float, Any]]) -> list[str]:
    """Return the names of those who are asked to help, in order."""
    names = {address(name): name for name in "abcdefgh"}
    return [
        names[output.to]
        for _, output in line
        if isinstance(output, Sent) and isinstance(output.messages[0], IndirectPing)
    ]


# --- when and whom ---------------------------------------------------------------------------


def test_the_first_probe_comes_at_a_random_part_of_the_period() -> None:
    firsts = [next_probe(prober(seed=seed)).at for seed in range(40)]

    assert all(0.0 < at <= 1.0 for at in firsts)
    assert len(set(firsts)) == 40
    assert min(firsts) < 0.2 < 0.8 < max(firsts)


def test_one_probe_goes_out_each_period_whatever_the_answers_take() -> None:
    a = prober()
    times = []
    for delay in (0.0, 0.3, 0.49, 0.0):
        probe = next_probe(a)
        times.append(probe.at)
        ack_from(a, probe.node, probe.sequence, now=probe.at + delay)

    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps == pytest.approx([1.0, 1.0, 1.0])
    assert a.stats.probes == 4


def test_a_probe_is_one_ping_with_one_number_and_who_we_are() -> None:
    a, probe = probing("c")

    assert probe.packet == sent("c", ping(probe.sequence, "c", by="a"))
    assert drain(a) == []


def test_numbers_are_new_with_each_probe_and_wrap_at_u32() -> None:
    class Last(random.Random):
        def random(self) -> float:
            return 1.0 - 2.0**-53

    config = prober().config
    a = Memberlist("a", address("a"), config, rng=Last(), now=0.0, known=[node("b")])
    numbers = []
    for _ in range(3):
        probe = next_probe(a)
        numbers.append(probe.sequence)
        ack_from(a, "b", probe.sequence, now=probe.at)

    assert numbers == [2**32 - 1, 0, 1]


def test_alone_nobody_is_probed_until_somebody_comes() -> None:
    a = prober(knows="")
    assert run(a, 5.0) == []

    hears(a, alive("b", 1), now=5.0)

    assert next_probe(a).node == "b"


# --- the direct answer -----------------------------------------------------------------------


def test_an_ack_completes_the_probe_with_its_round_trip_and_payload() -> None:
    a, probe = probing("c")

    ack_from(a, "c", probe.sequence, now=probe.at + 0.25, payload=b"coordinates")

    assert drain(a) == [PingCompleted(None, "c", 0.25, b"coordinates")]
    assert timeline(a, probe.at + 0.99) == []
    assert a.stats.probes_failed == 0


def test_a_second_ack_and_one_that_nobody_waits_for_say_nothing() -> None:
    a, probe = probing("c")
    ack_from(a, "c", probe.sequence, now=probe.at + 0.1)
    drain(a)

    assert hears(a, ack(probe.sequence), ack(4711), source="c", now=probe.at + 0.2) == []


def test_a_direct_ack_still_counts_while_helpers_try() -> None:
    a, probe = probing("c")
    run(a, probe.at + 0.5)

    ack_from(a, "c", probe.sequence, now=probe.at + 0.9)

    assert drain(a) == [PingCompleted(None, "c", probe.at + 0.9 - probe.at, b"")]
    assert of(ProbeFailed, peace(a, probe.at + 1.5)) == []


def test_an_ack_after_the_end_is_too_late() -> None:
    a, probe = probing("c")
    run(a, probe.at + 1.0)

    assert hears(a, ack(probe.sequence), source="c", now=probe.at + 1.0) == []


# --- helpers ---------------------------------------------------------------------------------


def test_without_an_answer_helpers_are_asked_after_the_timeout() -> None:
    a, probe = probing("c")
    request = IndirectPing(probe.sequence, "c", address("c"), True, address("a"), "a")

    line = timeline(a, probe.at + 0.5)

    assert sorted(helpers_of(line)) == ["b", "d"]
    assert all(at == probe.at + 0.5 for at, _ in line)
    assert [output.messages for output in of(Sent, [output for _, output in line])] == [
        (request,),
        (request,),
    ]


def test_helpers_are_alive_others_and_no_more_than_configured() -> None:
    for seed in range(10):
        a = prober("bcdefgh", seed=seed, indirect_checks=2)
        hears(a, suspect("d", by="z"), dead("e", by="z"), now=0.0)
        tell_all(a, 0.0)
        probe = next_probe(a)
        helpers = helpers_of(timeline(a, probe.at + 0.5))

        assert len(set(helpers)) == len(helpers) == 2
        assert not {"a", "d", "e", probe.node} & set(helpers)


def test_an_answer_through_a_helper_completes_the_probe_without_a_round_trip() -> None:
    a, probe = probing("c")
    run(a, probe.at + 0.5)

    assert hears(a, ack(probe.sequence), source="b", now=probe.at + 0.7) == []
    assert of((ProbeFailed, MemberSuspected), peace(a, probe.at + 1.5)) == []
    assert a.health == 0


@pytest.mark.parametrize(("versions", "wanted"), [(WITHOUT_NACK, False), (b"", False)])
def test_nacks_are_only_asked_of_helpers_that_know_them(versions: bytes, *, wanted: bool) -> None:
    a, probe = probing("c", knows=[node("b", versions=versions), node("c")])

    ((_, request),) = timeline(a, probe.at + 0.5)

    assert isinstance(request, Sent)
    assert request.messages[0] == IndirectPing(
        probe.sequence, "c", address("c"), wanted, address("a"), "a"
    )


# --- nobody answers --------------------------------------------------------------------------


def test_a_member_that_nobody_reaches_is_suspected_with_the_probe_as_evidence() -> None:
    a, probe = probing("c")
    line = timeline(a, probe.at + 0.5)
    for helper in helpers_of(line):
        nack_from(a, helper, probe.sequence, now=probe.at + 0.9)
    end = probe.at + 1.0
    record = ProbeRecord("c", probe.at, end, tuple(helpers_of(line)), 2, 2, "off", 0)
    why = evidence("a", since=end, timeout=24.0, probe=record)

    outputs = run(a, end)

    assert of((ProbeFailed, MemberSuspected, HealthChanged), outputs) == [
        ProbeFailed(record),
        MemberSuspected(node("c", 1, SUSPECT), why),
    ]
    assert news(a, end) == (suspect("c", by="a"),)
    assert (a.health, a.stats.probes_failed) == (0, 1)


def test_who_fails_after_our_probe_carries_it_as_evidence_to_the_end() -> None:
    a = prober()

    outputs = [output for _, output in peace(a, 40.0, silent="c")]

    first = of(ProbeFailed, outputs)[0].probe
    (suspected,), (failed,) = of(MemberSuspected, outputs), of(MemberFailed, outputs)
    assert (suspected.evidence.suspected_by, failed.declared_by) == ("a", "a")
    assert suspected.evidence.probe == failed.evidence.probe == first
    assert failed.evidence.since == first.ended_at


def test_our_own_failed_probe_confirms_what_others_suspect() -> None:
    a = prober()
    hears(a, suspect("c", by="b"), now=0.0)

    outputs = [output for _, output in peace(a, 9.0, silent="c")]

    (confirmed,) = of(SuspicionConfirmed, outputs)
    assert (confirmed.evidence.suspected_by, confirmed.evidence.confirmed_by) == ("b", ("a",))
    assert of(MemberSuspected, outputs) == []


def test_who_refuted_while_we_probed_in_vain_is_not_suspected() -> None:
    a, probe = probing("c")
    hears(a, alive("c", 2), source="b", now=probe.at + 0.1)

    outputs = run(a, probe.at + 1.0)

    assert len(of(ProbeFailed, outputs)) == 1
    assert of(MemberSuspected, outputs) == []


def test_a_failed_probe_takes_the_tick_at_its_end_with_it() -> None:
    """The tick that falls on the probe's end is skipped, as one that the probe overran."""
    a, probe = probing("c")

    assert next_probe(a).at == pytest.approx(probe.at + 2.0)


# --- health: Lifeguard's local health multiplier ---------------------------------------------


def unhealthy(score: int, **changes: Any) -> Memberlist:
    """Return a prober that had to refute `score` times."""
    a = prober(**changes)
    for number in range(score):
        hears(a, suspect("a", a.incarnation, by="b"), now=0.0)
        assert a.health == number + 1
    tell_all(a, 0.0)
    return a


def test_a_good_probe_improves_our_health() -> None:
    a = unhealthy(1)
    probe = next_probe(a)

    assert hears(a, ack(probe.sequence), source=probe.node, now=probe.at) == [
        PingCompleted(None, probe.node, 0.0, b""),
        HealthChanged(0, 1, "probe-answered"),
    ]


@pytest.mark.parametrize(("nacks", "missed"), [(0, 2), (1, 1)])
def test_each_helper_that_keeps_silent_counts_against_us(nacks: int, missed: int) -> None:
    a, probe = probing("c")
    helpers = helpers_of(timeline(a, probe.at + 0.5))
    for helper in helpers[:nacks]:
        nack_from(a, helper, probe.sequence, now=probe.at + 0.9)

    changes = [each for each in peace(a, probe.at + 1.5, silent="c") if each[0] < probe.at + 1.5]

    assert of(HealthChanged, [output for _, output in changes]) == [
        HealthChanged(missed, 0, "nack-missed")
    ]
    assert a.stats.nacks_missed == missed


def test_a_helper_counts_once_however_often_it_says_nack() -> None:
    a, probe = probing("c")
    helpers = helpers_of(timeline(a, probe.at + 0.5))
    for _ in range(3):
        nack_from(a, helpers[0], probe.sequence, now=probe.at + 0.6)
    nack_from(a, helpers[1], 4711, now=probe.at + 0.6)

    (failed,) = of(ProbeFailed, run(a, probe.at + 1.0))
    assert failed.probe.nacks == 1


@pytest.mark.parametrize("knows", ["c", [node("b", versions=WITHOUT_NACK), node("c")]])
def test_without_helpers_that_could_say_nack_a_failed_probe_counts_as_one(knows: Any) -> None:
    a, probe = probing("c", knows=knows)

    assert of(HealthChanged, run(a, probe.at + 1.0)) == [HealthChanged(1, 0, "probe-failed")]


def test_a_nack_does_not_end_the_probe() -> None:
    a, probe = probing("c")
    for helper in helpers_of(timeline(a, probe.at + 0.5)):
        assert hears(a, nack(probe.sequence), source=helper, now=probe.at + 0.6) == []

    ack_from(a, "c", probe.sequence, now=probe.at + 0.8)
    assert of(PingCompleted, drain(a))


@pytest.mark.parametrize("score", [1, 3])
def test_an_unhealthy_member_gives_probes_more_time(score: int) -> None:
    """The deadline grows with the score; helpers are asked after the plain timeout."""
    a = unhealthy(score)
    probe = next_probe(a)
    line = timeline(a, probe.at + score + 1.0)

    assert {at for at, output in line if helpers_of([(at, output)])} == {probe.at + 0.5}
    (failed,) = [output for at, output in line if isinstance(output, ProbeFailed)]
    assert failed.probe.ended_at == pytest.approx(probe.at + score + 1.0)
    assert failed.probe.health == score


def test_an_overrunning_probe_makes_ticks_be_skipped_not_queued() -> None:
    a = unhealthy(2)
    probe = next_probe(a)
    ack_from(a, probe.node, probe.sequence, now=probe.at + 2.6)
    drain(a)

    assert next_probe(a).at == pytest.approx(probe.at + 3.0)


def test_the_score_stays_where_it_is_when_all_helpers_say_nack() -> None:
    a = unhealthy(1)
    probe = next_probe(a)
    for helper in helpers_of(timeline(a, probe.at + 0.5)):
        nack_from(a, helper, probe.sequence, now=probe.at + 0.9)

    run(a, probe.at + 2.0)

    assert a.health == 1


# --- nacks in time (better than the peers) ---------------------------------------------------

PRESETS = ("lan", "wan", "local")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_helpers_nack_is_back_before_the_period_ends(preset: str) -> None:
    config: Config = getattr(Config, preset)()
    delay = nack_delay(config.probe_interval, config.probe_timeout)

    assert 0.5 * delay < config.probe_timeout
    assert config.probe_timeout + delay < 0.95 * config.probe_interval


def live_beside_a_dead_peer(
    a: Memberlist, until: float, *, dead_one: str, nack_after: float, rtt: float
) -> list[Any]:
    """Run `a` among neighbours who answer after `rtt`; helpers say nack after a time besides."""
    mail: list[tuple[float, int, str, Any]] = []
    outputs: list[Any] = []
    names = {address(name): name for name in "abcdefgh"}

    def post(at: float, sender: str, message: Any) -> None:
        heapq.heappush(mail, (at, len(mail) + len(outputs) * 1000, sender, message))

    while True:
        due = a.next_timeout()
        now = min(mail[0][0] if mail else until + 1, until + 1 if due is None else due)
        if now > until:
            return outputs
        if mail and mail[0][0] <= now:
            _, _, sender, message = heapq.heappop(mail)
            deliver(a, message, source=sender, now=now)
        else:
            a.handle_timeout(now)
        for output in drain(a):
            outputs.append(output)
            if not isinstance(output, Sent) or names[output.to] == dead_one:
                continue
            match output.messages[0]:
                case Ping(sequence):
                    post(now + rtt, names[output.to], ack(sequence))
                case IndirectPing(sequence, name):
                    assert name == dead_one
                    post(now + rtt + nack_after, names[output.to], nack(sequence))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("helpers", ["ours", "go"])
def test_a_dead_peer_leaves_a_healthy_members_health_at_0(preset: str, helpers: str) -> None:
    """Go's helpers say nack only after their whole probe timeout, too late for Go's own period."""
    a = prober("bcdef", preset=preset)
    config = a.config
    ours = nack_delay(config.probe_interval, config.probe_timeout)
    after = ours if helpers == "ours" else config.probe_timeout
    rtt = 0.05 * config.probe_timeout

    outputs = live_beside_a_dead_peer(
        a, 30 * config.probe_interval, dead_one="c", nack_after=after, rtt=rtt
    )

    assert len(of(ProbeFailed, outputs)) > 1
    assert of(HealthChanged, outputs) == []
    assert a.stats.nacks_missed == 0
    assert [event.node.name for event in of(MemberSuspected, outputs)] == ["c"]


def test_a_nack_that_comes_after_the_probe_ended_is_in_time_for_our_health() -> None:
    a, probe = probing("c")
    helpers = helpers_of(timeline(a, probe.at + 0.5))
    line = peace(a, probe.at + 1.0, silent="c")

    for helper in helpers:
        nack_from(a, helper, probe.sequence, now=probe.at + 1.1)

    line += peace(a, probe.at + 5.0)
    assert [at for at, output in line if isinstance(output, ProbeFailed)] == [probe.at + 1.0]
    assert a.health == 0


def test_nacks_are_waited_for_from_the_moment_that_helpers_were_asked() -> None:
    """Woken late, the prober asks late: a whole timeout of the helper still fits."""
    a, probe = probing("c")
    asked = probe.at + 0.9
    a.handle_timeout(asked)
    helpers = helpers_of([(asked, output) for output in drain(a)])
    assert len(helpers) == 2
    line = peace(a, asked + 0.5, silent="c")
    assert len(of(ProbeFailed, [output for _, output in line])) == 1

    for helper in helpers:
        nack_from(a, helper, probe.sequence, now=asked + 0.6)
    peace(a, asked + 2.0)
    assert a.health == 0


# --- lateness: a process that slept ----------------------------------------------------------


def test_who_slept_through_a_probe_blames_himself_not_the_peer() -> None:
    a, probe = probing("c")
    run(a, probe.at + 0.5)

    a.handle_timeout(probe.at + 60.0)

    outputs = drain(a)
    assert of((HealthChanged, ProbeFailed, MemberSuspected), outputs) == [
        HealthChanged(1, 0, "late")
    ]
    assert a.stats.probes_late == 1


def test_memberlists_way_blames_the_peer() -> None:
    a, probe = probing("c", blame_lateness=True)
    run(a, probe.at + 0.5)

    a.handle_timeout(probe.at + 60.0)

    outputs = drain(a)
    assert len(of(ProbeFailed, outputs)) == len(of(MemberSuspected, outputs)) == 1
    assert a.stats.probes_late == 0


@pytest.mark.parametrize(("blame", "end"), [(False, 1.4), (True, 1.0)])
def test_asked_late_the_helpers_still_get_their_time(end: float, *, blame: bool) -> None:
    a, probe = probing("c", blame_lateness=blame)
    a.handle_timeout(probe.at + 0.9)
    drain(a)

    (failed,) = of(ProbeFailed, run(a, probe.at + 1.45))

    assert failed.probe.ended_at == pytest.approx(probe.at + end)


# --- paper-exact Lifeguard -------------------------------------------------------------------


def test_paper_exact_the_timeout_and_the_period_grow_with_the_score() -> None:
    """Lifeguard, LHA-Probe: both x (LHM + 1); memberlist scales the deadline only."""
    a = unhealthy(1, scale_probe_timeout=True)
    probe = next_probe(a)

    line = timeline(a, probe.at + 1.0)
    assert [at for at, _ in line] == [pytest.approx(probe.at + 1.0)] * 2
    assert len(helpers_of(line)) == 2
    for helper in helpers_of(line):
        nack_from(a, helper, probe.sequence, now=probe.at + 1.5)
    (failed,) = of(ProbeFailed, run(a, probe.at + 2.0))
    assert failed.probe.ended_at == pytest.approx(probe.at + 2.0)


def test_paper_exact_the_next_probe_waits_for_the_scaled_period() -> None:
    a = unhealthy(2, scale_probe_timeout=True)
    probe = next_probe(a)
    ack_from(a, probe.node, probe.sequence, now=probe.at + 0.1)
    assert a.health == 1

    assert next_probe(a).at == pytest.approx(probe.at + 2.0)


def test_memberlists_way_the_period_stays() -> None:
    a = unhealthy(2)
    probe = next_probe(a)
    ack_from(a, probe.node, probe.sequence, now=probe.at + 0.1)

    assert next_probe(a).at == pytest.approx(probe.at + 1.0)


# --- the stream ping -------------------------------------------------------------------------


def test_a_stream_ping_runs_beside_the_indirect_ones() -> None:
    a, probe = probing("c", stream_pings=True)

    (opened,) = of(OpenStream, run(a, probe.at + 0.5))

    assert opened.to == address("c")
    assert opened.timeout == pytest.approx(0.5)


def test_a_member_that_only_a_stream_reaches_is_alive() -> None:
    a, probe = probing("c", stream_pings=True)
    (opened,) = of(OpenStream, run(a, probe.at + 0.5))
    a.stream_opened(opened.stream, probe.at + 0.6)
    a.stream_received(opened.stream, encode_ack(probe.sequence, b""), probe.at + 0.7)
    drain(a)

    outputs = run(a, probe.at + 1.0)

    assert of((ProbeFailed, MemberSuspected, HealthChanged), outputs) == []
    assert a.stats.stream_pings_needed == 1


@pytest.mark.parametrize("number", [1, None])
def test_a_stream_ping_that_fails_saves_nobody(number: int | None) -> None:
    a, probe = probing("c", stream_pings=True)
    (opened,) = of(OpenStream, run(a, probe.at + 0.5))
    if number is None:
        a.stream_closed(opened.stream, probe.at + 0.6)
    else:
        a.stream_opened(opened.stream, probe.at + 0.6)
        wrong = encode_ack(probe.sequence + number, b"")
        a.stream_received(opened.stream, wrong, probe.at + 0.7)

    (failed,) = of(ProbeFailed, run(a, probe.at + 1.0))

    assert failed.probe.stream == "failed"


def test_members_too_old_for_stream_pings_get_none() -> None:
    a, probe = probing("c", [node("c", versions=WITHOUT_STREAM_PING)], stream_pings=True)

    (failed,) = of(ProbeFailed, run(a, probe.at + 1.0))

    assert failed.probe.stream == "off"
    assert a.stats.streams_opened == 0


def test_the_application_may_spare_members_the_stream_ping() -> None:
    spared = {"stream_ping": lambda member: member.name != "c"}
    a, probe = probing("c", stream_pings=True, options=spared)

    (failed,) = of(ProbeFailed, run(a, probe.at + 1.0))

    assert failed.probe.stream == "off"
    assert a.stats.streams_opened == 0


# --- the buddy system ------------------------------------------------------------------------


def suspected_probe(**changes: Any) -> tuple[Memberlist, Probed]:
    """Return a prober whose first probe goes to c, whom b suspects."""
    for seed in range(100):
        a = prober(seed=seed, **changes)
        hears(a, suspect("c", 3, by="b"), now=0.0)
        tell_all(a, 0.0)
        if (probe := next_probe(a)).node == "c":
            return a, probe
    raise AssertionError


def test_a_suspected_member_hears_so_with_the_ping() -> None:
    """Lifeguard, Buddy System."""
    _, probe = suspected_probe()

    assert probe.packet == sent("c", ping(probe.sequence, "c", by="a"), suspect("c", 3, by="a"))


def test_the_suspected_member_answers_and_refutes_at_once() -> None:
    _, probe = suspected_probe()
    c = machine("c", knows="ab")

    outputs = hears(c, *probe.packet.messages, source="a", now=1.0)

    assert sent("a", ack(probe.sequence)) in outputs
    assert sent("a", alive("c", 4)) in outputs
    assert news(c, 1.0) == (alive("c", 4),)


def test_without_the_buddy_system_a_suspect_gets_a_plain_ping() -> None:
    _, probe = suspected_probe(buddy_system=False)

    assert probe.packet == sent("c", ping(probe.sequence, "c", by="a"))


def test_where_names_leave_no_room_the_ping_is_what_counts() -> None:
    name = "c" * 220
    a = machine("a", knows=[node(name)], datagram_size=512, meta_size_max=64)
    hears(a, suspect(name, 1, by="b"), now=0.0)
    tell_all(a, 0.0)

    probe = next_probe(a)

    assert probe.node == name
    assert len(probe.packet.messages) == 1


# --- answering -------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_number_to_where_it_says() -> None:
    a = prober()
    elsewhere = Ping(7, "a", ("10.9.9.9", 1234), "b")

    assert hears(a, elsewhere, source="b", now=1.0) == [sent(("10.9.9.9", 1234), ack(7))]


def test_a_ping_that_names_no_source_is_answered_to_the_packets() -> None:
    assert hears(prober(), Ping(7, "a"), source="b", now=1.0) == [sent("b", ack(7))]


def test_a_ping_for_nobody_in_particular_is_answered() -> None:
    assert hears(prober(), ping(7, ""), now=1.0) == [sent("b", ack(7))]


def test_a_ping_for_another_name_is_not_answered() -> None:
    assert hears(prober(), ping(7, "x"), now=1.0) == [
        PacketRejected(address("b"), "wrong-node", "x")
    ]


def test_three_pings_in_one_packet_get_three_acks() -> None:
    assert hears(prober(), ping(1), ping(2), ping(3), now=1.0) == [
        sent("b", ack(1)),
        sent("b", ack(2)),
        sent("b", ack(3)),
    ]


def test_an_ack_carries_the_payload_that_was_set() -> None:
    a = prober()
    a.update_ping_payload(b"coordinates", 1.0)

    assert hears(a, ping(7), now=1.0) == [sent("b", ack(7, b"coordinates"))]


def test_news_ride_on_the_answer() -> None:
    """SWIM 4.1: piggybacking."""
    a = prober()
    hears(a, alive("e", 1), now=1.0)

    assert hears(a, ping(7), now=1.0) == [sent("b", ack(7), alive("e", 1))]


# --- helping others --------------------------------------------------------------------------


def relayed(a: Memberlist, request: IndirectPing, *, now: float = 1.0) -> int:
    """Deliver a request for help and return the number of the ping that it causes."""
    (packet,) = hears(a, request, now=now)
    number: int = packet.messages[0].sequence
    assert packet == sent(request.target, ping(number, request.node, by="a"))
    assert number != request.sequence
    return number


def idle(**changes: Any) -> Memberlist:
    """Return `a` with no probe in sight."""
    return prober(**({"probe_interval": 1000.0, "seed": 3} | changes))


def test_a_helper_pings_under_its_own_number_and_hands_the_answer_back() -> None:
    a = idle()
    number = relayed(a, indirect_ping(77, "c"))

    ack_from(a, "c", number, now=1.1, payload=b"is not handed on")

    assert drain(a) == [sent("b", ack(77))]
    assert timeline(a, 9.0) == []
    assert a.stats.indirect_pings == 1


def test_a_helper_without_an_answer_says_nack_in_time() -> None:
    a = idle()
    relayed(a, indirect_ping(77, "c"))

    assert timeline(a, 9.0) == [(1.4, sent("b", nack(77)))]


def test_an_answer_after_the_nack_is_still_handed_back_for_a_while() -> None:
    a = idle()
    number = relayed(a, indirect_ping(77, "c"))
    timeline(a, 1.4)

    assert hears(a, ack(number), source="c", now=1.45) == [sent("b", ack(77))]


def test_a_helper_forgets_after_the_probe_timeout() -> None:
    a = idle()
    number = relayed(a, indirect_ping(77, "c"))
    timeline(a, 1.5)

    assert hears(a, ack(number), source="c", now=1.5) == []


def test_no_nack_to_who_did_not_ask_for_it() -> None:
    a = idle()
    number = relayed(a, indirect_ping(77, "c", nack=False))

    assert timeline(a, 9.0) == []
    assert hears(a, ack(number), source="c", now=9.0) == []


def test_a_request_without_a_source_is_answered_to_the_packets() -> None:
    a = idle()
    number = relayed(a, IndirectPing(77, "c", address("c"), True))

    assert hears(a, ack(number), source="c", now=1.1) == [sent("b", ack(77))]


def test_a_request_without_a_port_means_our_own() -> None:
    """Protocol version 1 had none (memberlist's version table)."""
    (packet,) = hears(idle(), IndirectPing(77, "c", ("10.0.0.3", 0), True), now=1.0)

    assert packet.to == ("10.0.0.3", 7946)


def test_help_is_bounded() -> None:
    a = idle(pending_pings_max=2)
    relayed(a, indirect_ping(1, "c"))
    relayed(a, indirect_ping(2, "c"))

    assert hears(a, indirect_ping(3, "c"), now=1.0) == [
        PacketRejected(address("b"), "too-many-pings", "c")
    ]
    run(a, 2.0)
    relayed(a, indirect_ping(4, "c"), now=2.0)


def test_a_request_with_a_name_that_fits_no_packet_is_refused() -> None:
    a = idle(datagram_size=512, meta_size_max=64)

    (rejected,) = hears(a, indirect_ping(1, "c" * 450), now=1.0)

    assert (type(rejected), rejected.reason) == (PacketRejected, "name-too-large")


# --- pings by hand ---------------------------------------------------------------------------


def test_a_manual_ping_tells_its_round_trip_and_payload() -> None:
    a = idle()
    number = a.ping("c", 1.0)
    assert drain(a) == [sent("c", ping(number, "c", by="a"))]

    ack_from(a, "c", number, now=1.25, payload=b"x")

    assert drain(a) == [PingCompleted(number, "c", 0.25, b"x")]
    assert timeline(a, 9.0) == []


def test_a_manual_ping_without_an_answer_fails_and_changes_nothing_else() -> None:
    a = idle()
    number = a.ping("c", 1.0)
    drain(a)

    assert timeline(a, 9.0) == [(1.5, PingFailed(number, "c"))]
    assert a.health == 0
    assert a.member("c") == node("c", 1, ALIVE)
    assert hears(a, ack(number), source="c", now=9.0) == []


def test_who_is_suspected_can_be_pinged_and_who_is_gone_or_unknown_cannot() -> None:
    a = idle()
    hears(a, suspect("b", by="d"), dead("c", by="d"), now=1.0)

    a.ping("b", 1.0)
    for name in ("c", "x"):
        with pytest.raises(UnknownMember):
            a.ping(name, 1.0)


def test_manual_pings_are_bounded() -> None:
    a = idle(pending_pings_max=1)
    a.ping("b", 1.0)

    with pytest.raises(QueueFull, match="pings"):
        a.ping("c", 1.0)
    run(a, 1.5)
    a.ping("c", 1.5)


# --- asking an old address ------------------------------------------------------------------


def claimed() -> tuple[Memberlist, int]:
    """Return `a` as it asks c's address about a claim to the name, and the ping's number."""
    a = idle()
    (question,) = hears(a, alive("c", 2, at=("10.9.9.9", 7946)), now=1.0)
    number: int = question.messages[0].sequence
    return a, number


def test_an_old_address_is_asked_twice_before_its_silence_counts() -> None:
    a, number = claimed()

    line = timeline(a, 9.0)

    assert line[0] == (1.5, sent("c", ping(number, "c", by="a")))
    assert [(at, type(output)) for at, output in line[1:]] == [(2.0, MemberUpdated)]


@pytest.mark.parametrize("at", [1.1, 1.6])
def test_an_old_address_may_answer_either_time(at: float) -> None:
    a, number = claimed()
    run(a, at)

    assert [type(output) for output in hears(a, ack(number), source="c", now=at)] == [NameConflict]
    assert timeline(a, 9.0) == []


def test_with_too_many_pings_waiting_an_old_address_is_not_asked() -> None:
    a = idle(pending_pings_max=1)
    a.ping("b", 1.0)
    drain(a)

    assert hears(a, alive("c", 2, at=("10.9.9.9", 7946)), now=1.0) == []


def test_after_leaving_no_ping_is_waited_for() -> None:
    a = prober()
    next_probe(a)
    a.check_invariants()
    a.leave(1.0, timeout=0.1)
    a.handle_timeout(2.0)

    assert a.next_timeout() is None
    assert a.dump()["pings_waiting"] == 0


def test_a_manual_ping_that_waits_while_we_leave_has_failed() -> None:
    a = idle()
    number = a.ping("c", 1.0)
    a.leave(1.0, timeout=0.1)
    a.handle_timeout(1.1)

    assert of(PingFailed, drain(a)) == [PingFailed(number, "c")]
