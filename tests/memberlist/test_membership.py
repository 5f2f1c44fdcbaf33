"""The rules by which claims about members are believed, told as conversations.

Machine `a` listens; `b`, `c` and `d` are the others. With `knows="bcd"` there are four members,
so that a suspicion wants two confirmations (LAN: 4 - 2) and runs from 24 s down to 4 s.
"""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist import (
    AccusationRefuted,
    HealthChanged,
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    Memberlist,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    MergeRefused,
    NameConflict,
    Node,
    NodeRefused,
    NodeState,
    PacketRejected,
    SuspicionConfirmed,
    UserStateReceived,
)
from memberlist.messages import Dead, Suspect
from memberlist.node import ALIVE, DEAD, INCARNATION_MAX, LEFT, SUSPECT
from memberlist.streams import encode_push_pull
from memberlist.testing import Cluster
from tests.memberlist.vocabulary import (
    VERSIONS,
    Message,
    Sent,
    ack,
    ack_from,
    address,
    alive,
    dead,
    deliver,
    drain,
    encode,
    evidence,
    hears,
    left,
    machine,
    news,
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

TOP = INCARNATION_MAX
EVENTS = (
    AccusationRefuted,
    HealthChanged,
    MemberJoined,
    MemberLeft,
    MemberSuspected,
    MemberUpdated,
    MergeRefused,
    UserStateReceived,
)


def listener(**changes: Any) -> Memberlist:
    """Return `a`, who knows b, c and d and has nothing to tell."""
    return machine("a", **({"knows": "bcd"} | changes))


def state(member: Memberlist, name: str) -> tuple[NodeState, int] | None:
    """Return what a machine believes of a member: state and incarnation."""
    known = member.member(name)
    return None if known is None else (known.state, known.incarnation)


# --- alive -----------------------------------------------------------------------------------


def test_a_new_member_joins_and_is_passed_on() -> None:
    a = listener()

    assert hears(a, alive("e", 1), now=1.0) == [MemberJoined(alive("e", 1))]
    assert state(a, "e") == (ALIVE, 1)
    assert news(a, 1.0) == (alive("e", 1),)


def test_the_same_alive_again_says_nothing() -> None:
    a = listener()
    hears(a, alive("b", 2, meta=b"x"), now=1.0)
    tell_all(a, 1.0)

    assert hears(a, alive("b", 2, meta=b"x"), source="c", now=2.0) == []
    assert news(a, 2.0) == ()


def test_an_older_alive_from_somebody_else_says_nothing() -> None:
    a = listener(knows=[node("b", 5)])

    assert hears(a, alive("b", 4, meta=b"x"), source="c", now=1.0) == []
    assert a.member("b") == node("b", 5)
    assert news(a, 1.0) == ()


def test_a_newer_alive_without_changes_is_only_passed_on() -> None:
    a = listener()

    assert hears(a, alive("b", 2), now=1.0) == []
    assert state(a, "b") == (ALIVE, 2)
    assert news(a, 1.0) == (alive("b", 2),)


@pytest.mark.parametrize(
    "newer", [alive("b", 2, meta=b"x"), alive("b", 2, versions=bytes([1, 4, 2, 0, 0, 0]))]
)
def test_changed_metadata_or_versions_are_one_update(newer: Node) -> None:
    """memberlist tells of metadata only."""
    a = listener()

    assert hears(a, newer, now=1.0) == [MemberUpdated(newer, node("b", 1))]
    assert news(a, 1.0) == (newer,)


def test_a_member_that_sends_no_versions_is_taken_as_it_is() -> None:
    a = listener(knows="")
    plain = alive("b", 1, versions=b"")

    assert hears(a, plain, now=1.0) == [MemberJoined(plain)]


@pytest.mark.parametrize(
    "versions",
    [bytes(6), bytes([0, 5, 2, 0, 0, 0]), bytes([1, 0, 1, 0, 0, 0]), b"\x03\x02\x02\0\0\0"],
)
def test_impossible_protocol_versions_are_refused(versions: bytes) -> None:
    a = listener()
    odd = alive("b", 2, versions=versions)

    assert hears(a, odd, now=1.0) == [NodeRefused(odd, "bad-versions")]
    assert state(a, "b") == (ALIVE, 1)
    assert news(a, 1.0) == ()
    assert a.stats.rejected == {"bad-versions": 1}


@pytest.mark.parametrize("size", range(1, 6))
def test_versions_shorter_than_six_bytes_harm_nobody(size: int) -> None:
    """No encoder of ours writes them: they are cut out of a good message."""
    a = listener()
    whole = encode(alive("b", 2))
    cut = whole.replace(b"\xa6" + VERSIONS, bytes([0xA0 + size]) + VERSIONS[:size])
    assert len(cut) == len(whole) - 6 + size

    a.receive_datagram(cut, address("b"), 1.0)

    (rejected,) = of(PacketRejected, drain(a))
    assert rejected.reason == "bad-versions"
    assert state(a, "b") == (ALIVE, 1)


def test_a_veto_of_the_application_refuses_the_new_and_the_changed() -> None:
    a = listener(options={"accept": lambda each: each.meta != b"evil"})
    evil, stranger = alive("b", 2, meta=b"evil"), alive("e", 1, meta=b"evil")

    assert hears(a, evil, stranger, now=1.0) == [
        NodeRefused(evil, "not-accepted"),
        NodeRefused(stranger, "not-accepted"),
    ]
    assert state(a, "b") == (ALIVE, 1)
    assert state(a, "e") is None


def test_only_allowed_networks_get_in() -> None:
    a = machine("a", allowed_networks=("10.0.0.0/29", "fd00::/8"))
    inside, outside = alive("b", 1), alive("z", 1)
    six = alive("e", 1, at=("fd00::5", 7946))

    assert hears(a, inside, outside, six, now=1.0) == [
        MemberJoined(inside),
        NodeRefused(outside, "address-not-allowed"),
        MemberJoined(six),
    ]


def test_no_allowed_network_keeps_everybody_out() -> None:
    a = machine("a", allowed_networks=())

    assert hears(a, alive("b", 1), now=1.0) == [NodeRefused(alive("b", 1), "address-not-allowed")]


def test_a_member_without_a_port_is_refused() -> None:
    nowhere = alive("e", 1, at=("10.0.0.5", 0))

    assert hears(listener(), nowhere, now=1.0) == [NodeRefused(nowhere, "bad-address")]


def test_a_full_table_takes_nobody_new_but_still_hears_of_its_members() -> None:
    a = listener(members_max=4)

    assert hears(a, alive("e", 1), alive("b", 2, meta=b"x"), now=1.0) == [
        NodeRefused(alive("e", 1), "table-full"),
        MemberUpdated(alive("b", 2, meta=b"x"), node("b", 1)),
    ]


def test_metadata_above_the_limit_of_the_protocol_is_refused() -> None:
    big = alive("e", 1, meta=bytes(513))

    assert hears(listener(), big, now=1.0) == [NodeRefused(big, "meta-too-large")]


def test_a_name_with_which_a_ping_would_not_fit_a_packet_is_refused() -> None:
    a = listener(datagram_size=512, meta_size_max=64)
    long = Node("e" * 400, address("e"), b"", VERSIONS, 1)

    assert hears(a, long, now=1.0) == [NodeRefused(long, "name-too-large")]


# --- suspect ---------------------------------------------------------------------------------


def test_a_suspected_member_is_given_time_to_refute() -> None:
    a = listener()

    assert hears(a, suspect("c", by="b"), now=1.0) == [
        MemberSuspected(node("c", 1, SUSPECT), evidence("b", since=1.0, timeout=24.0))
    ]
    assert news(a, 1.0) == (suspect("c", by="b"),)
    assert a.stats.suspicions == 1
    assert node("c", 1, SUSPECT) in a.members


def test_a_suspected_member_that_refutes_is_alive_again() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)

    assert hears(a, alive("c", 2), source="c", now=3.5) == [MemberRefuted(alive("c", 2), 2.5)]
    assert news(a, 3.5) == (alive("c", 2),)
    assert peace(a, 60.0) == []


