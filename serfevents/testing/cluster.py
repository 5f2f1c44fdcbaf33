"""The medium: gossip, direct messages, push/pulls and a membership in the hands of the test.

Owns what lies between the members: names and addresses, how payloads travel, what membership says
and when, and the files that outlive a crash. Part of the simulator; no machine uses it. Knows
nothing of links (network.py) and of what may never happen (invariants.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from random import Random
from typing import Any, Final

from serfevents.config import Config
from serfevents.outputs import (
    Broadcast,
    ChangeKeyring,
    KeyChange,
    LeaveMembership,
    Left,
    Reconnect,
    Rejoin,
    Remember,
    SendReply,
    UpdateMeta,
)
from serfevents.records import Address, Recovered
from serfevents.snapshots.reader import SnapshotReader
from serfevents.snapshots.snapshot import Snapshot
from serfevents.testing.host import Birth, Host, make_serfevents
from serfevents.testing.invariants import InvariantBroken, Invariants
from serfevents.testing.network import Network

#: Bytes of payloads in one packet: memberlist's, without its headers.
PACKET_SIZE: Final = 1350


class Report(Enum):
    """What membership says of a member, by the input that takes it."""

    JOINED = "member_joined"
    UPDATED = "member_updated"
    FAILED = "member_failed"
    LEFT = "member_left"


class Cluster(Network):
    """Members in virtual time, named `n1` and so on.

    Beneath each of them is what Serf has beneath it, as far as events can tell: every
    `gossip_interval` a packet to each of `gossip_nodes` members by chance, each payload
    `retransmit_mult` x ceil(log10(n + 1)) times; messages to one member; a push/pull with one of
    them every `push_pull_interval`. Links lose, repeat and delay packets; a push/pull is lost only
    where nothing gets through. Membership is told by `notify`, and by those who join and leave.

    Attributes:
        config: Of every member.
        trace: Each event as (time, name, output).
        messages: Packets that were sent, lost ones included.
        fired: Each event as (time, name, (Lamport time, name, payload)).
        files: The snapshot of each member, which outlives it.
        keyrings: The keys of each member, the primary first; they outlive it too.
        invariants: The checks; None if there are none.
        on_event: Called with a name and an event after it was recorded; it may call back in.
    """

    def __init__(
        self,
        make: Callable[[Birth], Any] = make_serfevents,
        *,
        seed: int,
        config: Config | None = None,
        latency: tuple[float, float] = (0.0005, 0.0015),
        news: tuple[float, float] = (0.0, 1.0),
        gossip_nodes: int = 3,
        retransmit_mult: int = 4,
        push_pull_interval: float = 30.0,
        keys: Sequence[bytes] = (),
        buffer: int = 256,
        check: bool = True,
        check_every: int = 1,
    ) -> None:
        """Prepare an empty cluster.

        Args:
            make: Makes one member's machine.
            seed: Decides everything that chance decides.
            config: For every member; the defaults, with a snapshot, if None.
            latency: Least and greatest seconds that a packet takes.
            news: Least and greatest seconds that what membership says takes to each member.
            gossip_nodes: Members that one gossips to at a time.
            retransmit_mult: How often each payload is sent: see above.
            push_pull_interval: Seconds between two push/pulls of a member; 0 is never.
            keys: Everybody's keys, the primary first; none for no encryption.
            buffer: Packets that wait for a paused member; more are lost.
            check: Whether to check invariants at every step.
            check_every: Every how many steps the machine that stepped checks itself; 0 is never.
        """
        super().__init__(seed, latency=latency, buffer=buffer)
        self.config = config or Config(snapshot=True)
        self.news = news
        self.trace: list[tuple[float, str, Any]] = []
        self.messages = 0
        self.fired: list[tuple[float, str, tuple[int, str, bytes]]] = []
        self.files: dict[str, bytearray] = {}
        self.keyrings: dict[str, list[bytes]] = {}
        self.on_event: Callable[[str, Any], None] | None = None
        self.invariants: Invariants | None = None
        self.watched = check
        if check:
            self.invariants = Invariants(
                every=check_every,
                coalesced=self.config.coalesce_period > 0,
                events_max=self.config.event_buffer * 4,
            )
        self._make = make
        self._gossip_nodes = gossip_nodes
        self._mult = retransmit_mult
        self._push_pull_interval = push_pull_interval
        self._keys = keys
        self._lives = 0
        self._snapshots: dict[str, Snapshot] = {}
        self._tags: dict[str, Mapping[str, str]] = {}
        self._addresses: dict[str, Address] = {}
        self._names: dict[Address, str] = {}
        self._deaf: dict[str, frozenset[int]] = {}
        # Since when, and from which Lamport time on, each member must be told of every event.
        self._owed: dict[str, tuple[float, int]] = {}
        # The newest report that one got about another: older ones that come later are nothing.
        self._newest: dict[tuple[str, str], int] = {}
        self._reports = 0

    # --- queries

    def machine(self, name: str) -> Any:
        """Return the machine that runs under a name."""
        return self._host(name).machine

    def address(self, name: str) -> Address:
        """Return where a member receives, or did when it last ran."""
        return self._addresses[name]

    def events(self, kind: type, *, at: str | None = None) -> list[Any]:
        """Return the events of one kind in the trace, of one member or of all."""
        return [
            event for _, name, event in self.trace if type(event) is kind and at in (None, name)
        ]

    def beliefs(self, name: str) -> dict[str, str]:
        """Return what a member takes all members for: names of `Status`, in lower case."""
        return {each.name: each.status.name.lower() for each in self.machine(name).members}

    def disagreement(self, among: Iterable[str] | None = None) -> str:
        """Return the first thing on which members differ, or are wrong; empty if there is none.

        The truth is that those who run, and have not left, are alive, and that nobody else is.
        Whether those had left or failed must be told alike by all that know of them.

        Args:
            among: Who should agree; all that run if None.
        """
        group = self._running() if among is None else list(among)
        told: dict[str, str] = dict.fromkeys(group, "alive")
        for name in group:
            seen = self.beliefs(name)
            for each in (*group, *seen):
                status = seen.get(each, "")
                if told.setdefault(each, status) != status or (
                    each not in group and status in ("alive", "leaving")
                ):
                    return f"{name} takes {each} for {status or 'nobody'}"
        return ""

    def converged(self, among: Iterable[str] | None = None) -> bool:
        """Return whether everybody takes everybody for what they are."""
        return not self.disagreement(among)

    def check_convergence(self, among: Iterable[str] | None = None) -> None:
        """Raise `InvariantBroken` unless everybody takes everybody for what they are."""
        if difference := self.disagreement(among):
            raise InvariantBroken("convergence", f"at {self.now:.3f}: {difference}")

    def missing(self) -> str:
        """Return the first event of which a live member was not told; empty if there is none.

        A member is live for an event if it has run, and been one of the cluster, ever since the
        event was fired. An event that no live member knows of died with those who did. Nobody is
        owed what is older, by its Lamport time, than what its snapshot had, or than what was there
        when it joined without replay.
        """
        assert self.invariants is not None, "a cluster without checks doesn't know"
        for time, origin, event in self.fired:
            live = [name for name in self._running() if self._owed[name][0] <= time]
            told = [name for name in live if self.invariants.delivered(name, event)]
            for name in live if told else ():
                if name not in told and event[0] >= self._owed[name][1]:
                    return f"{name} was not told of {event}, which {origin} fired at {time:.3f}"
        return ""

    def delivered(self) -> bool:
        """Return whether every live member was told of every event; see `missing`."""
        return not self.missing()

    def check_delivery(self) -> None:
        """Raise `InvariantBroken` unless every live member was told of every event."""
        if missing := self.missing():
            raise InvariantBroken("delivery", f"at {self.now:.3f}: {missing}")

    def digest(self) -> str:
        """Return a fingerprint of all that happened."""
        digest = hashlib.sha256()
        for time, name, event in self.trace:
            digest.update(f"{time!r} {name} {event!r}\n".encode())
        for name, file in self.files.items():
            digest.update(name.encode() + file)
        digest.update(f"{self.messages}".encode())
        return digest.hexdigest()

    # --- members

    def start(self, count: int, *, warm: bool = True) -> list[str]:
        """Start `count` members and return their names; `warm` ones know each other at once."""
        first = len(self._addresses) + 1
        names = [self.add(f"n{number}") for number in range(first, first + count)]
        if warm:
            for subject in names:
                facts = self._host(subject).facts()
                for observer in names:
                    if observer != subject:
                        self.give(observer, "report", (Report.JOINED.value, subject, facts))
        return names

    def add(
        self,
        name: str,
        *,
        address: Address | None = None,
        tags: Mapping[str, str] | None = None,
        recovered: Recovered | None = None,
    ) -> str:
        """Start one member, which knows nobody, and return its name.

        Args:
            name: Its name.
            address: Where it receives; as before, or a fresh one, if None.
            tags: How it describes itself; as before if None.
            recovered: What its snapshot adds up to.
        """
        if address is None:
            number = len(self._addresses) + 1
            fresh = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946
            address = self._addresses.get(name, fresh)
        self._names.pop(self._addresses.get(name, address), None)
        self._addresses[name] = address
        self._names[address] = name
        self._tags[name] = self._tags.get(name, {}) if tags is None else tags
        keyring = self.keyrings.setdefault(name, list(self._keys))
        if recovered is None:
            recovered = Recovered()
            self.files[name] = bytearray()
            self._snapshots[name] = Snapshot()
        machine = self._make(
            Birth(
                name=name,
                address=address,
                config=self.config,
                rng=Random(self.rng.getrandbits(64)),
                now=self.now,
                tags=self._tags[name],
                keys=partial(tuple, keyring) if self._keys else None,
                recovered=recovered,
            )
        )
        self._lives += 1
        if self.invariants is not None:
            self.invariants.born(name, recovered)
        self._owed[name] = self.now, recovered.event_clock + 1
        host = Host(machine, self._lives, address, self._mult)
        host.phase = self.now + self.rng.random() * self.config.gossip_interval
        host.deaf = self._deaf.get(name, frozenset())
        self.enter(name, host)
        if self._push_pull_interval:
            at = self.now + self.rng.uniform(0, self._push_pull_interval)
            self.at(at, self._push_pull, name, self._lives)
        return name

    def join(self, name: str, *seeds: str, replay: bool = False) -> int:
        """Let a member join others by their names, and tell everybody they know.

        Args:
            name: Who joins; all is ignored if it is paused.
            seeds: Whom it asks.
            replay: Whether events from before are delivered.

        Returns:
            How many of them it reached.
        """
        self.call(name, "join_begun", ignore_old=not replay)
        before = [self._event_time(seed) for seed in seeds if seed in self.machines]
        contacted = sum([self._meet(name, seed) for seed in seeds])
        self.call(name, "join_ended", contacted)
        owed = self._owed[name][1]
        self._owed[name] = self.now, owed if replay else max([owed, *before])
        return contacted

    def notify(self, report: Report, subject: str, observers: Iterable[str] | None = None) -> None:
        """Have membership say something of a member; it takes its time to each.

        Args:
            report: What.
            subject: Of whom.
            observers: To whom; to all others that run if None.
        """
        facts = ()
        if report in (Report.JOINED, Report.UPDATED):
            facts = self._host(subject).facts()
        self._reports += 1
        everybody = [each for each in self.machines if each != subject]
        for observer in everybody if observers is None else observers:
            at = self.now + self.rng.uniform(*self.news)
            life = self._host(observer).life
            self.at(at, self._reported, observer, life, (self._reports, report, subject, facts))

    def settle(self) -> None:
        """Have membership tell all that run who runs, who failed and who left: it has converged."""
        running = self._running()
        for observer in running:
            seen = self._host(observer).alive
            for subject in running:
                if subject != observer and subject not in seen:
                    self._introduce(observer, subject)
            for subject in [each for each in seen if each not in running]:
                report = Report.LEFT if subject in self.machines else Report.FAILED
                self._reports += 1
                self._tell(observer, self._reports, report, subject, ())

    def exchange(self, name: str, other: str, *, join: bool = False) -> bool:
        """Let two members tell each other their states; return whether they could."""
        if not self._connects(name, other):
            return False
        states = self.machine(name).state(join), self.machine(other).state(join)
        self.give(other, "merge", (states[0], self._addresses[name], join))
        self.give(name, "merge", (states[1], self._addresses[other], join))
        return True

    def drop(self, name: str, *types: int) -> None:
        """Let a member never get messages of these types, by their first byte; none ends that."""
        self._deaf[name] = frozenset(types)
        self._host(name).deaf = self._deaf[name]

    def fire(self, name: str, event: str, payload: bytes, *, coalesce: bool = True) -> int:
        """Let a member fire an event, to be delivered to everybody; return its Lamport time."""
        before = self._event_time(name)
        ltime: int = self.call(name, "fire", event, payload, coalesce=coalesce)
        self.fired.append((self.now, name, (ltime, event, payload)))
        if self.invariants is not None:
            self.invariants.fired(name, ltime, before)
        return ltime

    def ask(self, name: str, query: str, payload: bytes, **options: Any) -> int:
        """Let a member ask a query, to be ended in time; return its number.

        Options are those of `SerfEvents.query`.
        """
        timeout = options.get("timeout") or self.machine(name).default_query_timeout
        number: int = self.call(name, "query", query, payload, **options)
        if self.invariants is not None:
            self.invariants.asked(name, number, self.now + timeout)
        return number

    def call(self, name: str, method: str, *args: Any, **options: Any) -> Any:
        """Give a member one command now; returns what it returns, or None if it is paused."""
        return self.give(name, "command", (method, args, options))

    def crash(self, name: str, *, torn: int = 0) -> None:
        """End a member's process at once: its memory is gone, and `torn` bytes of its snapshot.

        Nobody is told: see `notify`.
        """
        self.remove(name)
        file = self.files[name]
        del file[len(file) - min(torn, len(file)) :]

    def restart(
        self,
        name: str,
        *,
        remembered: bool = True,
        address: Address | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Start a member again, crashing it if it runs.

        Args:
            name: Whom.
            remembered: Whether it recovers what its snapshot has, and rejoins on its own.
            address: A new one; the same as before if None.
            tags: New ones; as it was started before if None.
        """
        if name in self.machines:
            self.crash(name)
        recovered = None
        if remembered:
            reader = SnapshotReader()
            reader.receive(bytes(self.files[name]))
            restored = reader.restored()
            del self.files[name][restored.end :]
            self._snapshots[name] = Snapshot(restored)
            recovered = restored.recovered
        self.add(name, address=address, tags=tags, recovered=recovered)

    # --- outputs

    def route(self, name: str, output: Any) -> None:
        """Do what is an effect; record and hand on what is an event."""
        if self.invariants is not None:
            self.invariants.saw(name, output)
        match output:
            case Broadcast():
                self._broadcast(name, output)
            case SendReply(to, _, payload):
                self._send(name, self._names.get(to, ""), (payload,))
            case Remember(record):
                self._remember(name, self._snapshots[name].append(record))
            case UpdateMeta():
                self.notify(Report.UPDATED, name)
            case ChangeKeyring():
                self._change_keyring(name, output)
            case Reconnect(_, address):
                self._meet(name, self._names.get(address, ""))
            case Rejoin(addresses):
                self.at(self.now, self._rejoin, name, self._host(name).life, addresses)
            case LeaveMembership():
                self.notify(Report.LEFT, name)
                at = self.now + self.news[1]
                self.at(at, self._left, name, self._host(name).life)
            case _:
                self._event(name, output)

    def stepped(self, name: str, machine: Any) -> None:
        """Check the invariants that concern one machine."""
        assert self.invariants is not None
        self.invariants.stepped(name, machine.machine, self.now)

    def _event(self, name: str, event: Any) -> None:
        self.trace.append((self.now, name, event))
        if type(event) is Left:
            self._finished(name, self._host(name).queue.clear())
        if self.on_event is not None:
            self.on_event(name, event)

    def _remember(self, name: str, line: bytes) -> None:
        file, snapshot = self.files[name], self._snapshots[name]
        file += line
        if snapshot.is_large:
            file[:] = snapshot.compacted()
            snapshot.replaced()

    def _change_keyring(self, name: str, wanted: ChangeKeyring) -> None:
        keyring, key, error = self.keyrings[name], wanted.key, ""
        if wanted.change is not KeyChange.INSTALL and key not in keyring:
            error = "Requested key is not in the keyring"
        elif wanted.change is KeyChange.REMOVE and key == keyring[0]:
            error = "Removing the primary key is not allowed"
        else:
            rest = [each for each in keyring if each != key]
            match wanted.change:
                case KeyChange.USE:
                    keyring[:] = [key, *rest]
                case KeyChange.REMOVE:
                    keyring[:] = rest
                case _:
                    keyring[:] = keyring if key in keyring else [*keyring, key]
        self.call(name, "keyring_changed", wanted.number, error=error)

    # --- gossip

    def _broadcast(self, name: str, broadcast: Broadcast) -> None:
        host = self._host(name)
        if superseded := host.queue.add(broadcast):
            self._finished(name, [superseded])
        self._tick(name, host)

    def _tick(self, name: str, host: Host) -> None:
        """Gossip in the next round, if there is anything and it isn't scheduled."""
        if host.queue and not host.ticking:
            host.ticking = True
            interval = self.config.gossip_interval
            host.round = max(host.round, int((self.now - host.phase) // interval)) + 1
            at = max(self.now, host.phase + host.round * interval)
            self.at(at, self._gossip, name, host.life)

    def _gossip(self, name: str, life: int, _: None) -> None:
        host = self._living(name, life)
        if host is None or self.held(name, self._gossip, name, life, None, lossy=False):
            return
        host.ticking = False
        for target in host.targets(self._gossip_nodes, self.rng):
            payloads, finished = host.queue.take(len(host.alive) + 1, PACKET_SIZE)
            if not payloads:
                break
            self._send(name, target, payloads)
            self._finished(name, finished)
        self._tick(name, host)

    def _send(self, name: str, to: str, payloads: tuple[bytes, ...]) -> None:
        self.messages += 1
        self.send(name, to, "receive", (payloads, self._addresses[name]))

    def _finished(self, name: str, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.call(name, "broadcast_finished", number)

    # --- push/pull and membership

    def _push_pull(self, name: str, life: int, _: None) -> None:
        host = self._living(name, life)
        if host is None:
            return
        for peer in host.targets(1, self.rng):
            self.exchange(name, peer)
        self.at(self.now + self._push_pull_interval, self._push_pull, name, life)

    def _meet(self, name: str, seed: str) -> bool:
        """Let a member ask to join through another: both learn of those that the other knows."""
        if not self._connects(name, seed):
            return False
        known = {each: None for each in (seed, *self._host(seed).alive) if each in self.machines}
        for each in known:
            if each != name:
                self._introduce(name, each)
        self._introduce(seed, name)
        self.exchange(name, seed, join=True)
        self.notify(Report.JOINED, name, [each for each in known if each not in (name, seed)])
        return True

    def _introduce(self, observer: str, subject: str) -> None:
        """Tell a member at once that another is here."""
        self._reports += 1
        facts = self._host(subject).facts()
        self._tell(observer, self._reports, Report.JOINED, subject, facts)

    def _rejoin(self, name: str, life: int, addresses: tuple[Address, ...]) -> None:
        """Try one address after the other until somebody is there."""
        if self._living(name, life) is None:
            return
        for address in addresses:
            if self._meet(name, self._names.get(address, "")):
                self._owed[name] = self.now, self._owed[name][1]
                return

    def _left(self, name: str, life: int, _: None) -> None:
        if self._living(name, life) is not None:
            self.call(name, "membership_left")

    def _reported(self, name: str, life: int, args: tuple[int, Report, str, Any]) -> None:
        number, report, subject, facts = args
        if self._living(name, life) and self._newest.get((name, subject), 0) <= number:
            self._tell(name, number, report, subject, facts)

    def _tell(self, name: str, number: int, report: Report, subject: str, facts: Any) -> None:
        self._newest[name, subject] = number
        if report in (Report.JOINED, Report.UPDATED):
            # Which of them it is depends on who hears it, as in memberlist.
            is_known = subject in self._host(name).alive
            report = Report.UPDATED if is_known else Report.JOINED
        self.give(name, "report", (report.value, subject, facts))

    def _connects(self, name: str, other: str) -> bool:
        """Return whether a connection can be made between two members, at once."""
        ready = all(
            each in self.machines and not self.machine(each).is_over and each not in self._held
            for each in (name, other)
        )
        return ready and self.reaches(name, other) and self.reaches(other, name)

    # --- internals

    def _host(self, name: str) -> Host:
        host: Host = self.machines[name]
        return host

    def _event_time(self, name: str) -> int:
        return int(self.machine(name).statistics()["event_time"])

    def _living(self, name: str, life: int) -> Host | None:
        """Return the host of a life, unless that is over."""
        host: Host | None = self.machines.get(name)
        return host if host is not None and host.life == life else None

    def _running(self) -> list[str]:
        return [name for name, host in self.machines.items() if not host.machine.is_over]
