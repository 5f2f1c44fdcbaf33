"""The figures of the Raft paper and of the dissertation's chapters 6 and 9 beside ours.

`python -m tests.benchmarks.raft_figures` prints one table; the same seed prints the same table.
`--quick` takes some seconds instead of minutes; `--only lan` prints one part.

Every trial is an election by real servers in virtual time. They begin as the dissertation's do:
all timers at zero, nobody leads, some servers down. Pre-votes and check-quorum, which neither
text simulates, are off. What is compared, and what the texts leave open, is said at each function.
Sources: "In Search of an Understandable Consensus Algorithm" (extended version, 2014), sections
9.3; "Consensus: Bridging Theory and Practice" (2014), sections 6.2, 6.4 and 9.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from attrs import frozen

from raft import (
    Config,
    Configuration,
    Entries,
    Entry,
    EntryKind,
    HardState,
    NotLeader,
    Persist,
    Raft,
    ReadReady,
    Role,
    RoleChanged,
)
from raft.messages import HeartbeatResponse
from raft.testing import Cluster, Disk

Row = tuple[str, str, str]

#: Published mean and 99.9th percentile of an election over a WAN, by failed servers
#: (dissertation, figure 9.9 and its text; read from the plot).
WAN_PUBLISHED = {1: (0.475, 1.5), 2: (0.65, 3.0)}

#: Published downtime in a LAN by least and greatest timeout in milliseconds (extended paper,
#: section 9.3 and figure 16).
LAN_PUBLISHED = {
    (150, 150): "> 10 s, if splits recur",
    (150, 151): "-",
    (150, 155): "median 0.287",
    (150, 175): "-",
    (150, 200): "worst 0.513",
    (150, 300): "recommended",
    (12, 24): "mean 0.035, worst 0.152",
    (25, 50): "-",
    (50, 100): "-",
    (100, 200): "-",
}


# --- formulas


def earliest_by_formula(servers: int) -> float:
    """Return the mean of the earliest of some timers within [0, 1] (figure 9.3)."""
    return 1 / (servers + 1)


def earliest_within_by_formula(servers: int, time: float) -> float:
    """Return how likely the earliest of some timers within [0, 1] is over by then (figure 9.3)."""
    return 1 - (1 - time) ** servers


def split_by_formula(size: int, servers: int, latency: float) -> float:
    """Return how likely a first election is split (section 9.3, figure 9.6).

    It is if so many servers begin to campaign before they hear of the first that those who are
    left are no majority with it.

    Args:
        size: Servers in the configuration.
        servers: Those of them that run.
        latency: Of one message, as a part of the range of timeouts; the same for all.
    """
    others = servers - size // 2
    return sum(
        math.comb(servers, k) * latency**k * (1 - latency) ** (servers - k)
        for k in range(others, servers + 1)
    )


def election_by_formula(size: int, servers: int, latency: float) -> float:
    """Return the mean time until one leads, in units of the least timeout (section 9.4).

    With timeouts within [1, 2] and without disks; from when all timers began. The published
    formula is less by a quarter, because a leader crashes between two heartbeats.
    """
    again = 1 / (1 - split_by_formula(size, servers, latency))
    return again * (1 + earliest_by_formula(servers) + latency) + latency


# --- timers


def earliest_timeouts(servers: int, trials: int, seed: int) -> list[float]:
    """Return the earliest timeouts of so many servers, as parts of the range they are drawn from.

    One server draws them all, by campaigning in vain again and again.
    """
    machine = Raft("n1", Config(pre_vote=False), rng=Random(seed), now=0.0)
    machine.bootstrap(Configuration(voters=["n1", "n2"]), 0.0)
    drawn: list[float] = []
    now = 0.0
    while len(drawn) < servers * trials:
        while (output := machine.poll()) is not None:
            if isinstance(output, Persist):
                machine.persisted(output.seq, now)
        due = machine.next_timeout()
        assert due is not None
        drawn.append(due - now - machine.config.election_timeout)
        machine.handle_timeout(now := due)
    return [min(drawn[first : first + servers]) for first in range(0, len(drawn), servers)]


# --- elections


@frozen(kw_only=True)
class Setting:
    """What an election is held in. Durations are seconds.

    Attributes:
        size: Servers in the configuration.
        failed: Those of them that are down.
        timeouts: Range of election timeouts.
        latency: Range of what a message takes.
        sync: Range of what a disk takes.
        differing: Whether no two logs are equally long, so that not everyone can win.
    """

    size: int = 5
    failed: int = 1
    timeouts: tuple[float, float] = (1.0, 2.0)
    latency: tuple[float, float]
    sync: tuple[float, float] = (0.0, 0.0)
    differing: bool = False

    @property
    def running(self) -> int:
        """Servers that are up."""
        return self.size - self.failed

    def config(self, **others: Any) -> Config:
        """Return how its servers behave."""
        least, greatest = self.timeouts
        return Config(
            election_timeout=least,
            election_timeout_max=greatest,
            heartbeat_interval=least / 2,
            pre_vote=False,
            check_quorum=False,
            **others,
        )


class Stage(Cluster):
    """A cluster that remembers who won which term when, and keeps no trace.

    Attributes:
        elected: Time, name and term of each who began to lead.
    """

    def __init__(self, setting: Setting, seed: int, **options: Any) -> None:
        super().__init__(
            seed=seed,
            config=options.pop("config", None) or setting.config(),
            latency=setting.latency,
            sync=setting.sync,
            trace=False,
            check=False,
            on_output=self._note,
            **options,
        )
        self.elected: list[tuple[float, str, int]] = []

    def _note(self, name: str, output: Any) -> None:
        if type(output) is RoleChanged and output.role is Role.LEADER:
            self.elected.append((self.now, name, output.term))

    def await_leader(self, within: float, *, after: int = 0) -> float | None:
        """Let time pass until one more than `after` elections are won; return when, or None."""
        end, step = self.now + within, self.config.election_timeout / 4
        while len(self.elected) <= after and self.now < end:
            self.run(step)
        return self.elected[after][0] if len(self.elected) > after else None


def founded_disk(names: Sequence[str], longer: int) -> Disk:
    """Return the disk of one who belongs to a cluster, with so many entries behind the first."""
    founding = Entry(1, 1, b"", EntryKind.CONFIGURATION, Configuration(voters=names))
    more = [Entry(1, 2 + each, b"", EntryKind.EMPTY) for each in range(longer)]
    disk = Disk()
    disk.write(Persist(1, HardState(1, None, 1), Entries.of([founding, *more])))
    disk.sync(1)
    return disk


def election(setting: Setting, seed: int, *, within: float = math.inf) -> tuple[float, int]:
    """Hold one election among those who run; return its seconds and terms.

    Returns:
        Seconds since all timers began, or `within`, and the terms that it took, or 0.
    """
    names = [f"n{number}" for number in range(1, setting.size + 1)]
    lengths = iter(range(setting.size))
    stage = Stage(
        setting,
        seed,
        make_disk=lambda _: founded_disk(names, next(lengths) if setting.differing else 0),
    )
    # Which of them are down is left to the seed: with differing logs it matters.
    down = set(Random(seed).sample(names, setting.failed))
    for name in names:
        stage.add(name)
        if name in down:
            stage.crash(name)
    at = stage.await_leader(within)
    return (within, 0) if at is None else (at, stage.elected[0][2] - 1)


def elections(
    setting: Setting, trials: int, seed: int, *, within: float = math.inf
) -> list[tuple[float, int]]:
    """Hold many elections; return seconds and terms of each."""
    return [election(setting, seed * 1_000_003 + each, within=within) for each in range(trials)]


def split_rate(held: Sequence[tuple[float, int]]) -> float:
    """Return how many elections had no winner in their first term, as a part of all."""
    return sum(terms != 1 for _, terms in held) / len(held)


def quantile(sample: Sequence[float], part: float) -> float:
    """Return the smallest that at least this part of a sample does not exceed."""
    return sorted(sample)[min(len(sample) - 1, math.ceil(part * len(sample)) - 1)]


# --- downtime


def downtime(setting: Setting, seed: int, *, within: float = 10.0) -> float:
    """Return how long a cluster has no leader when its leader crashes, or `within` (figure 16).

    As there, the crash falls anywhere between two heartbeats, and two of the four who are left
    can't win because they lack the leader's last entry.
    """
    stage = Stage(setting, seed)
    names = stage.start(setting.size)
    stage.run(2 * setting.sync[1])
    stage.call(names[0], "campaign")
    stage.run(1.5 * setting.timeouts[0])  # two heartbeats, and who follows has all entries
    leader = stage.leader
    assert leader is not None
    others = [name for name in names if name != leader]
    beat = stage.machine(leader).next_timeout()
    assert beat is not None
    stage.run(beat - stage.now)
    for name in others[:2]:  # the heartbeat is under way, what comes now is lost
        stage.cut(leader, name)
    stage.propose(b"only some have this", at=leader)
    stage.run(setting.timeouts[0] / 2 * Random(seed).random())
    stage.crash(leader)
    crashed, before = stage.now, len(stage.elected)
    at = stage.await_leader(within, after=before)
    return within if at is None else at - crashed


# --- leases, disturbances, clients


@frozen
class Lease:
    """A leader that is cut off while answers to its last heartbeat are slow (section 6.4.1).

    Attributes:
        elected: When another began to lead.
        last_read: When the old leader answered its last read by lease.
        by_receipt: When a lease that is measured from the receipt of answers would have ended.
    """

    elected: float
    last_read: float
    by_receipt: float


def lease(seed: int) -> Lease:
    """Cut a leader off and let it read by lease for as long as it does.

    Messages from and to it take 0.4 of an election timeout, and so a quorum's answers arrive 0.8
    after what they answer. A lease that begins with their receipt outlives the patience of those
    who sent them.
    """
    config = Config(lease_reads=True, clock_drift_bound=0.01, heartbeat_interval=0.1)
    answers: list[float] = []
    reads: list[float] = []

    def heard(name: str, method: str, args: tuple[Any, ...]) -> None:
        if name == "n1" and method == "receive" and type(args[0]) is HeartbeatResponse:
            answers.append(cluster.now)

    def put_out(name: str, output: Any) -> None:
        if name == "n1" and type(output) is ReadReady:
            reads.append(cluster.now)

    cluster = Cluster(seed=seed, config=config, on_input=heard, on_output=put_out, trace=False)
    cluster.start(3)
    cluster.elect("n1")
    cluster.run(config.election_timeout)
    beat = cluster.machine("n1").next_timeout()
    cluster.run(beat - cluster.now)
    cluster.run(config.heartbeat_interval / 2)
    cluster.slow("n1", 0.4)
    cluster.run(config.heartbeat_interval)  # one heartbeat leaves
    cluster.cut("n1", "n2")
    cluster.cut("n1", "n3")
    elected = None
    end = cluster.now + 5 * config.election_timeout
    while elected is None and cluster.now < end:
        cluster.run(0.002)
        if cluster.machine("n1").role is Role.LEADER:
            # A read that is answered at once was answered by the lease.
            cluster.read("n1", lease=True)
        if any(cluster.machine(name).role is Role.LEADER for name in ("n2", "n3")):
            elected = cluster.now
    assert elected is not None
    return Lease(elected, max(reads), max(answers) + config.election_timeout)


def disturbance(seed: int, *, pre_vote: bool) -> tuple[int, int]:
    """Cut a server off for ten election timeouts and let it return (section 9.6).

    With pre-votes voters that hear from a leader refuse, which is part of check-quorum here.

    Returns:
        By how many terms it was ahead then, and how often leadership changed after it was back.
    """
    config = Config(pre_vote=pre_vote, check_quorum=pre_vote)
    cluster = Cluster(seed=seed, config=config, check=False)
    cluster.start(5)
    cluster.elect("n1")
    cluster.partition(["n5"])
    cluster.run(10 * cluster.config.election_timeout)
    ahead = cluster.machine("n5").term - cluster.machine("n1").term
    cluster.heal()
    cluster.trace.clear()
    cluster.run(10 * cluster.config.election_timeout)
    return ahead, sum(event.role is Role.LEADER for event in cluster.events(RoleChanged))


def tries_to_find_the_leader(size: int, trials: int, seed: int) -> float:
    """Return how many servers a client asks, on average, that asks them in any order (6.2)."""
    cluster = Cluster(seed=seed, trace=False, check=False)
    names = cluster.start(size)
    cluster.elect()
    rng, asked = Random(seed), 0
    for _ in range(trials):
        for name in rng.sample(names, size):
            asked += 1
            with suppress(NotLeader):
                cluster.propose(b"", at=name)
                break
    return asked / trials


# --- the table


@frozen
class Effort:
    """How much of everything.

    Attributes:
        seed: Of all that is random.
        trials: Elections for each row.
        crashes: Crashes for each row of the LAN's.
    """

    seed: int
    trials: int
    crashes: int


def timer_rows(todo: Effort) -> Iterator[Row]:
    """Yield how soon the earliest of some timers is over (figure 9.3)."""
    for servers in (1, 2, 4, 9):
        found = earliest_timeouts(servers, 20 * todo.trials, todo.seed)
        yield (
            f"earliest of {servers} timers, mean part of the range",
            f"{statistics.fmean(found):.3f}",
            f"{earliest_by_formula(servers):.3f}",
        )
        early = sum(each <= 0.25 for each in found) / len(found)
        yield (
            f"earliest of {servers} timers, over in the first quarter of the range",
            f"{early:.3f}",
            f"{earliest_within_by_formula(servers, 0.25):.3f}",
        )


def split_rows(todo: Effort) -> Iterator[Row]:
    """Yield how many elections are split (figure 9.6), and the terms and the time that costs.

    The formula has everybody as far from everybody; the text simulates latencies within a range.
    """
    for size, failed in ((5, 0), (5, 1), (5, 2), (9, 1), (9, 4)):
        for latency in (0.01, 0.05, 0.1, 0.2):
            setting = Setting(size=size, failed=failed, latency=(latency, latency))
            held = elections(setting, todo.trials, todo.seed)
            name = f"{size} servers, {failed} failed, latency {latency} of the range"
            expected = split_by_formula(size, size - failed, latency)
            yield f"{name}: split", f"{split_rate(held):.2%}", f"{expected:.2%}"
            mean = statistics.fmean(seconds for seconds, _ in held)
            by_formula = election_by_formula(size, size - failed, latency)
            yield f"{name}: election, least timeouts", f"{mean:.3f}", f"{by_formula:.3f}"
            terms = statistics.fmean(terms for _, terms in held)
            yield f"{name}: terms", f"{terms:.3f}", f"{1 / (1 - expected):.3f}"
    for failed, published in ((1, "16 %"), (2, "40 %")):
        held = elections(Setting(failed=failed, latency=(0.1, 0.2)), todo.trials, todo.seed)
        name = f"5 servers, {failed} failed, latency 0.1 to 0.2 of the range: split"
        yield name, f"{split_rate(held):.2%}", f"about {published}"


def knee_rows(todo: Effort) -> Iterator[Row]:
    """Yield how the range of timeouts matters (figure 9.7): curves bend at 3 to 8 latencies.

    Timeouts are within [r, 2r], for a latency of 1. Wider ranges cost time, narrower ones splits.
    """
    for failed in (1, 2):
        for multiple in (2, 3, 5, 8, 10, 20, 40):
            setting = Setting(failed=failed, timeouts=(multiple, 2 * multiple), latency=(1, 1))
            held = elections(setting, todo.trials // 2, todo.seed, within=1000.0 * multiple)
            yield (
                f"5 servers, {failed} failed, range {multiple} latencies: time in latencies",
                f"{statistics.fmean(seconds for seconds, _ in held):.1f}",
                "10 to 20 recommended" if multiple in (10, 20) else "-",
            )


def wan_setting(failed: int, *, differing: bool = False) -> Setting:
    """Return the dissertation's WAN: 30 to 40 ms each way, timeouts of 300 to 600 ms."""
    return Setting(failed=failed, timeouts=(0.3, 0.6), latency=(0.03, 0.04), differing=differing)