def test_a_running_suspicion_can_be_looked_at() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), suspect("c", by="d"), now=1.0)

    assert a.dump()["suspicions"] == {
        "c": {"suspected_by": "b", "confirmed_by": ["d"], "since": 1.0, "deadline": 12.381}
    }


def test_a_refutation_with_news_is_an_update_too() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)
    newer = alive("c", 2, meta=b"x")

    assert hears(a, newer, now=2.0) == [
        MemberRefuted(newer, 1.0),
        MemberUpdated(newer, node("c", 1, SUSPECT)),
    ]


def test_an_alive_of_the_suspected_incarnation_is_no_refutation() -> None:
    a = listener()
    hears(a, suspect("c", 3, by="b"), now=1.0)

    assert hears(a, alive("c", 3), source="d", now=2.0) == []
    assert state(a, "c") == (SUSPECT, 3)


def test_a_suspected_member_that_does_not_refute_fails() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)
    tell_all(a, 1.0)
    failed = node("c", 1, DEAD)
    why = evidence("b", since=1.0, timeout=24.0)

    assert peace(a, 54.9) == [(25.0, MemberFailed(failed, "a", why))]
    assert failed in a.nodes
    assert failed not in a.members
    assert (a.stats.suspicions_expired, a.stats.suspicions_degraded) == (1, 1)


def test_the_failure_is_passed_on_in_our_name() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)
    peace(a, 25.0)

    assert news(a, 25.0) == (dead("c", by="a"),)


def test_suspicions_of_strangers_and_of_the_past_are_ignored() -> None:
    a = listener(knows=[node("b"), node("c", 5)])

    assert hears(a, suspect("x", by="b"), suspect("c", 4, by="b"), now=1.0) == []
    assert news(a, 1.0) == ()


def test_a_newer_suspicion_carries_its_incarnation() -> None:
    a = listener()

    (event,) = hears(a, suspect("c", 7, by="b"), now=1.0)

    assert event.node == node("c", 7, SUSPECT)


def test_the_same_suspicion_again_says_nothing() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)
    tell_all(a, 1.0)

    assert hears(a, suspect("c", by="b"), source="d", now=2.0) == []
    assert news(a, 2.0) == ()


def test_an_independent_suspicion_confirms_it_and_is_passed_on() -> None:
    """Lifeguard, LHA-Suspicion: re-gossip each new voice until K have spoken."""
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)
    tell_all(a, 1.0)

    assert hears(a, suspect("c", by="d"), now=2.0) == [
        SuspicionConfirmed(node("c", 1, SUSPECT), evidence("b", "d", since=1.0, timeout=11.381))
    ]
    assert news(a, 2.0) == (suspect("c", by="d"),)


def test_what_is_said_past_the_last_confirmation_is_not_passed_on() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), suspect("c", by="d"), suspect("c", by="e"), now=1.0)
    tell_all(a, 1.0)

    assert hears(a, suspect("c", by="f"), now=2.0) == []
    assert news(a, 2.0) == ()


def test_with_all_confirmations_the_minimum_holds() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), suspect("c", by="d"), suspect("c", by="e"), now=1.0)
    why = evidence("b", "d", "e", since=1.0, timeout=4.0)

    assert peace(a, 30.0) == [(5.0, MemberFailed(node("c", 1, DEAD), "a", why))]
    assert (a.stats.suspicions_expired, a.stats.suspicions_degraded) == (1, 0)


