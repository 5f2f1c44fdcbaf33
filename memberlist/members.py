"""The table of members and the order in which they are probed and picked at random.

Owns the records, the probe rotation, and since when a member is not alive. Knows nothing of rules
or messages: it stores what it is told. Nothing here scans the table on the path of a packet.

Source: SWIM section 4.3 (round robin over a shuffled list); memberlist `state.go`, `util.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random

from memberlist.node import ALIVE, DEAD, LEFT, SUSPECT, Node


class MemberTable:
    """Every known member by name, ourselves included.

    The probe rotation is a Fisher-Yates shuffle that takes one step a probe: each round is a
    uniformly random permutation, a newcomer is due at a random place of the running round, and
    no tick pays for shuffling the whole table.
    """

    __slots__ = ("_cursor", "_gone", "_kinds", "_nodes", "_rng", "_rotation", "_since", "own_name")

    def __init__(self, own: Node, known: Iterable[Node], rng: Random) -> None:
        self.own_name = own.name
        self._nodes: dict[str, Node] = {node.name: node for node in known}
        self._nodes[own.name] = own
        self._rng = rng
        # Invariant: holds each name of the table once, and names in `_gone` besides.
        self._rotation: list[str] = list(self._nodes)
        self._gone: set[str] = set()
        self._cursor = 0
        # When each member that is not alive came to its state; alive ones need no entry.
        self._since: dict[str, float] = {}
        # How many members announce which versions, apart those that are alive.
        self._kinds = Counter((node.versions, node.state is ALIVE) for node in self)

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    @property
    def get(self) -> Callable[[str], Node | None]:
        """Look a member up by name; None if unknown. O(1)."""
        return self._nodes.get

    @property
    def own(self) -> Node:
        """Our own record."""
        return self._nodes[self.own_name]

    def since(self, name: str) -> float | None:
        """When this member came to its state; None while it is alive."""
        return self._since.get(name)

    def store(self, node: Node, now: float) -> None:
        """Insert or replace a record; the time counts from a change of state."""
        name = node.name
        previous = self._nodes.get(name)
        self._nodes[name] = node
        if previous is None:
            if name in self._gone:
                self._gone.discard(name)
            else:
                self._rotation.append(name)
        if node.state is ALIVE:
            self._since.pop(name, None)
        elif previous is None or previous.state is not node.state:
            self._since[name] = now
        if (
            previous is None
            or previous.versions is not node.versions
            or previous.state is not node.state
        ):
            self._kinds[node.versions, node.state is ALIVE] += 1
            if previous is not None:
                self._uncount(previous)

    def _uncount(self, node: Node) -> None:
        kind = (node.versions, node.state is ALIVE)
        self._kinds[kind] -= 1
        if not self._kinds[kind]:
            del self._kinds[kind]

    @property
    def versions(self) -> dict[bytes, bool]:
        """The distinct versions of all members, and whether one that is alive has them."""
        found: dict[bytes, bool] = {}
        for versions, is_alive in self._kinds:
            found[versions] = is_alive or found.get(versions, False)
        return found

    def remove(self, name: str) -> None:
        """Forget a member; its place in the rotation is given up when it comes round."""
        self._uncount(self._nodes.pop(name))
        self._since.pop(name, None)
        self._gone.add(name)
        if len(self._gone) > 64 + len(self._nodes):
            self._cursor = sum(other in self._nodes for other in self._rotation[: self._cursor])
            self._rotation = [other for other in self._rotation if other in self._nodes]
            self._gone.clear()

    def next_probe(self) -> Node | None:
        """Return the next member to probe: alive or suspect, not ourselves; None if there is none.

        Each candidate comes once a round. Amortised O(1) but for dead members, which are skipped.
        """
        rotation, random, get = self._rotation, self._rng.random, self._nodes.get
        # The rest of this round and one whole round more: who can be probed is met.
        for _ in range(2 * len(rotation)):
            index = self._cursor
            if index >= len(rotation):
                index = self._cursor = 0
            pick = index + int(random() * (len(rotation) - index))
            name = rotation[pick]
            rotation[pick] = rotation[index]
            node = get(name)
            if node is None:
                self._gone.discard(name)
                rotation[index] = rotation[-1]
                rotation.pop()
                continue
            rotation[index] = name
            self._cursor = index + 1
            if name != self.own_name and node.state <= SUSPECT:
                return node
        return None

    def sample(
        self,
        k: int,
        *,
        exclude: str = "",
        also: Callable[[Node], bool] | None = None,
    ) -> list[Node]:
        """Return up to `k` distinct random members that are alive, without ourselves.

        Large tables are drawn from, at most 3 x `k` times; if that does not do, and in small ones,
        everybody is looked at, so that members are found if there are any.

        Args:
            k: How many are wanted; >= 0.
            exclude: A member that is not wanted.
            also: Says which of those that are not alive may be chosen too; None for none.
        """
        rotation = self._rotation
        if len(self._nodes) <= 3 * k:
            return self._sample_all(k, exclude, also)
        chosen: dict[str, Node] = {}
        random, get, size = self._rng.random, self._nodes.get, len(rotation)
        for _ in range(3 * k):
            name = rotation[int(random() * size)]
            node = get(name)
            if node is None or (node.state is not ALIVE and (also is None or not also(node))):
                continue
            if name != self.own_name and name != exclude:  # noqa: PLR1714 - no tuple a draw
                chosen[name] = node
                if len(chosen) == k:
                    return list(chosen.values())
        return self._sample_all(k, exclude, also)

    def _sample_all(self, k: int, exclude: str, also: Callable[[Node], bool] | None) -> list[Node]:
        candidates = [
            node
            for name in self._rotation
            if name not in (self.own_name, exclude)
            and (node := self._nodes.get(name)) is not None
            and (node.state is ALIVE or (also is not None and also(node)))
        ]
        random = self._rng.random
        for index in range(min(k, len(candidates))):
            pick = index + int(random() * (len(candidates) - index))
            candidates[index], candidates[pick] = candidates[pick], candidates[index]
        return candidates[:k]

    @property
    def has_company(self) -> bool:
        """Whether anybody but us is alive or suspect."""
        return any(node.state <= SUSPECT and node.name != self.own_name for node in self)

    def not_alive(self) -> list[Node]:
        """Return the members that are suspect, dead or left, as they ceased to be alive."""
        return [self._nodes[name] for name in self._since]

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests. O(n)."""
        names = [name for name in self._rotation if name in self._nodes]
        assert sorted(names) == sorted(self._nodes), "the rotation lost or doubled a member"
        assert {name for name in self._rotation if name not in self._nodes} == self._gone
        states = {node.name for node in self if node.state is not ALIVE}
        assert states == set(self._since), "a state without its time"
        kinds = Counter((node.versions, node.state is ALIVE) for node in self)
        assert dict(kinds) == dict(self._kinds), "versions miscounted"
        assert all(node.state in (SUSPECT, DEAD, LEFT, ALIVE) for node in self)
