"""Streams: joins, push/pulls, reliable messages and fallback pings, one exchange each.

Owns every stream that is open and its deadline, joins under way, and the periodic push/pull.
Knows nothing of sockets (the driver's) or bytes (streams.py), and leaves what a peer's state means
to membership.py.

Source: SWIM does not have this; memberlist `net.go` (streams), `state.go` (push/pull).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum

from attrs import define

from memberlist.codec import encode_ack, encode_error, encode_ping
from memberlist.core import Core
from memberlist.detector import Probe
from memberlist.errors import DecodeError, QueueFull
from memberlist.members import MemberTable
from memberlist.membership import Membership
from memberlist.messages import Ack, ErrorReply, Ping, PushPull, StreamMessage, UserMessage
from memberlist.node import Address, Node
from memberlist.outputs import (
    CloseStream,
    JoinFinished,
    MessageDelivered,
    MessageFailed,
    MessageReceived,
    OpenStream,
    SeedOutcome,
    SendStream,
    StreamRejected,
)
from memberlist.security import Keyring
from memberlist.streams import (
    StreamDecoder,
    StreamLimits,
    encode_push_pull,
    encode_user_message,
    seal_stream,
)
from memberlist.timers import Timer

#: Seeds of one join that are contacted at once.
JOIN_CONCURRENCY = 8
#: From so many members on, push/pulls become rarer.
PUSH_PULL_SCALE_THRESHOLD = 32


def push_pull_scale(interval: float, n: int) -> float:
    """Return the period of push/pulls in a cluster of n members, in the unit of `interval`.

    Source: memberlist `pushPullScale`.

    >>> [push_pull_scale(30.0, n) for n in (32, 33, 65)]
    [30.0, 60.0, 90.0]
    """
    if n <= PUSH_PULL_SCALE_THRESHOLD:
        return interval
    return interval * (math.ceil(math.log2(n) - math.log2(PUSH_PULL_SCALE_THRESHOLD)) + 1)


class _Purpose(Enum):
    SERVE = "serve"
    PUSH_PULL = "push-pull"
    USER = "user"
    PING = "ping"


SERVE, PUSH_PULL, USER, PING = _Purpose


@define(eq=False)
class _Join:
    """A join under way; `outcomes` fill up in any order."""

    number: int
    seeds: tuple[Address, ...]
    outcomes: list[SeedOutcome | None]
    started: int = 0
    finished: int = 0

    def give_up(self, reason: str) -> None:
        """Try no further seeds; those that are being tried still report."""
        for place in range(self.started, len(self.seeds)):
            self.outcomes[place] = SeedOutcome(self.seeds[place], False, reason)
        self.finished += len(self.seeds) - self.started
        self.started = len(self.seeds)


@define(eq=False)
class _Stream:
    """One open stream.

    Attributes:
        number: Even if we opened it.
        peer: The other side.
        purpose: What it is for.
        decoder: Reads what the other side sends.
        timer: What ends it.
        opened: Whether it is connected.
        join: The join it belongs to; `seed` is the place of its seed there.
        name: The member that a user message is for.
        payload: The user message.
        probe: The probe that a stream ping belongs to.
    """

    number: int
    peer: Address
    purpose: _Purpose
    decoder: StreamDecoder
    timer: Timer | None = None
    opened: bool = False
    join: _Join | None = None
    seed: int = 0
    name: str = ""
    payload: bytes = b""
    probe: Probe | None = None


class Exchanges:
    """Every stream of one member."""

    def __init__(
        self,
        core: Core,
        table: MemberTable,
        membership: Membership,
        *,
        keyring: Keyring | None,
        entropy: Callable[[int], bytes],
        user_state: Callable[[bool], bytes],
        stream_ping_ended: Callable[[Probe, bool], None],
        tell: Callable[[Address], None],
    ) -> None:
        """Wire the exchanges.

        Args:
            core: Clock, timers and outputs.
            table: The members.
            membership: Where peers' states are weighed.
            keyring: Shared and live.
            entropy: Where nonces come from.
            user_state: The application's part of a push/pull; its argument tells a join.
            stream_ping_ended: Told how a fallback ping ended.
            tell: Sends our own record to an address, after a merge in which we had to refute.
        """
        self._core = core
        self._table = table
        self._membership = membership
        self._keyring = keyring
        self._entropy = entropy
        self._user_state = user_state
        self._stream_ping_ended = stream_ping_ended
        self._tell = tell
        config = core.config
        self._limits = StreamLimits(
            frame_size=config.frame_size_max,
            decompressed_size=config.stream_decompressed_max,
            nodes=config.push_pull_nodes_max,
            user_state_size=config.user_state_size_max,
            user_message_size=config.user_message_size_max,
        )
        self._streams: dict[int, _Stream] = {}
        # Invariant: bytes that all decoders together hold; at most `streams_buffered_max`.
        self._buffered = 0
        self._accepted = 0
        self._next_opened = 2
        self._next_accepted = 1
        self._next_join = 1
        self._push_pull_timer: Timer | None = None
        self._actions: dict[_Purpose, Callable[[_Stream, StreamMessage], None]] = {
            SERVE: self._serve,
            PUSH_PULL: self._push_pull_answered,
            PING: self._ping_answered,
            USER: self._user_answered,
        }

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the periodic push/pulls, at a random part of the first period.

        Deviation: memberlist does not scale the first period. A large cluster whose members start
        from a snapshot (`known`) would have as many push/pulls at once as it has members.
        """
        interval = push_pull_scale(self._core.config.push_pull_interval, len(self._table))
        if interval:
            delay = (1.0 - self._core.rng.random()) * interval
            self._arm_push_pull(delay)

    def _arm_push_pull(self, delay: float) -> None:
        self._core.timers.cancel(self._push_pull_timer)
        at = self._core.now + delay
        self._push_pull_timer = self._core.timers.arm(at, self._push_pull_tick)

    def _push_pull_soon(self) -> None:
        """Exchange states with somebody else, some rounds of gossip after a join.

        Those who join at the same moment hear of each other by gossip only, which misses one now
        and then; without this the hole would stay until the next periodic push/pull.
        """
        config = self._core.config
        if not config.push_pull_interval:
            return
        delay = (5.0 + 5.0 * self._core.rng.random()) * (config.gossip_interval or 0.2)
        timer = self._push_pull_timer
        if timer is None or self._core.now + delay < timer[0]:
            self._arm_push_pull(delay)

    def stop(self) -> None:
        """Close every stream and open no other: the machine is over."""
        for stream in list(self._streams.values()):
            if stream.join is not None:
                stream.join.give_up("left")
            self._fail(stream, "left")

    @property
    def open_count(self) -> int:
        """Streams that are open or opening."""
        return len(self._streams)

    # --- what the application asks for -------------------------------------------------------

    def require_room(self) -> None:
        """Check that the application may have one more stream opened.

        Raises:
            QueueFull: Too many that we opened are under way.
        """
        limit = self._core.config.outbound_streams_max
        if len(self._streams) - self._accepted >= limit:
            raise QueueFull("outbound streams", limit)

    def join(self, seeds: Sequence[Address]) -> int:
        """Exchange states with each seed; the result comes as `JoinFinished`."""
        join = _Join(self._next_join, tuple(seeds), [None] * len(seeds))
        self._next_join += 1
        for _ in range(min(JOIN_CONCURRENCY, len(seeds))):
            self._join_next(join)
        return join.number

    def contact(self, address: Address) -> None:
        """Exchange states with whoever is at an address, as a join would."""
        self._open(address, PUSH_PULL).join = _Join(0, (address,), [None], 1)

    def message(self, node: Node, payload: bytes) -> int:
        """Send a user message on a stream and return its number."""
        stream = self._open(node.address, USER)
        stream.name, stream.payload = node.name, payload
        return stream.number

    def stream_ping(self, probe: Probe) -> None:
        """Ping a member on a stream, while the probe's deadline lasts."""
        stream = self._open(probe.node.address, PING, probe.deadline - self._core.now)
        stream.probe = probe

    def push_pull(self, node: Node) -> None:
        """Exchange states with a member."""
        self._open(node.address, PUSH_PULL)

    # --- opening and closing -----------------------------------------------------------------

    def _open(self, to: Address, purpose: _Purpose, timeout: float | None = None) -> _Stream:
        timeout = self._core.config.stream_timeout if timeout is None else max(timeout, 0.001)
        stream = self._new(self._next_opened, to, purpose, timeout)
        self._next_opened += 2
        self._core.stats.streams_opened += 1
        self._core.emit(OpenStream(stream.number, to, timeout))
        return stream

    def _new(self, number: int, peer: Address, purpose: _Purpose, timeout: float) -> _Stream:
        config = self._core.config
        decoder = StreamDecoder(
            label=config.label,
            label_check_skipped=config.label_check_skipped,
            keyring=self._keyring,
            verify_incoming=config.verify_incoming,
            reply=purpose is not SERVE,
            limits=self._limits,
        )
        stream = _Stream(number, peer, purpose, decoder)
        stream.timer = self._core.timers.arm(self._core.now + timeout, self._timed_out, stream)
        self._streams[number] = stream
        return stream

    def _send(self, stream: _Stream, message: bytes, *, eof: bool = False) -> None:
        config = self._core.config
        data = seal_stream(
            message,
            label=config.label,
            keyring=self._keyring,
            verify_outgoing=config.verify_outgoing,
            encryption_version=config.encryption_version,
            compression=config.compression,
            entropy=self._entropy,
            reply=stream.purpose is SERVE,
        )
        self._core.emit(SendStream(stream.number, data, eof))

    def _close(self, stream: _Stream) -> None:
        """Be done with a stream; what the driver still reports of it is ignored."""
        self._forget(stream)
        self._core.emit(CloseStream(stream.number))

    def _forget(self, stream: _Stream) -> None:
        self._buffered -= stream.decoder.pending
        self._core.timers.cancel(stream.timer)
        del self._streams[stream.number]
        self._accepted -= stream.purpose is SERVE

    def _timed_out(self, stream: _Stream) -> None:
        self._fail(stream, "timeout")

    def _fail(self, stream: _Stream, reason: str, detail: str = "") -> None:
        """End a stream without its exchange, and tell whoever waits for it."""
        self._close(stream)
        if stream.purpose is PING:
            assert stream.probe is not None
            self._stream_ping_ended(stream.probe, False)
        elif stream.purpose is USER:
            self._core.emit(MessageFailed(stream.number, stream.name, reason))
        else:
            self._core.stats.reject(reason)
            self._core.emit(StreamRejected(stream.number, stream.peer, reason, detail))
            self._joined(stream, detail or reason)

    # --- what the driver reports -------------------------------------------------------------

    def accepted(self, source: Address) -> int:
        """Take a stream that somebody opened; over the limit it is closed at once."""
        number = self._next_accepted
        self._next_accepted += 2
        self._core.stats.streams_accepted += 1
        self._accepted += 1
        stream = self._new(number, source, SERVE, self._core.config.stream_timeout)
        if self._accepted > self._core.config.streams_max:
            self._fail(stream, "too-many-streams")
        return number

    def opened(self, number: int) -> None:
        """Speak first: payloads are built now, so that they are fresh."""
        stream = self._streams.get(number)
        if stream is None or stream.opened or stream.purpose is SERVE:
            return
        stream.opened = True
        if stream.purpose is PUSH_PULL:
            self._send(stream, self._local_state(join=stream.join is not None))
        elif stream.purpose is USER:
            self._send(stream, encode_user_message(stream.payload), eof=True)
        else:
            assert stream.probe is not None
            ping = encode_ping(
                stream.probe.sequence,
                stream.probe.node.name,
                self._table.own.address,
                self._core.name,
            )
            self._send(stream, ping)

    def received(self, number: int, data: bytes) -> None:
        """Take bytes of a stream; what is malformed ends it."""
        stream = self._streams.get(number)
        if stream is None:
            return
        try:
            message = self._feed(stream, data)
        except DecodeError as error:
            if stream.purpose is SERVE:
                self._send(stream, encode_error(str(error)))
            self._fail(stream, error.reason, str(error))
            return
        if message is not None:
            refused = stream.decoder.refused
            if refused:
                detail = f"{refused} entries of a push/pull that describe no member"
                self._core.reject(stream.peer, stream.decoder.refusal, detail)
            self._actions[stream.purpose](stream, message)

    def _feed(self, stream: _Stream, data: bytes) -> StreamMessage | None:
        """Have a stream's decoder take bytes, while all of them together hold few enough."""
        self._buffered -= stream.decoder.pending
        message = stream.decoder.feed(data)
        self._buffered += stream.decoder.pending
        if self._buffered > self._core.config.streams_buffered_max:
            raise DecodeError("too-large", "all streams together wait for too much")
        return message

    def closed(self, number: int) -> None:
        """Take the end of a stream: for a user message the peer's receipt, else a failure."""
        stream = self._streams.get(number)
        if stream is None:
            return
        if stream.purpose is USER and stream.opened:
            self._close(stream)
            self._core.emit(MessageDelivered(stream.number, stream.name))
        else:
            self._fail(stream, "closed" if stream.opened or number % 2 else "unreachable")

    # --- serving -----------------------------------------------------------------------------

    def _serve(self, stream: _Stream, message: StreamMessage) -> None:
        match message:
            case PushPull():
                self._send(stream, self._local_state(join=message.join))
                self._close(stream)
                self._membership.merge(message, stream.peer)
            case Ping():
                if message.node in ("", self._core.name):
                    self._send(stream, encode_ack(message.sequence, b""))
                self._close(stream)
            case UserMessage():
                self._close(stream)
                self._core.emit(MessageReceived(stream.peer, message.payload, reliable=True))
            case _:
                self._fail(stream, "unexpected-message", type(message).__name__)

    # --- answers to what we opened -----------------------------------------------------------

    def _push_pull_answered(self, stream: _Stream, message: StreamMessage) -> None:
        match message:
            case PushPull():
                self._close(stream)
                incarnation = self._table.own.incarnation
                reason = self._membership.merge(message, stream.peer)
                if self._table.own.incarnation != incarnation:
                    self._tell(stream.peer)
                self._joined(stream, reason or "")
            case ErrorReply():
                self._fail(stream, "refused", message.text)
            case _:
                self._fail(stream, "unexpected-message", type(message).__name__)

    def _ping_answered(self, stream: _Stream, message: StreamMessage) -> None:
        assert stream.probe is not None
        self._close(stream)
        answered = isinstance(message, Ack) and message.sequence == stream.probe.sequence
        self._stream_ping_ended(stream.probe, answered)

    def _user_answered(self, stream: _Stream, message: StreamMessage) -> None:
        reason = message.text if isinstance(message, ErrorReply) else "unexpected-message"
        self._fail(stream, reason)

    def _local_state(self, *, join: bool) -> bytes:
        """Return our whole state as a message."""
        state = self._user_state(join)
        if len(state) > self._core.config.user_state_size_max:
            self._core.stats.reject("user-state-too-large")
            state = b""
        return encode_push_pull(join, self._table, state)

    # --- joins -------------------------------------------------------------------------------

    def _join_next(self, join: _Join) -> None:
        if join.started < len(join.seeds):
            stream = self._open(join.seeds[join.started], PUSH_PULL)
            stream.join, stream.seed = join, join.started
            join.started += 1

    def _joined(self, stream: _Stream, reason: str) -> None:
        """Note a seed's outcome, if the stream belongs to a join."""
        join = stream.join
        if join is None:
            return
        seed = join.seeds[stream.seed]
        join.outcomes[stream.seed] = SeedOutcome(seed, not reason, reason)
        join.finished += 1
        if join.finished < len(join.seeds):
            self._join_next(join)
        elif join.number:
            outcomes = tuple(outcome for outcome in join.outcomes if outcome is not None)
            contacted = sum(outcome.joined for outcome in outcomes)
            self._core.emit(JoinFinished(join.number, contacted, outcomes))
            if contacted:
                self._push_pull_soon()

    # --- periodic push/pull ------------------------------------------------------------------

    def _push_pull_tick(self, _: object) -> None:
        self._arm_push_pull(push_pull_scale(self._core.config.push_pull_interval, len(self._table)))
        for node in self._table.sample(1):
            self.push_pull(node)

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        serving = [stream for stream in self._streams.values() if stream.purpose is SERVE]
        assert len(serving) == self._accepted <= self._core.config.streams_max
        assert all(stream.timer is not None for stream in self._streams.values())
        held = sum(stream.decoder.pending for stream in self._streams.values())
        assert held == self._buffered <= self._core.config.streams_buffered_max