def wan_rows(todo: Effort) -> Iterator[Row]:
    """Yield elections over a WAN (figures 9.9 and 9.10).

    Where logs differ ours take longer than the text's: as in etcd, a request of a later term makes
    a server wait anew even if it refuses its vote, so that candidates that can't win hold up those
    that can. In the paper only a vote that is given does. Pre-votes, off here, avoid that.
    """
    for failed in (0, 1, 2):
        for differing in (False, True):
            held = elections(wan_setting(failed, differing=differing), todo.trials, todo.seed)
            seconds = [each for each, _ in held]
            name = f"WAN, {failed} failed" + (", logs differ" if differing else "")
            mean, late = WAN_PUBLISHED.get(failed, (0.0, 0.0))
            known = mean and not differing
            yield (
                f"{name}: mean, ms",
                f"{1000 * statistics.fmean(seconds):.0f}",
                f"about {1000 * mean:.0f}" if known else "little more" if differing else "-",
            )
            yield (
                f"{name}: 99.9th percentile, ms",
                f"{1000 * quantile(seconds, 0.999):.0f}",
                f"< {1000 * late:.0f}" if known else "-",
            )


def lan_setting(least: int, greatest: int) -> Setting:
    """Return a LAN for timeouts in milliseconds.

    The text says that a broadcast takes about 15 ms, disks included, and not how that is spread.
    Timeouts of 12 to 24 ms could not work at all if each took that long, so ours are faster.
    """
    timeouts = (least / 1000, greatest / 1000)
    return Setting(timeouts=timeouts, latency=(0.0015, 0.002), sync=(0.0005, 0.001))


