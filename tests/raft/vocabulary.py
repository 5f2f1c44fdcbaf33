"""Words for tests of raft: a small cluster whose messages move when told to, and disks that obey.

Not a simulator: no faults happen by themselves. `Servers` holds machines and what they put out.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from raft.config import Config
from raft.entries import NO_ENTRIES, Entries, Entry, EntryKind
from raft.membership.configuration import Configuration
from raft.messages import Message
from raft.outputs import EntriesCommitted, Output, Persist, Role, SendMessage, SnapshotInstalled
from raft.raft import Raft
from raft.stored import HardState, Snapshot, Stored

THREE = ("a", "b", "c")
Wanted = TypeVar("Wanted")


def drain(machine: Raft) -> list[Output]:
    """Return all that a machine has put out."""
    outputs: list[Output] = []
    while (output := machine.poll()) is not None:
        outputs.append(output)
    return outputs


def sent(outputs: Iterable[Output]) -> list[Message]:
    """Return the messages among outputs."""
    return [output.message for output in outputs if isinstance(output, SendMessage)]


def of(kind: type[Wanted], items: Iterable[object]) -> list[Wanted]:
    """Return the items of one kind."""
    return [item for item in items if isinstance(item, kind)]


def entries(*terms: int, first: int = 1) -> Entries:
    """Return entries of the given terms, with payloads that tell them apart."""
    return Entries.of(
        Entry(term, index, b"%d/%d" % (term, index)) for index, term in enumerate(terms, first)
    )


def voters(*names: str) -> Configuration:
    return Configuration(voters=names)


def founding(configuration: Configuration) -> Entry:
    """Return the entry that founds a cluster."""
    return Entry(1, 1, b"", EntryKind.CONFIGURATION, configuration)


class Disk:
    """What is durable of one server; obeys `Persist`s."""

    def __init__(self, stored: Stored | None = None) -> None:
        stored = stored or Stored()
        self.hard_state = stored.hard_state
        self.snapshot = stored.snapshot
        self.entries = list(stored.entries)

    def write(self, persist: Persist) -> None:
        self.hard_state = persist.hard_state
        if persist.snapshot is not None:
            self.snapshot = persist.snapshot
        for first in (persist.truncate_from, persist.entries and persist.entries.first_index):
            if first:
                self.entries = [entry for entry in self.entries if entry.index < first]
        self.entries += persist.entries
        if self.snapshot is not None:
            self.entries = [e for e in self.entries if e.index > self.snapshot.index]

    def stored(self, applied: int = 0) -> Stored:
        return Stored(
            hard_state=self.hard_state,
            snapshot=self.snapshot,
            entries=Entries.of(self.entries) if self.entries else NO_ENTRIES,
            applied=applied,
        )


class Servers:
    """Some servers, the messages between them, and what each has applied.

    Attributes:
        now: The time of all servers, seconds.
        network: Messages on their way, oldest first.
        events: What each server put out beside messages and writes.
        applied: The commands that each server was handed, with their indexes.
        cut: Pairs (from, to) between which messages are lost.
        slow: Servers whose disks don't report until `sync`.
    """

    def __init__(
        self,
        *names: str,
        configuration: Configuration | None = None,
        config: Config | None = None,
        configs: dict[str, Config] | None = None,
    ) -> None:
        self.config = config or Config()
        self.configs = configs or {}
        self.configuration = configuration or voters(*names)
        self.now = 100.0
        self.network: deque[Message] = deque()
        self.machines: dict[str, Raft] = {}
        self.disks: dict[str, Disk] = {}
        self.events: dict[str, list[Output]] = {}
        self.applied: dict[str, list[tuple[int, bytes]]] = {}
        self.waiting: dict[str, list[Persist]] = {}
        self.cut: set[tuple[str, str]] = set()
        self.slow: set[str] = set()
        for name in names:
            in_it = name in self.configuration.members
            self.start(name, founded(self.configuration) if in_it else Stored())

    def __getitem__(self, name: str) -> Raft:
        return self.machines[name]

    # --- life

    def start(self, name: str, stored: Stored) -> Raft:
        config = self.configs.get(name, self.config)
        machine = Raft(
            name, config, rng=random.Random(f"{name} {self.now}"), now=self.now, stored=stored
        )
        self.machines[name] = machine
        self.disks[name] = Disk(stored)
        self.events[name] = []
        self.applied[name] = []
        self.waiting[name] = []
        self.pump(name)
        return machine

    def adopt(self, machine: Raft) -> None:
        """Take a machine in that was made elsewhere."""
        name = machine.id
        stored = Stored(entries=Entries.of(machine.entries(1, machine.last_index)))
        self.machines[name] = machine
        self.disks[name] = Disk(stored)
        self.events[name], self.applied[name], self.waiting[name] = [], [], []
        self.pump(name)

    def restart(self, name: str) -> Raft:
        """Crash a server and start it with what is durable; its application begins anew."""
        return self.start(name, self.disks[name].stored())

    # --- outputs

    def pump(self, *names: str) -> None:
        """Take what servers put out: messages to the network, writes to the disk."""
        for name in names or self.machines:
            machine = self.machines[name]
            while (output := machine.poll()) is not None:
                self.take(name, output)

    def take(self, name: str, output: Output) -> None:
        match output:
            case SendMessage():
                if (name, output.to) not in self.cut:
                    self.network.append(output.message)
            case Persist():
                self.waiting[name].append(output)
                if name not in self.slow:
                    self.sync(name)
            case EntriesCommitted():
                self.applied[name] += output.commands()
                self.events[name].append(output)
            case SnapshotInstalled(snapshot):
                self.applied[name] = [(snapshot.index, bytes(snapshot.data))]
                self.events[name].append(output)
            case _:
                self.events[name].append(output)

    def sync(self, name: str) -> None:
        """Have the disk of a server write everything and report it."""
        while waiting := self.waiting[name]:
            for persist in waiting:
                self.disks[name].write(persist)
            seq = waiting[-1].seq
            waiting.clear()
            self.machines[name].persisted(seq, self.now)
            if name in self.slow:
                self.pump(name)

    # --- messages and time

    def deliver(self, keep: Callable[[Message], bool] = lambda _: True) -> None:
        """Deliver messages, and those that they cause, until all is quiet."""
        self.pump()
        for _ in range(100_000):
            if not self.network:
                return
            message = self.network.popleft()
            if keep(message) and message.to in self.machines:
                self.machines[message.to].receive(message, self.now)
                self.pump(message.to)
        raise AssertionError("the servers never fall silent")

    def advance(self, seconds: float, *, deliver: bool = True) -> None:
        """Let time pass; timers fire and messages arrive at once."""
        end = self.now + seconds
        self.pump()
        while True:
            due = [
                (at, name)
                for name, machine in self.machines.items()
                if (at := machine.next_timeout()) is not None and at <= end
            ]
            if not due:
                break
            at, name = min(due)
            self.now = max(self.now, at)
            self.machines[name].handle_timeout(self.now)
            self.pump(name)
            if deliver:
                self.deliver()
        self.now = end

    def elect(self, name: str) -> Raft:
        """Have a server elected, whatever others think of their leader."""
        for machine in self.machines.values():
            if machine.leader is not None and machine.role is Role.FOLLOWER:
                machine.forget_leader(self.now)
        for machine in self.machines.values():
            if machine.role is Role.LEADER and machine.id != name:
                machine.step_down(self.now)
        if self[name].role is not Role.LEADER:
            self[name].campaign(self.now)
        self.deliver()
        assert self[name].role is Role.LEADER
        return self[name]

    def isolate(self, name: str) -> None:
        """Cut a server off from all others."""
        for other in self.machines:
            if other != name:
                self.cut |= {(name, other), (other, name)}

    def heal(self) -> None:
        self.cut.clear()

    def leaders(self) -> list[str]:
        return [name for name, machine in self.machines.items() if machine.role is Role.LEADER]

    def check(self) -> None:
        for machine in self.machines.values():
            machine.check_invariants()

    def event(self, name: str, kind: type[Wanted]) -> Wanted:
        """Return the last event of a kind."""
        found = of(kind, self.events[name])
        assert found, f"{name} put out no {kind.__name__}"
        return found[-1]


def founded(configuration: Configuration) -> Stored:
    """Return the disk of a server of a cluster that was founded and knows it."""
    return Stored(
        hard_state=HardState(1, None, 1), entries=Entries.of([founding(configuration)]), applied=1
    )


def snapshot(index: int, term: int, *names: str, contents: bytes = b"state") -> Snapshot:
    return Snapshot(index, term, voters(*names), 1, contents)


def machine(
    name: str = "a",
    *names: str,
    terms: Iterable[int] = (),
    term: int | None = None,
    vote: str | None = None,
    commit: int = 1,
    config: Config | None = None,
    **options: Any,
) -> Raft:
    """Return one server of a cluster of `names`, with a log of the given terms behind the first.

    Its log begins with the configuration at index 1, term 1.
    """
    members = names or THREE
    log = [founding(voters(*members))]
    log += list(entries(*terms, first=2))
    newest = log[-1].term if term is None else term
    return Raft(
        name,
        config or Config(),
        rng=random.Random(1),
        now=0.0,
        stored=Stored(
            hard_state=HardState(newest, vote, commit),
            entries=Entries.of(log),
            applied=commit,
            **options,
        ),
    )


def remembered(machine: Raft) -> int:
    """Return how much memory a machine holds, directly or not, in bytes."""
    found: dict[int, object] = {}
    todo: list[object] = [machine]
    while todo:
        item = todo.pop()
        if id(item) not in found and not isinstance(item, (type, FunctionType, ModuleType)):
            found[id(item)] = item
            todo += gc.get_referents(item)
    return sum(map(sys.getsizeof, found.values()))


def persist_all(machine: Raft, now: float = 0.0) -> list[Output]:
    """Drain a machine and report all its writes, again and again; return all outputs."""
    outputs: list[Output] = []
    while found := drain(machine):
        outputs += found
        writes = of(Persist, found)
        if writes:
            machine.persisted(writes[-1].seq, now)
    return outputs
