"""What every part of one machine shares: its clock, randomness, timers, outputs and counters.

Owns the queue of outputs and the health score's events. Knows nothing of the protocol.
"""

from __future__ import annotations

from collections import deque
from random import Random

from memberlist.awareness import Awareness
from memberlist.config import Config
from memberlist.node import Address
from memberlist.outputs import HealthChanged, Output, PacketRejected
from memberlist.stats import Stats
from memberlist.timers import Timers


class Core:
    """The common ground of a machine's parts.

    Attributes:
        name: Our own, in the protocol.
        config: How we behave.
        rng: The only source of chance.
        now: Newest time that any input gave, seconds; only the machine sets it, and never back.
        outputs: Not yet fetched outputs, oldest first.
        timers: The machine's deadlines, of all parts.
        stats: The machine's counters.
        awareness: Our own health score; move it by `adjust_health`, which says so.
        leaving: Whether `leave` was called: our own death is then no accusation.
    """

    __slots__ = (
        "awareness",
        "config",
        "leaving",
        "name",
        "now",
        "outputs",
        "rng",
        "stats",
        "timers",
    )

    def __init__(self, name: str, config: Config, rng: Random, now: float) -> None:
        self.name = name
        self.config = config
        self.rng = rng
        self.now = now
        self.outputs: deque[Output] = deque()
        self.timers = Timers()
        self.stats = Stats()
        self.awareness = Awareness(config.awareness_max)
        self.leaving = False

    def emit(self, output: Output) -> None:
        """Queue one output."""
        self.outputs.append(output)

    def adjust_health(self, delta: int, cause: str) -> None:
        """Move the health score and say so if it moved."""
        previous = self.awareness.score
        score = self.awareness.apply(delta)
        if score != previous:
            self.outputs.append(HealthChanged(score, previous, cause))

    def reject(self, source: Address, reason: str, detail: str = "") -> None:
        """Drop a packet or a part of one: count it and say why."""
        self.stats.reject(reason)
        self.outputs.append(PacketRejected(source, reason, detail))
