"""Every order of events of a small cluster: messages, disks, crashes, campaigns, each way.

Owns the search: breadth first, so that what it finds is as short as can be. A scope says where the
servers begin and how much may happen; what is sent and never delivered is what is lost. Knows
Raft's safety rules and nothing of how they are kept.

It is cheap because machines are deterministic: what an input does to a machine in some state is
computed once, however many states of the whole have it there. A state of a machine is told from
another by all that it remembers except times: nothing in a scope depends on them.
"""

from __future__ import annotations

import pickle
import random
import time
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any, TypeAlias

from attrs import field, fields, frozen

from raft import Config, EntriesCommitted, Persist, ReadReady, Role, SendMessage
from raft.entries import NO_ENTRIES, Entries, Entry
from raft.errors import RaftError
from raft.messages import Message
from raft.raft import Raft
from raft.stored import HardState, Stored
from tests.raft.vocabulary import drain

PLAIN = Config(pre_vote=False, check_quorum=False, read_timeout=1e6)

#: What a machine remembers but what makes no difference here: times, chance, counters.
_IGNORED = frozenset(
    (
        *("__weakref__", "_memo", "config", "intent", "outputs", "rng", "stats"),
        *("_handle", "_request", "pending", "_taken_size", "_durable_size"),
        *("_deadlines", "_heartbeat_due", "_lease_begin", "_patient_until", "_quorum_due"),
        *("_times", "_timeout", "_waiting_since", "heard_at", "leader_heard_at", "now"),
    )
)
#: Numbers of writes: only how far they are from the last one matters.
_NUMBERS = ("_seq", "_confirmed", "_snapshot_seq", "_outstanding", "_gate")

Disk: TypeAlias = tuple[int, str | None, int, bool, tuple[Entry, ...]]


@frozen(kw_only=True)
class Scope:
    """Where the servers begin, and how much may happen.

    Attributes:
        disks: What each server starts with, by name.
        campaigns: How often each campaigns, by name.
        crashes: How often each crashes, by name; it comes back at once.
        proposals: How many commands are proposed, each to a leader.
        heartbeats: How often a leader sends a round of heartbeats.
        reads: How many reads a leader begins, at most one.
        copies: How many messages arrive twice.
        slow: Servers whose disks take their time; the others' sync at once.
        lost: Kinds of messages that never arrive.
        cut: Pairs of servers, sender first, between whom nothing arrives.
        forgetful: Whether what is of a term before its receiver's durable one never arrives
            either: in a server without bugs it changes nothing there.
        config: For all servers.
    """

    disks: dict[str, Stored]
    campaigns: dict[str, int]
    crashes: dict[str, int] = field(factory=dict)
    proposals: int = 0
    heartbeats: int = 0
    reads: int = 0
    copies: int = 0
    slow: tuple[str, ...] = ()
    lost: tuple[type, ...] = ()
    cut: tuple[tuple[str, str], ...] = ()
    forgetful: bool = False
    config: Config = PLAIN


@frozen
class Found:
    """What a search came to.

    Attributes:
        states: How many states of the whole were seen.
        machine_states: How many of single machines.
        steps: How many things happened, leading to new states or known ones.
        seconds: How long it took.
        complete: Whether everything that can happen was seen.
        broken: The rule that was broken, or "".
        path: What happened until then.
    """

    states: int
    machine_states: int
    steps: int
    seconds: float
    complete: bool
    broken: str
    path: tuple[str, ...]


class Broken(AssertionError):
    """A rule was broken."""


