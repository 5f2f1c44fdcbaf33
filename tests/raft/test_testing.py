"""The simulated cluster: network, disks, clocks, crashes, and what users do with it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raft import (
    AddVoter,
    Config,
    EntriesCommitted,
    LogId,
    LogRegression,
    NotLeader,
    Persist,
    Raft,
    ReadFailed,
    ReadReady,
    Role,
    RoleChanged,
    SendMessage,
    SnapshotInstalled,
)
from raft.testing import Birth, Cluster, Disk, InvariantBroken, Journal, WalDisk


def founded(count: int = 3, **options: Any) -> Cluster:
    """Return a cluster that has a leader."""
    cluster = Cluster(seed=1, **options)
    cluster.start(count)
    cluster.elect()
    return cluster


def follower(cluster: Cluster) -> str:
    """Return a server that does not lead."""
    return next(name for name in cluster.machines if name != cluster.leader)


# --- what users do


def test_a_cluster_elects_commits_and_agrees() -> None:
    cluster = founded()

    (first, second) = cluster.propose(b"x", b"y")
    assert not cluster.committed(first)
    assert not cluster.agreed()
    cluster.run(0.5)

    assert cluster.committed(second)
    assert cluster.agreed()
    assert [cluster.application(name).recent for name in cluster.names] == 3 * [[b"x", b"y"]]
    assert cluster.names == ["n1", "n2", "n3"]


def test_a_server_that_is_named_is_elected() -> None:
    cluster = Cluster(seed=1)
    cluster.start(3)

    assert [cluster.elect(name) for name in ("n3", "n1", "n2")] == ["n3", "n1", "n2"]


def test_a_leader_that_can_not_be_had_is_told() -> None:
    cluster = founded()
    cluster.partition(["n1"], ["n2"], ["n3"])
    cluster.run(3.0)

    with pytest.raises(InvariantBroken, match="nobody leads after 5"):
        cluster.elect(within=5.0)


def test_who_is_down_or_follows_does_not_lead() -> None:
    cluster = founded()
    leader = cluster.elect()
    assert [name for name in cluster.names if cluster.leads(name)] == [leader]

    cluster.crash(leader)

    assert not cluster.leads(leader)
    assert cluster.leader is None
    assert not cluster.agreed()


def test_a_proposal_at_a_follower_is_refused_as_the_machine_refuses_it() -> None:
    cluster = founded()

    with pytest.raises(NotLeader):
        cluster.propose(b"x", at=follower(cluster))


def test_a_server_joins_by_a_change() -> None:
    cluster = founded()
    cluster.add("n4")

    cluster.change(AddVoter("n4"))
    cluster.run(0.5)

    assert cluster.machine("n4").configuration.voters == ("n1", "n2", "n3", "n4")
    assert cluster.agreed()
    assert cluster.agreed(["n4"])


def test_a_cluster_can_be_founded_on_one_of_its_servers() -> None:
    cluster = Cluster(seed=1)
    for name in ("n1", "n2", "n3"):
        cluster.add(name)
    cluster.found(["n1", "n2", "n3"], on=["n1"])

    assert cluster.elect() == "n1"


def test_founders_may_be_learners_witnesses_and_behave_differently() -> None:
    cluster = Cluster(seed=1)
    cluster.start(
        4, learners=["n4"], witnesses=["n3"], configs={"n2": Config(election_timeout=0.5)}
    )

    cluster.elect()
    cluster.propose(b"x")
    cluster.run(0.5)

    assert cluster.machine("n2").config.election_timeout == 0.5
    assert [cluster.application(name).recent for name in ("n1", "n4", "n3")] == [[b"x"], [b"x"], []]


def test_reads_are_in_the_trace() -> None:
    cluster = founded(config=Config(lease_reads=True))
    leader = cluster.elect()
    other = follower(cluster)

    numbers = [cluster.read(leader, lease=True), cluster.read(other)]
    cluster.run(0.5)

    assert [event.read for event in cluster.events(ReadReady)] == numbers
    assert [event.read for event in cluster.events(ReadReady, at=other)] == numbers[1:]
    cluster.partition([other])
    cluster.read(other)
    cluster.run(10.0)
    assert len(cluster.events(ReadFailed)) == 1


def test_a_read_of_who_is_down_or_paused_is_none() -> None:
    cluster = founded()
    cluster.pause("n1")
    cluster.crash("n2")

    assert cluster.call("n1", "read") is None
    assert cluster.call("n2", "read") is None


# --- faults


def test_a_crashed_server_comes_back_with_what_its_disk_has() -> None:
    cluster = founded()
    cluster.propose(b"x")
    cluster.run(0.5)
    name = follower(cluster)

    cluster.crash(name)
    (log_id,) = cluster.propose(b"y")
    cluster.run(0.5)
    assert cluster.committed(log_id)
    cluster.restart(name, config=Config(election_timeout=3.0))
    cluster.run(0.5)

    assert cluster.machine(name).config.election_timeout == 3.0
    assert cluster.agreed()
    assert cluster.application(name).recent == [b"x", b"y"]


def test_what_was_not_synced_may_be_lost_in_a_crash() -> None:
    left = set()
    for seed in range(20):
        cluster = Cluster(seed=seed)
        cluster.start(1)
        cluster.elect()
        cluster.set_sync("n1", (10.0, 10.0))
        for payload in (b"x", b"y", b"z"):
            cluster.propose(payload)
        cluster.restart("n1")
        left.add(cluster.machine("n1").last_index)

    assert left == {2, 3, 4, 5}


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_a_crash_at_a_seam_comes_after_so_many_outputs(outputs: int) -> None:
    seen: list[str] = []
    cluster = Cluster(seed=1, on_output=lambda name, _: seen.append(name))
    cluster.start(3)
    leader = cluster.elect()
    seen.clear()

    cluster.crash_after(leader, outputs)
    cluster.run(5.0)

    assert leader not in cluster.machines
    assert seen.count(leader) == outputs


def test_a_message_survives_the_crash_of_its_sender() -> None:
    cluster = founded(latency=(0.05, 0.05), sync=(0.0, 0.0))
    leader = cluster.elect()
    cluster.run(1.0)
    last = cluster.machine(leader).last_index
    cluster.propose(b"x")

    cluster.crash(leader)
    cluster.run(0.1)

    assert {cluster.machine(name).last_index for name in cluster.machines} == {last + 1}


def test_a_message_survives_the_crash_of_its_receiver() -> None:
    cluster = founded(latency=(0.05, 0.05), sync=(0.0, 0.0))
    cluster.run(1.0)
    name = follower(cluster)
    cluster.propose(b"x")

    cluster.restart(name)
    cluster.run(0.1)

    assert cluster.machine(name).entries(1, 100).payloads[-1] == b"x"


def test_a_slow_disk_holds_up_what_depends_on_it() -> None:
    cluster = founded()
    for name in cluster.names:
        cluster.set_sync(name, (1.0, 1.0))

    (log_id,) = cluster.propose(b"x")
    cluster.run(0.9)
    early = cluster.committed(log_id)
    cluster.run(0.5)

    assert (early, cluster.committed(log_id)) == (False, True)
    cluster.set_sync("n1", None)
    cluster.set_sync("n1", None)


def test_a_fast_clock_campaigns_first() -> None:
    cluster = Cluster(seed=1)
    cluster.add("n1", origin=500.0)
    cluster.add("n2")
    cluster.add("n3", origin=1e6)
    cluster.found(["n1", "n2", "n3"])
    cluster.run(0.1)

    cluster.set_clock("n3", 4.0)

    assert cluster.elect() == "n3"
    cluster.crash("n3")
    cluster.set_clock("n3", 1.0)
    cluster.restart("n3")


def test_a_paused_server_goes_on_where_it_was() -> None:
    cluster = founded()
    leader = cluster.elect()
    name = follower(cluster)

    cluster.pause(leader)
    assert cluster.is_paused(leader)
    cluster.run(5.0)
    assert cluster.elect() != leader
    cluster.resume(leader)
    cluster.run(1.0)

    assert cluster.machine(leader).role is Role.FOLLOWER
    assert not cluster.is_paused(name)


def test_a_server_that_is_paused_while_its_disk_syncs_hears_of_it_later() -> None:
    cluster = founded()
    name = follower(cluster)
    cluster.set_sync(name, (0.2, 0.2))
    cluster.propose(b"x")
    cluster.run(0.1)

    cluster.pause(name, timers=True)
    cluster.run(0.5)
    cluster.resume(name)
    cluster.run(0.5)

    assert cluster.agreed()


def test_a_busy_process_sends_later_and_more_at_once() -> None:
    def run(poll_delay: float) -> tuple[int, bool]:
        cluster = founded(poll_delay=poll_delay)
        before = cluster.messages
        for number in range(50):
            cluster.propose(b"%d" % number)
            cluster.run(0.001)
        cluster.run(2.0)
        return cluster.messages - before, cluster.agreed()

    at_once, late = run(0.0), run(0.05)

    assert at_once[1]
    assert late[1]
    assert late[0] < at_once[0]


def test_a_busy_process_can_be_paused_or_crash() -> None:
    cluster = founded(poll_delay=0.3)
    name = follower(cluster)
    for _ in range(10):
        cluster.propose(b"x", at=cluster.elect())
        cluster.pause(name)
        cluster.run(0.3)
        cluster.resume(name)
        cluster.run(0.1)
        cluster.crash(name)
        cluster.run(0.3)
        cluster.restart(name)

    assert cluster.run_until(cluster.agreed, 20.0)


def test_messages_overtake_each_other_unless_they_may_not() -> None:
    def arrivals(*, fifo: bool) -> list[int]:
        numbers: list[int] = []

        def entered(name: str, method: str, args: tuple[Any, ...]) -> None:
            if method == "receive" and getattr(args[0], "entries", None):
                numbers.append(args[0].prev_index)

        cluster = Cluster(seed=1, latency=(0.0, 0.1), fifo=fifo, on_input=entered)
        cluster.start(2)
        cluster.elect()
        cluster.run(1.0)
        numbers.clear()
        for _ in range(20):
            cluster.propose(b"x")
        cluster.run(0.2)
        return numbers

    in_order, mixed = arrivals(fifo=True), arrivals(fifo=False)

    assert in_order == sorted(in_order)
    assert mixed != sorted(mixed)


def test_messages_can_go_through_the_codec() -> None:
    cluster = founded(wire=True)

    cluster.propose(b"x")
    cluster.run(0.5)

    assert cluster.agreed()


# --- snapshots


def test_a_server_behind_the_log_gets_a_snapshot() -> None:
    cluster = founded(config=Config(trailing_entries=0))
    leader, name = cluster.elect(), follower(cluster)
    cluster.crash(name)
    cluster.propose(b"x", b"y")
    cluster.run(0.5)

    assert cluster.compact(leader) == cluster.machine(leader).applied_index
    cluster.restart(name)
    cluster.run(1.0)

    assert len(cluster.events(SnapshotInstalled, at=name)) == 1
    assert cluster.application(name).digest == cluster.application(leader).digest
    cluster.restart(name)
    cluster.run(1.0)
    assert cluster.application(name).digest == cluster.application(leader).digest


def test_a_witness_gets_a_snapshot_without_contents() -> None:
    cluster = Cluster(seed=1, config=Config(trailing_entries=0))
    cluster.start(3, witnesses=["n3"])
    leader = cluster.elect()
    cluster.crash("n3")
    cluster.propose(b"x", b"y")
    cluster.run(0.5)
    cluster.compact(leader)

    cluster.restart("n3")
    cluster.run(1.0)

    (installed,) = cluster.events(SnapshotInstalled, at="n3")
    assert installed.snapshot.data == b""
    assert cluster.application("n3").count == 0
    assert cluster.agreed()


def test_an_application_whose_own_state_is_durable_goes_on_from_there() -> None:
    cluster = founded()
    name = follower(cluster)
    cluster.propose(b"x")
    cluster.run(0.5)
    cluster.checkpoint(name)
    cluster.propose(b"y")
    cluster.run(0.5)

    cluster.restart(name)
    cluster.run(1.0)

    assert cluster.application(name).count == 2
    assert cluster.application(name).recent == [b"y"]


# --- disks


@pytest.mark.parametrize("make_disk", [lambda _: Disk(2), lambda rng: WalDisk(rng, 2)])
def test_a_disk_survives_crashes_in_the_middle_of_everything(make_disk: Any) -> None:
    rng = Random(7)
    cluster = Cluster(seed=3, make_disk=make_disk, sync=(0.0, 0.1))
    cluster.start(3)
    cluster.elect()
    for number in range(40):
        leader = cluster.elect()
        cluster.propose(*[b"%d" % number] * 3)
        if number % 5 == 0:
            cluster.compact(follower(cluster))
        cluster.run(rng.random() * 0.1)
        name = rng.choice([leader, follower(cluster)])
        cluster.restart(name)

    assert cluster.run_until(cluster.agreed, 20.0)


def test_a_disk_that_breaks_its_word_is_told_and_bars_its_server() -> None:
    cluster = founded()
    name = follower(cluster)
    cluster.propose(b"x", b"y")
    cluster.run(1.0)
    cluster.crash(name)

    cluster.disks[name].lose(2)
    cluster.restart(name)
    cluster.run(1.0)

    assert len(cluster.events(LogRegression, at=name)) == 1
    assert cluster.machine(name).status().regressed
    assert cluster.agreed()


# --- what can be asked of a run


def test_the_same_seed_is_the_same_run() -> None:
    def digest(seed: int) -> str:
        cluster = Cluster(seed=seed)
        cluster.start(3)
        cluster.conditions(loss=0.1, duplication=0.1, reordering=0.1)
        cluster.run(30.0)
        return cluster.digest()

    assert digest(1) == digest(1) != digest(2)


def test_a_machine_that_is_no_function_of_its_seed_is_found() -> None:
    lives = 0

    def make(birth: Birth) -> Raft:
        nonlocal lives
        lives += 1
        return Raft(birth.name, birth.config, rng=Random(lives), now=birth.now)

    def digest() -> str:
        cluster = Cluster(make, seed=1)
        cluster.start(3)
        cluster.run(10.0)
        return cluster.digest()

    assert digest() != digest()


def test_everything_that_goes_in_and_out_can_be_watched() -> None:
    outputs: list[tuple[str, Any]] = []
    inputs: list[tuple[str, str]] = []
    cluster = Cluster(
        seed=1,
        on_output=lambda name, output: outputs.append((name, output)),
        on_input=lambda name, method, args: inputs.append((name, method)),
    )
    cluster.start(1)
    cluster.elect()

    assert inputs[:2] == [("n1", "command"), ("n1", "persisted")]
    kinds = [type(output) for _, output in outputs]
    assert {Persist, RoleChanged, EntriesCommitted} <= set(kinds)
    assert SendMessage not in kinds


def test_checks_and_trace_can_be_switched_off() -> None:
    cluster = Cluster(seed=1, check=False, trace=False, config=Config(trailing_entries=0))
    cluster.start(3)
    leader = cluster.elect()
    cluster.propose(b"x")
    cluster.read(leader)
    cluster.run(1.0)
    name = follower(cluster)
    cluster.crash(name)
    cluster.propose(b"y")
    cluster.run(0.5)
    cluster.compact(leader)
    cluster.restart(name)
    cluster.call(name, "read")
    cluster.run(1.0)

    assert cluster.invariants is None
    assert cluster.trace == []
    assert cluster.agreed()


class Composite:
    """A machine with a `Raft` in it, and nothing else: it obeys the contract."""

    def __init__(self, birth: Birth) -> None:
        self.raft = Raft(
            birth.name, birth.config, rng=birth.rng, now=birth.now, stored=birth.stored
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raft, name)


def test_a_composite_is_run_like_a_server() -> None:
    cluster = founded(make=Composite, view=lambda machine: machine.raft)

    (log_id,) = cluster.propose(b"x")
    cluster.run(0.5)

    assert isinstance(cluster.machine("n1"), Raft)
    assert cluster.agreed()
    assert cluster.committed(log_id)
    assert not cluster.committed(LogId(log_id.term, log_id.index + 1))


class Names:
    """An application without a digest."""

    def __init__(self) -> None:
        self.names: set[bytes] = set()

    def apply(self, _: int, payload: bytes) -> None:
        self.names.add(payload)

    def snapshot(self) -> bytes:
        return b",".join(sorted(self.names))

    def restore(self, data: bytes) -> None:
        self.names = set(data.split(b","))


def test_an_application_of_ones_own_is_driven() -> None:
    cluster = founded(application=Names, config=Config(trailing_entries=0))
    leader, name = cluster.elect(), follower(cluster)
    cluster.crash(name)
    cluster.propose(b"x", b"y")
    cluster.run(0.5)
    cluster.compact(leader)
    cluster.restart(name)
    cluster.run(1.0)

    assert cluster.application(name).names == {b"x", b"y"}


def test_an_application_that_differs_is_found() -> None:
    class Forgetting(Journal):
        def apply(self, index: int, payload: bytes) -> None:
            if index != 4:
                super().apply(index, payload)

    made: list[Journal] = []

    def make() -> Journal:
        made.append(Forgetting() if len(made) == 1 else Journal())
        return made[-1]

    cluster = founded(application=make)
    cluster.propose(b"x", b"y", b"z")

    with pytest.raises(InvariantBroken, match="state differs"):
        cluster.run(1.0)


def test_a_machine_that_does_not_move_its_deadline_is_found() -> None:
    class Stubborn(Raft):
        def next_timeout(self) -> float | None:
            return 1.0

    def make(birth: Birth) -> Raft:
        return Stubborn(birth.name, birth.config, rng=birth.rng, now=birth.now)

    cluster = Cluster(make, seed=1)
    cluster.add("n1")

    with pytest.raises(InvariantBroken, match="still due"):
        cluster.run(2.0)