@pytest.mark.parametrize(
    ("n", "confirmations", "timeout"),
    [
        *((n, c, 0.5) for n in (3, 4) for c in (0, 1, 2)),
        *((n, 0, 1.0) for n in (5, 6)),
        *((n, 1, 0.75) for n in (5, 6)),
        *((n, 2, 0.603) for n in (5, 6)),
        *((n, c, 0.5) for n in (5, 6) for c in (3, 4)),
    ],
)
def test_a_member_is_dead_when_its_time_is_over_and_not_before(
    n: int, confirmations: int, timeout: float
) -> None:
    """HashiCorp's dogpile table: suspicion_mult 5, maximum 2, interval 0.1 s."""
    a = listener(
        knows="cdefg"[: n - 1],
        suspicion_mult=5,
        suspicion_timeout_max_mult=2,
        probe_interval=0.1,
        probe_timeout=0.05,
    )
    accusers = "vwxyz"[: confirmations + 1]
    hears(a, *(suspect("c", by=accuser) for accuser in accusers), now=1.0)

    peace(a, 1.0 + timeout - 0.001)
    assert state(a, "c") == (SUSPECT, 1)
    peace(a, 1.0 + timeout + 0.001)
    assert state(a, "c") == (DEAD, 1)


def test_a_confirmation_past_its_new_deadline_ends_it_at_once() -> None:
    """The machine is woken late: the second voice comes when the time for it is over already."""
    a = listener()
    hears(a, suspect("c", by="b"), suspect("c", by="d"), now=1.0)
    why = evidence("b", "d", "e", since=1.0, timeout=4.0)
    confirmed = SuspicionConfirmed(node("c", 1, SUSPECT), why)

    assert hears(a, suspect("c", by="e"), now=9.0) == [
        confirmed,
        MemberFailed(node("c", 1, DEAD), "a", why),
    ]
    assert peace(a, 38.9) == []


def test_a_refutation_that_comes_before_the_late_timer_counts() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)

    assert hears(a, alive("c", 2), source="c", now=99.0) == [MemberRefuted(alive("c", 2), 98.0)]
    assert state(a, "c") == (ALIVE, 2)


def test_a_suspect_gets_the_least_time_once_more_when_we_slept_through_its_end() -> None:
    """Its refutation may wait in the buffers of a process that was stopped."""
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)

    a.handle_timeout(5000.0)

    assert of(MemberFailed, drain(a)) == []
    assert hears(a, alive("c", 2), source="c", now=5000.9) == [MemberRefuted(alive("c", 2), 4999.9)]


def test_a_suspect_gets_no_more_time_where_lateness_is_blamed_on_peers() -> None:
    a = listener(blame_lateness=True)
    hears(a, suspect("c", by="b"), now=1.0)

    a.handle_timeout(5000.0)

    assert state(a, "c") == (DEAD, 1)


def test_more_time_for_a_suspect_is_given_once() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)

    a.handle_timeout(5000.0)
    a.handle_timeout(9000.0)

    assert state(a, "c") == (DEAD, 1)


def test_a_newer_suspicion_starts_the_time_anew() -> None:
    """Who is suspected under a newer incarnation refuted the older: SWIM 4.2, Suspect overrides."""
    a = listener()
    hears(a, suspect("c", 1, by="b"), suspect("c", 1, by="d"), now=1.0)
    why = evidence("b", since=9.0, timeout=24.0)

    assert hears(a, suspect("c", 3, by="b"), now=9.0) == [
        MemberSuspected(node("c", 3, SUSPECT), why)
    ]
    assert news(a, 9.0) == (suspect("c", 3, by="b"),)
    assert peace(a, 40.0) == [(33.0, MemberFailed(node("c", 3, DEAD), "a", why))]


def test_an_alive_between_two_suspicions_clears_nobody() -> None:
    """The highest incarnation seen is kept while suspect."""
    a = listener()
    hears(a, suspect("c", 1, by="b"), suspect("c", 5, by="d"), now=1.0)

    assert hears(a, alive("c", 4), source="d", now=2.0) == []
    assert state(a, "c") == (SUSPECT, 5)


# --- dead ------------------------------------------------------------------------------------


def test_a_member_declared_dead_by_another_has_failed() -> None:
    a = listener()

    assert hears(a, dead("c", by="b"), now=1.0) == [MemberFailed(node("c", 1, DEAD), "b", None)]
    assert news(a, 1.0) == (dead("c", by="b"),)


def test_dead_about_a_suspect_ends_the_suspicion_and_carries_its_evidence() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)
    why = evidence("b", since=1.0, timeout=24.0)

    assert hears(a, dead("c", by="d"), now=2.0) == [MemberFailed(node("c", 1, DEAD), "d", why)]
    assert peace(a, 31.9) == []


@pytest.mark.parametrize("claim", [dead("c", 4, by="b"), dead("x", 9, by="b")])
def test_deaths_of_strangers_and_of_the_past_are_ignored(claim: Dead) -> None:
    a = listener(knows=[node("b"), node("c", 5)])

    assert hears(a, claim, now=1.0) == []
    assert news(a, 1.0) == ()


def test_an_older_death_does_not_end_a_suspicion() -> None:
    a = listener(knows=[node("b"), node("c", 5), node("d")])
    hears(a, suspect("c", 5, by="b"), now=1.0)

    assert hears(a, dead("c", 4, by="d"), now=2.0) == []
    assert state(a, "c") == (SUSPECT, 5)
    assert [at for at, _ in peace(a, 30.0)] == [25.0]


def test_a_second_death_says_nothing() -> None:
    a = listener()
    hears(a, dead("c", by="b"), now=1.0)
    tell_all(a, 1.0)

    assert hears(a, dead("c", by="d"), suspect("c", by="d"), now=2.0) == []
    assert news(a, 2.0) == ()


@pytest.mark.parametrize("claim", [dead("c", 5, by="d"), suspect("c", 5, by="d"), left("c", 5)])
def test_the_highest_incarnation_is_kept_while_dead(claim: Message) -> None:
    """al8n/memberlist #197: else an alive between the two brings a dead member back."""
    a = listener()
    hears(a, dead("c", 1, by="b"), now=1.0)

    assert hears(a, claim, now=2.0) == []
    assert state(a, "c") == (DEAD, 5)
    assert hears(a, alive("c", 5), source="d", now=3.0) == []
    assert hears(a, alive("c", 6), source="d", now=3.0) == [MemberJoined(alive("c", 6))]


