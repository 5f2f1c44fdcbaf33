"""What can happen to a cluster: each scenario is a function of a seed that asserts the outcome.

Every step of every run is held against the invariants of memberlist.invariants. Bounds on time are
those of the protocol at this size (suspicion 4 to 24 seconds with ten members), not tuned ones.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from memberlist import (
    AccusationRefuted,
    Config,
    Keyring,
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    Memberlist,
    MemberlistLeft,
    MemberSuspected,
    MemberUpdated,
    NameConflict,
    ProbeFailed,
)
from memberlist.testing import Birth, Cluster

Scenario = Callable[[int], None]

SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Enter a scenario under its name."""
    SCENARIOS[function.__name__] = function
    return function


def world(seed: int, n: int = 10, **changes: Any) -> Cluster:
    """Return a cluster that has settled."""
    cluster = Cluster(seed=seed, config=Config.lan(**changes))
    cluster.start(n)
    cluster.run(2.0 + cluster.rng.random())
    return cluster


def calm(cluster: Cluster, within: float = 60.0) -> None:
    """Demand that everybody agrees in time, and that nothing was tampered with."""
    cluster.run_until(cluster.converged, within, every=0.5)
    cluster.check_convergence()
    assert cluster.invariants is not None
    cluster.invariants.finish()


# --- failures


@scenario
def crashes_are_detected_by_everybody(seed: int) -> None:
    cluster = world(seed)
    victims = cluster.rng.sample(sorted(cluster.machines), 2)
    for victim in victims:
        cluster.crash(victim)

    assert cluster.run_until(lambda: all(map(cluster.informed, victims)), within=40.0)
    for victim in victims:
        detection = cluster.detections[victim]
        assert detection.suspected is not None
        assert detection.failed is not None
        assert detection.failed - detection.suspected >= 3.9
    assert cluster.false_positives == 0
    calm(cluster)


@scenario
def a_crash_under_loss_is_detected_and_nobody_else_is_blamed(seed: int) -> None:
    cluster = world(seed)
    cluster.conditions(loss=0.1, duplication=0.1, reordering=0.1)
    cluster.crash("n4")

    assert cluster.run_until(lambda: cluster.informed("n4"), within=60.0)
    assert cluster.false_positives == 0
    cluster.conditions(loss=0.0, duplication=0.0, reordering=0.0)
    calm(cluster)


@scenario
def loss_of_30_percent_kills_hardly_anybody(seed: int) -> None:
    """Who loses all copies of a refutation errs: about once in an hour of such a network."""
    cluster = world(seed)
    cluster.conditions(loss=0.3)
    cluster.run(120.0)

    assert cluster.false_verdicts <= 1
    assert len(cluster.events(MemberSuspected)) > 20
    cluster.conditions(loss=0.0)
    calm(cluster)
    assert len(cluster.machines) == len(cluster.machine("n1").members)


@scenario
def a_one_way_cut_is_bridged_by_helpers(seed: int) -> None:
    cluster = world(seed, stream_pings=False)
    cluster.cut("n1", "n2")
    cluster.run(60.0)

    assert cluster.events(MemberFailed) == []
    assert cluster.events(ProbeFailed) == []
    assert {machine.health for machine in cluster.machines.values()} == {0}


@scenario
def a_member_that_only_hears_is_failed_and_comes_back(seed: int) -> None:
    cluster = world(seed)
    for other in cluster.machines.keys() - {"n5"}:
        cluster.cut("n5", other)
    rest = [name for name in cluster.machines if name != "n5"]

    assert cluster.run_until(
        lambda: all(cluster.machine(name).member("n5").state >= 2 for name in rest), within=60.0
    )
    cluster.heal()
    calm(cluster)


@scenario
def a_slow_member_is_not_failed(seed: int) -> None:
    cluster = world(seed)
    cluster.slow("n3", 0.3)
    cluster.run(60.0)

    assert cluster.events(MemberFailed) == []
    cluster.slow("n3", 0.0)
    calm(cluster)


# --- partitions


