"""A cluster in virtual time: every fault, one seed, invariants after every step.

Owns the network kernel (clock, links, queue, pauses; it knows the contract and nothing else) and
`Cluster`, which adds addresses, streams, crashes, restarts, measurements and invariants. Any
machine that obeys the contract can be run, composites too: what it puts out is matched by
`SendDatagram`, `OpenStream`, `SendStream` and `CloseStream`; everything else is an event.

The same seed is the same run, and no machine can tell the simulator from a driver.

>>> cluster = Cluster(seed=1)
>>> names = cluster.start(5)
>>> cluster.crash("n3")
>>> cluster.run_until(lambda: cluster.informed("n3"), within=30.0)
True
"""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any

from attrs import define, evolve, field, frozen

from memberlist.config import Config
from memberlist.describe import describe
from memberlist.invariants import InvariantBroken, Invariants
from memberlist.memberlist import Memberlist
from memberlist.node import DEAD, Address, Node
from memberlist.outputs import (
    CloseStream,
    MemberFailed,
    MemberlistLeft,
    MemberSuspected,
    OpenStream,
    SendDatagram,
    SendStream,
)
from memberlist.simulated_connections import Connections

__all__ = [
    "Birth",
    "Cluster",
    "Detection",
    "InvariantBroken",
    "Invariants",
    "Network",
    "describe",
    "make_memberlist",
]

# --- network kernel

Action = Callable[..., object]