def test_an_alive_of_the_same_incarnation_does_not_bring_back_the_dead() -> None:
    a = listener()
    hears(a, dead("c", 2, by="b"), now=1.0)

    assert hears(a, alive("c", 2), source="b", now=2.0) == []
    assert state(a, "c") == (DEAD, 2)


# --- left ------------------------------------------------------------------------------------


def test_dead_in_its_own_name_means_that_a_member_left() -> None:
    a = listener()

    assert hears(a, left("c"), source="c", now=1.0) == [MemberLeft(node("c", 1, LEFT))]
    assert news(a, 1.0) == (left("c"),)
    assert "c" not in [member.name for member in a.members]


def test_a_suspected_member_may_leave() -> None:
    a = listener()
    hears(a, suspect("c", by="b"), now=1.0)

    assert hears(a, left("c"), source="c", now=2.0) == [MemberLeft(node("c", 1, LEFT))]
    assert peace(a, 31.9) == []


def test_who_left_is_neither_suspect_nor_dead() -> None:
    a = listener()
    hears(a, left("c"), source="c", now=1.0)

    assert hears(a, suspect("c", 2, by="b"), dead("c", 3, by="b"), now=2.0) == []
    assert state(a, "c") == (LEFT, 3)


def test_who_left_joins_again_with_a_newer_incarnation() -> None:
    a = listener()
    hears(a, left("c"), source="c", now=1.0)

    assert hears(a, alive("c", 2), source="c", now=2.0) == [MemberJoined(alive("c", 2))]
    assert peace(a, 60.0) == []


# --- reaping ---------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [dead("c", by="b"), left("c")])
def test_the_dead_and_the_left_are_forgotten_after_a_while(claim: Dead) -> None:
    a = listener()
    hears(a, claim, now=1.0)
    gone = a.member("c")
    assert gone is not None

    assert peace(a, 60.0) == [(31.0, MemberForgotten(gone))]
    assert a.member("c") is None


def test_nobody_hears_of_a_forgotten_member_from_us() -> None:
    a = listener()
    hears(a, dead("c", by="b"), now=1.0)
    assert news(a, 1.0) == (dead("c", by="b"),)
    a.handle_timeout(31.0)
    drain(a)

    assert dead("c", by="b") not in news(a, 31.0)


def test_the_time_to_forget_counts_from_the_death_not_from_later_claims() -> None:
    a = listener()
    hears(a, dead("c", 1, by="b"), now=1.0)
    hears(a, dead("c", 9, by="b"), now=20.0)

    assert peace(a, 60.0) == [(31.0, MemberForgotten(node("c", 9, DEAD)))]


def test_who_came_back_is_not_forgotten_and_dies_for_a_full_time_again() -> None:
    a = listener()
    hears(a, dead("c", 1, by="b"), now=1.0)
    hears(a, alive("c", 2), now=20.0)
    hears(a, dead("c", 2, by="b"), now=25.0)

    assert peace(a, 80.0) == [(55.0, MemberForgotten(node("c", 2, DEAD)))]


def test_a_forgotten_member_may_return_even_with_an_old_incarnation() -> None:
    a = listener()
    hears(a, dead("c", 7, by="b"), now=1.0)
    peace(a, 31.0)

    assert hears(a, alive("c", 1), now=32.0) == [MemberJoined(alive("c", 1))]
    a.check_invariants()


def test_the_dead_can_be_forgotten_at_once() -> None:
    a = listener(gossip_to_the_dead_time=0.0)
    hears(a, dead("c", by="b"), now=1.0)

    assert [type(output) for _, output in peace(a, 1.01)] == [MemberForgotten]


# --- ourselves -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "word"), [(suspect("a", 1, by="b"), "suspect"), (dead("a", 1, by="b"), "dead")]
)
def test_we_refute_who_accuses_us(claim: Message, word: str) -> None:
    """SWIM 4.2: a newer incarnation, to the accuser at once and to everybody by gossip."""
    a = listener()

    assert hears(a, claim, now=1.0) == [
        HealthChanged(1, 0, "refuted"),
        AccusationRefuted("b", word, 2),
        sent("b", alive("a", 2)),
    ]
    assert news(a, 1.0) == (alive("a", 2),)
    assert a.incarnation == 2
    assert a.stats.refutations == 1


def test_we_outrank_an_accusation_from_our_future() -> None:
    """Such as of an earlier life, that was further on."""
    a = listener()
    hears(a, suspect("a", 40, by="b"), now=1.0)

    assert a.incarnation == 41


@pytest.mark.parametrize("claim", [suspect("a", 1, by="b"), dead("a", 1, by="b")])
def test_who_repeats_an_accusation_that_we_refuted_already_is_told_so(claim: Message) -> None:
    """It may have lost every copy of the refutation; memberlist lets it declare us dead."""
    a = listener()
    hears(a, suspect("a", 1, by="c"), now=1.0)

    assert hears(a, claim, now=1.9) == []
    [answer] = hears(a, claim, now=2.0)

    assert isinstance(answer, Sent)
    assert (answer.to, answer.messages) == (address("b"), (a.node,))
    assert a.incarnation == 2


def test_that_we_left_is_refuted_by_who_is_here() -> None:
    a = listener()

    assert AccusationRefuted("a", "dead", 2) in hears(a, left("a", 1), now=1.0)


@pytest.mark.parametrize(
    "other",
    [alive("a", 2), alive("a", 1, meta=b"x"), alive("a", 1, versions=bytes([1, 4, 2, 0, 0, 0]))],
)
def test_we_correct_who_holds_us_for_other_than_we_are(other: Node) -> None:
    a = listener()
    corrected = alive("a", other.incarnation + 1)

    assert hears(a, other, source="c", now=1.0) == [
        HealthChanged(1, 0, "refuted"),
        AccusationRefuted("10.0.0.3:7946", "alive", corrected.incarnation),
        sent("c", corrected),
    ]
    assert a.node == corrected


def test_what_is_said_rightly_or_is_out_of_date_needs_no_answer() -> None:
    a = listener()
    hears(a, suspect("a", 1, by="c"), now=1.0)
    tell_all(a, 1.0)

    assert hears(a, alive("a", 2), alive("a", 1, meta=b"old"), now=2.0) == []
    assert news(a, 2.0) == ()


