"""Coming together again after a partition that outlasted everybody's memory of the dead.

Owns whom to contact: configured seeds and members that failed, the reaped ones among them. One of
them is contacted now and then. Knows nothing of streams but how to ask for an exchange.

Source: none of memberlist's, whose halves stay apart for ever (memberlist #222); foca's periodic
announce to down members; ScaleCube's sync with seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memberlist.core import Core
from memberlist.members import MemberTable
from memberlist.node import DEAD, SUSPECT, Address, Node, is_ip
from memberlist.timers import Timer

#: Seeds that are kept for this; more are forgotten, oldest first.
SEEDS_MAX = 64


class Healer:
    """Contacts one lost member or seed each `heal_interval`, at random."""

    def __init__(self, core: Core, table: MemberTable, contact: Callable[[Address], None]) -> None:
        self._core = core
        self._table = table
        self._contact = contact
        self._seeds: dict[Address, None] = {}
        # Reaped members: when they were, and where. Bounded by `remembered_max`.
        self._remembered: dict[str, tuple[float, Address]] = {}
        self._timer: Timer | None = None

    @property
    def remembered(self) -> tuple[str, ...]:
        """Names of reaped members that are still contacted now and then."""
        return tuple(self._remembered)

    def add_seeds(self, seeds: Sequence[Address]) -> None:
        """Remember where a join was tried."""
        for seed in seeds:
            self._seeds.pop(seed, None)
            self._seeds[seed] = None
        while len(self._seeds) > SEEDS_MAX:
            del self._seeds[next(iter(self._seeds))]
        self.wake()

    def remember(self, node: Node) -> None:
        """Remember a dead member that leaves the table."""
        limit = self._core.config.remembered_max
        self._remembered.pop(node.name, None)
        if limit:
            self._remembered[node.name] = (self._core.now, node.address)
        while len(self._remembered) > limit:
            del self._remembered[next(iter(self._remembered))]
        self.wake()

    def wake(self) -> None:
        """Arm the timer, if there is anybody who could be lost."""
        interval = self._core.config.heal_interval
        if self._timer is None and interval and (self._seeds or self._remembered):
            delay = interval * (0.5 + 0.5 * self._core.rng.random())
            self._timer = self._core.timers.arm(self._core.now + delay, self._heal)

    def stop(self) -> None:
        """Contact nobody until `wake`."""
        self._core.timers.cancel(self._timer)
        self._timer = None

    def _heal(self, _: object) -> None:
        self._timer = None
        candidates = self._candidates()
        if candidates:
            self._contact(candidates[int(self._core.rng.random() * len(candidates))])
        self.wake()

    def _candidates(self) -> list[Address]:
        """Forget who is back or gone for too long; return where the others were, each once."""
        oldest = self._core.now - self._core.config.remembered_time
        present = self._table.get
        for name, (since, _) in list(self._remembered.items()):
            node = present(name)
            if since < oldest or (node is not None and node.state <= SUSPECT):
                del self._remembered[name]
        lost = [address for _, address in self._remembered.values()]
        lost += [node.address for node in self._table.not_alive() if node.state is DEAD]
        lost += self._lost_seeds()
        return list(dict.fromkeys(lost))

    def _lost_seeds(self) -> list[Address]:
        """Return the seeds that nobody is known to live at.

        Whether anybody lives at a host name only the driver could tell, so such a seed counts as
        lost only while we are alone.
        """
        if not self._seeds:
            return []
        there = {node.address for node in self._table if node.state <= SUSPECT}
        alone = not self._table.has_company
        return [seed for seed in self._seeds if seed not in there and (alone or is_ip(seed[0]))]
