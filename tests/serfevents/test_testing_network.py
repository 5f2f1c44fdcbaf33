"""The links between simulated members: what they do to packets, and what a pause does."""

from __future__ import annotations

from typing import Any

import pytest

from serfevents import QueryFinished, UserEventReceived
from serfevents.testing import Cluster, Network


def cluster(members: int = 2, seed: int = 1, **options: Any) -> Cluster:
    """Return members that know each other, and hear of each other by gossip only."""
    made = Cluster(seed=seed, push_pull_interval=0.0, **options)
    made.start(members)
    return made


def told(made: Cluster, name: str) -> int:
    """Return how many events a member was told of."""
    return len(made.events(UserEventReceived, at=name))


def fires(made: Cluster, name: str = "n1", count: int = 1) -> None:
    """Let a member fire events, and gossip about them until it is done."""
    for number in range(count):
        made.fire(name, f"{name}-{number}", b"")
    made.run(5.0)


def test_the_kernel_alone_leaves_outputs_to_its_heirs() -> None:
    kernel = Network(1, latency=(0.0, 0.0), buffer=1)
    kernel.stepped("a", None)
    kernel.disturb("a")

    with pytest.raises(NotImplementedError):
        kernel.route("a", None)


def test_loss_is_as_frequent_as_asked() -> None:
    made = cluster(2, retransmit_mult=1)
    made.conditions(loss=0.5)

    for number in range(400):
        made.fire("n1", f"event-{number}", b"x" * 400)  # A packet for three or so.
    made.run(60.0)

    assert 120 <= told(made, "n2") <= 280
    assert told(made, "n1") == 400


def test_a_packet_that_comes_twice_or_late_is_told_of_once() -> None:
    made = cluster(5)
    made.conditions(duplication=0.5, reordering=0.5, latency=(0.01, 0.1))

    fires(made, count=20)

    made.check_delivery()
    assert made.machine("n2").stats.duplicates > 0


def test_a_cut_is_one_way_and_heals() -> None:
    made = cluster(2)
    made.cut("n1", "n2")
    fires(made, "n1")
    fires(made, "n2")
    assert (told(made, "n2"), told(made, "n1")) == (1, 2)
    assert not made.exchange("n1", "n2")

    made.heal()

    assert made.exchange("n1", "n2")
    made.check_delivery()


def test_a_partition_separates_its_groups_and_the_rest() -> None:
    made = cluster(4)
    made.partition(["n1", "n2"])
    fires(made, "n1")
    fires(made, "n3")
    assert [told(made, name) for name in made.machines] == [1, 1, 1, 1]

    made.heal()
    made.exchange("n1", "n3")
    fires(made, "n2")

    assert [told(made, name) for name in made.machines] == [3, 2, 3, 2]


def test_a_slow_member_is_late_in_both_directions_until_it_is_not() -> None:
    made = cluster(2)
    made.slow("n2", 7.0)
    fires(made)
    assert told(made, "n2") == 0

    made.slow("n2", 0.0)
    fires(made, "n2")

    assert told(made, "n2") == 2
    assert told(made, "n1") == 2


def test_a_stopped_process_wakes_to_a_late_timeout_and_then_to_what_waited() -> None:
    made = cluster(2)
    made.ask("n1", "load", b"", timeout=2.0)
    made.pause("n1")
    made.pause("n1")
    fires(made, "n2")
    assert made.events(QueryFinished) == []
    assert told(made, "n1") == 0

    made.resume("n1")

    assert len(made.events(QueryFinished)) == 1
    assert told(made, "n1") == 1


def test_a_blocked_process_keeps_its_timers_while_packets_wait_both_ways() -> None:
    made = cluster(3)
    made.ask("n1", "load", b"", timeout=2.0)
    made.pause("n1", timers=True)
    made.fire("n2", "deploy", b"")
    made.run(5.0)
    assert len(made.events(QueryFinished)) == 1
    assert told(made, "n1") == 0

    made.resume("n1")

    made.check_delivery()


def test_what_a_blocked_process_sends_waits_too() -> None:
    made = cluster(2)
    made.pause("n1", timers=True)
    made.machine("n1").query("load", b"", 0.0, nodes=["n2"], broadcast=False)
    made.pump("n1")
    made.run(5.0)
    assert made.machine("n2").stats.queries == 0

    made.resume("n1")
    made.run(5.0)

    assert made.machine("n2").stats.queries == 1


def test_what_waits_for_a_paused_member_has_a_bound() -> None:
    made = cluster(2, buffer=2)
    made.pause("n2")
    for number in range(9):
        made.fire("n1", f"event-{number}", b"")
        made.run(5.0)

    made.resume("n2")

    assert told(made, "n2") == 1  # The first packet, twice.


def test_a_command_to_a_paused_member_waits_with_its_options() -> None:
    made = cluster(2)
    made.pause("n1")
    assert made.call("n1", "fire", "deploy", b"", coalesce=False) is None

    made.resume("n1")

    (event,) = made.events(UserEventReceived, at="n1")
    assert event.coalesce is False


def test_the_timeout_of_a_member_that_is_gone_is_nothing() -> None:
    made = cluster(2)
    made.ask("n1", "load", b"", timeout=2.0)
    made.crash("n1")

    made.run(5.0)

    assert made.events(QueryFinished) == []


def test_a_packet_to_a_member_that_is_gone_is_lost() -> None:
    made = cluster(2)
    made.fire("n1", "deploy", b"")
    made.crash("n2")

    made.run(5.0)

    assert told(made, "n2") == 0
    assert made.messages > 0


def test_a_deadline_that_moves_away_is_met_where_it_is() -> None:
    made = cluster(2)
    made.machine("n1").query("load", b"", 0.0, timeout=1.0)
    made.pump("n1")
    made.call("n1", "shutdown")

    made.run(100.0)

    assert made.machine("n1").next_timeout() is None


def test_run_until_asks_now_and_then_and_says_whether() -> None:
    made = cluster(2)

    assert made.run_until(lambda: made.now >= 3.0, within=10.0, every=2.0)
    assert made.now == 4.0
    assert not made.run_until(lambda: False, within=1.0)
    assert made.now == 5.0