def test_who_leaves_lets_everybody_say_what_they_like() -> None:
    a = listener()
    a.leave(1.0)
    drain(a)

    assert hears(a, suspect("a", 9, by="b"), dead("a", 9, by="b"), alive("a", 9), now=1.1) == []
    assert a.incarnation == 1


# --- incarnations are safe -------------------------------------------------------------------


def test_a_new_life_begins_above_the_remembered_incarnation() -> None:
    assert listener().incarnation == 1
    assert listener(options={"incarnation": 41}).incarnation == 42


@pytest.mark.parametrize(
    ("before", "record", "told"),
    [
        ([], alive("c", 5), alive("c", 5)),
        ([suspect("c", 5, by="d")], alive("c", 1), suspect("c", 5, by="a")),
        ([dead("c", 5, by="d")], alive("c", 1), dead("c", 5, by="a")),
        ([left("c", 5)], alive("c", 1), dead("c", 5, by="a")),
    ],
)
def test_a_restarted_member_hears_at_once_what_it_has_to_outrank(
    before: list[Message], record: Node, told: Message
) -> None:
    """Memberlist #311: it waits for a push/pull there."""
    a = listener(knows=[node("b"), node("c", 5), node("d")])
    if before:
        hears(a, *before, now=1.0)
        tell_all(a, 1.0)

    assert hears(a, alive("c", 1, meta=b"new"), source="c", now=2.0) == [sent("c", told)]

    c = machine("c", knows="ab", options={"meta": b"new"})
    answer = hears(c, told, source="a", now=2.0)
    assert c.incarnation == 6
    assert sent("a", alive("c", 6, meta=b"new")) in answer
    assert not of(Dead, hears(a, alive("c", 6, meta=b"new"), source="c", now=2.1))
    assert state(a, "c") == (ALIVE, 6)


def test_a_restart_with_new_metadata_and_the_same_incarnation_is_corrected_too() -> None:
    a = listener()

    assert hears(a, alive("c", 1, meta=b"new"), source="c", now=1.0) == [sent("c", node("c", 1))]


def test_who_only_passes_a_stale_record_on_is_not_corrected() -> None:
    a = listener(knows=[node("b"), node("c", 5)])

    assert hears(a, alive("c", 1), source="b", now=1.0) == []


@pytest.mark.parametrize(
    "claim", [suspect("c", TOP, by="b"), dead("c", TOP, by="b"), left("c", TOP)]
)
def test_claims_at_the_top_that_nobody_could_refute_are_not_believed(claim: Message) -> None:
    """Memberlist #358: one such packet evicts a member for ever there."""
    a = listener()

    assert hears(a, claim, now=1.0) == []
    assert state(a, "c") == (ALIVE, 1)
    assert a.stats.rejected == {"irrefutable-claim": 1}
    assert news(a, 1.0) == ()


def test_a_claim_below_the_top_can_be_refuted_at_it() -> None:
    a, c = listener(), machine("c", knows="ab")
    hears(a, suspect("c", TOP - 1, by="b"), now=1.0)

    hears(c, suspect("c", TOP - 1, by="b"), now=1.0)

    assert c.incarnation == TOP
    assert hears(a, c.node, source="c", now=2.0) == [MemberRefuted(alive("c", TOP), 1.0)]


def test_our_incarnation_stays_at_the_top() -> None:
    a = listener(options={"incarnation": TOP - 1})

    assert hears(a, suspect("a", TOP, by="b"), now=1.0) == [
        HealthChanged(1, 0, "refuted"),
        AccusationRefuted("b", "suspect", TOP),
        sent("b", alive("a", TOP)),
    ]


def test_no_higher_incarnation_than_the_top_can_be_remembered() -> None:
    with pytest.raises(ValueError, match="incarnation must be within"):
        listener(options={"incarnation": TOP + 1})


@pytest.mark.parametrize("gone", [False, True])
def test_at_the_top_a_members_own_word_is_believed(*, gone: bool) -> None:
    """Nothing is newer there: else our own suspicion would evict it, and corrections never end."""
    a = listener(knows=[node("b"), node("c", TOP), node("d")])
    now = 40.0 if gone else 5.0
    peace(a, now, silent="c")
    assert state(a, "c") == (DEAD if gone else SUSPECT, TOP)

    events = hears(a, alive("c", TOP), source="b", now=now)
    assert events == []
    (event,) = hears(a, alive("c", TOP), source="c", now=now)
    assert type(event) is (MemberJoined if gone else MemberRefuted)
    assert hears(a, alive("c", TOP), source="c", now=now) == []


def test_at_the_top_a_member_can_still_change_its_metadata() -> None:
    a = listener(knows=[node("c", TOP)])
    newer = alive("c", TOP, meta=b"x")

    assert hears(a, newer, source="c", now=1.0) == [MemberUpdated(newer, node("c", TOP))]


# --- a name at another address ---------------------------------------------------------------

ELSEWHERE = ("10.9.9.9", 7946)


def settled(**changes: Any) -> Memberlist:
    """Return `a` with time for questions: no probe comes between, and c's incarnation is 5."""
    known = [node("b"), node("c", 5), node("d")]
    return machine("a", knows=known, **({"probe_interval": 1000.0} | changes))


def asks(a: Memberlist, record: Node, *, source: Any = ELSEWHERE, now: float) -> int:
    """Deliver a record and return the number of the ping that this makes us send to old c."""
    (question,) = hears(a, record, source=source, now=now)
    number: int = question.messages[0].sequence
    assert question == sent("c", ping(number, "c", by="a"))
    return number


def test_a_name_moves_when_its_old_address_keeps_silent() -> None:
    """Without a global timer (memberlist #307): the old address is asked, twice."""
    a = settled()
    moved = alive("c", 6, at=ELSEWHERE)

    number = asks(a, moved, now=1.0)

    assert timeline(a, 10.0) == [
        (1.5, sent("c", ping(number, "c", by="a"))),
        (2.0, MemberUpdated(moved, node("c", 5))),
    ]
    assert news(a, 10.0) == (moved,)