class Network:
    """Machines by name, a clock, faulty links and one queue of what is to happen.

    A machine is anything with `poll`, `next_timeout`, `handle_timeout` and inputs that are called
    by their names, `now` last. Deadlines are armed lazily: the queue holds an entry at or before
    each one, and nothing ever looks at all machines. A subclass says in `route` what an output
    means, and may look at a machine after each of its inputs in `stepped`.

    Attributes:
        rng: The only source of chance; every machine's own is seeded from it.
        now: Virtual seconds since the start.
        machines: Those that run, paused ones included.
        latency: Least and greatest seconds that a packet takes.
        buffer: Inputs that wait for a paused machine; more are lost, as in a socket's buffer.
        watched: Whether `stepped` is called.
    """

    def __init__(self, seed: int, *, latency: tuple[float, float], buffer: int) -> None:
        self.rng = Random(seed)
        self._random = self.rng.random
        self.now = 0.0
        self.machines: dict[str, Any] = {}
        self.latency = latency
        self.buffer = buffer
        self.watched = True
        self._loss = self._duplication = self._reordering = 0.0
        self._cuts: set[tuple[str, str]] = set()
        self._sides: dict[str, int] = {}
        self._slow: dict[str, float] = {}
        self._faulty = False  # Invariant: True where any of the six above, or a pause, is set.
        # (time, counter, action, name, what, args): the counter decides between equal times.
        self._queue: list[tuple[float, int, Action, str, Any, Any]] = []
        self._count = 0
        # Invariant: no entry of the queue for this machine's deadline is earlier than this.
        self._armed: dict[str, float] = {}
        self._held: dict[str, deque[tuple[Action, tuple[Any, ...]]]] = {}
        self._stopped: set[str] = set()

    def route(self, name: str, output: Any) -> None:
        """Do what an output of `name` asks for."""
        raise NotImplementedError

    def stepped(self, name: str, machine: Any) -> None:
        """Look at a machine after one of its inputs."""

    def disturb(self, *names: str) -> None:
        """Take note of who suffers a fault of its own from now on."""

    def conditions(
        self,
        *,
        latency: tuple[float, float] | None = None,
        loss: float | None = None,
        duplication: float | None = None,
        reordering: float | None = None,
    ) -> None:
        """Change what every link does from now on; None leaves a condition as it is.

        Args:
            latency: Least and greatest seconds from sending to arrival.
            loss: Probability that a packet vanishes.
            duplication: Probability that it arrives twice.
            reordering: Probability that it takes up to ten times as long.
        """
        self.latency = self.latency if latency is None else latency
        self._loss = self._loss if loss is None else loss
        self._duplication = self._duplication if duplication is None else duplication
        self._reordering = self._reordering if reordering is None else reordering
        self._judge()

    def cut(self, source: str, to: str) -> None:
        """Let nothing more through from `source` to `to`; the other way stays as it is."""
        self._cuts.add((source, to))
        self.disturb(source, to)
        self._judge()

    def partition(self, *groups: Iterable[str]) -> None:
        """Let members of different groups hear nothing of each other; the rest is one group."""
        self.disturb(*self.machines)
        self._sides = {name: side for side, group in enumerate(groups, 1) for name in group}
        self._judge()

    def heal(self) -> None:
        """End every cut and partition."""
        self._cuts.clear()
        self._sides.clear()
        self._judge()

    def slow(self, name: str, seconds: float) -> None:
        """Let all that `name` sends or receives take `seconds` longer; 0 ends that."""
        self._slow[name] = seconds
        self.disturb(name)
        self._slow = {each: extra for each, extra in self._slow.items() if extra > 0}
        self._judge()

    def pause(self, name: str, *, timers: bool = False) -> None:
        """Stop a machine: inputs wait for it, as far as `buffer` goes.

        Args:
            name: Whom; pausing it again changes nothing.
            timers: Whether its timers run on while packets wait in both directions: Lifeguard's
                anomaly. Otherwise it is a stopped process, which wakes to a late timeout.
        """
        if name not in self._held:
            self._held[name] = deque()
            self.disturb(name)
            if not timers:
                self._stopped.add(name)
            self._judge()

    def resume(self, name: str) -> None:
        """Let a paused machine go on: first its timers, then what waited, in order."""
        held = self._held.pop(name, ())
        self._judge()
        if name in self._stopped:
            self._stopped.remove(name)
            self.give(name, "handle_timeout", ())
        for function, args in held:
            function(*args)

    def held(self, name: str, function: Action, *args: Any, lossy: bool = True) -> bool:
        """Return whether `name` is paused; the call waits for its return, if there is room.

        Without `lossy` there always is: a stream has flow control, a datagram has not.
        """
        waiting = self._held.get(name)
        if waiting is None:
            return False
        if not lossy or len(waiting) < self.buffer:
            waiting.append((function, args))
        return True

    def reaches(self, source: str, to: str) -> bool:
        """Return whether no cut and no partition lies between two machines, one way."""
        sides = self._sides
        return (source, to) not in self._cuts and sides.get(source, 0) == sides.get(to, 0)

    def loses(self) -> bool:
        """Return whether a packet that is sent now vanishes by chance."""
        return self._loss > 0.0 and self.rng.random() < self._loss

    def lag(self, source: str, to: str) -> float:
        """Return how long a packet takes."""
        low, high = self.latency
        seconds = low + (high - low) * self._random()
        if self._faulty:
            if self._reordering and self._random() < self._reordering:
                seconds += 9 * high * self._random()
            seconds += self._slow.get(source, 0.0) + self._slow.get(to, 0.0)
        return seconds

    def at(
        self, time: float, action: Action, name: str, what: Any = None, args: Any = None
    ) -> None:
        """Call `action(name, what, args)` at `time`."""
        self._count += 1
        heappush(self._queue, (time, self._count, action, name, what, args))

    def send(self, source: str, to: str, method: str, args: tuple[Any, ...]) -> None:
        """Give `to` an input after the link's latency: once, or as often as the faults want."""
        copies = 1
        if self._faulty:
            if self.held(source, self.send, source, to, method, args):
                return
            if not self.reaches(source, to) or self.loses():
                return
            if self._duplication and self.rng.random() < self._duplication:
                copies = 2
        for _ in range(copies):
            self._count += 1
            at = self.now + self.lag(source, to)
            heappush(self._queue, (at, self._count, self.give, to, method, args))

    def enter(self, name: str, machine: Any) -> None:
        """Let a machine run under a name that no other has."""
        assert name not in self.machines, f"{name} runs already"
        self.machines[name] = machine
        self._armed[name] = inf
        self.pump(name)

    def remove(self, name: str) -> Any:
        """Take a machine away at once, with all that waited for it, and return it."""
        self._held.pop(name, None)
        self._stopped.discard(name)
        del self._armed[name]
        return self.machines.pop(name)

    def give(self, name: str, method: str, args: tuple[Any, ...], **options: Any) -> Any:
        """Give a machine one input now and route what it puts out; None if it is not there."""
        if self._held and self.held(name, lambda: self.give(name, method, args, **options)):
            return None
        machine = self.machines.get(name)
        if machine is None:
            return None
        handle = getattr(machine, method)(*args, self.now, **options)
        self.pump(name)
        return handle

    def pump(self, name: str) -> None:
        """Route what a machine has put out and arm its deadline."""
        machine = self.machines[name]
        while (output := machine.poll()) is not None:
            self.route(name, output)
        self._arm(name, machine)
        if self.watched:
            self.stepped(name, machine)

    def _arm(self, name: str, machine: Any) -> None:
        due = machine.next_timeout()
        if due is not None and due < self._armed.get(name, -inf):
            self._armed[name] = due = max(due, self.now)
            self._count += 1
            heappush(self._queue, (due, self._count, self._expire, name, due, None))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, _, action, name, what, args = heappop(queue)
            action(name, what, args)
        self.now = end

    def run_until(
        self, condition: Callable[[], bool], within: float, *, every: float = 0.1
    ) -> bool:
        """Let virtual time pass until `condition()` holds; it is asked `every` so many seconds.

        Returns:
            Whether it came to hold `within` so many seconds.
        """
        end = self.now + within
        while not (holds := condition()) and self.now < end:
            self.run(min(every, end - self.now))
        return holds

    def _expire(self, name: str, at: float, _: None) -> None:
        if self._armed.get(name) != at:  # An earlier one took its place, or the machine is gone.
            return
        self._armed[name] = inf
        if name in self._stopped:
            return
        machine = self.machines[name]
        due = machine.next_timeout()
        if due is not None and due <= at:
            machine.handle_timeout(at)
            self.pump(name)
        else:  # It moved away since it was armed.
            self._arm(name, machine)

    def _judge(self) -> None:
        chances = self._loss or self._duplication or self._reordering
        self._faulty = bool(chances or self._cuts or self._sides or self._slow or self._held)