def lan_rows(todo: Effort) -> Iterator[Row]:
    """Yield the time without a leader in a LAN (extended paper, figure 16): shapes compare."""
    for (least, greatest), published in LAN_PUBLISHED.items():
        setting = lan_setting(least, greatest)
        count = max(10, todo.crashes // 10) if least == greatest else todo.crashes
        found = [downtime(setting, todo.seed * 1_000_003 + each) for each in range(count)]
        mean, median, worst = statistics.fmean(found), statistics.median(found), max(found)
        name = f"LAN, timeouts {least}-{greatest} ms: mean / median / worst, s"
        yield name, f"{mean:.3f} / {median:.3f} / {worst:.3f}", published


def lease_rows(todo: Effort) -> Iterator[Row]:
    """Yield how often a lease outlives its leader's leadership (section 6.4.1)."""
    found = [lease(todo.seed * 1_000_003 + each) for each in range(max(10, todo.trials // 20))]
    ours = sum(each.last_read >= each.elected for each in found)
    theirs = sum(each.by_receipt > each.elected for each in found)
    yield f"reads of a deposed leader, of {len(found)}: lease from the sending", str(ours), "0"
    yield f"reads of a deposed leader, of {len(found)}: from the receipt", str(theirs), "some"


def other_rows(todo: Effort) -> Iterator[Row]:
    """Yield the disruptive server (9.6) and clients that look for the leader (6.2)."""
    for pre_vote in (False, True):
        found = [disturbance(todo.seed + each, pre_vote=pre_vote) for each in range(10)]
        ahead = statistics.fmean(terms for terms, _ in found)
        changes = statistics.fmean(changes for _, changes in found)
        name = f"a server returns, {'with' if pre_vote else 'without'} pre-vote"
        yield f"{name}: terms ahead", f"{ahead:.1f}", "0" if pre_vote else "some"
        yield f"{name}: leader changes", f"{changes:.1f}", "0" if pre_vote else "1 or more"
    for size in (3, 5, 9):
        tries = tries_to_find_the_leader(size, todo.trials, todo.seed)
        yield f"{size} servers: tries to find the leader", f"{tries:.2f}", f"{(size + 1) / 2:.2f}"


PARTS = {
    "timers": timer_rows,
    "splits": split_rows,
    "knee": knee_rows,
    "wan": wan_rows,
    "lan": lan_rows,
    "leases": lease_rows,
    "others": other_rows,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.raft_figures", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part of the table")
    options = parser.parse_args(arguments)
    todo = Effort(options.seed, 300, 30) if options.quick else Effort(options.seed, 3000, 300)
    print(f"{'what':78} {'ours':>24} {'published':>26}")
    for part, rows in PARTS.items():
        if options.only in (None, part):
            for what, ours, published in rows(todo):
                print(f"{what:78} {ours:>24} {published:>26}", flush=True)


if __name__ == "__main__":
    main()