def test_a_name_does_not_move_when_its_old_address_answers() -> None:
    a = settled()
    number = asks(a, alive("c", 6, at=ELSEWHERE), now=1.0)

    ack_from(a, "c", number, now=1.2)

    assert drain(a) == [NameConflict(node("c", 5), alive("c", 6, at=ELSEWHERE))]
    assert timeline(a, 10.0) == []
    assert a.member("c") == node("c", 5)
    assert news(a, 10.0) == ()


def test_a_claim_that_is_being_checked_is_not_checked_twice() -> None:
    a = settled()
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.0)

    assert hears(a, alive("c", 6, at=ELSEWHERE), source="b", now=1.1) == []
    assert hears(a, alive("c", 7, at=("10.8.8.8", 1)), source="b", now=1.1) == []


def test_while_a_claim_is_checked_the_claimant_may_become_newer() -> None:
    a = settled()
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.0)
    newer = alive("c", 8, at=ELSEWHERE, meta=b"x")

    assert hears(a, newer, alive("c", 7, at=ELSEWHERE), source="b", now=1.2) == []

    assert timeline(a, 9.0)[1:] == [(2.0, MemberUpdated(newer, node("c", 5)))]


def test_a_claim_can_be_checked_again_after_a_leave_cut_it_short() -> None:
    a = settled()
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.0)
    a.leave(1.1, timeout=0.1)
    a.handle_timeout(1.3)
    a.rejoin(2.0)
    drain(a)

    (question, *_) = of(Sent, hears(a, alive("c", 6, at=ELSEWHERE), now=3.0))
    assert question.to == address("c")


def test_a_conflict_is_told_once_in_a_while_and_is_no_war() -> None:
    """Two live members of one name: nobody refutes, nobody is asked again for 30 seconds."""
    a = settled()
    other = alive("c", 6, at=ELSEWHERE)
    ack_from(a, "c", asks(a, other, now=1.0), now=1.0)
    assert of(NameConflict, drain(a)) == [NameConflict(node("c", 5), other)]

    for number in range(100):
        assert hears(a, alive("c", 7 + number, at=ELSEWHERE), now=1.0 + 0.29 * number) == []
    asks(a, alive("c", 200, at=ELSEWHERE), now=31.1)


def test_a_member_that_restarts_elsewhere_without_its_incarnation_is_told_what_to_outrank() -> None:
    a = settled()
    c = Memberlist("c", ELSEWHERE, a.config, rng=random.Random(1), now=0.0)
    asks(a, c.node, now=1.0)

    (_, correction) = timeline(a, 2.0)
    assert correction == (2.0, sent(ELSEWHERE, suspect("c", 5, by="a")))

    hears(c, suspect("c", 5, by="a"), source="a", now=2.0)
    assert c.incarnation == 6
    asks(a, c.node, now=2.1)
    assert timeline(a, 4.0)[1:] == [(3.1, MemberUpdated(c.node, node("c", 5)))]


def test_a_stale_record_of_an_old_address_moves_nobody() -> None:
    a = settled()
    number = asks(a, alive("c", 4, at=ELSEWHERE), source="b", now=1.0)

    ack_from(a, "c", number, now=1.1)

    assert a.member("c") == node("c", 5)


def test_while_a_claim_is_checked_the_member_itself_may_speak() -> None:
    """Its word is newer than the claim: when the answer is lost, the claim is not believed."""
    a = settled()
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.0)
    assert hears(a, alive("c", 7), source="c", now=1.1) == []

    assert timeline(a, 5.0)[1:] == [(2.0, sent(ELSEWHERE, suspect("c", 7, by="a"), alive("c", 7)))]
    assert a.member("c") == alive("c", 7)


def test_a_member_that_moved_meanwhile_does_not_move_back() -> None:
    a = settled()
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.0)
    hears(a, left("c", 6), source="c", now=1.1)
    third = alive("c", 8, at=("10.8.8.8", 7946))
    assert hears(a, third, now=1.2) == [MemberJoined(third)]

    assert of(MemberUpdated, run(a, 5.0)) == []
    assert a.member("c") == third


def test_a_suspected_member_may_move_too() -> None:
    a = settled()
    hears(a, suspect("c", 5, by="b"), now=1.0)
    tell_all(a, 1.0)
    moved = alive("c", 6, at=ELSEWHERE)
    asks(a, moved, now=2.0)

    assert [output for _, output in timeline(a, 3.0)[1:]] == [
        MemberRefuted(moved, 2.0),
        MemberUpdated(moved, node("c", 5, SUSPECT)),
    ]


def test_who_left_may_come_back_from_anywhere_at_once() -> None:
    a = settled()
    hears(a, left("c", 5), source="c", now=1.0)
    back = alive("c", 6, at=ELSEWHERE)

    assert hears(a, back, source=ELSEWHERE, now=1.1) == [MemberJoined(back)]


def test_the_dead_come_back_from_elsewhere_when_their_old_address_keeps_silent() -> None:
    a = settled()
    hears(a, dead("c", 5, by="b"), now=1.0)
    tell_all(a, 1.0)
    back = alive("c", 6, at=ELSEWHERE)
    asks(a, back, now=1.0)

    assert timeline(a, 2.0)[1:] == [(2.0, MemberJoined(back))]


def test_with_a_reclaim_time_the_dead_come_back_from_elsewhere_after_it() -> None:
    a = settled(dead_reclaim_time=10.0)
    hears(a, dead("c", 5, by="b"), now=1.0)
    tell_all(a, 1.0)
    back = alive("c", 6, at=ELSEWHERE)
    ack_from(a, "c", asks(a, back, now=2.0), now=2.0)
    assert of(NameConflict, drain(a))

    assert hears(a, back, source=ELSEWHERE, now=10.9) == []
    assert hears(a, back, source=ELSEWHERE, now=11.0) == [MemberJoined(back)]


