"""User events and queries over a medium that loses, repeats and delays: what is promised of them.

- Every live member is told of every event exactly once; `Cluster.missing` says who is live.
- The order is that of Lamport times. An event is newer than all that its origin fired or was told
  of before, so whoever sorts by Lamport time has the order of each origin, and causes before
  effects. Gossip itself overtakes; what is replayed comes in this order.
- Clocks never go back, in a life and from a snapshot to the next.
- Every query ends, in time, and with what was counted.

Every step of every run is held against serfevents.testing.Invariants.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from serfevents import (
    Config,
    Left,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    UserEventReceived,
)
from serfevents.testing import Cluster, InvariantBroken, MessageType, Report

pytestmark = pytest.mark.simulation


def world(seed: int, members: int = 8, **options: Any) -> Cluster:
    """Return members that know each other, over links that are none too good."""
    made = Cluster(seed=seed, **options)
    made.start(members)
    made.conditions(loss=0.2, duplication=0.2, reordering=0.3)
    return made


def told(made: Cluster, name: str) -> list[tuple[int, str]]:
    """Return Lamport times and names of what a member was told of, in the order of delivery."""
    return [(event.ltime, event.name) for event in made.events(UserEventReceived, at=name)]


def fires(made: Cluster, count: int, *, among: list[str] | None = None, every: float = 0.3) -> None:
    """Let members by chance fire events that no other fires."""
    for _ in range(count):
        name = made.rng.choice(among or list(made.machines))
        made.fire(name, f"{name}-{len(made.fired)}", b"payload")
        made.run(made.rng.uniform(0.0, every))


def answers(made: Cluster) -> None:
    """Have everybody answer what they are asked."""

    def answer(name: str, event: Any) -> None:
        if type(event) is QueryReceived:
            made.call(name, "respond", event.query, name.encode())

    made.on_event = answer


# --- events


def test_everybody_is_told_of_every_event_once(seed: int) -> None:
    made = world(seed)

    fires(made, 60)

    assert made.run_until(made.delivered, within=300.0)
    assert len(made.events(UserEventReceived)) == 60 * 8


def test_what_a_partition_kept_apart_comes_together(seed: int) -> None:
    made = world(seed)
    names = list(made.machines)
    made.partition(names[:3])
    fires(made, 20, among=names[:3])
    fires(made, 20, among=names[3:])
    made.run(30.0)
    assert not made.delivered()

    made.heal()

    assert made.run_until(made.delivered, within=300.0)


def test_who_was_stopped_is_told_of_what_it_missed(seed: int) -> None:
    made = world(seed, buffer=4)
    made.pause("n2")
    fires(made, 40, among=["n1", "n3", "n4"])
    made.run(60.0)

    made.resume("n2")

    assert made.run_until(made.delivered, within=300.0)


def test_by_lamport_time_causes_come_before_effects(seed: int) -> None:
    made = world(seed)
    known: dict[str, list[tuple[int, str]]] = {name: [] for name in made.machines}
    causes: list[tuple[tuple[int, str], tuple[int, str]]] = []

    def hear(name: str, event: Any) -> None:
        if type(event) is UserEventReceived:
            fact = (event.ltime, event.name)
            if event.name.startswith(f"{name}-"):
                causes.extend((cause, fact) for cause in known[name])
            known[name].append(fact)

    made.on_event = hear
    fires(made, 60)
    assert made.run_until(made.delivered, within=300.0)

    assert len(causes) > 100
    assert [pair for pair in causes if pair[0][0] >= pair[1][0]] == []
    # Gossip does overtake: the promise is worth something.
    assert any(told(made, name) != sorted(told(made, name)) for name in made.machines)


def test_what_is_replayed_comes_in_the_order_of_lamport_times(seed: int) -> None:
    made = world(seed)
    fires(made, 40)
    assert made.run_until(made.delivered, within=300.0)

    made.add("n9")
    assert made.join("n9", "n1", replay=True)

    replayed = [ltime for ltime, _ in told(made, "n9")]
    assert len(replayed) == 40
    assert replayed == sorted(replayed)


def test_who_joins_without_replay_is_told_of_what_comes_after(seed: int) -> None:
    made = world(seed)
    fires(made, 20)
    made.run(60.0)
    made.add("n9")
    assert made.join("n9", "n1")

    fires(made, 20)

    assert made.run_until(made.delivered, within=300.0)
    assert len(told(made, "n9")) == 20


def test_who_crashes_is_told_again_of_nothing_that_its_snapshot_had(seed: int) -> None:
    made = world(seed)
    for _ in range(5):
        fires(made, 8, among=["n1", "n2", "n3"])
        victim = made.rng.choice(["n5", "n6", "n7"])
        made.crash(victim, torn=made.rng.randrange(40))
        made.notify(Report.FAILED, victim)
        fires(made, 4, among=["n1", "n2", "n3"])
        made.restart(victim)

    made.settle()

    assert made.run_until(made.delivered, within=300.0)
    made.check_convergence()


def test_events_of_two_origins_that_are_the_same_in_everything_are_one(seed: int) -> None:
    """Serf tells events apart by Lamport time, name and payload, not by origin."""
    made = world(seed)
    assert made.fire("n1", "deploy", b"v1") == made.fire("n2", "deploy", b"v1")

    made.run(60.0)

    assert [len(told(made, name)) for name in made.machines] == [1] * 8


def test_who_was_away_for_longer_than_the_buffer_is_told_of_the_rest_once(seed: int) -> None:
    made = world(seed, config=Config(event_buffer=16))
    made.partition(["n8"])
    fires(made, 60, among=["n1", "n2"])
    made.run(60.0)
    with pytest.raises(InvariantBroken, match="delivery"):
        made.check_delivery()

    made.heal()
    made.run(120.0)

    newest = max(ltime for ltime, _ in told(made, "n1"))
    late = told(made, "n8")
    assert {ltime for ltime, _ in late} >= set(range(newest - 14, newest + 1))
    assert min(late) >= (newest - 16, "")


def test_of_gathered_events_the_newest_is_told_and_most_are_not(seed: int) -> None:
    made = world(seed, config=Config.agent())
    for number in range(20):
        made.call("n1", "fire", "deploy", b"%d" % number)
        made.run(0.05)
    made.run(300.0)

    for name in made.machines:
        payloads = [event.payload for event in made.events(UserEventReceived, at=name)]
        assert b"19" in payloads
        assert len(payloads) < 20


# --- queries


def test_every_query_ends_in_time_whatever_is_lost(seed: int) -> None:
    made = world(seed)
    answers(made)
    made.conditions(loss=0.4)
    asked = []
    for _ in range(20):
        name = made.rng.choice(list(made.machines))
        factor = made.rng.randrange(4)
        asked.append(made.ask(name, "load", b"", ack=True, relay_factor=factor))
        made.run(made.rng.random())
    made.run(10.0)

    assert len(made.events(QueryFinished)) == len(asked)


def test_a_query_ends_as_soon_as_everybody_has_answered(seed: int) -> None:
    made = Cluster(seed=seed, gossip_nodes=7)  # To everybody, so that nobody is passed over.
    made.start(8)
    answers(made)
    made.ask("n1", "load", b"", ack=True)
    made.run(60.0)

    ((time, _, finished),) = [each for each in made.trace if type(each[2]) is QueryFinished]
    assert finished == QueryFinished(finished.query, 8, 8, 8, complete=True)
    assert time < made.machine("n1").default_query_timeout == 3.2
    assert {each.payload for each in made.events(QueryAnswered)} == {
        name.encode() for name in made.machines
    }


def test_a_query_does_not_wait_for_who_failed_or_left_meanwhile(seed: int) -> None:
    made = Cluster(seed=seed, news=(0.0, 0.1), gossip_nodes=5)
    made.start(6)
    answers(made)
    made.crash("n2")
    made.call("n3", "leave")
    made.drop("n3", MessageType.QUERY)
    made.ask("n1", "load", b"", ack=True, timeout=60.0)
    made.run(1.0)
    made.notify(Report.FAILED, "n2")
    made.run(9.0)

    (finished,) = made.events(QueryFinished)
    assert (finished.expected, finished.responses, finished.complete) == (4, 4, True)


def test_the_queries_of_who_leaves_end_with_it(seed: int) -> None:
    made = world(seed)
    made.ask("n1", "load", b"", timeout=60.0)
    made.call("n1", "leave")
    made.run(20.0)

    assert made.events(Left) == [Left()]
    assert len(made.events(QueryFinished)) == 1


def test_relays_bring_answers_that_were_lost(seed: int) -> None:
    shares = []
    for factor in (0, 3):
        made = Cluster(seed=seed)
        made.start(12)
        answers(made)
        for _ in range(30):
            made.conditions(loss=0.0)
            made.ask("n1", "load", b"", ack=True, relay_factor=factor)
            made.conditions(loss=0.2)
            made.run(7.0)
        ends = made.events(QueryFinished)
        shares.append(sum(each.responses for each in ends) / sum(each.expected for each in ends))

    # A packet in five is lost: on a detour of two packets it is .36, on three of them .36 ** 3.
    assert 0.73 < shares[0] < 0.90
    assert shares[1] > 0.97


# --- everything at once


class Chaos:
    """Whatever can happen, at random; then calm, in which all must come right."""

    def __init__(self, seed: int) -> None:
        self.made = Cluster(seed=seed, push_pull_interval=10.0)
        self.names = self.made.start(8)
        self.rng = self.made.rng
        self.count = 0
        answers(self.made)

    def run(self, steps: int) -> Cluster:
        """Let it happen, and demand that it comes right."""
        made = self.made
        made.conditions(loss=0.1, duplication=0.1, reordering=0.2)
        things = (
            self.fire, self.fire, self.fire, self.ask, self.crash, self.restart, self.leave,
            self.rejoin, self.force_leave, self.pause, self.split, self.tag,
        )  # fmt: skip
        for _ in range(steps):
            self.rng.choice(things)()
            made.run(self.rng.uniform(0.0, 2.0))
        made.heal()
        for name in list(made.machines):
            made.resume(name)
        made.run(10.0)
        made.settle()
        made.conditions(loss=0.0, duplication=0.0, reordering=0.0)
        made.run(90.0)
        return made

    def someone(self) -> str | None:
        """Return one that runs and may be spared."""
        able = [
            name
            for name, host in self.made.machines.items()
            if not host.machine.is_leaving and name not in self.made._held
        ]
        return self.rng.choice(able) if len(able) > 3 else None

    def fire(self) -> None:
        if (name := self.someone()) is not None:
            self.count += 1
            self.made.fire(name, f"event-{self.count}", b"")

    def ask(self) -> None:
        if (name := self.someone()) is not None:
            factor = self.rng.randrange(3)
            self.made.ask(name, "load", b"", ack=True, relay_factor=factor)

    def crash(self) -> None:
        if (name := self.someone()) is not None:
            self.made.crash(name, torn=self.rng.choice((0, 0, 9)))
            self.made.notify(Report.FAILED, name)

    def restart(self) -> None:
        gone = [name for name in self.names if name not in self.made.machines]
        seed = self.someone()
        if gone and seed is not None:
            name = self.rng.choice(gone)
            self.made.restart(name, remembered=self.rng.random() < 0.8)
            self.made.join(name, seed, replay=True)

    def leave(self) -> None:
        if (name := self.someone()) is not None:
            self.made.call(name, "leave")

    def rejoin(self) -> None:
        over = [name for name, host in self.made.machines.items() if host.machine.is_over]
        seed = self.someone()
        if over and seed is not None:
            name = self.rng.choice(over)
            self.made.call(name, "rejoin")
            self.made.join(name, seed, replay=True)

    def force_leave(self) -> None:
        if (name := self.someone()) is not None:
            other = self.rng.choice([each for each in self.names if each != name])
            prune = other not in self.made.machines and self.rng.random() < 0.3
            self.made.call(name, "force_leave", other, prune=prune)

    def pause(self) -> None:
        if (name := self.someone()) is not None:
            self.made.pause(name, timers=self.rng.random() < 0.5)
        if held := list(self.made._held):
            self.made.resume(self.rng.choice(held))

    def split(self) -> None:
        self.made.heal()
        if self.rng.random() < 0.5:
            self.made.partition(self.rng.sample(self.names, 3))

    def tag(self) -> None:
        if (name := self.someone()) is not None:
            self.made.call(name, "set_tags", {"role": str(self.rng.randrange(3))})


def test_after_any_chaos_all_comes_right(seed: int) -> None:
    made = Chaos(seed).run(60)

    made.check_delivery()
    made.check_convergence()
    for name in made.machines:
        statistics = made.machine(name).statistics()
        assert [statistics[f"{kind}_queue"] for kind in ("intent", "event", "query")] == ["0"] * 3


def test_chaos_is_the_same_chaos_under_any_hash_seed() -> None:
    code = "from tests.simulation.test_serf_events import Chaos; print(Chaos(1).run(40).digest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("0", "1")
    }

    assert digests == {Chaos(1).run(40).digest()}