class Table:
    """Values by number, so that states are small tuples of numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self.values: list[Any] = []

    def number(self, key: Any, value: Any = None) -> int:
        """Return the number of a key; the first value given with it is kept."""
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return found


@frozen
class Step:
    """What an input does to a machine: its next state, and all that comes out.

    Attributes:
        machine: Number of the machine's next state.
        messages: Numbers of what it sends.
        writes: Numbers of what it has written.
        applied: The entries that it hands out.
        reads: Indexes at which reads may go on.
        role: What it does then.
        term: Its term then.
        commit: Its commit index then.
        log: Its entries then.
    """

    machine: int
    messages: tuple[int, ...]
    writes: tuple[int, ...]
    applied: tuple[Entry, ...]
    reads: tuple[int, ...]
    role: Role
    term: int
    commit: int
    log: tuple[Entry, ...]


class Machines:
    """All states of machines that were met, and what each input did to them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.states = Table()
        self.messages = Table()
        self.disks = Table()
        self.writes = Table()
        self._steps: dict[tuple[Any, ...], Step | None] = {}

    def born(self, name: str, disk: int) -> Step:
        """Return the first step of a server that starts from a disk."""
        key = (name, disk)
        step = self._steps.get(key)
        if step is None:
            term, voted_for, commit, regressed, entries = self.disks.values[disk]
            stored = Stored(
                hard_state=HardState(term, voted_for, commit, regressed),
                entries=Entries.of(entries) if entries else NO_ENTRIES,
            )
            machine = Raft(name, self._config, rng=random.Random(name), now=0.0, stored=stored)
            step = self._steps[key] = self._settle(machine)
        return step

    def input(self, machine: int, what: str, arg: int = 0) -> Step | None:
        """Return what an input does; None if it is refused."""
        key = (machine, what, arg)
        if key not in self._steps:
            self._steps[key] = self._input(pickle.loads(self.states.values[machine]), what, arg)
        return self._steps[key]

    def _input(self, machine: Raft, what: str, arg: int) -> Step | None:
        now = machine._core.now
        try:
            match what:
                case "receive":
                    machine.receive(self.messages.values[arg], now)
                case "persisted":
                    machine.persisted(machine._server.durability._seq, now)
                case "campaign":
                    machine.campaign(now)
                case "propose":
                    machine.propose(b"command", now)
                case "read":
                    machine.read(now)
                case "heartbeat":
                    machine.handle_timeout(machine.next_timeout() or now)
        except RaftError:
            return None
        return self._settle(machine)

    def _settle(self, machine: Raft) -> Step:
        """Return the state of a machine, and what came out of it."""
        outputs = drain(machine)
        machine.check_invariants()
        log = tuple(machine.entries(machine.first_index, machine.last_index))
        return Step(
            self.states.number(fingerprint(machine), pickle.dumps(machine)),
            tuple(self._message(o.message) for o in outputs if isinstance(o, SendMessage)),
            tuple(self._write(o) for o in outputs if isinstance(o, Persist)),
            tuple(e for o in outputs if isinstance(o, EntriesCommitted) for e in o.entries),
            tuple(o.index for o in outputs if isinstance(o, ReadReady)),
            machine.role,
            machine.term,
            machine.commit_index,
            log,
        )

    def _message(self, message: Message) -> int:
        return self.messages.number((type(message).__name__, repr(message)), message)

    def _write(self, persist: Persist) -> int:
        assert persist.snapshot is None, "scopes have no snapshots"
        return self.writes.number((*_hard_state(persist.hard_state), tuple(persist.entries)))

    def written(self, disk: int, write: int) -> int:
        """Return a disk after a write."""
        *state, new = self.writes.values[write]
        entries = self.disks.values[disk][-1]
        if new:
            entries = tuple(e for e in entries if e.index < new[0].index) + new
        return self.disks.number((*state, entries))


def _hard_state(state: HardState) -> tuple[int, str | None, int, bool]:
    return state.term, state.voted_for, state.commit, state.regressed


def fingerprint(machine: Raft) -> Any:
    """Return all that a machine remembers, as a value."""
    return _value(machine, {})


def _value(found: Any, seen: dict[int, int]) -> Any:
    if found is None or isinstance(found, (int, str, bytes, float)):
        return found
    if isinstance(found, Enum):
        return found.name
    if isinstance(found, (tuple, list, deque)):
        return tuple([_value(each, seen) for each in found])
    if isinstance(found, dict):
        return tuple([(_value(k, seen), _value(v, seen)) for k, v in found.items()])
    if isinstance(found, (set, frozenset)):
        return tuple(sorted(found))
    slots = getattr(type(found), "fields", None) or _slots(type(found))
    if not slots:
        return None  # A function.
    if id(found) in seen:
        return -1 - seen[id(found)]
    seen[id(found)] = len(seen)
    values = {name: getattr(found, name, None) for name in slots if name not in _IGNORED}
    if "_outstanding" in values:
        _make_relative(values)
    return tuple([_value(each, seen) for each in values.values()])


def _make_relative(values: dict[str, Any]) -> None:
    """Count writes from the last one that was handed out."""
    last = values["_seq"]
    for name in _NUMBERS:
        number = values[name]
        if isinstance(number, deque):
            values[name] = tuple((seq - last, rest[0]) for seq, *rest in number)
        elif name != "_snapshot_seq":
            values[name] = number - last


def _slots(kind: type) -> tuple[str, ...]:
    return tuple(name for base in kind.__mro__ for name in getattr(base, "__slots__", ()))


