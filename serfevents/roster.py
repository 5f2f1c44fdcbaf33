"""The table of members: who is known, where, in what status, since when.

Owns the records and the ways to find one: by name, by address, by chance. Knows nothing of
intents, messages or events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Final

from serfevents.members import ALIVE, FAILED, LEAVING, LEFT, Member, Status
from serfevents.records import Address
from serfevents.tags import decode_tags
from serfevents.timers import Timer

#: Tries to pick a fitting member by chance before all are looked through.
_TRIES: Final = 3


@lru_cache(maxsize=65536)
def make_member(
    name: str, address: Address, meta: bytes, status: Status, versions: bytes
) -> Member:
    """Return a record, the same object for the same facts: many machines of a test share it."""
    return Member(name, address, decode_tags(meta), status, versions)


class Entry:
    """What we know of one member.

    Attributes:
        member: What the application sees; its status is written by `Roster.set_status` only.
        meta: Its tags as they came.
        status_ltime: Lamport time of the newest intent about it.
        gone_at: When it failed or left, in seconds of the caller's clock.
        index: Its place in the list that chance picks from.
        prune_timer: Armed while it is to be pruned.
    """

    __slots__ = ("gone_at", "index", "member", "meta", "prune_timer", "status_ltime")

    def __init__(self, member: Member, meta: bytes, index: int) -> None:
        self.member = member
        self.meta = meta
        self.status_ltime = 0
        self.gone_at = 0.0
        self.index = index
        self.prune_timer: Timer | None = None

    @property
    def status(self) -> Status:
        """Its status."""
        return self.member.status


class Roster:
    """All members, ourselves included.

    Attributes:
        failed: Names of members that failed, in the order in which they did.
        left: Names of members that left, in the order in which they did.
    """

    __slots__ = ("_by_address", "_entries", "_order", "failed", "left")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._order: list[Entry] = []
        self._by_address: dict[Address, str] = {}
        self.failed: dict[str, None] = {}
        self.left: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, name: str) -> Entry | None:
        """Return what we know of a member, or None. O(1)."""
        return self._entries.get(name)

    def at(self, address: Address) -> Entry | None:
        """Return who lives at an address, or None. O(1)."""
        name = self._by_address.get(address)
        return None if name is None else self._entries[name]

    @property
    def active_count(self) -> int:
        """How many members are alive or leaving."""
        return len(self._entries) - len(self.failed) - len(self.left)

    def add(self, name: str, address: Address, meta: bytes, versions: bytes) -> Entry:
        """Add a member that is not known, alive."""
        member = make_member(name, address, meta, ALIVE, versions)
        entry = Entry(member, meta, len(self._order))
        self._entries[name] = entry
        self._order.append(entry)
        self._by_address[address] = name
        return entry

    def update(self, entry: Entry, address: Address, meta: bytes, versions: bytes) -> bool:
        """Take a member's new facts; return whether anything differs."""
        member = entry.member
        if (member.address, entry.meta, member.versions) == (address, meta, versions):
            return False
        if address != member.address:
            self._forget_address(member)
            self._by_address[address] = member.name
        entry.meta = meta
        entry.member = make_member(member.name, address, meta, member.status, versions)
        return True

    def set_status(self, entry: Entry, status: Status) -> None:
        """Give a member another status."""
        member = entry.member
        if member.status == status:
            return
        self.failed.pop(member.name, None)
        self.left.pop(member.name, None)
        if status is FAILED:
            self.failed[member.name] = None
        elif status is LEFT:
            self.left[member.name] = None
        entry.member = make_member(member.name, member.address, entry.meta, status, member.versions)

    def remove(self, entry: Entry) -> None:
        """Forget a member."""
        name = entry.member.name
        del self._entries[name]
        self.failed.pop(name, None)
        self.left.pop(name, None)
        self._forget_address(entry.member)
        last = self._order.pop()
        if last is not entry:
            self._order[entry.index] = last
            last.index = entry.index

    def _forget_address(self, member: Member) -> None:
        if self._by_address.get(member.address) == member.name:
            del self._by_address[member.address]

    def sample(self, count: int, rng: Random, fits: Callable[[Entry], bool]) -> list[Entry]:
        """Return up to `count` members that fit, chosen by chance. O(count) if most of them do."""
        order = self._order
        chosen: dict[str, Entry] = {}
        for _ in range(_TRIES * count):
            entry = order[rng.randrange(len(order))]
            if fits(entry):
                chosen[entry.member.name] = entry
            if len(chosen) == count:
                return list(chosen.values())
        fitting = [entry for entry in order if fits(entry)]
        return rng.sample(fitting, min(count, len(fitting)))

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        assert len(self._order) == len(self._entries)
        for index, entry in enumerate(self._order):
            name = entry.member.name
            assert entry.index == index
            assert self._entries[name] is entry
            assert (name in self.failed) == (entry.status is FAILED)
            assert (name in self.left) == (entry.status is LEFT)
        for address, name in self._by_address.items():
            assert self._entries[name].member.address == address


def is_active(entry: Entry) -> bool:
    """Whether a member is here: alive, or about to leave."""
    return entry.status is ALIVE or entry.status is LEAVING
