"""What events and queries do in clusters of up to 1,000 members, beside the formulas.

`python -m tests.benchmarks.serf_figures` prints two tables in some minutes; the same seed prints
the same tables. Members are the composite of examples/serf/agent.py (membership, events and
coordinates) in memberlist's simulator: the gossip is memberlist's own, on Serf's LAN profile, a
round every 200 ms to 3 members, without compression and checks.

Events: ten of them, from members by chance, two seconds apart. Rounds are seconds from the call of
`fire` to the delivery, divided by the gossip interval: `all` is the mean over the events of when
the last member was told. The formula is that of pushing to f members in each round: log(n) to the
base f + 1, plus ln(n) / f: first those who know multiply, then those who don't die out (Pittel
1987, generalised to a fan-out). Its rounds are synchronous; here each member's are its own, so that
news wait half a round in the mean at each hop. Members send each payload 4 ceil(log10(n + 1)) times
and no more, so that gossip passes over some, about e to the minus that of them. The next push/pull
tells them, up to half a minute and more later: whoever was not told after three times as many
rounds as the formula has is counted as missed and left out of the other figures.

Queries: each is gossiped to all and asks for an acknowledgement and an answer, which go straight
back in one packet each. Two packets in a hundred are lost, gossip included. With a relay factor r
each answer goes through r members besides: it is lost if the packet is, and on each of the r
detours one of two. The share is of acknowledgements and answers, of all members, the asker
included, in the default time.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

import memberlist
import serfevents
from examples.serf.agent import SerfAgent
from memberlist.testing import Birth, Cluster
from serfevents import QueryFinished, QueryReceived, UserEventReceived

SIZES = (10, 30, 100, 300, 1000)
FAN_OUT = 3
EVENTS = 10
QUERIES = 3
LOSS = 0.02


def rounds_by_formula(n: int, fan_out: int = FAN_OUT) -> float:
    """Return how many rounds news take to all of n members."""
    return math.log(n, fan_out + 1) + math.log(n) / fan_out


def missed_by_formula(n: int, mult: int = 4) -> float:
    """Return which share of members gossip passes over: hit by chance, n times the limit."""
    return math.exp(-mult * math.ceil(math.log10(n + 1)))


def share_by_formula(n: int, loss: float, relay_factor: int) -> float:
    """Return which share of n members' answers arrive; the asker's own takes no packet."""
    lost = loss * (1 - (1 - loss) ** 2) ** relay_factor
    return 1 - lost * (n - 1) / n


def make_agent(birth: Birth) -> SerfAgent:
    """Return one member."""
    return SerfAgent(
        birth.name,
        birth.address,
        birth.config,
        serfevents.Config(gossip_interval=birth.config.gossip_interval),
        rng=birth.rng,
        now=birth.now,
        incarnation=birth.incarnation,
        known=birth.known,
        entropy=birth.rng.randbytes,
    )


class Crowd(Cluster):
    """A warm cluster that counts who was told of what, and answers every query.

    Attributes:
        told: For each event by its name, when each member was told.
        finished: What became of each query, by its number.
    """

    def __init__(self, members: int, seed: int) -> None:
        super().__init__(
            make_agent,
            seed=seed,
            config=memberlist.Config.lan(app_versions=(2, 5, 5), compression=False),
            view=lambda agent: agent.membership,
            trace=False,
            check=False,
            on_event=self.hear,
        )
        self.told: dict[str, list[float]] = {}
        self.finished: dict[int, QueryFinished] = {}
        self.start(members)
        self.run(2.0)

    def hear(self, name: str, event: Any) -> None:
        if type(event) is UserEventReceived:
            self.told.setdefault(event.name, []).append(self.now)
        elif type(event) is QueryReceived:
            self.call(name, "respond", event.query, b"ok")
        elif type(event) is QueryFinished:
            self.finished[event.query] = event


def spread(crowd: Crowd, events: int = EVENTS) -> list[list[float]]:
    """Return for each event after how many rounds each member was told, in ascending order."""
    names = list(crowd.machines)
    begins = []
    for number in range(events):
        begins.append(crowd.now)
        crowd.call(crowd.rng.choice(names), "fire", f"event-{number}", b"payload")
        crowd.run(2.0)
    crowd.run(3.0)
    interval = crowd.config.gossip_interval
    return [
        [(at - begin) / interval for at in crowd.told[f"event-{number}"]]
        for number, begin in enumerate(begins)
    ]


def answered(
    crowd: Crowd, relay_factor: int, loss: float, queries: int = QUERIES
) -> list[QueryFinished]:
    """Return what became of some queries, one after the other, from members by chance."""
    names = list(crowd.machines)
    crowd.conditions(loss=loss)
    outcomes = []
    for _ in range(queries):
        asker = crowd.rng.choice(names)
        number = crowd.call(asker, "query", "load", b"?", ack=True, relay_factor=relay_factor)
        crowd.finished.clear()
        crowd.run_until(lambda: number in crowd.finished, within=60.0)  # noqa: B023
        outcomes.append(crowd.finished[number])
    crowd.conditions(loss=0.0)
    return outcomes


def print_events(sizes: Sequence[int], seed: int) -> None:
    print("an event to all: gossip rounds of 0.2 s to 3 members")
    print(
        f"{'members':>8} {'half':>6} {'99 %':>6} {'all':>6} {'worst':>6} {'formula':>8} "
        f"{'missed':>9} {'formula':>9}"
    )
    for members in sizes:
        begin = time.process_time()
        told = spread(Crowd(members, seed))
        limit = 3 * rounds_by_formula(members)
        told = [[each for each in rounds if each <= limit] for rounds in told]
        half, most, everybody = (
            statistics.fmean(rounds[int(share * (len(rounds) - 1))] for rounds in told)
            for share in (0.5, 0.99, 1.0)
        )
        worst = max(rounds[-1] for rounds in told)
        missed = 1 - sum(map(len, told)) / len(told) / members
        print(
            f"{members:8} {half:6.1f} {most:6.1f} {everybody:6.1f} {worst:6.1f} "
            f"{rounds_by_formula(members):8.1f} {missed:9.4%} {missed_by_formula(members):9.4%}"
            f"   ({time.process_time() - begin:.0f} s CPU)",
            flush=True,
        )
        gc.collect()


def print_queries(members: int, factors: Sequence[int], seed: int) -> None:
    print(f"\n{QUERIES} queries to {members} members with acks, {LOSS:.0%} loss")
    print(f"{'relays':>8} {'acked':>9} {'answered':>9} {'formula':>9} {'packets':>9}")
    crowd = Crowd(members, seed)
    for factor in factors:
        sent, begin = crowd.messages, time.process_time()
        outcomes = answered(crowd, factor, LOSS)
        acks = sum(each.acks for each in outcomes) / sum(each.expected for each in outcomes)
        shares = sum(each.responses for each in outcomes) / sum(each.expected for each in outcomes)
        print(
            f"{factor:8} {acks:9.3%} {shares:9.3%} "
            f"{share_by_formula(members, LOSS, factor):9.3%} "
            f"{(crowd.messages - sent) // len(outcomes):9}   "
            f"({time.process_time() - begin:.0f} s CPU)",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serf_figures")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="of the first table")
    parser.add_argument("--members", type=int, default=1000, help="of the second; 0: none (1000)")
    options = parser.parse_args(arguments)
    print_events(options.sizes, options.seed)
    if options.members:
        print_queries(options.members, (0, 1, 2, 3), options.seed)


if __name__ == "__main__":
    main()