# --- end of the network kernel


@frozen(kw_only=True)
class Birth:
    """What a factory is given to make one member's machine.

    Attributes:
        name: The member's name in the protocol.
        address: Where it receives.
        config: The cluster's configuration.
        rng: Its own source of chance.
        now: The present.
        incarnation: What it remembers of its last life; 0 if nothing.
        known: Members that it takes for alive from the start, itself among them perhaps.
    """

    name: str
    address: Address
    config: Config
    rng: Random
    now: float
    incarnation: int = 0
    known: tuple[Node, ...] = ()


@define
class Detection:
    """How the crash of one member became known; times are seconds after the crash.

    Attributes:
        since: When it crashed, seconds of the cluster's clock.
        suspected: First suspicion anywhere, or None.
        failed: First verdict anywhere, or None.
        everybody: When all that run had heard the verdict, or None.
        informed: Who has, in order, and when.
    """

    since: float
    suspected: float | None = None
    failed: float | None = None
    everybody: float | None = None
    informed: dict[str, float] = field(factory=dict)


def make_memberlist(birth: Birth) -> Memberlist:
    """Return a plain member: the factory that `Cluster` uses if it is given none."""
    return Memberlist(
        birth.name,
        birth.address,
        birth.config,
        rng=birth.rng,
        now=birth.now,
        incarnation=birth.incarnation,
        known=birth.known,
    )


