"""The simulated medium does what it says, and what it forgets to do is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from serfevents import (
    Broadcast,
    Change,
    Config,
    KeysAnswered,
    Kind,
    Left,
    MembersChanged,
    QueryFinished,
    QueryReceived,
    RotationAdvanced,
    SerfEvents,
    Stage,
    UserEventReceived,
)
from serfevents.testing import (
    Birth,
    Cluster,
    GossipQueue,
    InvariantBroken,
    MessageType,
    Report,
    make_serfevents,
)

AT_ONCE = (0.0, 0.0)
KEY, OTHER = bytes(16), bytes([1] * 16)


def cluster(members: int = 3, seed: int = 1, **options: Any) -> Cluster:
    """Return members that know each other; what membership says arrives at once."""
    made = Cluster(seed=seed, **({"news": AT_ONCE} | options))
    made.start(members)
    return made


def told(made: Cluster, name: str) -> list[str]:
    """Return the names of the events that a member was told of."""
    return [event.name for event in made.events(UserEventReceived, at=name)]


# --- the queue of gossip


def broadcast(number: int, payload: bytes, kind: Kind = Kind.EVENT, key: str | None = None) -> Any:
    return Broadcast(number, payload, kind, key)


def test_intents_go_before_queries_before_events() -> None:
    queue = GossipQueue(4)
    for number, kind in enumerate((Kind.EVENT, Kind.QUERY, Kind.INTENT), start=1):
        queue.add(broadcast(number, kind.value.encode(), kind))

    assert queue.take(9, 100) == ((b"intent", b"query", b"event"), [])


def test_the_least_sent_goes_first_and_of_these_the_newest() -> None:
    queue = GossipQueue(4)
    queue.add(broadcast(1, b"1"))
    queue.take(9, 100)
    queue.add(broadcast(2, b"2"))
    queue.add(broadcast(3, b"3"))

    assert queue.take(9, 100) == ((b"3", b"2", b"1"), [])


def test_each_is_sent_so_often_and_what_does_not_fit_waits() -> None:
    queue = GossipQueue(1)
    queue.add(broadcast(1, b"long one", key="k"))
    queue.add(broadcast(2, b"2"))

    assert queue.take(9, 7) == ((b"2",), [2])
    assert queue.take(99, 100) == ((b"long one",), [])
    assert queue.take(99, 100) == ((b"long one",), [1])
    assert len(queue) == 0


def test_a_newer_broadcast_of_one_key_takes_the_place_of_the_older() -> None:
    queue = GossipQueue(4)

    assert queue.add(broadcast(1, b"old", key="k")) == 0
    assert queue.add(broadcast(2, b"new", key="k")) == 1
    assert queue.take(9, 100)[0] == (b"new",)
    assert queue.clear() == [2]
    assert queue.add(broadcast(3, b"new", key="k")) == 0


# --- gossip and messages


def test_an_event_reaches_everybody_who_gossips() -> None:
    made = cluster(20)

    made.fire("n1", "deploy", b"v1")
    assert not made.delivered()
    assert made.run_until(made.delivered, within=5.0)
    assert len(made.events(UserEventReceived)) == 20
    assert made.machine("n1").statistics()["event_queue"] == "0"


def test_gossip_ends_and_time_goes_on() -> None:
    made = cluster(5, push_pull_interval=0.0)
    made.fire("n1", "deploy", b"v1")
    made.run(5.0)
    sent = made.messages

    made.run(60.0)

    assert made.now == 65.0
    assert made.messages == sent > 0


def test_who_hears_nothing_by_gossip_hears_it_in_a_push_pull() -> None:
    made = cluster(3, push_pull_interval=10.0)
    made.drop("n3", MessageType.USER_EVENT)
    made.fire("n1", "deploy", b"v1")
    made.run(0.5)
    assert told(made, "n3") == []

    assert made.run_until(made.delivered, within=30.0)


def test_a_member_stays_deaf_when_it_starts_again_until_it_is_told_otherwise() -> None:
    made = cluster(3, push_pull_interval=0.0)
    made.drop("n3", MessageType.USER_EVENT, MessageType.PUSH_PULL)
    made.restart("n3")
    made.fire("n1", "deploy", b"v1")
    made.exchange("n1", "n3")
    made.run(5.0)
    with pytest.raises(InvariantBroken, match=r"delivery: .*n3 was not told") as caught:
        made.check_delivery()
    assert caught.value.rule == "delivery"

    made.drop("n3")
    made.exchange("n1", "n3")

    made.check_delivery()


def test_queries_are_asked_and_answered_through_the_medium() -> None:
    made = cluster(3)

    def answer(name: str, event: Any) -> None:
        if type(event) is QueryReceived and name != "n3":
            made.call(name, "respond", event.query, b"ok")

    made.on_event = answer
    number = made.ask("n1", "load", b"", ack=True, relay_factor=1)
    made.ask("n1", "load", b"", timeout=2.0)
    made.run(10.0)

    first = next(each for each in made.events(QueryFinished) if each.query == number)
    assert (first.expected, first.acks, first.responses) == (3, 3, 2)


def test_an_answer_to_nobody_is_lost() -> None:
    made = cluster(2)
    made.machine("n1").query("load", b"", 0.0, ack=True)
    made.crash("n1")

    made.run(5.0)

    assert "n1" not in made.machines


def test_what_was_paused_gossips_when_it_goes_on() -> None:
    made = cluster(3, push_pull_interval=0.0)
    made.fire("n1", "deploy", b"v1")
    made.pause("n1")
    made.run(5.0)
    assert told(made, "n2") == []
    assert not made.exchange("n2", "n1")

    made.resume("n1")
    made.run(5.0)

    made.check_delivery()


def test_a_gossip_that_was_scheduled_dies_with_its_member() -> None:
    made = cluster(2)
    made.fire("n1", "deploy", b"v1")
    made.restart("n1", remembered=False)

    made.run(60.0)

    assert told(made, "n2") == []
    assert made.missing() == ""  # Nobody who is left knows of it.


def test_the_same_seed_is_the_same_run_and_another_is_another() -> None:
    def run(seed: int) -> str:
        made = cluster(5, seed=seed)
        made.conditions(loss=0.2)
        made.fire("n1", "deploy", b"v1")
        made.run(10.0)
        return made.digest()

    assert run(1) == run(1) != run(2)


def test_a_factory_may_make_other_members_and_checks_may_be_off() -> None:
    births = []

    def make(birth: Birth) -> SerfEvents:
        births.append(birth)
        return make_serfevents(birth)

    made = Cluster(make, seed=1, check=False, config=Config(event_buffer=7))
    made.start(2)
    made.fire("n1", "deploy", b"")
    made.ask("n1", "load", b"")
    made.run(3.0)

    assert [birth.name for birth in births] == ["n1", "n2"]
    assert births[0].config.event_buffer == 7
    assert told(made, "n2") == ["deploy"]
    assert made.invariants is None


def test_a_state_that_is_dropped_is_not_merged_and_neither_is_a_report_about_oneself() -> None:
    made = cluster(2)
    made.drop("n2", MessageType.PUSH_PULL)
    made.fire("n1", "deploy", b"")

    assert made.exchange("n1", "n2")
    made.notify(Report.JOINED, "n2", ["n2"])
    made.run(0.0)

    assert told(made, "n2") == []
    assert list(made.machines["n2"].alive) == ["n1"]


# --- membership


def test_membership_says_what_it_is_told_to() -> None:
    made = Cluster(seed=1)
    made.start(3, warm=False)
    assert made.beliefs("n1") == {"n1": "alive"}
    assert not made.converged()

    made.notify(Report.JOINED, "n2")
    made.notify(Report.JOINED, "n3", ["n1"])
    made.run(2.0)

    assert made.beliefs("n1") == dict.fromkeys(["n1", "n2", "n3"], "alive")
    assert made.beliefs("n3") == {"n3": "alive", "n2": "alive"}
    with pytest.raises(InvariantBroken, match="n2 takes n1 for nobody"):
        made.check_convergence(["n2", "n1"])

    made.settle()
    made.check_convergence()


def test_a_newer_report_is_not_undone_by_an_older_one_that_comes_late(seed: int) -> None:
    made = cluster(2, seed=seed, news=(0.0, 1.0))

    made.notify(Report.FAILED, "n2")
    made.notify(Report.JOINED, "n2")
    made.run(2.0)

    assert made.beliefs("n1")["n2"] == "alive"


def test_a_report_is_nothing_to_a_life_that_is_over() -> None:
    made = cluster(3, news=(1.0, 1.0))
    made.notify(Report.FAILED, "n3", ["n1"])
    made.restart("n1", remembered=False)

    made.run(2.0)

    assert made.beliefs("n1") == {"n1": "alive"}


def test_tags_reach_everybody_through_membership() -> None:
    made = cluster(2)

    made.call("n1", "set_tags", {"role": "web"})
    made.run(0.1)

    assert made.machine("n2").member("n1").tags == {"role": "web"}


def test_newcomers_are_told_of_everybody_and_of_what_happened_if_they_want() -> None:
    made = cluster(3)
    made.fire("n1", "deploy", b"v1")
    made.run(5.0)

    for name, replay in (("n4", False), ("n5", True)):
        made.add(name, tags={"role": "new"})
        assert made.join(name, "n9", "n2", replay=replay) == 1
    made.fire("n2", "restart", b"")
    made.run(5.0)

    assert told(made, "n4") == ["restart"]
    assert told(made, "n5") == ["deploy", "restart"]
    assert made.machine("n1").member("n4").tags == {"role": "new"}
    made.check_convergence()
    made.check_delivery()


def test_who_reaches_nobody_has_not_joined() -> None:
    made = cluster(2)
    made.add("n3")
    made.partition(["n3"])

    assert made.join("n3", "n1") == 0
    assert made.beliefs("n3") == {"n3": "alive"}


def test_a_crash_is_known_once_membership_says_so() -> None:
    made = cluster(3)
    made.crash("n3")
    assert made.disagreement() == "n1 takes n3 for alive"

    made.settle()

    made.check_convergence()
    assert made.beliefs("n1")["n3"] == "failed"


def test_a_failed_member_that_is_back_is_found_again() -> None:
    made = cluster(2, config=Config(reconnect_interval=5.0))
    made.crash("n2")
    made.notify(Report.FAILED, "n2")
    made.run(60.0)
    made.restart("n2", remembered=False)

    made.run(60.0)

    made.check_convergence()


def test_a_member_that_moved_is_not_found_where_it_was() -> None:
    made = cluster(2, config=Config(reconnect_interval=5.0))
    made.crash("n2")
    made.notify(Report.FAILED, "n2")
    made.restart("n2", remembered=False, address=("10.9.9.9", 7946))
    made.run(60.0)
    assert made.beliefs("n1")["n2"] == "failed"

    made.join("n2", "n1")

    assert made.machine("n1").member("n2").address == made.address("n2") == ("10.9.9.9", 7946)


def test_a_leave_is_told_to_everybody_and_a_rejoin_too() -> None:
    made = cluster(3)
    made.call("n3", "leave")
    made.run(10.0)
    assert made.events(Left, at="n3") == [Left()]
    made.settle()
    made.check_convergence()
    assert made.beliefs("n1")["n3"] == "left"
    made.notify(Report.FAILED, "n1", ["n3"])
    made.run(0.0)
    assert "n1" in made.machines["n3"].alive  # Who has left isn't told of anything.

    made.call("n3", "rejoin")
    made.join("n3", "n1")
    made.run(5.0)

    made.check_convergence()
    changes = [event.change for event in made.events(MembersChanged, at="n1")
               if event.members[0].name == "n3"]  # fmt: skip
    assert changes == [Change.JOIN, Change.LEAVE, Change.JOIN]


def test_who_left_is_told_of_as_having_left_when_membership_settles() -> None:
    made = cluster(3, news=(5.0, 5.0))
    made.call("n3", "leave")
    made.run(7.0)
    made.restart("n2", remembered=False)
    made.settle()

    assert made.beliefs("n1")["n3"] == "left"


def test_a_leave_that_is_cut_short_by_a_crash_is_a_failure() -> None:
    made = cluster(2, news=(5.0, 5.0))
    made.call("n2", "leave")
    made.run(3.0)
    made.crash("n2")

    made.run(30.0)

    assert made.events(Left) == []


# --- what outlives a crash


def test_a_member_recovers_what_its_snapshot_has_and_rejoins() -> None:
    made = cluster(3)
    for number in range(5):
        made.fire("n1", f"event-{number}", b"")
    made.run(5.0)
    made.restart("n3")
    made.fire("n2", "restart", b"")
    made.run(5.0)

    assert sorted(told(made, "n3")) == [*(f"event-{number}" for number in range(5)), "restart"]
    made.check_convergence()
    made.check_delivery()


def test_a_torn_snapshot_is_recovered_up_to_its_last_line(seed: int) -> None:
    made = cluster(3, seed=seed)
    made.fire("n1", "deploy", b"")
    made.run(5.0)
    size = len(made.files["n3"])

    made.crash("n3", torn=1 + made.rng.randrange(size))
    made.restart("n3")

    made.run(5.0)
    made.settle()
    made.check_convergence()
    assert made.files["n3"].endswith(b"\n")


def test_who_finds_nobody_where_they_were_stays_alone() -> None:
    made = cluster(2)
    made.run(1.0)
    made.crash("n1")
    made.restart("n2")

    made.run(1.0)

    assert made.beliefs("n2") == {"n2": "alive"}


def test_who_is_gone_at_once_rejoins_nobody() -> None:
    made = cluster(2)
    made.run(1.0)
    made.restart("n2")
    made.crash("n2")

    made.run(1.0)

    assert list(made.machines) == ["n1"]


def test_a_snapshot_that_grows_too_large_is_compacted() -> None:
    made = cluster(2, push_pull_interval=0.0)

    for number in range(9000):
        made.call("n1", "member_updated", "n2", (f"10.0.{number >> 8}.{number & 255}", 1), b"",
                  bytes((1, 5, 2, 2, 5, 5)))  # fmt: skip

    assert len(made.files["n1"]) < 160_000
    assert made.files["n1"].count(b"clock: 0") >= 1


# --- keys


def test_keys_are_installed_used_and_removed_by_everybody() -> None:
    made = cluster(3, keys=[KEY])

    for method, key in (("install_key", OTHER), ("install_key", OTHER), ("use_key", OTHER),
                        ("remove_key", KEY)):  # fmt: skip
        made.call("n1", method, key)
        made.run(5.0)

    assert [answer.error for answer in made.events(KeysAnswered)] == [""] * 4
    assert made.keyrings == {name: [OTHER] for name in made.machines}


@pytest.mark.parametrize("method", ["use_key", "remove_key"])
def test_what_is_not_in_a_keyring_is_an_error(method: str) -> None:
    made = cluster(2, keys=[KEY])

    made.call("n1", method, OTHER)
    made.run(5.0)

    assert made.events(KeysAnswered)[0].errors == 2


def test_the_primary_key_stays() -> None:
    made = cluster(2, keys=[KEY])

    made.call("n1", "remove_key", KEY)
    made.run(5.0)

    assert made.events(KeysAnswered)[0].errors == 2
    assert made.keyrings["n2"] == [KEY]


def test_a_rotation_goes_through_the_medium() -> None:
    made = cluster(3, keys=[KEY])

    made.call("n1", "rotate_keys", OTHER)
    made.run(60.0)

    assert made.events(RotationAdvanced)[-1].rotation.stage is Stage.DONE
    assert made.keyrings["n3"] == [OTHER]
