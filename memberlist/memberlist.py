"""The machine: one member of a cluster, without sockets, clock or threads.

Owns the inputs, their checks, and the wiring of the parts. The rules themselves live in
membership.py (what is believed), detector.py (who is probed), dissemination.py (what is told),
exchange.py (streams) and healing.py (who is missing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from os import urandom
from random import Random
from typing import Any

from attrs import asdict

from memberlist.arguments import (
    check_address,
    check_bytes,
    check_known,
    check_name,
    check_seed,
    check_time,
)
from memberlist.codec import (
    decode_ack,
    decode_gossip,
    decode_indirect_ping,
    decode_nack,
    decode_ping,
    encode_alive,
    encode_user,
)
from memberlist.config import Config
from memberlist.core import Core
from memberlist.detector import FailureDetector, Probe
from memberlist.dissemination import Dissemination
from memberlist.errors import DecodeError, NotRunning, PayloadTooLarge, UnknownMember
from memberlist.exchange import Exchanges
from memberlist.healing import Healer
from memberlist.members import MemberTable
from memberlist.membership import AddressClaim, Membership
from memberlist.messages import Dead, MessageType, Suspect
from memberlist.node import ALIVE, INCARNATION_MAX, SUSPECT, Address, Node, is_ip
from memberlist.outputs import MemberlistLeft, MessageReceived, Output
from memberlist.packet import PacketCodec, PacketLimits
from memberlist.security import Keyring
from memberlist.stats import Stats
from memberlist.timers import Timer

#: Pings of both kinds that are served of one packet: each answer is a packet of ours, as large as
#: news make it, to whatever address the ping names.
ASKED_MAX = 16
#: Bytes of an ack beside its payload, at most.
_ACK_SIZE = 32


def _accept_all(_: object) -> bool:
    return True


def _no_state(_: bool) -> bytes:
    return b""


class Memberlist:
    """One member: feed it what arrives, send what it puts out, wake it when it asks.

    Every input takes the caller's monotonic time in seconds as its last positional argument and
    queues outputs; `poll` hands them out one by one. Options follow the time.

    Args:
        name: Unique in the cluster, 1 to 512 bytes of UTF-8; Serf wants at most 128.
        address: The IP and port at which others reach this member by UDP and TCP.
        config: A preset or a change of one.
        rng: The only source of chance in the protocol.
        now: The present time.
        meta: The application's metadata, at most `config.meta_size_max` bytes.
        incarnation: Highest incarnation of an earlier life, if remembered; this life begins
            one above it, so that no stale record outranks it, or at the top if that was there.
        keyring: Keys to encrypt with; shared and live. An empty one encrypts nothing until a key
            is added.
        entropy: Where nonces come from; the operating system by default.
        user_state: Supplies the application's part of a push/pull; its argument tells a join.
        accept: Vetoes a member that is new or changed; False refuses it.
        accept_merge: Vetoes a whole join, given the other side's nodes.
        stream_ping: Whether a member may be pinged on a stream, if `config.stream_pings`.
        known: Members to take for alive at the start, as of a snapshot; the failure detector
            weeds out those that are gone.

    Raises:
        ValueError, TypeError: An argument is out of its range.
        PayloadTooLarge: The name and metadata would not fit a packet.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        config: Config,
        *,
        rng: Random,
        now: float,
        meta: bytes = b"",
        incarnation: int = 0,
        keyring: Keyring | None = None,
        entropy: Callable[[int], bytes] = urandom,
        user_state: Callable[[bool], bytes] = _no_state,
        accept: Callable[[Node], bool] = _accept_all,
        accept_merge: Callable[[list[Node]], bool] = _accept_all,
        stream_ping: Callable[[Node], bool] = _accept_all,
        known: Iterable[Node] = (),
    ) -> None:
        if not 0 <= incarnation <= INCARNATION_MAX:
            raise ValueError(f"incarnation must be within [0, {INCARNATION_MAX}]")
        newest = min(incarnation + 1, INCARNATION_MAX)
        own = Node(check_name(name), check_address(address), meta, config.versions, newest)
        self._core = Core(name, config, rng, check_time(now))
        alive = [node for node in map(check_known, known) if node.state is ALIVE]
        self._table = MemberTable(own, alive, rng)
        packets = PacketCodec(
            label=config.label,
            label_check_skipped=config.label_check_skipped,
            keyring=keyring,
            verify_incoming=config.verify_incoming,
            verify_outgoing=config.verify_outgoing,
            encryption_version=config.encryption_version,
            compression=config.compression,
            compression_size_min=config.compression_size_min,
            entropy=entropy,
            limits=PacketLimits(
                parts=config.parts_max,
                depth=config.nesting_max,
                decompressed_size=config.packet_decompressed_max,
            ),
        )
        self._open, self._split = packets.open, packets.split
        self._news = Dissemination(self._core, self._table, packets)
        self._check_meta(meta)
        self._wire(keyring, entropy, user_state, accept, accept_merge, stream_ping)
        self._over = False
        self._leave_timer: Timer | None = None
        self._news.announce_alive(own)
        self._start()

    def _wire(
        self,
        keyring: Keyring | None,
        entropy: Callable[[int], bytes],
        user_state: Callable[[bool], bytes],
        accept: Callable[[Node], bool],
        accept_merge: Callable[[list[Node]], bool],
        stream_ping: Callable[[Node], bool],
    ) -> None:
        """Make the parts and tell each whom it may ask."""
        core, table, news = self._core, self._table, self._news
        self._membership = Membership(
            core,
            table,
            news,
            accept=accept,
            accept_merge=accept_merge,
            challenge=self._challenge,
            forgotten=self._forgotten,
        )
        self._detector = FailureDetector(
            core, table, news, self._membership, self._open_stream_ping, stream_ping
        )
        self._exchanges = Exchanges(
            core,
            table,
            self._membership,
            keyring=keyring,
            entropy=entropy,
            user_state=user_state,
            stream_ping_ended=self._detector.stream_ping_ended,
            tell=self._tell_own_record,
        )
        self._healer = Healer(core, table, self._exchanges.contact)
        self._handlers: dict[int, Callable[[bytes, Address], None]] = {
            MessageType.PING.value: self._on_ping,
            MessageType.INDIRECT_PING.value: self._on_indirect_ping,
            MessageType.ACK.value: self._on_ack,
            MessageType.NACK.value: self._on_nack,
            MessageType.SUSPECT.value: self._on_gossip,
            MessageType.ALIVE.value: self._on_gossip,
            MessageType.DEAD.value: self._on_gossip,
            MessageType.USER.value: self._on_user_message,
            MessageType.COMPOUND.value: self._on_parts,
            MessageType.COMPRESS.value: self._on_parts,
        }
        # What asks for an answer is counted where it comes with others.
        pings = (MessageType.PING.value, MessageType.INDIRECT_PING.value)
        self._part_handlers = self._handlers | dict.fromkeys(pings, self._on_asked)
        self._asked = 0

    # --- queries -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Our own name."""
        return self._core.name

    @property
    def config(self) -> Config:
        """How we behave."""
        return self._core.config

    @property
    def node(self) -> Node:
        """Our own record."""
        return self._table.own

    @property
    def incarnation(self) -> int:
        """Our own incarnation; remember it to come back above it."""
        return self._table.own.incarnation

    @property
    def members(self) -> tuple[Node, ...]:
        """Everybody who is alive or suspect, ourselves included, in order of arrival. O(n)."""
        return tuple(node for node in self._table if node.state <= SUSPECT)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Everybody in the table, the dead and left included. O(n)."""
        return tuple(self._table)

    def member(self, name: str) -> Node | None:
        """Return a member's record in whatever state, or None. O(1)."""
        return self._table.get(name)

    @property
    def health(self) -> int:
        """Our own health score: 0 is healthy, `config.awareness_max` - 1 the worst."""
        return self._core.awareness.score

    @property
    def stats(self) -> Stats:
        """Counters; read only."""
        return self._core.stats

    @property
    def is_leaving(self) -> bool:
        """Whether `leave` was called, and `rejoin` not since."""
        return self._core.leaving

    @property
    def is_over(self) -> bool:
        """Whether the leave is complete: inputs are ignored until `rejoin`."""
        return self._over

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain values, for a bug report. O(n)."""
        core = self._core
        return {
            "name": core.name,
            "now": core.now,
            "incarnation": self.incarnation,
            "health": self.health,
            "leaving": core.leaving,
            "over": self._over,
            "next_timeout": self.next_timeout(),
            "timers": len(core.timers),
            "pings_waiting": self._detector.pending,
            "streams_open": self._exchanges.open_count,
            "membership_queue": self._news.membership_count,
            "user_queue": self._news.user_count,
            "remembered": list(self._healer.remembered),
            "members": {
                node.name: {
                    "state": node.state.name.lower(),
                    "incarnation": node.incarnation,
                    "address": f"{node.address[0]}:{node.address[1]}",
                    "versions": list(node.versions),
                    "meta": node.meta.hex(),
                    "since": self._table.since(node.name),
                }
                for node in self._table
            },
            "suspicions": {
                name: {
                    "suspected_by": suspicion.suspected_by,
                    "confirmed_by": list(suspicion.confirmed_by),
                    "since": suspicion.since,
                    "deadline": suspicion.deadline,
                }
                for name, suspicion in self._membership.suspicions.items()
            },
            "stats": asdict(core.stats),
        }

    def check_invariants(self) -> None:
        """Assert everything that must always hold; for tests and simulations. O(n)."""
        self._core.timers.check_invariants()
        self._table.check_invariants()
        self._news.check_invariants()
        self._membership.check_invariants()
        self._detector.check_invariants()
        self._exchanges.check_invariants()
        assert not self._over or self.next_timeout() is None

    # --- outputs and time --------------------------------------------------------------------

    def poll(self) -> Output | None:
        """Return the oldest output not yet fetched, or None. Changes nothing else."""
        outputs = self._core.outputs
        return outputs.popleft() if outputs else None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None if never. Pure."""
        return self._core.timers.next()

    def handle_timeout(self, now: float) -> None:
        """Fire what is due at `now`; early calls do nothing, late ones fire each timer once."""
        if self._over:
            return
        self._advance(now)
        core = self._core
        fired = False
        while (due := core.timers.pop_due(core.now)) is not None:
            fired = True
            due[0](due[1])
        if not fired or not core.leaving or self._over:
            return
        if self._news.farewell_told or not self._table.has_company:
            self._finish(told=True)

    # --- inputs from the network -------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one UDP packet, whatever it holds.

        Outputs: an ack; events of what was believed; or `PacketRejected`, once for each part
        that is malformed.

        Raises:
            TypeError: `data` is not `bytes`.
            ValueError: `now` is infinite.
        """
        if type(data) is not bytes:
            raise TypeError(f"a packet is bytes, not {type(data).__name__}")
        if self._over:
            return
        core = self._core
        if now > core.now:
            core.now = check_time(now)
        core.stats.packets_received += 1
        core.stats.bytes_received += len(data)
        try:
            message = self._open(data)
            handler = self._handlers.get(message[0])
            if handler is None:
                core.reject(source, "unknown-type", str(message[0]))
            else:
                handler(message, source)
        except DecodeError as error:
            core.reject(source, error.reason, str(error))

    def _on_parts(self, message: bytes, source: Address) -> None:
        """Take a compound or compressed message apart; a bad part does not harm the others."""
        parts, lost = self._split(message)
        core = self._core
        if lost:
            core.reject(source, "truncated", f"{lost} parts of a compound are cut off")
        handlers = self._part_handlers
        self._asked = 0
        for part in parts:
            handler = handlers.get(part[0])
            if handler is None:
                core.reject(source, "unknown-type", str(part[0]))
                continue
            try:
                handler(part, source)
            except DecodeError as error:
                core.reject(source, error.reason, str(error))

    def stream_accepted(self, source: Address, now: float) -> int:
        """Take a TCP stream that somebody opened to us.

        Returns:
            Its number, which is odd; -1 if we have left: close the connection.
        """
        self._advance(now)
        if self._over:
            return -1
        return self._exchanges.accepted(source)

    def stream_opened(self, stream: int, now: float) -> None:
        """Take that a stream of ours is connected. Outputs: what we say on it."""
        self._advance(now)
        self._exchanges.opened(stream)

    def stream_received(self, stream: int, data: bytes, now: float) -> None:
        """Take bytes of a stream, cut anywhere.

        Raises:
            TypeError: `data` is not `bytes`.
        """
        if type(data) is not bytes:
            raise TypeError(f"stream data is bytes, not {type(data).__name__}")
        self._advance(now)
        self._exchanges.received(stream, data)

    def stream_closed(self, stream: int, now: float) -> None:
        """Take that a stream ended: the peer's EOF, a reset, or a failed connect."""
        self._advance(now)
        self._exchanges.closed(stream)

    # --- inputs from the application ---------------------------------------------------------

    def join(self, seeds: Sequence[Address], now: float) -> int:
        """Exchange states with each seed and return the join's number.

        Outputs: streams, the events of what is learned, at last `JoinFinished`.

        Args:
            seeds: Addresses; a host may be a name that the driver resolves. They are remembered,
                and contacted again now and then while they are missing.
            now: The present time.

        Raises:
            ValueError: No seeds, or one that is no address.
            QueueFull: `config.outbound_streams_max` streams are under way already.
            NotRunning: After `leave`.
        """
        self._require_running()
        seeds = [check_seed(seed) for seed in seeds]
        if not seeds:
            raise ValueError("a join needs at least one seed")
        self._exchanges.require_room()
        self._advance(now)
        self._healer.add_seeds(seeds)
        return self._exchanges.join(seeds)

    def leave(self, now: float, *, timeout: float = 5.0) -> None:
        """Tell the others that we leave; `MemberlistLeft` comes when they were told.

        A second call changes nothing.

        Args:
            now: The present time.
            timeout: Seconds after which we are gone even if not everybody could be told; > 0.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be positive and finite, not {timeout}")
        self._advance(now)
        if self._core.leaving:
            return
        self._membership.leave()
        if not self._table.has_company:
            self._finish(told=True)
            return
        at = self._core.now + timeout
        self._leave_timer = self._core.timers.arm(at, self._leave_timed_out)

    def rejoin(self, now: float) -> None:
        """Come back after a `leave`, or call a running one off, in the same object.

        We announce ourselves with a higher incarnation to the members that we knew, and exchange
        states with one of them. Call `join` besides if they may be gone.

        Raises:
            ValueError: It has not left.
        """
        if not self._core.leaving:
            raise ValueError("it has not left: there is nothing to come back from")
        self._advance(now)
        core = self._core
        core.leaving = False
        core.timers.cancel(self._leave_timer)
        self._news.farewell_told = False
        self._membership.renew(self.node.meta, min(self.incarnation + 1, INCARNATION_MAX))
        if self._over:
            self._over = False
            self._start()
        for node in self._table.sample(1):
            self._exchanges.push_pull(node)

    def update_meta(self, meta: bytes, now: float) -> None:
        """Announce new metadata, under a new incarnation.

        Raises:
            PayloadTooLarge: More than `config.meta_size_max` bytes, or than a packet holds.
            NotRunning: After `leave`.
        """
        self._require_running()
        self._check_meta(meta)
        self._advance(now)
        self._membership.renew(meta, min(self.incarnation + 1, INCARNATION_MAX))

    def update_ping_payload(self, payload: bytes, now: float) -> None:
        """Attach these bytes to every ack from now on: coordinates, for instance.

        Raises:
            PayloadTooLarge: An ack with it would not fit a packet.
        """
        limit = self._news.message_size_max - _ACK_SIZE
        if len(check_bytes(payload, "payload")) > limit:
            raise PayloadTooLarge(len(payload), limit)
        self._advance(now)
        self._detector.set_payload(payload)

    def broadcast(
        self, payload: bytes, now: float, *, key: str | None = None, priority: int = 0
    ) -> int:
        """Gossip a payload to all members and return its number.

        Outputs: `BroadcastFinished` with its outcome, once. Receivers get `MessageReceived`, more
        than once at times; telling repeats apart is the application's part, and so is passing it
        on, as in memberlist: call `broadcast` with what is new.

        Args:
            payload: Bytes; with its headers it must fit a packet.
            now: The present time.
            key: A later broadcast of the same key and priority supersedes this one.
            priority: 0 to 9; higher ones go first.

        Raises:
            PayloadTooLarge: It doesn't fit a packet.
            QueueFull: `config.user_broadcasts_max` wait already.
            NotRunning: After `leave` is complete.
        """
        if self._over:
            raise NotRunning("it has left")
        if not isinstance(priority, int) or not 0 <= priority <= 9:
            raise ValueError(f"priority must be a number from 0 to 9, not {priority!r}")
        if key is not None and not isinstance(key, str):
            raise TypeError(f"a key must be text, not {type(key).__name__}")
        self._news.check_broadcast(check_bytes(payload, "payload"), key, priority)
        self._advance(now)
        return self._news.broadcast(payload, key, priority)

    def message(
        self, to: str | Address, payload: bytes, now: float, *, reliable: bool = False
    ) -> int:
        """Send a payload to one member.

        Outputs: for a reliable one `MessageDelivered` or `MessageFailed`, once.

        Args:
            to: A member's name, or (best effort only) any address.
            payload: Bytes; a best-effort one must fit a packet, a reliable one
                `config.user_message_size_max`.
            now: The present time.
            reliable: Whether to use a stream.

        Returns:
            The message's number; 0 for best effort, of which nothing more is heard.

        Raises:
            UnknownMember: Nobody alive or suspect has this name.
            PayloadTooLarge: It is too large for its way.
            QueueFull: A reliable one, and `config.outbound_streams_max` streams are under way.
            NotRunning: After `leave` is complete.
        """
        if self._over:
            raise NotRunning("it has left")
        check_bytes(payload, "payload")
        limit = self._core.config.user_message_size_max if reliable else self._news.room - 1
        if len(payload) > limit:
            raise PayloadTooLarge(len(payload), limit)
        node: Node | None = None
        if isinstance(to, str):
            node = self._reachable(to)
            to = node.address
        else:
            to = check_seed(to)
        if not reliable:
            self._advance(now)
            self._news.send_plain(to, encode_user(payload), node)
            return 0
        if node is None:
            raise ValueError("a reliable message goes to a member's name")
        self._exchanges.require_room()
        self._advance(now)
        return self._exchanges.message(node, payload)

    def ping(self, name: str, now: float) -> int:
        """Ping a member once and return the ping's number.

        Outputs: `PingCompleted` or `PingFailed`, once. Neither health nor the member's state
        depend on it.

        Raises:
            UnknownMember: Nobody alive or suspect has this name.
            QueueFull: `config.pending_pings_max` wait already.
            NotRunning: After `leave` is complete.
        """
        if self._over:
            raise NotRunning("it has left")
        node = self._reachable(name)
        self._detector.require_room()
        self._advance(now)
        return self._detector.ping(node)

    # --- messages of packets -----------------------------------------------------------------

    def _on_ping(self, message: bytes, source: Address) -> None:
        self._detector.answer(decode_ping(message), source)

    def _on_ack(self, message: bytes, source: Address) -> None:
        self._detector.acked(decode_ack(message), source)

    def _on_nack(self, message: bytes, source: Address) -> None:
        self._detector.nacked(decode_nack(message), source)

    def _on_indirect_ping(self, message: bytes, source: Address) -> None:
        self._detector.relay(decode_indirect_ping(message), source)

    def _on_asked(self, message: bytes, source: Address) -> None:
        """Serve a ping of either kind in a compound, where honest peers put one at most."""
        self._asked += 1
        if self._asked > ASKED_MAX:
            self._core.reject(source, "too-many-pings", f"more than {ASKED_MAX} in one packet")
        else:
            self._handlers[message[0]](message, source)

    def _on_gossip(self, message: bytes, source: Address) -> None:
        claim = decode_gossip(message)
        if type(claim) is Node:
            self._membership.alive(claim, source)
        elif type(claim) is Suspect:
            self._membership.suspect(claim, source)
        else:
            assert type(claim) is Dead
            self._membership.dead(claim, source)

    def _on_user_message(self, message: bytes, source: Address) -> None:
        self._core.emit(MessageReceived(source, message[1:], reliable=False))

    # --- internals ---------------------------------------------------------------------------

    def _start(self) -> None:
        self._detector.start()
        self._exchanges.start()
        self._healer.wake()
        self._news.wake()

    def _advance(self, now: float) -> None:
        """Take the caller's time; an older one counts as the newest seen."""
        if now > self._core.now:
            self._core.now = check_time(now)

    # The next three are handed to parts that are made before those that do the work.

    def _challenge(self, claim: AddressClaim) -> bool:
        return self._detector.challenge(claim)

    def _forgotten(self, node: Node) -> None:
        self._healer.remember(node)

    def _open_stream_ping(self, probe: Probe) -> None:
        self._exchanges.stream_ping(probe)

    def _tell_own_record(self, to: Address) -> None:
        # A seed's host name only the driver can resolve, and datagrams go to addresses.
        if is_ip(to[0]):
            self._news.send_plain(to, self._membership.own_message())

    def _leave_timed_out(self, _: object) -> None:
        self._finish(told=self._news.farewell_told)

    def _finish(self, *, told: bool) -> None:
        """End everything but the outputs that wait."""
        self._over = True
        self._exchanges.stop()
        self._detector.stop()
        self._news.stop()
        self._membership.stop()
        self._healer.stop()
        self._core.timers.clear()
        self._core.emit(MemberlistLeft(told))

    def _require_running(self) -> None:
        if self._core.leaving:
            raise NotRunning("it has left, or is leaving")

    def _reachable(self, name: str) -> Node:
        node = self._table.get(name)
        if node is None or node.state > SUSPECT:
            raise UnknownMember(name)
        return node

    def _check_meta(self, meta: bytes) -> None:
        """Refuse metadata with which our own alive message would not fit a packet."""
        limit = self._core.config.meta_size_max
        if len(check_bytes(meta, "meta")) > limit:
            raise PayloadTooLarge(len(meta), limit)
        own = self._table.own
        largest = Node(own.name, own.address, meta, own.versions, INCARNATION_MAX)
        excess = len(encode_alive(largest)) - self._news.message_size_max
        if excess > 0:
            raise PayloadTooLarge(len(meta), max(len(meta) - excess, 0))
