"""One life of one member: its machine, and what a driver keeps around it.

Owns the process between the medium and the machine: its gossip queue, whom it takes for alive, the
messages that it never gets. Knows nothing of the other members' lives. The kernel takes it for the
machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from attrs import frozen

from serfevents.config import Config
from serfevents.records import Address, Recovered
from serfevents.serfevents import SerfEvents
from serfevents.testing.gossip import GossipQueue


@frozen(kw_only=True)
class Birth:
    """What a factory is given to make one member's machine.

    Attributes:
        name: The member's name.
        address: Where it receives.
        config: The cluster's configuration.
        rng: Its own source of chance.
        now: The present.
        tags: How it describes itself.
        keys: Supplies its keyring; None where nothing is encrypted.
        recovered: What its snapshot adds up to.
    """

    name: str
    address: Address
    config: Config
    rng: Random
    now: float
    tags: Mapping[str, str]
    keys: Callable[[], Sequence[bytes]] | None
    recovered: Recovered


def make_serfevents(birth: Birth) -> SerfEvents:
    """Return a member: the factory that `Cluster` uses if it is given none."""
    return SerfEvents(
        birth.name,
        birth.address,
        birth.config,
        rng=birth.rng,
        now=birth.now,
        tags=birth.tags,
        keys=birth.keys,
        recovered=birth.recovered,
    )


class Host:
    """The process of one member, from one start to its end.

    Attributes:
        machine: What the factory made.
        life: Number of the start, over all members.
        address: Where it receives.
        queue: What it gossips.
        phase: When its round 0 of gossip is, seconds.
        round: Its newest round that was scheduled.
        ticking: Whether its next gossip is scheduled.
        alive: Whom its membership takes for alive, itself not among them.
        deaf: Types of messages that it never gets.
    """

    __slots__ = (
        "_peers",
        "address",
        "alive",
        "deaf",
        "life",
        "machine",
        "phase",
        "queue",
        "round",
        "ticking",
    )

    def __init__(self, machine: Any, life: int, address: Address, mult: int) -> None:
        self.machine = machine
        self.life = life
        self.address = address
        self.queue = GossipQueue(mult)
        self.phase = 0.0
        self.round = -1
        self.ticking = False
        self.alive: dict[str, None] = {}
        self.deaf: frozenset[int] = frozenset()
        self._peers: list[str] = []

    # --- what the kernel asks for

    def poll(self) -> Any:
        """Return the machine's next output."""
        return self.machine.poll()

    def next_timeout(self) -> float | None:
        """Return when the machine is due."""
        due: float | None = self.machine.next_timeout()
        return due

    def handle_timeout(self, now: float) -> None:
        """Let the machine do what is due."""
        self.machine.handle_timeout(now)

    # --- inputs

    def receive(self, payloads: tuple[bytes, ...], source: Address, now: float) -> None:
        """Hand over the messages of one packet."""
        for payload in payloads:
            if not payload or payload[0] not in self.deaf:
                self.machine.receive(payload, source, now)

    def merge(self, state: bytes, source: Address, join: bool, now: float) -> None:
        """Hand over another member's part of a push/pull."""
        if state[0] not in self.deaf:
            self.machine.merge(state, now, join=join, source=source)

    def report(self, method: str, name: str, facts: tuple[Any, ...], now: float) -> None:
        """Hand over what membership says of a member, and believe it; none does that has left."""
        if self.machine.is_over:
            return
        if method in ("member_failed", "member_left"):
            self.alive.pop(name, None)
        elif name != self.machine.name:
            self.alive[name] = None
        self._peers = list(self.alive)
        getattr(self.machine, method)(name, *facts, now)

    def command(
        self, method: str, args: tuple[Any, ...], options: Mapping[str, Any], now: float
    ) -> Any:
        """Give the machine any other input."""
        return getattr(self.machine, method)(*args, now, **options)

    # --- queries

    def targets(self, count: int, rng: Random) -> list[str]:
        """Return up to `count` members to gossip to, by chance."""
        return rng.sample(self._peers, min(count, len(self._peers)))

    def facts(self) -> tuple[Any, ...]:
        """Return what membership announces of this member: address, metadata, versions."""
        own = self.machine.own
        return own.address, self.machine.meta, own.versions
