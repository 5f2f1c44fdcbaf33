"""The figures of the SWIM and Lifeguard papers beside ours, in virtual time.

`python -m tests.benchmarks.papers` prints one table; the same seed prints the same table.
`--quick` takes a minute instead of some; `--only lifeguard` prints one part.

What is compared, and what the papers leave open, is said at each function. Sources: SWIM (DSN
2002) sections 4 and 5; Lifeguard (arXiv 1707.00788), its tables of false positives and of load.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from attrs import frozen

from memberlist import Config
from memberlist.outputs import MemberUpdated
from memberlist.testing import Cluster

#: SWIM's own world: no gossip besides the probes, no push/pull, no Lifeguard, nothing compressed.
SWIM: dict[str, Any] = {
    "awareness_max": 1,
    "suspicion_timeout_max_mult": 1,
    "buddy_system": False,
    "push_pull_interval": 0,
    "heal_interval": 0,
    "stream_pings": False,
    "compression": False,
}

#: e / (e - 1): periods until some member picks a failed one as its target.
FIRST_DETECTION = math.e / (math.e - 1)

#: Lifeguard as the paper has it: scores 0 to 8, the probe timeout grows too, alpha is 5, and
#: lateness is no excuse.
LIFEGUARD: dict[str, Any] = {
    "awareness_max": 9,
    "scale_probe_timeout": True,
    "blame_lateness": True,
    "suspicion_mult": 5,
    "compression": False,
}
#: What each configuration of the paper's table turns off.
VARIANTS: dict[str, dict[str, Any]] = {
    "SWIM": {"awareness_max": 1, "suspicion_timeout_max_mult": 1, "buddy_system": False},
    "LHA-Probe": {"suspicion_timeout_max_mult": 1, "buddy_system": False},
    "LHA-Suspicion": {"awareness_max": 1, "buddy_system": False},
    "Buddy System": {"awareness_max": 1, "suspicion_timeout_max_mult": 1},
    "Lifeguard": {},
}
#: The paper's shares of SWIM in percent: false positives, those at healthy members, messages,
#: bytes.
PAPER: dict[str, tuple[float, float, float, float]] = {
    "SWIM": (100.0, 100.0, 100.0, 100.0),
    "LHA-Probe": (67.72, 32.88, 98.46, 90.03),
    "LHA-Suspicion": (3.00, 6.71, 111.31, 106.52),
    "Buddy System": (94.08, 44.57, 100.07, 99.01),
    "Lifeguard": (1.53, 1.89, 110.59, 97.97),
}


def swim(seed: int, n: int, **changes: Any) -> Cluster:
    """Return a quiet cluster of plain SWIM members, out of step with each other."""
    config = Config.lan(**(SWIM | changes))
    cluster = Cluster(seed=seed, config=config, trace=False, check=False)
    cluster.start(n)
    cluster.run(5.0 + 5 * cluster.rng.random())
    return cluster


# --- SWIM section 4: detection


def first_detections(n: int, samples: int, *, seed: int) -> list[float]:
    """Return, for each of some crashes, the period in which somebody first probed the victim.

    The paper counts whole periods: the first suspicion minus the period that the probe takes,
    rounded up. Up to n/24 members crash in one cluster, far enough apart in time.
    """
    found: list[float] = []
    each = max(1, n // 24)
    while len(found) < samples:
        cluster = swim(seed * 1_000_003 + len(found), n, suspicion_mult=1000)
        for victim in cluster.rng.sample(sorted(cluster.machines), each):
            cluster.crash(victim)
            cluster.run(cluster.rng.random())
        cluster.run(12.0)
        period = cluster.config.probe_interval
        found.extend(
            math.ceil((detection.suspected - period) / period)
            for detection in cluster.detections.values()
            if detection.suspected is not None
        )
    return found


def first_detection_expected(n: int) -> float:
    """Return what round robin makes of the paper's 1.58 for n members (own arithmetic).

    Each of the n - 1 others probes the victim at one of n - 1 periods with the same probability,
    so that nobody has after t periods with probability (1 - t/(n - 1))^(n - 1).
    """
    return sum((1 - t / (n - 1)) ** (n - 1) for t in range(n - 1))


# --- SWIM section 5: load


def load(n: int, periods: int, *, seed: int) -> tuple[float, float]:
    """Return messages sent per member and period without failures, and the share below five."""
    cluster = swim(seed, n)
    start = cluster.messages
    counts: list[int] = []
    before = dict.fromkeys(cluster.machines, 0)
    for period in range(periods + 1):
        for name, machine in cluster.machines.items():
            sent = machine.stats.packets_sent
            if period:
                counts.append(sent - before[name])
            before[name] = sent
        if period < periods:
            cluster.run(cluster.config.probe_interval)
    few = sum(count < 5 for count in counts) / len(counts)
    return (cluster.messages - start) / (n * periods), few


# --- SWIM section 4.1: dissemination


@frozen
class Spread:
    """How one update spread, in protocol periods: to half of the members, to 99 %, to all."""

    half: float
    most: float
    everybody: float


def spread(n: int, *, seed: int, gossip: bool) -> Spread:
    """Return how one member's new metadata spread: on pings and acks alone, or by gossip too."""
    changes = {} if gossip else {"gossip_interval": 0, "retransmit_mult": 20}
    cluster = swim(seed, n, **changes)
    heard: dict[str, float] = {}

    def note(name: str, event: Any) -> None:
        if type(event) is MemberUpdated:
            heard.setdefault(name, cluster.now)

    cluster.on_event = note
    begin = cluster.now
    cluster.call("n1", "update_meta", b"new")
    cluster.run_until(lambda: len(heard) == n - 1, within=60.0)
    times = sorted((at - begin) / cluster.config.probe_interval for at in heard.values())
    times += [math.inf] * (n - 1 - len(times))
    return Spread(times[(n - 1) // 2], times[math.ceil(0.99 * (n - 1)) - 1], times[-1])


def uninfected(n: int, lam: float, *, seed: int) -> float:
    """Return the share that has not heard after lam x ln(n) periods of piggybacking."""
    cluster = swim(seed, n, gossip_interval=0, retransmit_mult=20)
    heard: set[str] = set()
    cluster.on_event = lambda name, event: heard.add(name) if type(event) is MemberUpdated else None
    cluster.call("n1", "update_meta", b"new")
    cluster.run(lam * math.log(n) * cluster.config.probe_interval)
    return 1 - len(heard) / (n - 1)


def uninfected_by_formula(n: int, lam: float) -> float:
    """Return SWIM's expectation of the same: n^-((2 - 4/n) lam - 2)."""
    return min(1.0, math.pow(n, 2 - (2 - 4 / n) * lam))


# --- SWIM section 4: false detections under loss


def false_detections(loss: float, k: int, *, n: int, periods: int, seed: int) -> tuple[float, int]:
    """Return failed probes of live members per member and period, and how many there were."""
    cluster = swim(seed, n, indirect_checks=k, suspicion_mult=1000, buddy_system=False)
    cluster.conditions(loss=loss)
    before = sum(machine.stats.probes_failed for machine in cluster.machines.values())
    cluster.run(periods * cluster.config.probe_interval)
    failed = sum(machine.stats.probes_failed for machine in cluster.machines.values()) - before
    return failed / (n * periods), failed


def false_detections_by_formula(loss: float, k: int) -> float:
    """Return SWIM's bound for it: (1 - q^2) (1 - q^4)^k e/(e - 1), q = 1 - loss.

    Each member is probed once a period on average, so the rate itself is the bound without its
    last factor, which stands for members that are probed more than once.
    """
    q = 1 - loss
    return float((1 - q**2) * (1 - q**4) ** k * FIRST_DETECTION)


# --- Lifeguard


@frozen
class Anomaly:
    """Which members stop processing messages, and when: the paper's interval experiment.

    Attributes:
        members: How many of them at the same time (C).
        stopped: Seconds of each anomaly (D); their timers go on.
        between: Seconds of normal operation after each (I).
        total: Seconds of the whole experiment.
    """

    members: int
    stopped: float
    between: float
    total: float = 120.0


@frozen
class Outcome:
    """What one configuration did in one experiment: false positives and load."""

    false_positives: int = 0
    at_healthy: int = 0
    verdicts: int = 0
    messages: int = 0
    size: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.false_positives + other.false_positives,
            self.at_healthy + other.at_healthy,
            self.verdicts + other.verdicts,
            self.messages + other.messages,
            self.size + other.size,
        )


def suffer(variant: str, anomaly: Anomaly, *, n: int, seed: int) -> Outcome:
    """Let a cluster suffer an anomaly, again and again, and count what it gets wrong.

    The paper says that message processing was blocked, not how; here packets wait in both
    directions, as behind a lock, and go on afterwards.
    """
    config = Config.lan(**(LIFEGUARD | VARIANTS[variant]))
    cluster = Cluster(seed=seed, config=config, trace=False, check=False, buffer=1 << 16)
    cluster.start(n)
    cluster.run(15.0)
    messages, size = cluster.messages, cluster.bytes + cluster.connections.bytes
    stopped = Random(seed).sample(sorted(cluster.machines), anomaly.members)
    end = cluster.now + anomaly.total
    while cluster.now < end:
        for name in stopped:
            cluster.pause(name, timers=True)
        cluster.run(anomaly.stopped)
        for name in stopped:
            cluster.resume(name)
        cluster.run(anomaly.between)
    return Outcome(
        cluster.false_positives,
        cluster.false_positives_at_healthy,
        cluster.false_verdicts,
        cluster.messages - messages,
        cluster.bytes + cluster.connections.bytes - size,
    )


def share(part: float, whole: float) -> float:
    """Return a percentage; of nothing, 0."""
    return 100 * part / whole if whole else 0.0


# --- the table

Row = tuple[str, str, str]


@frozen
class Effort:
    """How much is measured: sample sizes and seeds."""

    sizes: tuple[int, ...]
    samples: int
    periods: int
    losses: tuple[tuple[float, int, int], ...]
    members: int
    anomalies: tuple[Anomaly, ...]
    seed: int


def effort(*, quick: bool, seed: int, members: int) -> Effort:
    """Return the full effort of the command, or about a tenth of it."""
    if quick:
        anomalies: tuple[Anomaly, ...] = (Anomaly(8, 32.0, 60.0),)
        losses: tuple[tuple[float, int, int], ...] = (
            (0.05, 1, 300),
            (0.10, 1, 100),
            (0.10, 3, 300),
        )
        return Effort((8, 32, 128), 60, 10, losses, members, anomalies, seed)
    anomalies = tuple(
        Anomaly(c, d, i) for c in (4, 16, 32) for d, i in ((13.0, 60.0), (32.0, 60.0), (32.0, 1.0))
    )
    losses = ((0.01, 1, 2000), (0.05, 1, 600), (0.05, 3, 2000), (0.10, 1, 300), (0.10, 3, 600))
    return Effort((8, 32, 128, 512), 300, 30, losses, members, anomalies, seed)


def detection_rows(todo: Effort) -> Iterator[Row]:
    """Yield SWIM's first detection for each size."""
    for n in todo.sizes:
        found = first_detections(n, todo.samples, seed=todo.seed)
        mean = statistics.fmean(found)
        error = statistics.stdev(found) / math.sqrt(len(found))
        name = f"first detection, {n} members, periods"
        finite = first_detection_expected(n)
        yield name, f"{mean:.2f} ± {error:.2f}", f"{FIRST_DETECTION:.2f} ({finite:.2f} for this n)"


def load_rows(todo: Effort) -> Iterator[Row]:
    """Yield the load of one member for each size."""
    for n in (*todo.sizes, 28):
        mean, few = load(n, todo.periods, seed=todo.seed)
        yield (
            f"load, {n} members, messages per member and period (share of periods with < 5)",
            f"{mean:.2f} ({100 * few:.1f} %)",
            "2.0 (99 %)" if n == 28 else "2.0",
        )


def dissemination_rows(todo: Effort) -> Iterator[Row]:
    """Yield how news spread, on probes alone and with gossip."""
    for n in todo.sizes:
        found = [spread(n, seed=todo.seed + each, gossip=False) for each in range(5)]
        half, everybody = (
            statistics.median(getattr(one, what) for one in found) for what in ("half", "everybody")
        )
        name = f"dissemination on probes, {n} members, periods to half / all"
        yield name, f"{half:.1f} / {everybody:.1f}", f"ln(n) = {math.log(n):.1f}"
    for n in todo.sizes:
        one = spread(n, seed=todo.seed, gossip=True)
        name = f"dissemination with gossip, {n} members, rounds of 0.2 s to half / all"
        yield name, f"{5 * one.half:.0f} / {5 * one.everybody:.0f}", "-"
    for n in todo.sizes:
        missing = statistics.fmean(uninfected(n, 1.2, seed=todo.seed + each) for each in range(10))
        yield (
            f"not yet reached after 1.2 ln(n) periods, {n} members",
            f"{100 * missing:.1f} %",
            f"<= {100 * uninfected_by_formula(n, 1.2):.1f} %",
        )


def loss_rows(todo: Effort) -> Iterator[Row]:
    """Yield false detections under loss beside the formula, with and without its last factor."""
    for loss, k, periods in todo.losses:
        rate, count = false_detections(loss, k, n=64, periods=periods, seed=todo.seed)
        bound = false_detections_by_formula(loss, k)
        yield (
            f"false detections, loss {100 * loss:.0f} %, k = {k}, per member and period",
            f"{rate:.2e} ({count} seen)",
            f"<= {bound:.2e} (rate {bound / FIRST_DETECTION:.2e})",
        )


def lifeguard_rows(todo: Effort) -> Iterator[Row]:
    """Yield the paper's table: what each configuration does in all experiments together.

    A verdict that one member spreads is a false positive at each that hears it. The paper's small
    share at healthy members suggests that it counted verdicts where they were reached, so those
    have a row of their own.
    """
    base = Outcome()
    for variant, paper in PAPER.items():
        total = Outcome()
        for anomaly in todo.anomalies:
            total += suffer(variant, anomaly, n=todo.members, seed=todo.seed)
        base = total if variant == "SWIM" else base
        ours = (
            share(total.false_positives, base.false_positives),
            share(total.at_healthy, base.at_healthy),
            share(total.messages, base.messages),
            share(total.size, base.size),
        )
        what = ("false positives", "at healthy members", "messages", "bytes")
        counts = (total.false_positives, total.at_healthy, total.messages, total.size)
        for name, mine, theirs, count in zip(what, ours, paper, counts, strict=True):
            yield f"{variant}: {name}, % of SWIM", f"{mine:.2f} ({count})", f"{theirs:.2f}"
        verdicts = share(total.verdicts, base.verdicts)
        yield f"{variant}: own wrong verdicts, % of SWIM", f"{verdicts:.2f} ({total.verdicts})", "-"


PARTS = {
    "detection": detection_rows,
    "load": load_rows,
    "dissemination": dissemination_rows,
    "loss": loss_rows,
    "lifeguard": lifeguard_rows,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.papers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples, about a minute")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--members", type=int, default=128, help="of Lifeguard's table (128)")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part of the table")
    options = parser.parse_args(arguments)
    todo = effort(quick=options.quick, seed=options.seed, members=options.members)
    print(f"{'what':78} {'ours':>24} {'paper':>34}")
    for part, rows in PARTS.items():
        if options.only in (None, part):
            for what, ours, paper in rows(todo):
                print(f"{what:78} {ours:>24} {paper:>34}", flush=True)


if __name__ == "__main__":
    main()
