"""Streams in words, and machines wired by hand: what one puts out is what the others take in.

`speech` reads what is written to streams as `vocabulary.drain` reads datagrams. A `Wire` carries
everything at once and in order; a test says who can't reach whom, and when time passes.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from memberlist import Address, CloseStream, Memberlist, Node, OpenStream, SendDatagram, SendStream
from memberlist.codec import encode_ack, encode_error, encode_ping
from memberlist.messages import Ack, ErrorReply, Ping, PushPull, StreamMessage, UserMessage
from memberlist.streams import StreamDecoder, StreamLimits, encode_push_pull, encode_user_message
from tests.memberlist.vocabulary import address, drain

_LIMITS = StreamLimits(
    frame_size=1 << 20,
    decompressed_size=1 << 24,
    nodes=1 << 16,
    user_state_size=1 << 20,
    user_message_size=1 << 20,
)


@frozen
class Said:
    """What was written to a stream, read."""

    stream: int
    message: StreamMessage
    eof: bool = False


def push_pull(*nodes: Node, join: bool = False, state: bytes = b"") -> PushPull:
    """Return a full state."""
    return PushPull(join, list(nodes), state)


def stream_bytes(message: StreamMessage) -> bytes:
    """Return a message as it goes over a plain stream."""
    match message:
        case PushPull(join, nodes, state):
            return encode_push_pull(join, nodes, state)
        case UserMessage(payload):
            return encode_user_message(payload)
        case Ping(sequence, name, source, source_name):
            return encode_ping(sequence, name, source, source_name)
        case Ack(sequence, payload):
            return encode_ack(sequence, payload)
        case ErrorReply(text):
            return encode_error(text)


def read_stream(data: bytes) -> StreamMessage | None:
    """Return the message of a plain direction, or None if it is not whole."""
    decoder = StreamDecoder(
        label=b"",
        label_check_skipped=False,
        keyring=None,
        verify_incoming=True,
        reply=True,
        limits=_LIMITS,
    )
    return decoder.feed(data)


def speech(machine: Memberlist) -> list[Any]:
    """Return every output that waits, what is said on plain streams as `Said`."""
    return [_read(output) for output in drain(machine)]


def _read(output: Any) -> Any:
    if isinstance(output, SendStream):
        message = read_stream(output.data)
        assert message is not None
        return Said(output.stream, message, output.eof)
    return output


def accepts(machine: Memberlist, by: str = "b", *, now: float) -> int:
    """Have a member open a stream to the machine; return its number."""
    return machine.stream_accepted(address(by), now)


def tells(machine: Memberlist, stream: int, message: StreamMessage, *, now: float) -> None:
    """Have the other side of a stream say something."""
    machine.stream_received(stream, stream_bytes(message), now)


class Wire:
    """Machines that hear each other at once.

    Attributes:
        now: The time that all of them are told.
        events: What each machine told its application, by name, in order.
        packets: Every datagram that was sent: from, to, bytes.
        cut: Pairs of names between which nothing goes, in this direction.
    """

    def __init__(self, *machines: Memberlist, now: float = 0.0) -> None:
        self.now = now
        self.machines: dict[Address, Memberlist] = {}
        self.events: dict[str, list[Any]] = {}
        self.packets: list[tuple[str, str, bytes]] = []
        self.cut: set[tuple[str, str]] = set()
        self._ends: dict[tuple[str, int], tuple[str, int]] = {}
        for machine in machines:
            self.add(machine)

    def __getitem__(self, name: str) -> Memberlist:
        return next(machine for machine in self.machines.values() if machine.name == name)

    def add(self, machine: Memberlist) -> None:
        """Plug a machine in, in the place of an older one at its address."""
        self.machines[machine.node.address] = machine
        self.events.setdefault(machine.name, [])
        self.pump()

    def remove(self, name: str) -> None:
        """Take a machine away without a word."""
        del self.machines[self[name].node.address]

    def separate(self, *names: str) -> None:
        """Cut all ways between these members."""
        self.cut |= {(one, other) for one in names for other in names}

    def call(self, name: str, method: str, *args: Any, **options: Any) -> Any:
        """Give a command and carry what comes of it."""
        handle = getattr(self[name], method)(*args, self.now, **options)
        self.pump()
        return handle

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            due = [
                (at, machine)
                for machine in self.machines.values()
                if (at := machine.next_timeout()) is not None
            ]
            first = min(due, key=lambda entry: entry[0], default=None)
            if first is None or first[0] > end:
                self.now = end
                return
            self.now = max(self.now, first[0])
            first[1].handle_timeout(self.now)
            self.pump()

    def pump(self) -> None:
        """Carry until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for machine in list(self.machines.values()):
                while (output := machine.poll()) is not None:
                    busy = True
                    self._carry(machine, output)
                machine.check_invariants()

    def heard(self, name: str, kind: Any = object) -> list[Any]:
        """Return and forget a machine's events of a kind; forget its others too."""
        events = self.events[name]
        self.events[name] = []
        return [event for event in events if isinstance(event, kind)]

    def _carry(self, machine: Memberlist, output: Any) -> None:
        name = machine.name
        match output:
            case SendDatagram(to, data):
                assert len(data) <= machine.config.datagram_size
                peer = self._peer(name, to)
                self.packets.append((name, peer.name if peer else "", data))
                if peer is not None:
                    peer.receive_datagram(data, machine.node.address, self.now)
            case OpenStream(stream, to):
                peer = self._peer(name, to)
                if peer is None:
                    machine.stream_closed(stream, self.now)
                    return
                other = peer.stream_accepted(machine.node.address, self.now)
                self._ends[name, stream] = peer.name, other
                self._ends[peer.name, other] = name, stream
                machine.stream_opened(stream, self.now)
            case SendStream(stream, data, eof):
                if (end := self._ends.get((name, stream))) is not None:
                    peer = self[end[0]]
                    peer.stream_received(end[1], data, self.now)
                    if eof:
                        peer.stream_closed(end[1], self.now)
            case CloseStream(stream):
                end = self._ends.pop((name, stream), None)
                if end is not None and self._ends.pop(end, None) is not None:
                    self[end[0]].stream_closed(end[1], self.now)
            case _:
                self.events[name].append(output)

    def _peer(self, name: str, to: Address) -> Memberlist | None:
        peer = self.machines.get(to)
        return None if peer is None or (name, peer.name) in self.cut else peer