class Cluster(Network):
    """Members in virtual time; they are named by the simulation's names, `n1` and so on.

    Attributes:
        config: What the factory gives to every member.
        trace: Each event as (time, name, output), if `trace` is on.
        messages: Datagrams that were sent, lost ones included.
        bytes: Their payload's size.
        connections: The streams; `opened` and `bytes` count them.
        false_positives: Verdicts heard about members that ran and were never disturbed: each
            `MemberFailed` of each member counts.
        false_positives_at_healthy: Those of them at members that were never disturbed either.
        false_verdicts: Those of the first kind that the member reached by itself.
        false_verdicts_at_healthy: Those of the second kind likewise.
        detections: For each crashed member, how that became known.
        disturbed: Who was crashed, paused, slowed, cut off or has left, ever.
    """

    def __init__(
        self,
        make: Callable[[Birth], Any] = make_memberlist,
        *,
        seed: int,
        config: Config | None = None,
        latency: tuple[float, float] = (0.0005, 0.0015),
        buffer: int = 256,
        chunk: int = 1 << 16,
        trace: bool = True,
        check: bool = True,
        check_every: int = 1,
        view: Callable[[Any], Any] = lambda machine: machine,
        on_event: Callable[[str, Any], None] | None = None,
    ) -> None:
        """Prepare an empty cluster.

        Args:
            make: Makes one member's machine.
            seed: Decides everything that chance decides.
            config: For every member; the LAN profile if None.
            latency: Least and greatest seconds that a packet takes.
            buffer: Packets that wait for a paused member; more are lost.
            chunk: Most bytes of a stream that arrive at once.
            trace: Whether to keep events, and a digest of everything that is sent.
            check: Whether to check invariants at every step.
            check_every: Every how many steps the machine that stepped checks itself; 0 is never.
            view: Finds the `Memberlist` in a composite.
            on_event: Called with a name and an event, after it was recorded. It may call back
                in, but not end that member.
        """
        super().__init__(seed, latency=latency, buffer=buffer)
        self.config = config or Config.lan()
        self.view = view
        self.on_event = on_event
        self.trace: list[tuple[float, str, Any]] = []
        self.messages = self.bytes = 0
        self.false_positives = self.false_positives_at_healthy = 0
        self.false_verdicts = self.false_verdicts_at_healthy = 0
        self.detections: dict[str, Detection] = {}
        self.disturbed: dict[str, None] = {}
        self.invariants = (
            Invariants(self.config.datagram_size, view=view, every=check_every) if check else None
        )
        self.watched = check
        self._make = make
        self._traced = trace
        self._crc = 0
        self.connections = Connections(self, chunk=chunk)
        self._births: dict[str, Birth] = {}
        self._names: dict[Address, str] = {}
        self._addresses: dict[str, Address] = {}
        self._labels: dict[str, str] = {}  # The protocol's name -> the simulation's.

    # --- queries

    def machine(self, name: str) -> Any:
        """Return the machine that runs under a name."""
        return self.machines[name]

    def address(self, name: str) -> Address:
        """Return where a member receives, or did when it last ran."""
        return self._addresses[name]

    def informed(self, name: str) -> bool:
        """Return whether all that run have heard that `name`, which crashed, is dead."""
        informed = self.detections[name].informed
        return all(each in informed for each in self.machines)

    def events(self, kind: type, *, at: str | None = None, about: str | None = None) -> list[Any]:
        """Return the events of one kind in the trace, of one member, about one member."""
        return [
            event
            for _, name, event in self.trace
            if type(event) is kind
            and at in (None, name)
            and about in (None, getattr(getattr(event, "node", None), "name", None))
        ]

    def disagreement(self, among: Iterable[str] | None = None) -> str:
        """Return the first thing on which members differ from the truth; empty if they agree.

        The truth is what each says of itself. Complexity: O(n^2).

        Args:
            among: Who should know of each other and of nobody else; all that run if None.
        """
        group = list(self.machines if among is None else among)
        views = {name: self.view(self.machines[name]) for name in group}
        truth = {view.node.name: view.node for view in views.values() if view.node.state < DEAD}
        for name, view in views.items():
            seen = {node.name: node for node in view.members}
            if seen == truth or view.node.state >= DEAD:
                continue
            names = seen.keys() | truth.keys()
            other = min(each for each in names if seen.get(each) != truth.get(each))
            return f"{name} holds {seen.get(other)}, the truth is {truth.get(other)}"
        return ""

    def converged(self, among: Iterable[str] | None = None) -> bool:
        """Return whether everybody knows everybody as they are."""
        return not self.disagreement(among)

    def check_convergence(self, among: Iterable[str] | None = None) -> None:
        """Raise `InvariantBroken` unless everybody knows everybody as they are."""
        if difference := self.disagreement(among):
            raise InvariantBroken("convergence", f"at {self.now:.3f}: {difference}")

    def digest(self) -> str:
        """Return a fingerprint of all that happened: events, bytes sent, counters."""
        digest = hashlib.sha256()
        for time, name, event in self.trace:
            digest.update(f"{time!r} {name} {describe(event)}\n".encode())
        digest.update(f"{self._crc} {self.messages} {self.bytes} {self.connections.bytes}".encode())
        return digest.hexdigest()

    # --- members

    def start(self, count: int, *, warm: bool = True, within: float = 60.0) -> list[str]:
        """Start `count` members and return their names.

        Args:
            count: How many.
            warm: Whether they know each other from the start (they share the records), or join
                the first one and are given time until they agree.
            within: Seconds for that.

        Raises:
            InvariantBroken: They did not agree in time.
        """
        first = len(self._births) + 1
        names = [f"n{number}" for number in range(first, first + count)]
        addresses = [self._place(name) for name in names]
        known: tuple[Node, ...] = ()
        if warm:
            versions = self.config.versions
            known = tuple(
                Node(name, address, b"", versions, 1)
                for name, address in zip(names, addresses, strict=True)
            )
        for name in names:
            self.add(name, known=known)
        if not warm:
            for name in names[1:]:
                self.join(name, names[0])
            if not self.run_until(self.converged, within):
                self.check_convergence()
        return names

    def add(
        self,
        name: str,
        *,
        called: str | None = None,
        address: Address | None = None,
        incarnation: int = 0,
        known: tuple[Node, ...] = (),
    ) -> str:
        """Start one member and return its name.

        Args:
            name: In the simulation, and in the protocol unless `called` says otherwise.
            called: Its name in the protocol: two members of one name are a conflict.
            address: Where it receives; a fresh one if None.
            incarnation: What it remembers of its last life.
            known: Members that it takes for alive.
        """
        birth = Birth(
            name=called or name,
            address=self._place(name, address),
            config=self.config,
            rng=Random(self.rng.getrandbits(64)),
            now=self.now,
            incarnation=incarnation,
            known=known,
        )
        self._births[name] = birth
        self._labels.setdefault(birth.name, name)
        if self.invariants is not None:
            self.invariants.born(name, called=birth.name, known=known)
        self.enter(name, self._make(birth))
        return name

    def join(self, name: str, *seeds: str) -> Any:
        """Let a member join others by their names; return the handle of `join`."""
        return self.call(name, "join", [self._addresses[seed] for seed in seeds])

    def call(self, name: str, method: str, *args: Any, **options: Any) -> Any:
        """Give a member one command now; returns what it returns."""
        return self.give(name, method, args, **options)

    def crash(self, name: str) -> None:
        """End a member's process at once: its sockets close, its memory is gone.

        What `restart` may remember is its incarnation.
        """
        incarnation = self.view(self.machines[name]).incarnation
        self._births[name] = evolve(self._births[name], incarnation=incarnation)
        self.disturb(name)
        self.detections[name] = Detection(self.now)
        self.connections.close_all(name)
        self.remove(name)

    def restart(
        self, name: str, *, remembered: bool = False, address: Address | None = None
    ) -> None:
        """Start a member again, crashing it if it runs; it knows nobody until it joins.

        Args:
            name: Whom.
            remembered: Whether it goes on from its last incarnation.
            address: A new one; the same as before if None.
        """
        if name in self.machines:
            self.crash(name)
        birth = self._births[name]
        self.add(
            name,
            called=birth.name,
            address=address or birth.address,
            incarnation=birth.incarnation if remembered else 0,
        )

    # --- outputs

    def route(self, name: str, output: Any) -> None:
        """Send what is an effect; record, count and hand on what is an event."""
        if type(output) is SendDatagram:
            data = output.data
            self.messages += 1
            self.bytes += len(data)
            if self._traced:
                self._crc = zlib.crc32(data, self._crc)
            to = self._names.get(output.to)
            if to is not None:
                self.send(name, to, "receive_datagram", (data, self._addresses[name]))
        elif type(output) is OpenStream:
            to = self._names.get(output.to, "")
            # A port of the opener's system, not the one where it listens.
            source = (self._addresses[name][0], 49152 + self.connections.opened % 16384)
            self.connections.open(name, output, to, source)
        elif type(output) is SendStream:
            if self._traced:
                self._crc = zlib.crc32(output.data, self._crc)
            self.connections.write(name, output)
        elif type(output) is CloseStream:
            self.connections.close(name, output)
        else:
            self._event(name, output)
        if self.invariants is not None:
            self.invariants.saw(name, output)

    def disturb(self, *names: str) -> None:
        """Count nothing that these are accused of as a false positive."""
        self.disturbed |= dict.fromkeys(names)

    def stepped(self, name: str, machine: Any) -> None:
        """Check the invariants that concern one machine."""
        assert self.invariants is not None
        self.invariants.stepped(name, machine, self.now)

    def _event(self, name: str, event: Any) -> None:
        kind = type(event)
        if self._traced:
            self.trace.append((self.now, name, event))
        if kind is MemberFailed:
            self._failed(name, event)
        elif kind is MemberSuspected:
            subject = self._labels.get(event.node.name, "")
            detection = self.detections.get(subject)
            if detection and detection.suspected is None and subject not in self.machines:
                detection.suspected = self.now - detection.since
        elif kind is MemberlistLeft:
            self.disturb(name)
        if self.on_event is not None:
            self.on_event(name, event)

    def _failed(self, name: str, event: MemberFailed) -> None:
        subject = self._labels.get(event.node.name, "")
        if subject not in self.machines:
            detection = self.detections.get(subject)
            if detection is not None and name not in detection.informed:
                after = self.now - detection.since
                detection.informed[name] = after
                detection.failed = after if detection.failed is None else detection.failed
                if len(detection.informed) == len(self.machines):
                    detection.everybody = after
        elif subject not in self.disturbed:
            own = event.declared_by == self._births[name].name
            healthy = name not in self.disturbed
            self.false_positives += 1
            self.false_positives_at_healthy += healthy
            self.false_verdicts += own
            self.false_verdicts_at_healthy += own and healthy

    def _place(self, name: str, address: Address | None = None) -> Address:
        """Return a member's address, giving it one if it has none yet or is to move."""
        if address is None:
            address = self._addresses.get(name)
        if address is None:
            number = len(self._addresses) + 1
            address = (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946)
        old = self._addresses.get(name)
        if old != address and old is not None and self._names.get(old) == name:
            del self._names[old]
        self._addresses[name] = address
        self._names[address] = name
        return address