@frozen(cache_hash=True)
class State:
    """One state of the whole: numbers and small tuples only.

    Attributes:
        machines: Of each server, by position.
        disks: Of each server.
        writes: Of each server, what is on its way to the disk, oldest first.
        network: What was sent and not delivered, in order of numbers.
        left: What may still happen: campaigns and crashes of each, and the counts of the scope.
        leaders: Who led each term, so far.
        committed: What was ever committed: the term of each index.
        floor: The least index at which the read may go on; -1 if none was begun.
    """

    machines: tuple[int, ...]
    disks: tuple[int, ...]
    writes: tuple[tuple[int, ...], ...]
    network: tuple[int, ...]
    left: tuple[int, ...]
    leaders: tuple[tuple[int, str], ...]
    committed: tuple[int, ...]
    floor: int


_FIELDS = tuple(attribute.name for attribute in fields(State))


class Search:
    """All that can happen within a scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._names = tuple(scope.disks)
        self._machines = Machines(scope.config)
        # How each machine stands after the step that led to its state.
        self._standing: dict[int, Step] = {}
        self._doing = ""
        self.steps = 0

    def run(self, *, states_max: int = 10**9, seconds_max: float = 1e9) -> Found:
        """Search, until everything was seen, a rule is broken or there is no more room."""
        begin = time.perf_counter()
        state = self._first()
        parents: dict[State, tuple[State, str] | None] = {state: None}
        waiting = deque([state])
        broken, complete = "", False
        path: tuple[str, ...] = ()
        try:
            while waiting and len(parents) < states_max:
                if time.perf_counter() - begin > seconds_max:
                    break
                state = waiting.popleft()
                for told, successor in self._successors(state):
                    self.steps += 1
                    if successor not in parents:
                        parents[successor] = state, told
                        waiting.append(successor)
            complete = not waiting
        except (AssertionError, RaftError) as error:
            broken = f"{type(error).__name__}: {error}"
            path = (*_path(parents, state), self._doing)
        took = time.perf_counter() - begin
        seen = len(self._machines.states.values)
        return Found(len(parents), seen, self.steps, took, complete, broken, path)

    # --- states

    def _first(self) -> State:
        scope, machines = self._scope, self._machines
        disks = tuple(
            machines.disks.number((*_hard_state(stored.hard_state), tuple(stored.entries)))
            for stored in scope.disks.values()
        )
        left = (
            *(scope.campaigns.get(name, 0) for name in self._names),
            *(scope.crashes.get(name, 0) for name in self._names),
            scope.proposals,
            scope.heartbeats,
            scope.reads,
            scope.copies,
        )
        empty: tuple[tuple[int, ...], ...] = ((),) * len(disks)
        state = State((-1,) * len(disks), disks, empty, (), left, (), (1,), -1)
        for at, name in enumerate(self._names):
            self._doing = f"{name} starts"
            state = self._after(state, at, machines.born(name, disks[at]))
        return state

    def _successors(self, state: State) -> Iterator[tuple[str, State]]:
        """Return each thing that can happen, and the state after it."""
        yield from self._deliveries(state)
        count = len(self._names)
        for at in range(count):
            if state.writes[at]:
                yield from self._sync(state, at)
            if state.left[at]:
                yield from self._do(state, at, "campaign", at)
            if state.left[count + at]:
                yield from self._crash(state, at)
            if self._standing[state.machines[at]].role is Role.LEADER:
                yield from self._lead(state, at)

    def _deliveries(self, state: State) -> Iterator[tuple[str, State]]:
        """Deliver each message that is under way, to be gone or to come again."""
        copies, before = len(state.left) - 1, -1
        for position, number in enumerate(state.network):
            if number == before:
                continue
            before = number
            message = self._machines.messages.values[number]
            at = self._names.index(message.to)
            self._doing = repr(message)
            step = self._machines.input(state.machines[at], "receive", number)
            assert step is not None
            if step.machine == state.machines[at] and not step.messages:
                continue  # As if it were lost.
            rest = state.network[:position] + state.network[position + 1 :]
            yield self._doing, self._after(_evolve(state, network=rest), at, step)
            if state.left[copies]:
                self._doing = f"a copy of {message!r}"
                yield self._doing, self._after(_spend(state, copies), at, step)

    def _lead(self, state: State, at: int) -> Iterator[tuple[str, State]]:
        """Let a leader do what leaders do."""
        count = 2 * len(self._names)
        for offset, what in enumerate(("propose", "heartbeat", "read")):
            if state.left[count + offset]:
                yield from self._do(state, at, what, count + offset)

    def _do(self, state: State, at: int, what: str, budget: int) -> Iterator[tuple[str, State]]:
        """Give a machine an input that was allowed for."""
        self._doing = f"{self._names[at]} {what}"
        step = self._machines.input(state.machines[at], what)
        if step is None:
            return
        spent = _spend(state, budget)
        if what == "read":
            spent = _evolve(spent, floor=len(state.committed))
        yield self._doing, self._after(spent, at, step)

    def _sync(self, state: State, at: int) -> Iterator[tuple[str, State]]:
        """Make all that a server has written durable, and tell it."""
        self._doing = f"{self._names[at]} syncs"
        yield self._doing, self._synced(state, at)

    def _synced(self, state: State, at: int) -> State:
        step = self._machines.input(state.machines[at], "persisted")
        assert step is not None
        disk = self._kept(state, at, len(state.writes[at]))
        return self._after(_replace(state, at, disk=disk, writes=()), at, step)

    def _kept(self, state: State, at: int, count: int) -> int:
        """Return the disk of a server after the first `count` of its writes."""
        disk = state.disks[at]
        for write in state.writes[at][:count]:
            disk = self._machines.written(disk, write)
        return disk

    def _crash(self, state: State, at: int) -> Iterator[tuple[str, State]]:
        """Crash a server: any first part of its writes is kept. It starts again at once."""
        name = self._names[at]
        for count in range(len(state.writes[at]) + 1):
            self._doing = f"{name} crashes, {count} of {len(state.writes[at])} writes are kept"
            disk = self._kept(state, at, count)
            crashed = _spend(_replace(state, at, disk=disk, writes=()), len(self._names) + at)
            yield self._doing, self._after(crashed, at, self._machines.born(name, disk))

    # --- what a step does to the whole, and whether it may

    def _after(self, state: State, at: int, step: Step) -> State:
        """Return the state after a machine's step."""
        name = self._names[at]
        self._standing[step.machine] = step
        leaders, committed = state.leaders, state.committed
        if step.role is Role.LEADER and (step.term, name) not in leaders:
            if any(term == step.term for term, _ in leaders):
                raise Broken(f"election safety: two leaders of term {step.term}")
            leaders = tuple(sorted((*leaders, (step.term, name))))
            terms = tuple(entry.term for entry in step.log[: len(committed)])
            if terms != committed and self._is_newest(step.term, leaders):
                raise Broken(f"leader completeness: {name} has {terms}, committed is {committed}")
        terms = tuple(entry.term for entry in step.log[: step.commit])
        common = min(len(terms), len(committed))
        if terms[:common] != committed[:common]:
            raise Broken(f"state machine safety: {name} commits {terms}, others {committed}")
        if len(terms) > len(committed):
            committed = terms
        if any(index < state.floor for index in step.reads):
            raise Broken(f"reads: at {step.reads} though {state.floor} was committed")
        after = State(
            (*state.machines[:at], step.machine, *state.machines[at + 1 :]),
            state.disks,
            (*state.writes[:at], state.writes[at] + step.writes, *state.writes[at + 1 :]),
            self._network(state, step),
            state.left,
            leaders,
            committed,
            state.floor,
        )
        is_slow = name in self._scope.slow
        return after if is_slow or not after.writes[at] else self._synced(after, at)

    def _network(self, state: State, step: Step) -> tuple[int, ...]:
        """Return what is under way after a step."""
        scope, machines = self._scope, self._machines
        network, found = state.network, machines.messages.values
        if step.messages:
            new = [
                m
                for m in step.messages
                if not isinstance(found[m], scope.lost)
                and (found[m].source, found[m].to) not in scope.cut
            ]
            network = tuple(sorted((*network, *new)))
        if not scope.forgetful:
            return network
        terms = {
            name: machines.disks.values[disk][0]
            for name, disk in zip(self._names, state.disks, strict=True)
        }
        return tuple(m for m in network if found[m].term >= terms[found[m].to])

    @staticmethod
    def _is_newest(term: int, leaders: tuple[tuple[int, str], ...]) -> bool:
        """Return whether no later term has a leader: what that one committed is not meant."""
        return all(other <= term for other, _ in leaders)


def _evolve(state: State, **changes: Any) -> State:
    return State(*[changes.get(name, getattr(state, name)) for name in _FIELDS])


def _spend(state: State, budget: int) -> State:
    left = state.left
    return _evolve(state, left=(*left[:budget], left[budget] - 1, *left[budget + 1 :]))


def _replace(state: State, at: int, *, disk: int, writes: tuple[int, ...]) -> State:
    return _evolve(
        state,
        disks=(*state.disks[:at], disk, *state.disks[at + 1 :]),
        writes=(*state.writes[:at], writes, *state.writes[at + 1 :]),
    )


def _path(parents: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    """Return what led to a state."""
    told: list[str] = []
    while (step := parents[state]) is not None:
        state, what = step
        told.append(what)
    return tuple(reversed(told))
