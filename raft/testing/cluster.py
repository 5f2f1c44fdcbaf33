"""A Raft cluster in virtual time: network, disks, clocks, crashes; checked after every step.

Owns what a cluster of processes is made of and what can befall it. Knows nothing of which faults
to draw (`raft.testing.chaos`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from raft.codec import decode, encode
from raft.config import Config
from raft.entries import LogId
from raft.errors import CampaignRefused, TransferRefused
from raft.membership.changes import Change, SingleChange
from raft.membership.configuration import Configuration
from raft.outputs import (
    EntriesCommitted,
    Persist,
    ProposalsLost,
    ReadFailed,
    ReadReady,
    Role,
    SendMessage,
    SnapshotInstalled,
)
from raft.raft import Raft
from raft.testing.describe import describe
from raft.testing.disk import Disk
from raft.testing.host import Application, Birth, Clock, Host, Journal
from raft.testing.invariants import InvariantBroken, Invariants
from raft.testing.network import Network


def make_raft(birth: Birth) -> Raft:
    """Return a plain server: the factory that `Cluster` uses if it is given none."""
    return Raft(birth.name, birth.config, rng=birth.rng, now=birth.now, stored=birth.stored)


class Cluster(Network):
    """Servers in virtual time, named `n1` and so on, all driven from one seed.

    Attributes:
        config: What the factory gives to servers that have none of their own.
        disks: Each server's disk; it outlives crashes.
        trace: Each event as (time, name, output), if `trace` is on.
        steps: Inputs that were given to machines.
        messages: Messages that were sent, lost ones included.
        invariants: The checks, or None.
    """

    def __init__(
        self,
        make: Callable[[Birth], Any] = make_raft,
        *,
        seed: int,
        config: Config | None = None,
        latency: tuple[float, float] = (0.0005, 0.0015),
        sync: tuple[float, float] = (0.0005, 0.0015),
        poll_delay: float = 0.0,
        fifo: bool = False,
        buffer: int = 1024,
        wire: bool = False,
        trace: bool = True,
        check: bool = True,
        check_every: int = 8,
        application: Callable[[], Application] = Journal,
        make_disk: Callable[[Random], Disk] | None = None,
        view: Callable[[Any], Any] = lambda machine: machine,
        on_output: Callable[[str, Any], None] | None = None,
        on_input: Callable[[str, str, tuple[Any, ...]], None] | None = None,
    ) -> None:
        """Prepare an empty cluster.

        Args:
            make: Makes one server's machine; anything that obeys the contract and puts out
                `Persist` and `SendMessage`, composites too.
            seed: Decides everything that chance decides.
            config: For every server that is not given its own.
            latency: Least and greatest seconds that a message takes.
            sync: Least and greatest seconds that a sync of a disk takes.
            poll_delay: Most seconds that outputs wait before they are fetched: a busy process.
            fifo: Whether messages between two servers never overtake each other, as over TCP.
            buffer: Inputs that wait for a paused server; more are lost.
            wire: Whether messages are encoded and decoded again on their way.
            trace: Whether to keep events.
            check: Whether to check invariants after every step.
            check_every: Every how many steps of a machine the costly ones are; 0 is never.
            application: Makes what commands are applied to, for each life of each server.
            make_disk: Makes a server's disk from a source of chance; `Disk` if None.
            view: Finds the `Raft` in a composite.
            on_output: Called with a name and each output before it is acted on.
            on_input: Called with a name, a method and its arguments before each input but
                timeouts.
        """
        super().__init__(seed, latency=latency, buffer=buffer)
        self.config = config or Config()
        self.view = view
        self.disks: dict[str, Disk] = {}
        self.trace: list[tuple[float, str, Any]] = []
        self.steps = self.messages = 0
        self.invariants = Invariants(every=check_every) if check else None
        self.watched = False
        self.sync = sync
        self.poll_delay = poll_delay
        self._syncs: dict[str, tuple[float, float]] = {}
        self._make = make
        self._make_disk = make_disk or (lambda _: Disk())
        self._make_application = application
        self._traced = trace
        self._on_output = on_output
        self._on_input = on_input
        self._configs: dict[str, Config] = {}
        self._clocks: dict[str, Clock] = {}
        self._lives = 0
        self._wire = wire
        self.fifo = fifo
        self._arrivals: dict[tuple[str, str], float] = {}

    # --- queries

    @property
    def names(self) -> list[str]:
        """All servers that were ever added, running or not."""
        return list(self.disks)

    def machine(self, name: str) -> Any:
        """Return the `Raft` that runs under a name."""
        return self.view(self.machines[name].machine)

    def application(self, name: str) -> Any:
        """Return what a server's entries are applied to."""
        return self.machines[name].application

    @property
    def leader(self) -> str | None:
        """The running server that leads the latest term led, or None."""
        leading = [
            (machine.term, name)
            for name in self.machines
            if (machine := self.machine(name)).role is Role.LEADER
        ]
        return max(leading)[1] if leading else None

    def leads(self, name: str) -> bool:
        """Return whether a server leads, has committed in its term, and whom it reaches follows.

        Members that are down, paused or cut off from it don't count.
        """
        host = self.machines.get(name)
        if host is None:
            return False
        machine = self.view(host.machine)
        if machine.role is not Role.LEADER:
            return False
        return machine.term_at(machine.commit_index) == machine.term and all(
            self.machine(each).leader == name
            for each in machine.configuration.members
            if each in self.machines
            and not self.is_paused(each)
            and self.reaches(name, each)
            and self.reaches(each, name)
        )

    def is_paused(self, name: str) -> bool:
        """Return whether a server is paused."""
        return name in self._held

    def committed(self, log_id: LogId) -> bool:
        """Return whether an entry is known to be committed anywhere; needs invariants."""
        assert self.invariants is not None
        return self.invariants.committed.get(log_id.index) == log_id.term

    def agreed(self, among: Iterable[str] | None = None) -> bool:
        """Return whether one leads, and all that run have applied all that it has in its log."""
        leader = self.leader
        if leader is None or not self.leads(leader):
            return False
        lead = self.machine(leader)
        members = set(lead.configuration.members)
        group = [each for each in among or self.machines if each in members]
        return all(
            self.machines[each].applied == lead.last_index == self.machine(each).last_index
            for each in group
        )

    def events(self, kind: type, *, at: str | None = None) -> list[Any]:
        """Return the events of one kind in the trace, of one server or of all."""
        return [
            event for _, name, event in self.trace if type(event) is kind and at in (None, name)
        ]

    def digest(self) -> str:
        """Return a fingerprint of all that happened: events, and how much was sent."""
        digest = hashlib.sha256()
        for time, name, event in self.trace:
            digest.update(f"{time!r} {name} {describe(event)}\n".encode())
        digest.update(f"{self.messages} {self.steps} {self.now!r}".encode())
        return digest.hexdigest()

    # --- servers

    def start(
        self,
        count: int,
        *,
        learners: Iterable[str] = (),
        witnesses: Iterable[str] = (),
        configs: dict[str, Config] | None = None,
    ) -> list[str]:
        """Start `count` servers, found a cluster of them and return their names.

        Args:
            count: How many.
            learners: Which of them, by name, only receive the log.
            witnesses: Which of the voters keep no payloads.
            configs: Configurations of single servers.
        """
        names = [f"n{number}" for number in range(1, count + 1)]
        learners = list(learners)
        for name in names:
            self.add(name, config=(configs or {}).get(name))
        voters = [name for name in names if name not in learners]
        self.found(voters, learners=learners, witnesses=witnesses)
        return names

    def found(
        self,
        voters: Iterable[str],
        *,
        learners: Iterable[str] = (),
        witnesses: Iterable[str] = (),
        on: Iterable[str] | None = None,
    ) -> None:
        """Found a cluster of servers that run; on all voters, or only `on` some of them."""
        configuration = Configuration(voters=voters, learners=learners, witnesses=witnesses)
        if self.invariants is not None:
            self.invariants.founded(configuration)
        for name in configuration.voters if on is None else on:
            self.call(name, "bootstrap", configuration)

    def add(self, name: str, *, config: Config | None = None, origin: float = 0.0) -> str:
        """Start a server that belongs to no cluster yet, and return its name.

        Args:
            name: Its id.
            config: Its own configuration.
            origin: What its clock shows at the start of the simulation.
        """
        assert name not in self.disks, f"{name} was there already"
        self.disks[name] = self._make_disk(Random(self.rng.getrandbits(64)))
        self._clocks[name] = Clock(origin)
        self._configs[name] = config or self.config
        self._begin(name)
        return name

    def crash(self, name: str) -> None:
        """End a server's process at once: of what its disk had not synced some part is left."""
        host = self.remove(name)
        host.is_over = True
        self.disturb(name)
        self.disks[name].crash(self.rng)

    def crash_after(self, name: str, outputs: int) -> None:
        """Let a server crash at a seam: after so many more of its outputs were acted on."""
        self.machines[name].fuse = outputs

    def restart(self, name: str, *, config: Config | None = None) -> None:
        """Start a server again from its disk, crashing it if it runs."""
        if name in self.machines:
            self.crash(name)
        if config is not None:
            self._configs[name] = config
        self._begin(name)

    def set_clock(self, name: str, rate: float) -> None:
        """Let a server's clock run at another rate; 1 is the simulation's."""
        self._clocks[name].set_rate(rate, self.now)
        if name in self.machines:
            self._arm(name, self.machines[name])

    def set_sync(self, name: str, sync: tuple[float, float] | None) -> None:
        """Let a server's disk take other times, seconds; None for those of all."""
        if sync is None:
            self._syncs.pop(name, None)
        else:
            self._syncs[name] = sync

    # --- what users do

    def call(self, name: str, method: str, *args: Any, **options: Any) -> Any:
        """Give a machine one input by name, without its time; return what it returns."""
        return self.give(name, "command", (method, args), **options)

    def elect(self, name: str | None = None, *, within: float = 30.0) -> str:
        """Let time pass until a leader, or this one, leads; return its name.

        Raises:
            InvariantBroken: None did in time.
        """
        end = self.now + within

        def leads() -> bool:
            wanted = name or self.leader
            return wanted is not None and self.leads(wanted)

        while not leads() and self.now < end:
            if name is not None:
                self._prefer(name)
            patience = min(self.config.election_timeout / 2, end - self.now)
            self.run_until(leads, patience, every=self.config.heartbeat_interval / 10)
        leader = self.leader
        if leader is None or not leads():
            raise InvariantBroken("liveness", f"nobody leads after {within} seconds")
        return leader

    def _prefer(self, name: str) -> None:
        """Have a server become leader, if that goes now."""
        leader = self.leader
        with suppress(TransferRefused, CampaignRefused):
            if leader is None:
                self.call(name, "campaign")
            else:
                self.call(leader, "transfer", name)

    def propose(self, *payloads: bytes, at: str | None = None) -> Sequence[LogId]:
        """Propose commands at the leader, or elsewhere; return where they stand."""
        found: Sequence[LogId] = self.call(at or self._lead(), "propose_many", payloads)
        return found

    def change(self, *changes: SingleChange, **options: Any) -> LogId:
        """Propose a change of the membership at the leader."""
        change = options.pop("change", None) or Change(changes, **options)
        found: LogId = self.call(self._lead(), "change", change)
        return found

    def read(self, name: str, *, lease: bool = False) -> int:
        """Begin a read; its answer is checked, and is in the trace."""
        number: int = self.call(name, "read", lease=lease)
        return number

    def compact(self, name: str) -> int:
        """Let a server's application make a snapshot of all that it applied; return its index."""
        host = self.machines[name]
        self.call(name, "compact", host.applied, host.application.snapshot())
        index: int = host.applied
        return index

    def checkpoint(self, name: str) -> None:
        """Let a server's application make its own state durable."""
        host = self.machines[name]
        self.disks[name].checkpoint(host.applied, host.application.snapshot())

    def _lead(self) -> str:
        leader = self.leader
        assert leader is not None, "nobody leads"
        return leader

    # --- lives

    def _begin(self, name: str) -> None:
        """Begin a server's next life, from its disk."""
        disk, clock = self.disks[name], self._clocks[name]
        stored = disk.stored()
        machine = self._make(
            Birth(
                name=name,
                config=self._configs[name],
                rng=Random(self.rng.getrandbits(64)),
                now=clock.local(self.now),
                stored=stored,
            )
        )
        self._lives += 1
        host = Host(name, self._lives, machine, self._make_application(), clock)
        host.applied = stored.applied
        snapshot = disk.snapshot
        if disk.state is not None and disk.applied >= (snapshot.index if snapshot else 0):
            host.application.restore(disk.state)
        elif snapshot is not None and snapshot.data:
            host.application.restore(bytes(snapshot.data))
        if self.invariants is not None:
            self.invariants.born(name, self.view(machine), disk, stored.applied)
        self.enter(name, host)

    # --- the kernel's hooks

    def give(self, name: str, method: str, args: tuple[Any, ...], **options: Any) -> Any:
        """Give a machine one input now and route what it puts out; None if it is not there."""
        if self._on_input is not None and name in self.machines and name not in self._held:
            self._on_input(name, method, args)
        if method == "command" and args[0] == "read" and self.invariants is not None:
            return self._give_read(name, args, options)
        return super().give(name, method, args, **options)

    def _give_read(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Begin a read, and note what it must show; a paused server refuses it."""
        host = self.machines.get(name)
        if host is None or name in self._held:
            return None
        assert self.invariants is not None
        floor = self.invariants.read_floor()
        number = host.command(*args, self.now, **options)
        self.invariants.read_began(name, number, floor)
        self.pump(name)
        return number

    def pump(self, name: str) -> None:
        """Check a machine that had an input; route what it put out, at once or a bit later."""
        self.steps += 1
        host = self.machines[name]
        if self.invariants is not None:
            self._check(host)
        if self.poll_delay and not host.is_busy and self._random() < 0.5:
            host.is_busy = True
            self.at(self.now + self.poll_delay * self._random(), self._drain, name, host)
        if host.is_busy:
            self._arm(name, host)
        else:
            super().pump(name)

    def _drain(self, name: str, host: Host, _: None) -> None:
        """Fetch the outputs of a busy process."""
        if host.is_over or self.held(name, self._drain, name, host, None, lossy=False):
            return
        host.is_busy = False
        super().pump(name)

    def route(self, name: str, output: Any) -> None:
        """Send and write what is an effect; apply, check and record what is an event."""
        host = self.machines[name]
        if self._on_output is not None:
            self._on_output(name, output)
        kind = type(output)
        if kind is SendMessage:
            self.messages += 1
            if self.invariants is not None:
                self.invariants.sent(name, self.view(host.machine), output.message)
            message = decode(encode(output.message)) if self._wire else output.message
            self.send(name, message.to, "receive", (message,))
        elif kind is Persist:
            if self.invariants is not None:
                self.invariants.wrote(name, self.view(host.machine), output)
            self.disks[name].write(output)
            if not host.is_writing:
                self._begin_sync(host)
        else:
            self._event(host, output)
        if host.fuse:
            host.fuse -= 1
            if not host.fuse and not host.is_over:
                self.crash(name)

    def lag(self, source: str, to: str) -> float:
        """Return how long a message takes."""
        seconds = super().lag(source, to)
        if self.fifo:
            last = self._arrivals.get((source, to), 0.0)
            seconds = max(seconds, last - self.now)
            self._arrivals[source, to] = self.now + seconds
        return seconds

    def _check(self, host: Host) -> None:
        """Check the invariants that concern one machine."""
        assert self.invariants is not None
        self.invariants.stepped(host.name, host.life, self.view(host.machine), is_late=host.is_late)

    # --- disks

    def _begin_sync(self, host: Host) -> None:
        """Sync all that was handed over, which takes a while."""
        low, high = self._syncs.get(host.name, self.sync)
        host.is_writing = True
        count = len(self.disks[host.name].pending)
        seconds = low + (high - low) * self._random()
        self.at(self.now + seconds, self._synced, host.name, host, count)

    def _synced(self, name: str, host: Host, count: int) -> None:
        """Report what is durable now, and go on with what came meanwhile."""
        if host.is_over:
            return
        disk = self.disks[name]
        seq = disk.sync(count)
        host.is_writing = False
        if disk.pending:
            self._begin_sync(host)
        self._report(name, host, seq)

    def _report(self, name: str, host: Host, seq: int) -> None:
        if self.held(name, self._report, name, host, seq, lossy=False):
            return
        self.give(name, "persisted", (seq,))

    # --- events

    def _event(self, host: Host, event: Any) -> None:
        """Apply what is to be applied; check and record."""
        kind, checks = type(event), self.invariants
        if self._traced:
            self.trace.append((self.now, host.name, event))
        if kind is EntriesCommitted:
            self._apply(host, event)
        elif kind is SnapshotInstalled:
            self._install(host, event)
        elif kind is ProposalsLost and checks is not None:
            checks.lost(host.name, event.ids)
        elif kind is ReadReady and checks is not None:
            checks.read_ended(host.name, event.read, event.index)
        elif kind is ReadFailed and checks is not None:
            checks.read_ended(host.name, event.read, None)

    def _apply(self, host: Host, event: EntriesCommitted) -> None:
        """Let the application have committed commands."""
        if self.invariants is not None:
            self.invariants.applied(host.name, event.entries)
        if not self._is_witness(host):
            for index, payload in event.commands():
                host.application.apply(index, payload)
        host.applied = event.entries.last_index
        self._compare(host)

    def _install(self, host: Host, event: SnapshotInstalled) -> None:
        """Let the application have a state that another made."""
        snapshot = event.snapshot
        if self.invariants is not None:
            self.invariants.installed(host.name, snapshot)
        if not self._is_witness(host):
            host.application.restore(bytes(snapshot.data))
        host.applied = snapshot.index
        self._compare(host)

    def _is_witness(self, host: Host) -> bool:
        return host.name in self.view(host.machine).configuration.witnesses

    def _compare(self, host: Host) -> None:
        """Compare an application's digest, if it has one, with the others'."""
        digest = getattr(host.application, "digest", None)
        if self.invariants is not None and digest is not None and not self._is_witness(host):
            self.invariants.digested(host.name, host.applied, digest)
