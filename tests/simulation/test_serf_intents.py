"""Who is here, failed, left: what members come to believe, whatever the medium does.

Every step of every run is held against serfevents.testing.Invariants. Sources of single scenarios:
serf/serf_test.go.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from serfevents import Change, Config, Left, MembersChanged
from serfevents.testing import Cluster, MessageType, Report
from serfevents.wire.codec import encode_join, encode_leave
from serfevents.wire.messages import JoinIntent, LeaveIntent

pytestmark = pytest.mark.simulation


def world(seed: int, members: int = 6, **options: Any) -> Cluster:
    """Return members that know each other, over links that are none too good."""
    made = Cluster(seed=seed, **options)
    made.start(members)
    made.conditions(loss=0.1, duplication=0.1, reordering=0.2)
    return made


def calm(made: Cluster, within: float = 120.0) -> None:
    """Demand that all agree in time, and stay so, and have no intents left to tell."""
    made.run_until(made.converged, within)
    made.check_convergence()
    made.run(30.0)
    made.check_convergence()
    for name in made.machines:
        assert made.machine(name).statistics()["intent_queue"] == "0"


def changes(made: Cluster, at: str, about: str) -> list[Change]:
    """Return what a member was told of another."""
    return [
        event.change
        for event in made.events(MembersChanged, at=at)
        if about in [member.name for member in event.members]
    ]


# --- leaving and coming back


def test_a_leave_is_known_to_all_and_nobody_failed(seed: int) -> None:
    made = world(seed)
    made.call("n2", "leave")
    assert made.run_until(lambda: made.events(Left, at="n2") != [], within=10.0)

    calm(made)
    for name in ("n1", "n3", "n4", "n5", "n6"):
        assert changes(made, name, "n2") == [Change.JOIN, Change.LEAVE]


def test_a_leave_is_known_though_its_intent_was_lost(seed: int) -> None:
    made = world(seed, push_pull_interval=0.0)
    for name in ("n1", "n3", "n4", "n5", "n6"):
        made.drop(name, MessageType.LEAVE)
    made.call("n2", "leave")
    made.run(20.0)

    for name in ("n1", "n3", "n4", "n5", "n6"):
        assert changes(made, name, "n2") == [Change.JOIN, Change.LEAVE]


def test_who_crashes_while_leaving_has_left(seed: int) -> None:
    made = world(seed)
    made.call("n2", "leave")
    others = [name for name in made.machines if name != "n2"]

    def somebody_knows() -> bool:
        return any(made.beliefs(name)["n2"] == "leaving" for name in others)

    assert made.run_until(somebody_knows, within=5.0, every=0.02)
    made.crash("n2")
    made.notify(Report.FAILED, "n2")

    calm(made)
    assert made.beliefs("n1")["n2"] == "left"


def test_a_member_that_leaves_and_rejoins_many_times_is_believed_each_time(seed: int) -> None:
    made = world(seed)
    for _ in range(4):
        made.call("n2", "leave")
        assert made.run_until(lambda: made.machine("n2").is_over, within=20.0)
        made.run(made.rng.uniform(0.0, 3.0))
        made.call("n2", "rejoin")
        assert made.join("n2", "n1")
        made.run(made.rng.uniform(1.5, 3.0))

    calm(made)
    assert made.beliefs("n5")["n2"] == "alive"
    told = changes(made, "n1", "n2")
    assert told == [Change.JOIN, *[Change.LEAVE, Change.JOIN] * 4]


def test_an_old_leave_is_not_passed_on_for_ever_by_those_who_missed_the_rejoin(seed: int) -> None:
    """serf/serf_test.go TestSerf_Leave_avoidInfiniteLeaveRebroadcast."""
    # Nothing but the rules of Lamport times tells repeats here.
    made = Cluster(seed=seed, push_pull_interval=5.0, config=Config(recent_payloads_max=0))
    made.start(4)
    made.call("n2", "leave")
    made.run(10.0)
    for name in ("n3", "n4"):
        made.drop(name, MessageType.JOIN, MessageType.PUSH_PULL)

    made.restart("n2", remembered=False)
    made.join("n2", "n1")
    made.run(5.0)
    assert made.beliefs("n3")["n2"] == made.beliefs("n4")["n2"] == "alive"
    made.call("n2", "leave")
    made.run(30.0)

    sent = made.messages
    made.run(60.0)
    assert made.messages == sent  # Gossip has died down.
    for name in ("n1", "n3", "n4"):
        assert made.machine(name).statistics()["intent_queue"] == "0"
        assert made.beliefs(name)["n2"] == "left"
    assert changes(made, "n1", "n2") == [Change.JOIN, Change.LEAVE, Change.JOIN, Change.LEAVE]


def test_a_stale_leave_about_a_member_that_is_back_is_refuted(seed: int) -> None:
    made = world(seed)
    made.call("n2", "leave")
    made.run(20.0)
    (number,) = {made.machine(name).dump()["members"]["n2"]["status_ltime"] for name in ("n1",)}
    made.call("n2", "rejoin")
    made.join("n2", "n1")
    made.run(10.0)

    # A packet of another age; also one with a time of its own, as of somebody malicious.
    for ltime in (number, number + 7):
        stale = encode_leave(LeaveIntent(ltime, "n2"))
        made.give("n4", "receive", ((stale,), made.address("n5")))
        made.run(1.0)

    calm(made)
    assert made.beliefs("n6")["n2"] == "alive"


# --- failing


def test_a_member_that_flaps_is_counted_and_believed_in_the_end(seed: int) -> None:
    made = world(seed, config=Config(snapshot=True, flap_timeout=30.0))
    for pause in (1.0, 5.0, 40.0):
        made.crash("n2")
        made.notify(Report.FAILED, "n2")
        made.run(1.0 + pause)
        made.restart("n2")
        made.run(5.0)

    calm(made)
    for name in ("n1", "n3", "n4", "n5", "n6"):
        assert made.machine(name).stats.member_flap == 2
        assert changes(made, name, "n2") == [Change.JOIN, *[Change.FAILED, Change.JOIN] * 3]


def test_a_failed_member_that_is_back_at_its_address_is_reconnected(seed: int) -> None:
    made = world(seed, config=Config(reconnect_interval=2.0))
    made.partition(["n1", "n2"], ["n3", "n4", "n5", "n6"])
    for lost, seen in (("12", "3456"), ("3456", "12")):
        for each in lost:
            made.notify(Report.FAILED, f"n{each}", [f"n{other}" for other in seen])
    made.run(60.0)
    assert made.beliefs("n1")["n6"] == made.beliefs("n6")["n1"] == "failed"
    made.heal()

    assert made.run_until(made.converged, within=60.0)
    calm(made)


def test_a_failed_member_that_was_forced_to_leave_has_left_for_all(seed: int) -> None:
    made = world(seed)
    made.crash("n2")
    made.notify(Report.FAILED, "n2")
    made.run(3.0)

    made.call("n4", "force_leave", "n2")

    calm(made)
    for name in made.machines:
        assert changes(made, name, "n2") == [Change.JOIN, Change.FAILED, Change.LEAVE]


def test_a_failed_member_that_was_pruned_is_forgotten_by_all_and_may_come_back(seed: int) -> None:
    made = world(seed)
    made.crash("n2")
    made.notify(Report.FAILED, "n2")
    made.run(3.0)
    made.conditions(loss=0.0)  # A prune goes by gossip alone, as in Serf.

    made.call("n4", "force_leave", "n2", prune=True)
    made.run(30.0)

    for name in made.machines:
        assert "n2" not in made.beliefs(name)
        assert changes(made, name, "n2") == [
            Change.JOIN, Change.FAILED, Change.LEAVE, Change.REAP
        ]  # fmt: skip
    made.restart("n2")
    calm(made)
    assert made.beliefs("n1")["n2"] == "alive"


def test_a_living_member_that_others_want_gone_stays(seed: int) -> None:
    made = world(seed)
    for name in ("n4", "n5"):
        made.call(name, "force_leave", "n2")

    calm(made)
    assert made.machine("n2").stats.refutations >= 1
    assert [changes(made, name, "n2") for name in made.machines] == [[Change.JOIN]] * 6


def test_who_is_away_while_a_member_is_forced_to_leave_hears_of_it(seed: int) -> None:
    made = world(seed)
    made.crash("n2")
    made.notify(Report.FAILED, "n2")
    made.run(3.0)
    made.pause("n6")
    made.call("n4", "force_leave", "n2")
    made.run(60.0)

    made.resume("n6")

    calm(made)
    assert made.beliefs("n6")["n2"] == "left"


def test_gone_members_are_forgotten_in_time(seed: int) -> None:
    made = world(seed, config=Config(reconnect_timeout=60.0, tombstone_timeout=120.0))
    made.crash("n2")
    made.notify(Report.FAILED, "n2")
    made.call("n3", "leave")
    made.run(90.0)
    assert ["n2" in made.beliefs("n1"), "n3" in made.beliefs("n1")] == [False, True]

    made.run(90.0)

    assert "n3" not in made.beliefs("n1")
    calm(made)


# --- any starting state

NAMES = [f"n{number}" for number in range(1, 6)]
BELIEFS = st.sampled_from(["alive", "leaving", "left", "failed", "unknown", "pruned"])
FATES = st.sampled_from(["runs", "runs", "crashed", "left"])


def believe(made: Cluster, observer: str, subject: str, belief: str, ltime: int) -> None:
    """Bring a member to a belief about another that knew it as alive."""
    source = made.address(subject)

    def hears(payload: bytes) -> None:
        made.give(observer, "receive", ((payload,), source))

    if belief == "unknown":
        hears(encode_join(JoinIntent(ltime, subject)))
        return
    facts = made.machines[subject].facts()
    made.give(observer, "report", (Report.JOINED.value, subject, facts))
    if belief in ("leaving", "left", "pruned"):
        hears(encode_leave(LeaveIntent(ltime, subject)))
    else:
        hears(encode_join(JoinIntent(ltime, subject)))
    if belief in ("left", "failed", "pruned"):
        made.give(observer, "report", (Report.FAILED.value, subject, ()))
    if belief == "pruned":
        hears(encode_leave(LeaveIntent(ltime + 1, subject, True)))


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {
            (one, two): st.tuples(BELIEFS, st.integers(1, 9))
            for one in NAMES
            for two in NAMES
            if one != two
        }
    ),
    st.tuples(*[FATES] * (len(NAMES) - 1)),
    st.integers(0, 2**16),
)
def test_intents_converge_from_any_starting_state(
    views: dict[tuple[str, str], tuple[str, int]], fates: tuple[str, ...], seed: int
) -> None:
    """Whatever anybody believes of whom at which Lamport time, once membership tells the truth.

    Gossip of the past is gone: that it was never told to somebody is a part of any state.
    """
    made = Cluster(seed=seed, push_pull_interval=10.0, check_every=20)
    made.start(len(NAMES), warm=False)
    for (observer, subject), (belief, ltime) in views.items():
        believe(made, observer, subject, belief, ltime)
    for host in made.machines.values():
        host.queue.clear()
    for name, fate in zip(NAMES[1:], fates, strict=True):
        if fate == "left":
            made.call(name, "leave")
        elif fate == "crashed":
            made.crash(name)
    made.run(8.0)

    made.settle()
    made.conditions(loss=0.2, duplication=0.2, reordering=0.2)

    made.run_until(made.converged, within=120.0)
    made.check_convergence()