def test_a_member_that_was_forgotten_meanwhile_is_no_ones_claim() -> None:
    a = settled(gossip_to_the_dead_time=0.5)
    hears(a, dead("c", 5, by="b"), now=1.0)
    tell_all(a, 1.0)
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.1)

    assert [type(output).__name__ for output in run(a, 9.0)] == ["MemberForgotten", "Sent"]
    assert a.member("c") is None


def test_a_claim_is_dropped_while_too_many_pings_wait() -> None:
    a = settled(pending_pings_max=1)
    a.ping("b", 1.0)
    drain(a)

    assert hears(a, alive("c", 6, at=ELSEWHERE), now=1.0) == []
    run(a, 1.5)
    asks(a, alive("c", 6, at=ELSEWHERE), now=1.5)


def test_an_address_that_is_not_allowed_is_refused_when_it_would_move() -> None:
    a = settled(allowed_networks=("10.0.0.0/16",))
    moved = alive("c", 6, at=ELSEWHERE)
    asks(a, moved, now=1.0)

    assert timeline(a, 2.0)[1:] == [(2.0, NodeRefused(moved, "address-not-allowed"))]


def test_claims_are_checked_whatever_the_callers_clock_counts_from() -> None:
    a = settled(now=-1000.0)

    asks(a, alive("c", 6, at=ELSEWHERE), now=-999.0)


def three(seed: int) -> Cluster:
    """Return a cluster in which a, b and c know each other."""
    cluster = Cluster(seed=seed)
    for name in "abc":
        cluster.add(name)
    cluster.join("b", "a")
    cluster.join("c", "a")
    cluster.run(5.0)
    return cluster


def test_two_live_members_of_one_name_start_no_war(seed: int) -> None:
    cluster = three(seed)
    cluster.add("twin", called="c")
    cluster.join("twin", "b")

    cluster.run(120.0)

    assert {at for _, at, event in cluster.trace if type(event) is NameConflict} >= {"c", "twin"}
    assert not [event for _, _, event in cluster.trace if type(event) is AccusationRefuted]
    assert cluster.machine("c").incarnation == cluster.machine("twin").incarnation == 1
    for name in "ab":
        assert cluster.machine(name).member("c") == cluster.machine("c").node


def test_a_member_that_moves_and_forgets_its_incarnation_is_back_in_seconds(seed: int) -> None:
    """Memberlist #307, #311: the usual life of a container."""
    cluster = three(seed)
    cluster.call("c", "update_meta", b"old")
    cluster.run(1.0)
    cluster.crash("c")
    cluster.add("moved", called="c")
    cluster.join("moved", "b")
    moved = cluster.machine("moved")

    assert cluster.run_until(
        lambda: all(cluster.machine(name).member("c") == moved.node for name in "ab"), within=8.0
    )
    assert moved.incarnation > 2


# --- our own name at another address ---------------------------------------------------------


def our_name_elsewhere(a: Memberlist, incarnation: int, *, now: float) -> int:
    """Deliver our own name from elsewhere; return the number of the ping that asks there."""
    other = alive("a", incarnation, at=ELSEWHERE)
    (question,) = hears(a, other, source="b", now=now)
    number: int = question.messages[0].sequence
    assert question == sent(ELSEWHERE, ping(number, "a", by="a"))
    return number


def test_another_process_with_our_name_is_a_conflict_and_not_refuted() -> None:
    a = settled()
    number = our_name_elsewhere(a, 3, now=1.0)

    deliver(a, ack(number), source=ELSEWHERE, now=1.1)

    assert drain(a) == [NameConflict(alive("a", 1), alive("a", 3, at=ELSEWHERE))]
    assert timeline(a, 10.0) == []
    assert a.incarnation == 1
    assert hears(a, alive("a", 9, at=ELSEWHERE), now=20.0) == []


def test_our_own_past_at_another_address_is_outranked() -> None:
    a = settled()
    our_name_elsewhere(a, 3, now=1.0)

    assert timeline(a, 2.0)[1:] == [
        (2.0, HealthChanged(1, 0, "refuted")),
        (2.0, AccusationRefuted("10.0.0.2:7946", "alive", 4)),
        (2.0, sent("b", alive("a", 4))),
    ]


def test_our_past_that_we_outrank_already_needs_no_answer() -> None:
    a = settled(options={"incarnation": 7})

    assert hears(a, alive("a", 3, at=ELSEWHERE), now=1.0) == []


def test_who_leaves_outranks_nobody() -> None:
    a = settled()
    our_name_elsewhere(a, 3, now=1.0)
    a.leave(1.1)
    drain(a)

    assert of(AccusationRefuted, run(a, 3.0)) == []
    assert a.incarnation == 1


# --- merging a peer's full state -------------------------------------------------------------


def merged(a: Memberlist, *nodes: Node, now: float = 1.0, **state: Any) -> list[Any]:
    """Have b push its state to us on a stream; return the events."""
    return of(EVENTS, stream_of(a, *nodes, now=now, **state))


def stream_of(
    a: Memberlist, *nodes: Node, now: float, join: bool = False, user_state: bytes = b""
) -> list[Any]:
    """Push a state on a stream of b's to us; return all outputs."""
    stream = a.stream_accepted(address("b"), now)
    a.stream_received(stream, encode_push_pull(join, nodes, user_state), now)
    return drain(a)


def test_nobody_dies_by_a_merge_alone() -> None:
    """Dead and suspect become a suspicion of our own; left is believed."""
    a = listener()

    assert merged(a, node("b", 1, SUSPECT), node("c", 1, DEAD), node("d", 1, LEFT)) == [
        MemberSuspected(node("b", 1, SUSPECT), evidence("a", since=1.0, timeout=24.0)),
        MemberSuspected(node("c", 1, SUSPECT), evidence("a", since=1.0, timeout=24.0)),
        MemberLeft(node("d", 1, LEFT)),
    ]


def test_only_the_living_become_known_by_a_merge() -> None:
    a = listener()

    assert merged(a, node("e", 3), node("f", 1, DEAD), node("g", 1, LEFT)) == [
        MemberJoined(node("e", 3))
    ]