def halves(cluster: Cluster) -> tuple[list[str], list[str]]:
    names = cluster.rng.sample(sorted(cluster.machines), len(cluster.machines))
    return sorted(names[: len(names) // 2]), sorted(names[len(names) // 2 :])


@scenario
def a_partition_of_seconds_heals_by_refutation(seed: int) -> None:
    cluster = world(seed, heal_interval=0)
    cluster.partition(*halves(cluster))
    cluster.run(3.0)
    cluster.heal()

    calm(cluster)


@scenario
def a_partition_that_splits_heals_once_the_dead_are_remembered(seed: int) -> None:
    cluster = world(seed, heal_interval=10.0)
    cluster.partition(*halves(cluster))
    cluster.run(15.0)
    cluster.heal()

    calm(cluster, within=60.0)


@scenario
def a_partition_longer_than_the_suspicion_splits_and_heals(seed: int) -> None:
    cluster = world(seed)
    one, other = halves(cluster)
    cluster.partition(one, other)

    assert cluster.run_until(lambda: cluster.converged(one), within=40.0)
    assert cluster.run_until(lambda: cluster.converged(other), within=40.0)
    cluster.heal()
    calm(cluster, within=120.0)


@scenario
def a_partition_longer_than_the_reap_time_heals_by_memory(seed: int) -> None:
    cluster = world(seed)
    one, other = halves(cluster)
    cluster.partition(one, other)
    cluster.run(150.0)
    assert len(cluster.events(MemberForgotten)) >= 2 * len(one) * len(other)
    cluster.heal()

    calm(cluster, within=180.0)


@scenario
def without_memory_such_a_partition_stays(seed: int) -> None:
    cluster = world(seed, heal_interval=0)
    one, other = halves(cluster)
    cluster.partition(one, other)
    cluster.run(150.0)
    cluster.heal()
    cluster.run(180.0)

    assert cluster.converged(one)
    assert cluster.converged(other)


@scenario
def a_minority_of_one_comes_back(seed: int) -> None:
    cluster = world(seed)
    cluster.partition(["n7"])
    cluster.run(cluster.rng.uniform(20.0, 200.0))
    cluster.heal()

    calm(cluster, within=180.0)


# --- pauses


@scenario
def a_short_pause_costs_no_member(seed: int) -> None:
    cluster = world(seed)
    cluster.pause("n2")
    cluster.run(3.0)
    cluster.resume("n2")
    cluster.run(40.0)

    assert cluster.events(MemberFailed) == []
    calm(cluster)


@scenario
def a_process_that_comes_back_from_a_long_pause_blames_nobody_and_is_believed(seed: int) -> None:
    cluster = world(seed)
    cluster.pause("n2")
    assert cluster.run_until(
        lambda: len(cluster.events(MemberFailed, about="n2")) == 9, within=60.0
    )
    cluster.resume("n2")

    calm(cluster)
    assert cluster.false_positives == 0
    assert cluster.events(AccusationRefuted, at="n2")


@scenario
def everybody_pauses_at_once_and_nobody_dies_of_it(seed: int) -> None:
    cluster = world(seed)
    names = list(cluster.machines)
    for name in names:
        cluster.pause(name)
    cluster.run(600.0)
    for name in names:
        cluster.resume(name)
    cluster.run(30.0)

    assert cluster.events(MemberFailed) == []
    calm(cluster)


# --- restarts


def restart_all(cluster: Cluster, *, remembered: bool) -> None:
    names = list(cluster.machines)
    for name in names:
        cluster.restart(name, remembered=remembered)
    for name in names[1:]:
        cluster.join(name, names[0])


@scenario
def a_mass_restart_without_memory_converges(seed: int) -> None:
    cluster = world(seed)
    for name in sorted(cluster.machines)[:5]:
        cluster.call(name, "update_meta", b"before")
    cluster.run(5.0)
    restart_all(cluster, remembered=False)

    calm(cluster)
    assert cluster.false_positives == 0


@scenario
def a_mass_restart_with_memory_converges(seed: int) -> None:
    cluster = world(seed)
    restart_all(cluster, remembered=True)

    calm(cluster)
    assert min(machine.incarnation for machine in cluster.machines.values()) == 2


@scenario
def a_rolling_restart_converges_every_time(seed: int) -> None:
    cluster = world(seed, n=6)
    names = list(cluster.machines)
    for name in names:
        seed_name = next(other for other in names if other != name)
        cluster.call(name, "update_meta", b"newer")
        cluster.run(cluster.rng.uniform(0.0, 3.0))
        cluster.restart(name, remembered=cluster.rng.random() < 0.5)
        cluster.join(name, seed_name)
        calm(cluster, within=30.0)


@scenario
def a_restart_before_anybody_noticed_corrects_its_stale_record(seed: int) -> None:
    cluster = world(seed)
    for meta in (b"1", b"2", b"3"):
        cluster.call("n2", "update_meta", meta)
    cluster.run(3.0)
    before = cluster.machine("n1").member("n2").incarnation
    cluster.restart("n2")
    cluster.join("n2", "n1")

    calm(cluster, within=10.0)
    assert cluster.machine("n2").incarnation > before == 4
    assert cluster.events(MemberFailed, about="n2") == []


@scenario
def a_member_that_comes_back_after_its_death_joins_again(seed: int) -> None:
    cluster = world(seed)
    cluster.crash("n2")
    assert cluster.run_until(lambda: cluster.informed("n2"), within=40.0)
    cluster.run(cluster.rng.uniform(0.0, 60.0))
    cluster.restart("n2", remembered=cluster.rng.random() < 0.5)
    cluster.join("n2", "n1")

    calm(cluster, within=30.0)


@scenario
def a_restart_with_another_address_is_believed(seed: int) -> None:
    cluster = world(seed)
    cluster.crash("n2")
    cluster.run(cluster.rng.uniform(0.0, 20.0))
    cluster.restart("n2", remembered=cluster.rng.random() < 0.5, address=("10.9.9.9", 7946))
    cluster.join("n2", "n1")

    calm(cluster, within=60.0)
    assert cluster.machine("n5").member("n2").address == ("10.9.9.9", 7946)


# --- leaving, names, data


@scenario
def a_leave_is_told_to_everybody_and_a_rejoin_too(seed: int) -> None:
    cluster = world(seed)
    cluster.call("n2", "leave")
    assert cluster.run_until(lambda: len(cluster.events(MemberLeft)) == 9, within=10.0)
    assert cluster.run_until(lambda: cluster.events(MemberlistLeft, at="n2") != [], within=10.0)
    assert cluster.machine("n2").next_timeout() is None
    cluster.run(cluster.rng.uniform(0.0, 60.0))
    cluster.call("n2", "rejoin")
    cluster.join("n2", "n1")

    calm(cluster, within=30.0)
    assert cluster.events(MemberFailed) == []
    assert len(cluster.events(MemberJoined, about="n2")) >= 9


@scenario
def a_second_owner_of_a_name_is_not_let_in(seed: int) -> None:
    cluster = world(seed)
    first = list(cluster.machines)
    cluster.add("impostor", called="n2")
    cluster.join("impostor", "n1")
    cluster.run(30.0)

    addresses = {cluster.machine(name).member("n2").address for name in first}
    assert addresses == {cluster.address("n2")}
    assert cluster.events(NameConflict)
    assert cluster.events(MemberFailed) == []
    assert cluster.events(MemberSuspected, about="n2") == []


@scenario
def metadata_reaches_everybody_in_a_second(seed: int) -> None:
    cluster = world(seed)
    cluster.call("n3", "update_meta", b"role=db")

    assert cluster.run_until(lambda: len(cluster.events(MemberUpdated)) == 9, within=1.5)
    calm(cluster)


@scenario
def a_cold_start_of_twenty_converges_in_ten_seconds(seed: int) -> None:
    cluster = Cluster(seed=seed, check_every=10)
    cluster.start(20, warm=False, within=10.0)

    calm(cluster)
    assert cluster.events(MemberSuspected) == []


@scenario
def an_encrypted_labelled_cluster_in_small_pieces_does_all_of_it(seed: int) -> None:
    key = Random(seed).randbytes(16)

    def sealed(birth: Birth) -> Memberlist:
        return Memberlist(
            birth.name,
            birth.address,
            birth.config,
            rng=birth.rng,
            now=birth.now,
            incarnation=birth.incarnation,
            keyring=Keyring([key]),
            entropy=Random(birth.rng.random()).randbytes,
            known=birth.known,
        )

    cluster = Cluster(sealed, seed=seed, config=Config.lan(label=b"blue"), chunk=7)
    cluster.start(5, warm=False, within=20.0)
    cluster.crash("n3")
    assert cluster.run_until(lambda: cluster.informed("n3"), within=40.0)
    cluster.restart("n3")
    cluster.join("n3", "n5")

    calm(cluster)
    reasons = {reason for each in cluster.machines.values() for reason in each.stats.rejected}
    assert reasons <= {"unreachable"}  # A push/pull may have met the crashed one.


# --- everything at once


def misfortune(cluster: Cluster, names: list[str]) -> None:
    """Let one random thing happen to a random member, as far as it makes sense."""
    rng = cluster.rng
    name = names[int(rng.random() * len(names))]
    other = names[int(rng.random() * len(names))]
    runs = name in cluster.machines
    happening = int(rng.random() * 9)
    if happening == 0 and runs and len(cluster.machines) > 3:
        cluster.crash(name)
    elif happening == 1:
        cluster.restart(name, remembered=rng.random() < 0.5)
        cluster.join(name, *names)
    elif happening == 2 and runs:
        cluster.pause(name, timers=rng.random() < 0.3)
    elif happening == 3:
        cluster.resume(name)
    elif happening == 4:
        cluster.cut(name, other)
    elif happening == 5:
        cluster.partition(names[: int(rng.random() * len(names))])
    elif happening == 6:
        cluster.heal()
    elif happening == 7 and runs and not cluster.machine(name).is_leaving:
        cluster.call(name, "update_meta", rng.randbytes(8))
    elif happening == 8:
        loss, duplication = 0.3 * rng.random(), 0.2 * rng.random()
        cluster.conditions(loss=loss, duplication=duplication, reordering=0.2 * rng.random())


def chaos(seed: int) -> Cluster:
    """Return a cluster after minutes of misfortunes, some of which last."""
    cluster = world(seed, n=8)
    names = list(cluster.machines)
    for _ in range(60):
        misfortune(cluster, names)
        cluster.run(4.0 * cluster.rng.random())
    return cluster


@scenario
def after_any_chaos_comes_agreement(seed: int) -> None:
    cluster = chaos(seed)
    names = [f"n{number}" for number in range(1, 9)]
    cluster.heal()
    cluster.conditions(loss=0.0, duplication=0.0, reordering=0.0)
    for name in names:
        cluster.resume(name)
        if name not in cluster.machines:
            cluster.restart(name)
            cluster.join(name, *names)

    calm(cluster, within=300.0)


@scenario
def churn_leaves_no_ghosts(seed: int) -> None:
    cluster = world(seed, n=6)
    for number in range(7, 27):
        newcomer = cluster.add(f"n{number}")
        alive = [name for name in cluster.machines if name != newcomer]
        cluster.join(newcomer, *cluster.rng.sample(alive, 2))
        gone = cluster.rng.choice(alive)
        if cluster.rng.random() < 0.5:
            cluster.call(gone, "leave")
            cluster.run_until(lambda gone=gone: cluster.machine(gone).is_over, within=20.0)  # type: ignore[misc]
        cluster.crash(gone)
        cluster.run(4.0 * cluster.rng.random())

    calm(cluster, within=60.0)
    assert len(cluster.machines) == 6
    cluster.run(60.0)
    for machine in cluster.machines.values():
        assert len(machine.nodes) == 6
        dump = machine.dump()
        assert len(dump["remembered"]) <= cluster.config.remembered_max
        assert dump["streams_open"] <= 2  # A push/pull may be under way.
        assert dump["pings_waiting"] <= 4
        assert dump["timers"] < 20
