"""How soon the members of a cluster know that one of them crashed."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from random import Random
from typing import Protocol

from tests.benchmarks.peers.measuring import Figures

CLUSTERS, CLUSTER_SIZE = 6, 5

#: Seconds: for a cluster to form, to rest, to notice a crash.
FORM_TIMEOUT, REST, NOTICE_TIMEOUT = 15.0, 3.0, 30.0


class Agent(Protocol):
    """A running member, as the detection row sees it."""

    name: str

    def alive(self) -> set[str]:
        """Return the others that it holds for alive or suspect."""

    async def crash(self) -> None:
        """Free the sockets at once and say nothing to anybody."""


async def detect(clusters: list[list[Agent]]) -> Figures:
    """Crash one member of each cluster and watch the others; seconds, median and worst."""
    for cluster in clusters:
        everybody = {agent.name for agent in cluster}
        async with asyncio.timeout(FORM_TIMEOUT):
            # Members have no event in common to wait for.
            while any(everybody - {agent.name} - agent.alive() for agent in cluster):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await asyncio.sleep(REST)
    rng = Random(1)
    outcomes = [_crash(cluster, rng.uniform(0.0, 1.0)) for cluster in clusters]
    firsts, lasts, false = zip(*await asyncio.gather(*outcomes), strict=True)
    return {
        "crash: first to know": [statistics.median(firsts), max(firsts)],
        "crash: all know": [statistics.median(lasts), max(lasts)],
        "false verdicts": [float(sum(false)), float(sum(false))],
    }


async def _crash(cluster: list[Agent], wait: float) -> tuple[float, float, int]:
    """Return when the first and the last survivor knew, and the verdicts about survivors."""
    await asyncio.sleep(wait)
    victim, *survivors = cluster
    await victim.crash()
    begun = time.monotonic()
    informed: dict[str, float] = {}
    false: set[tuple[str, str]] = set()
    while len(informed) < len(survivors) and time.monotonic() - begun < NOTICE_TIMEOUT:
        await asyncio.sleep(0.02)
        for agent in survivors:
            alive = agent.alive()
            if victim.name not in alive:
                informed.setdefault(agent.name, time.monotonic() - begun)
            false |= {
                (agent.name, other.name)
                for other in survivors
                if other is not agent and other.name not in alive
            }
    first = min(informed.values(), default=math.inf)
    last = max(informed.values()) if len(informed) == len(survivors) else math.inf
    return first, last, len(false)