def test_a_merge_brings_what_is_newer_and_nothing_else() -> None:
    a = listener(knows=[node("b", 5), node("c", 5)])

    assert merged(a, node("b", 5), node("c", 4, meta=b"old"), node("b", 6, meta=b"x")) == [
        MemberUpdated(node("b", 6, meta=b"x"), node("b", 5))
    ]


@pytest.mark.parametrize(
    ("held", "word"), [(SUSPECT, "suspect"), (DEAD, "dead"), (LEFT, "dead"), (ALIVE, "alive")]
)
def test_what_a_peer_holds_against_us_is_refuted(held: NodeState, word: str) -> None:
    a = listener()

    assert merged(a, node("a", 3, held)) == [
        HealthChanged(1, 0, "refuted"),
        AccusationRefuted("10.0.0.2:7946", word, 4),
    ]
    assert a.node == alive("a", 4)


@pytest.mark.parametrize("record", [node("a", 0, DEAD), node("a", 1)])
def test_what_a_peer_holds_of_us_rightly_or_out_of_date_is_ignored(record: Node) -> None:
    a = listener()

    assert merged(a, record) == []


def test_who_leaves_does_not_refute_by_merge() -> None:
    a = listener()
    a.leave(1.0)
    drain(a)

    assert merged(a, node("a", 3, DEAD), node("a", 3)) == []


def test_the_same_state_again_says_nothing() -> None:
    a = listener()
    state = (node("b", 2, meta=b"x"), node("e", 1))
    assert len(merged(a, *state)) == 2

    assert merged(a, *state, now=2.0) == []


def test_a_merge_hands_on_the_application_state() -> None:
    assert merged(listener(), node("b"), user_state=b"hello") == [
        UserStateReceived(address("b"), b"hello", join=False)
    ]


def test_versions_that_do_not_fit_refuse_the_whole_merge() -> None:
    a = listener()
    (refused, *rest) = merged(
        a, node("e", 1, versions=bytes([3, 5, 3, 0, 0, 0])), user_state=b"hello"
    )

    assert type(refused) is MergeRefused
    assert refused.source == address("b")
    assert "protocol version 2" in refused.reason
    assert not of((MemberJoined, UserStateReceived), rest)
    assert a.member("e") is None


def test_the_application_may_refuse_a_join_but_not_later_exchanges() -> None:
    a = listener(options={"accept_merge": lambda nodes: len(nodes) < 2})
    two = (node("e"), node("f"))

    assert of(MergeRefused, merged(a, *two, join=True)) == [
        MergeRefused(address("b"), "not-accepted")
    ]
    assert a.member("e") is None
    assert of(MemberJoined, merged(a, *two)) == [MemberJoined(two[0]), MemberJoined(two[1])]


# --- leaving and coming back -----------------------------------------------------------------


def test_coming_back_the_gone_are_forgotten_and_suspects_trusted() -> None:
    a = listener()
    hears(a, suspect("b", by="c"), dead("c", by="d"), left("d"), now=1.0)
    a.leave(1.0, timeout=1.0)
    a.handle_timeout(2.0)
    assert a.is_over

    a.rejoin(3.0)

    a.check_invariants()
    assert a.nodes == (node("b", 1), node("a", 2))


# --- whatever is said ------------------------------------------------------------------------

INCARNATIONS = st.sampled_from([0, 1, 2, 3, TOP - 1, TOP])
CLAIMS = st.one_of(
    st.builds(
        alive,
        st.sampled_from("abcde"),
        INCARNATIONS,
        meta=st.sampled_from([b"", b"x"]),
        at=st.sampled_from([None, ELSEWHERE]),
    ),
    st.builds(Suspect, INCARNATIONS, st.sampled_from("abcde"), st.sampled_from("abcd")),
    st.builds(Dead, INCARNATIONS, st.sampled_from("abcde"), st.sampled_from("abcd")),
)


@given(st.lists(st.tuples(CLAIMS, st.sampled_from("bcde"), st.floats(0.0, 20.0)), max_size=40))
def test_incarnations_never_go_back_and_the_rules_hold(
    claims: list[tuple[Message, str, float]],
) -> None:
    a = listener()
    now = 0.0
    seen: dict[str, int] = {}
    for claim, source, pause in claims:
        now += pause
        outputs = run(a, now)
        deliver(a, claim, source=source, now=now)
        a.check_invariants()
        for gone in of(MemberForgotten, outputs + drain(a)):
            seen.pop(gone.node.name, None)
        for each in a.nodes:
            assert each.incarnation >= seen.get(each.name, 0)
        seen = {each.name: each.incarnation for each in a.nodes}
        assert a.node.state is ALIVE


def test_two_members_never_answer_each_other_without_end() -> None:
    """Whatever incarnations meet, accusations and corrections come to rest."""
    for theirs in (1, 5, TOP):
        for ours in (1, 5, TOP):
            for held in (ALIVE, SUSPECT, DEAD, LEFT):
                assert packets_until_rest(theirs, ours, held) < 8


def packets_until_rest(theirs: int, ours: int, held: NodeState) -> int:
    """Let b speak to a, who holds something of it, and count what they send each other."""
    a = machine("a", knows=[node("b", ours)])
    if held is not ALIVE:
        claims: dict[NodeState, Message] = {
            SUSPECT: suspect("b", ours, by="c"),
            DEAD: dead("b", ours, by="c"),
        }
        claim: Message = claims.get(held, left("b", ours))
        hears(a, claim, now=0.0)
    b = machine("b", knows="a", options={"incarnation": theirs - 1})
    wires: list[tuple[str, Message]] = [("a", b.node)]
    count = 0
    while wires and count < 100:
        to, message = wires.pop(0)
        count += 1
        receiver, sender = (a, "b") if to == "a" else (b, "a")
        for packet in of(Sent, hears(receiver, message, source=sender, now=0.0)):
            messages: tuple[Message, ...] = packet.messages
            wires += [(sender, each) for each in messages]
    return count
