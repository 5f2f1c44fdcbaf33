"""The composite: membership, events and coordinates as one machine under the same contract.

`SerfAgent` owns three machines that know nothing of each other and carries what one puts out to
where it belongs: gossip and member changes into `serfevents`, broadcasts and replies back into
`memberlist`, coordinates of `vivaldi` into every ack and out of every ping. Whatever concerns
neither of them (packets, streams, events) it puts out itself, in order. So one driver, or
`memberlist.testing.Cluster`, runs the composite as it would run a plain `Memberlist`.

Each input routes until all are quiet, each output once. The state supplied to a push/pull may
lack what is still to be routed, which is harmless: the next one has it.

Source: serf's serf.go, delegate.go, ping_delegate.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from os import urandom
from random import Random
from typing import Any

from attrs import frozen

import memberlist
import serfevents
import vivaldi
from examples.serf.coordinates import Coordinates
from memberlist import (
    Address,
    BroadcastFinished,
    JoinFinished,
    Keyring,
    KeyringError,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    Memberlist,
    MemberlistError,
    MemberlistLeft,
    MemberUpdated,
    MessageReceived,
    NameConflict,
    Node,
    PingCompleted,
    UserStateReceived,
)
from serfevents import (
    Broadcast,
    Change,
    ChangeKeyring,
    KeyChange,
    LeaveMembership,
    MembersChanged,
    NameConflictDecided,
    Reconnect,
    Recovered,
    Rejoin,
    SendReply,
    SerfEvents,
    UpdateMeta,
    is_valid_name,
)

#: What is wrong with a change of keys, in Serf's words.
KEY_ERRORS = {
    KeyChange.INSTALL: "key size must be 16, 24 or 32 bytes",
    KeyChange.USE: "Requested key is not in the keyring",
    KeyChange.REMOVE: "Removing the primary key is not allowed",
}


@frozen
class StoreKeys:
    """An effect: write the keys where they last, then report `keys_stored(number)`.

    Attributes:
        number: For the report.
        keys: All keys, the primary first.
    """

    number: int
    keys: tuple[bytes, ...]


@frozen
class NotSent:
    """An event: membership could not take a payload.

    Attributes:
        payload: What was to be sent.
        reason: Why not.
    """

    payload: bytes
    reason: str


class SerfAgent:
    """A member of a Serf cluster, without sockets, clock, files or threads.

    Args:
        name: Unique in the cluster, at most 128 bytes.
        address: Where others reach us.
        config: Of membership; its `app_versions` are Serf's protocol.
        events: Of events, queries and intents.
        rng: The only source of chance in the protocol.
        now: The present time, seconds of the caller's clock.
        tags: How we describe ourselves.
        keyring: Keys to encrypt with; the composite changes it when the cluster says so.
        stores_keys: Whether changed keys are put out as `StoreKeys`, to be reported.
        validates_names: Whether members whose name is not `is_valid_name` are kept out.
        coordinates: Of network coordinates; None does without.
        recovered: What the snapshot of an earlier life adds up to.
        incarnation: Highest incarnation of an earlier life, if remembered.
        known: Members to take for alive at the start.
        entropy: Where nonces come from.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        config: memberlist.Config,
        events: serfevents.Config,
        *,
        rng: Random,
        now: float,
        tags: Mapping[str, str] | None = None,
        keyring: Keyring | None = None,
        stores_keys: bool = False,
        validates_names: bool = False,
        coordinates: vivaldi.Config | None = None,
        recovered: Recovered | None = None,
        incarnation: int = 0,
        known: Iterable[Node] = (),
        entropy: Callable[[int], bytes] = urandom,
    ) -> None:
        self._outputs: deque[object] = deque()
        self._now = now
        self._over = False
        self._keyring = keyring
        self._stores_keys = stores_keys
        self._broadcasts: dict[int, int] = {}  # memberlist's number -> serfevents' number
        self._joins: dict[int, None] = {}  # those of the application
        self._rejoins: dict[int, tuple[Address, ...]] = {}  # and what to try if they fail
        self.events = SerfEvents(
            name,
            address,
            events,
            rng=Random(rng.getrandbits(64)),
            now=now,
            tags=tags or {},
            versions=config.versions,
            keys=None if keyring is None else lambda: keyring.keys,
            recovered=recovered or Recovered(),
        )
        known = tuple(known)
        self.membership = Memberlist(
            name,
            address,
            config,
            rng=Random(rng.getrandbits(64)),
            now=now,
            meta=self.events.meta,
            incarnation=incarnation,
            keyring=keyring,
            entropy=entropy,
            user_state=self.events.state,
            accept=lambda node: not validates_names or is_valid_name(node.name),
            known=known,
        )
        self.coordinates = Coordinates(coordinates, Random(rng.getrandbits(64)))
        self.membership.update_ping_payload(self.coordinates.payload, now)
        for node in known:
            if node.name != name:  # of ourselves we know better
                self._tell_of_member(MemberJoined(node))
        self._route()

    # --- queries -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Our own name."""
        return self.membership.name

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys in use, the primary first."""
        return self._keyring.keys if self._keyring is not None else ()

    @property
    def is_over(self) -> bool:
        """Whether we have left, or lost our name to somebody else."""
        return self._over or self.events.is_over

    def coordinate(self, name: str) -> vivaldi.Coordinate | None:
        """Return the last coordinate that a member told, or our own; None if there is none."""
        return self.coordinates.own if name == self.name else self.coordinates.of(name)

    def statistics(self) -> dict[str, str]:
        """Return what `serf info` shows under `serf`."""
        return self.events.statistics() | {
            "coordinate_resets": str(self.coordinates.resets),
            "health_score": str(self.membership.health),
        }

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain values, for a bug report. O(n)."""
        return {"membership": self.membership.dump(), "events": self.events.dump()}

    def check_invariants(self) -> None:
        """Assert everything that must always hold; for tests and simulations. O(n)."""
        self.membership.check_invariants()
        self.events.check_invariants()
        self.coordinates.check_invariants()

    # --- outputs and time --------------------------------------------------------------------

    def poll(self) -> object | None:
        """Return the oldest output not yet fetched, or None. Changes nothing else."""
        return self._outputs.popleft() if self._outputs else None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None if never. Pure."""
        if self._over:
            return None
        due = (self.membership.next_timeout(), self.events.next_timeout())
        return min((each for each in due if each is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Fire what is due at `now`; early calls do nothing, late ones fire each timer once."""
        if self._advance(now):
            self.membership.handle_timeout(self._now)
            self.events.handle_timeout(self._now)
            self._route()

    # --- inputs from the network -------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one UDP packet, whatever it holds."""
        if self._advance(now):
            self.membership.receive_datagram(data, source, self._now)
            self._route()

    def stream_accepted(self, source: Address, now: float) -> int:
        """Take a stream that somebody opened to us; -1 refuses it."""
        if not self._advance(now):
            return -1
        stream = self.membership.stream_accepted(source, self._now)
        self._route()
        return stream

    def stream_opened(self, stream: int, now: float) -> None:
        """Take that a stream of ours is connected."""
        if self._advance(now):
            self.membership.stream_opened(stream, self._now)
            self._route()

    def stream_received(self, stream: int, data: bytes, now: float) -> None:
        """Take bytes of a stream, cut anywhere."""
        if self._advance(now):
            self.membership.stream_received(stream, data, self._now)
            self._route()

    def stream_closed(self, stream: int, now: float) -> None:
        """Take that a stream ended."""
        if self._advance(now):
            self.membership.stream_closed(stream, self._now)
            self._route()

    # --- inputs from the application ---------------------------------------------------------

    def join(self, seeds: Sequence[Address], now: float, *, replay: bool = False) -> int:
        """Join a cluster and return the join's number; `JoinFinished` tells how it went.

        Args:
            seeds: Members of it.
            now: The present time.
            replay: Whether user events from before are delivered.

        Raises:
            ValueError, MemberlistError: As `Memberlist.join` does.
        """
        self._require()
        self._advance(now)
        number = self.membership.join(seeds, self._now)
        self._joins[number] = None
        self.events.join_begun(self._now, ignore_old=not replay)
        self._route()
        return number

    def leave(self, now: float) -> None:
        """Leave the cluster; `Left` comes when the others were told."""
        if self._advance(now):
            self.events.leave(self._now)
            self._route()

    def rejoin(self, now: float) -> None:
        """Come back after a leave, or call a running one off; `ValueError` if there is none."""
        self._require()
        self._advance(now)
        self.events.rejoin(self._now)
        if self.membership.is_leaving:
            self.membership.rejoin(self._now)
        self._route()

    def force_leave(self, name: str, now: float, *, prune: bool = False) -> None:
        """Declare that a failed member has left; with `prune` forget it."""
        self._command(self.events.force_leave, name, now, prune=prune)

    def fire(self, name: str, payload: bytes, now: float, *, coalesce: bool = True) -> int:
        """Fire a user event and return its Lamport time; see `SerfEvents.fire`."""
        return int(self._command(self.events.fire, name, payload, now, coalesce=coalesce))

    def query(self, name: str, payload: bytes, now: float, **options: Any) -> int:
        """Ask a query and return its number; see `SerfEvents.query` for options and outputs."""
        return int(self._command(self.events.query, name, payload, now, **options))

    def respond(self, query: int, payload: bytes, now: float) -> None:
        """Answer a query, once; see `SerfEvents.respond`."""
        self._command(self.events.respond, query, payload, now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Describe ourselves anew; see `SerfEvents.set_tags`."""
        self._command(self.events.set_tags, tags, now)

    def change_key(self, change: KeyChange, key: bytes, now: float) -> int:
        """Have all members install, use or remove a key; `KeysAnswered` tells how it went."""
        method = {
            KeyChange.INSTALL: self.events.install_key,
            KeyChange.USE: self.events.use_key,
            KeyChange.REMOVE: self.events.remove_key,
        }[change]
        return int(self._command(method, key, now))

    def list_keys(self, now: float) -> int:
        """Ask all members for their keys; `KeysAnswered` has them."""
        return int(self._command(self.events.list_keys, now))

    def keys_stored(self, number: int, now: float, *, error: str = "") -> None:
        """Take that the keys of a `StoreKeys` are stored, or why they could not be."""
        self._command(self.events.keyring_changed, number, now, error=error)

    def _command(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Give the events layer a command whose last argument is the time."""
        *rest, now = args
        self._require()
        self._advance(now)
        result = method(*rest, self._now, **options)
        self._route()
        return result

    def _advance(self, now: float) -> bool:
        """Let time pass; return whether there is still anybody to notice.

        Raises:
            ValueError: It is no time.
        """
        if not isfinite(now):
            raise ValueError(f"now must be finite, not {now}")
        self._now = max(self._now, now)
        return not self._over

    def _require(self) -> None:
        if self._over:
            raise memberlist.NotRunning("it has lost its name")

    # --- routing -----------------------------------------------------------------------------

    def _route(self) -> None:
        """Carry outputs between the inner machines until all are quiet."""
        while not self._over:
            if (output := self.membership.poll()) is not None:
                self._from_membership(output)
            elif (told := self.events.poll()) is not None:
                self._from_events(told)
            else:
                return

    def _from_membership(self, output: memberlist.Output) -> None:
        """Tell the events layer what concerns it, and everybody else all but payloads."""
        events, now = self.events, self._now
        match output:
            case MessageReceived(source, payload):
                events.receive(payload, source, now)
                return
            case UserStateReceived(source, state, join):
                events.merge(state, now, join=join, source=source)
                return
            case BroadcastFinished(number):
                if number in self._broadcasts:
                    events.broadcast_finished(self._broadcasts.pop(number), now)
                return
            case PingCompleted(_, name, rtt, payload):
                if self.coordinates.learn(name, rtt, payload):
                    self.membership.update_ping_payload(self.coordinates.payload, now)
            case JoinFinished(number, contacted):
                self._join_finished(number, contacted)
            case MemberlistLeft():
                events.membership_left(now)
            case _:
                self._tell_of_member(output)
        self._outputs.append(output)

    def _tell_of_member(self, output: memberlist.Output) -> None:
        """Tell the events layer what became of a member, if that is what an output says."""
        events, now = self.events, self._now
        match output:
            case MemberJoined(node):
                events.member_joined(node.name, node.address, node.meta, node.versions, now)
            case MemberUpdated(node):
                events.member_updated(node.name, node.address, node.meta, node.versions, now)
            case MemberFailed(node):
                events.member_failed(node.name, now)
            case MemberLeft(node):
                events.member_left(node.name, now)
            case NameConflict(existing, other):
                events.name_conflict(existing.name, other.address, now)

    def _from_events(self, output: serfevents.Output) -> None:  # noqa: C901 - a table
        """Do what the events layer asks of membership; hand on the rest."""
        membership, now = self.membership, self._now
        match output:
            case Broadcast(number, payload, _, key):
                self._broadcast(number, payload, key, output.priority)
            case SendReply(to, _, payload):
                try:
                    membership.message(to, payload, now)
                except MemberlistError as error:
                    self._outputs.append(NotSent(payload, str(error)))
            case UpdateMeta(meta):
                membership.update_meta(meta, now)
            case ChangeKeyring():
                self._change_keyring(output)
            case Reconnect(_, address):
                with suppress(MemberlistError):  # there is a next time
                    membership.join([address], now)
            case Rejoin(addresses):
                self._rejoin(addresses)
            case LeaveMembership():
                membership.leave(now, timeout=self.events.config.broadcast_timeout)
            case NameConflictDecided(kept=False):
                self._outputs.append(output)
                self._over = True
            case MembersChanged(Change.REAP, members):
                for member in members:
                    self.coordinates.forget(member.name)
                self._outputs.append(output)
            case _:
                self._outputs.append(output)

    def _broadcast(self, number: int, payload: bytes, key: str | None, priority: int) -> None:
        """Gossip a payload, or report at once that it can't be."""
        try:
            theirs = self.membership.broadcast(payload, self._now, key=key, priority=priority)
        except MemberlistError as error:
            self._outputs.append(NotSent(payload, str(error)))
            self.events.broadcast_finished(number, self._now)
        else:
            self._broadcasts[theirs] = number

    # --- joins -------------------------------------------------------------------------------

    def _join_finished(self, number: int, contacted: int) -> None:
        if number in self._joins:
            del self._joins[number]
            self.events.join_ended(contacted, self._now)
        elif not contacted and number in self._rejoins:
            self._rejoin(self._rejoins[number])
        self._rejoins.pop(number, None)

    def _rejoin(self, addresses: tuple[Address, ...]) -> None:
        """Try the cluster of an earlier life through the first address, then through the rest."""
        if addresses:
            with suppress(MemberlistError):  # we are about to leave again
                number = self.membership.join(addresses[:1], self._now)
                self._rejoins[number] = addresses[1:]

    # --- keys --------------------------------------------------------------------------------

    def _change_keyring(self, wanted: ChangeKeyring) -> None:
        """Change the keys; report at once unless they are to be stored first."""
        keyring, error = self._keyring, ""
        assert keyring is not None
        try:
            match wanted.change:
                case KeyChange.INSTALL:
                    keyring.add(wanted.key)
                case KeyChange.USE:
                    keyring.use(wanted.key)
                case KeyChange.REMOVE:
                    keyring.remove(wanted.key)
        except (KeyringError, ValueError):
            error = KEY_ERRORS[wanted.change]
        if self._stores_keys and not error:
            self._outputs.append(StoreKeys(wanted.number, keyring.keys))
        else:
            self.events.keyring_changed(wanted.number, self._now, error=error)
