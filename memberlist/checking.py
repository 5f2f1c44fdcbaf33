"""What may never happen in a cluster, and how an output reads in one line.

Owns the invariants that a simulation checks as it runs, incrementally: a step costs the same in
ten members as in ten thousand. Knows nothing of links, faults or the order of events (testing.py),
so that the checks apply to a recorded run of real processes too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from attrs import fields, has

from memberlist.codec import (
    decode_ack,
    decode_compressed,
    decode_gossip,
    decode_indirect_ping,
    decode_nack,
    decode_ping,
)
from memberlist.errors import DecodeError
from memberlist.messages import MessageType
from memberlist.node import DEAD, LEFT, Node, NodeState
from memberlist.outputs import (
    MemberFailed,
    MemberForgotten,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberSuspected,
    MemberUpdated,
    OpenStream,
    SendDatagram,
    SendStream,
    SuspicionConfirmed,
)
from memberlist.packet import decode_compound

#: Outputs that one input may cause, besides one for each member that the machine knows.
OUTPUTS_MAX: Final = 200
#: Outputs and records that are watched for changes at a time.
WATCHED_MAX: Final = 512

#: Events that carry a member's record, and whether it must be newer than the one before.
_MUST_BE_NEWER: Final[dict[type, bool]] = {
    MemberJoined: False,  # Unless the member was gone before; see `_check_record`.
    MemberUpdated: False,
    MemberSuspected: False,
    SuspicionConfirmed: False,
    MemberRefuted: True,
    MemberFailed: False,
    MemberLeft: False,
}


class InvariantBroken(AssertionError):
    """Something happened that never may, or a cluster does not agree.

    Attributes:
        rule: A short stable word: `incarnation`, `resurrection`, `datagram-size`, `mutation`,
            `bounded`, `busy` or `convergence`.
    """

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"{rule}: {why}")
        self.rule = rule


class Invariants:
    """The checks of one run. `saw` takes every output, `stepped` follows every input.

    | rule | what it means |
    |---|---|
    | `incarnation` | nobody's own incarnation, nor what another holds of it, ever goes back |
    | `resurrection` | who was dead, left or suspect is alive again only by a newer incarnation |
    | `datagram-size` | no packet exceeds the configured size |
    | `mutation` | no output and no shared record is changed after it was handed out |
    | `bounded` | no input causes a flood of outputs, no table holds more than ever existed |
    | `busy` | after an input no deadline lies in the past |
    """

    def __init__(self, datagram_size: int, *, view: Callable[[Any], Any], every: int) -> None:
        """Check nothing yet.

        Args:
            datagram_size: Most bytes of a packet.
            view: Finds the `Memberlist` in a composite.
            every: Every how many steps the machine that stepped checks itself; 0 is never.
        """
        self._datagram_size = datagram_size
        self._view = view
        self._every = every
        self._steps = 0
        self._outputs = 0
        self._names: set[str] = set()  # Members that ever were; asked, never iterated.
        # What the events of each member last said of another: incarnation and state.
        self._records: dict[str, dict[str, tuple[int, NodeState]]] = {}
        self._own: dict[str, int] = {}
        self._watched: deque[tuple[Any, object]] = deque()
        self._known: tuple[Node, ...] = ()
        self._kept: list[tuple[Node, object]] = []

    def born(self, name: str, *, called: str, known: tuple[Node, ...] = ()) -> None:
        """A member starts, with nothing in its memory but `known`, which it shares with others."""
        self._names.add(called)
        self._records.pop(name, None)
        self._own.pop(name, None)
        if known is not self._known:
            self._known = known
            self._names.update(node.name for node in known)
            self._kept.extend((node, _print_of(node)) for node in known)

    def saw(self, name: str, output: Any) -> None:
        """Check one output of a member, and watch it from now on.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        self._outputs += 1
        if type(output) is SendDatagram:
            if len(output.data) > self._datagram_size:
                raise InvariantBroken("datagram-size", f"{name} sends {describe(output)}")
        elif type(output) in _MUST_BE_NEWER:
            self._check_record(name, output)
        elif type(output) is MemberForgotten:
            self._records.get(name, {}).pop(output.node.name, None)
        self._watched.append((output, _print_of(output)))
        if len(self._watched) > WATCHED_MAX:
            self._check_watched(*self._watched.popleft())

    def stepped(self, name: str, machine: Any, now: float) -> None:
        """Check one machine after an input whose outputs were all seen.

        Raises:
            InvariantBroken: It breaks a rule.
        """
        outputs, self._outputs = self._outputs, 0
        if outputs > OUTPUTS_MAX + len(self._names):
            raise InvariantBroken("bounded", f"{outputs} outputs of one input of {name}")
        due = machine.next_timeout()
        if due is not None and due < now:
            raise InvariantBroken("busy", f"at {now} the deadline of {name} is {due}")
        view = self._view(machine)
        own = view.incarnation
        if own < self._own.get(name, 0):
            raise InvariantBroken("incarnation", f"{name} went back to {own} itself")
        self._own[name] = own
        self._steps += 1
        if self._every and self._steps % self._every == 0:
            machine.check_invariants()
            if len(view.members) > len(self._names):
                raise InvariantBroken("bounded", f"{name} knows more members than ever were")

    def finish(self) -> None:
        """Check once more everything that is still watched.

        Raises:
            InvariantBroken: It was changed.
        """
        for thing, before in (*self._watched, *self._kept):
            self._check_watched(thing, before)

    def _check_record(self, name: str, event: Any) -> None:
        node: Node = event.node
        records = self._records.setdefault(name, {})
        incarnation, state = records.get(node.name, (-1, DEAD))
        if node.incarnation < incarnation:
            raise InvariantBroken(
                "incarnation", f"{name} went back from {incarnation} in {describe(event)}"
            )
        back = type(event) is MemberJoined and state in (DEAD, LEFT)
        if (back or _MUST_BE_NEWER[type(event)]) and node.incarnation == incarnation:
            raise InvariantBroken("resurrection", f"not by {describe(event)} at {name}")
        records[node.name] = (node.incarnation, node.state)

    def _check_watched(self, thing: Any, before: object) -> None:
        if (after := _print_of(thing)) != before:
            raise InvariantBroken("mutation", f"{before} became {after}")


def _print_of(thing: Any) -> object:
    """Return what must stay the same about an output or a record."""
    if type(thing) is SendDatagram:
        return thing.to, thing.data
    return describe(thing)


def describe(value: Any) -> str:
    """Return a stable line for an output: what a transcript shows, and what a digest hashes.

    >>> describe(SendDatagram(("10.0.0.2", 7946), bytes.fromhex("0b81a55365714e6f4e")))
    'SendDatagram 10.0.0.2:7946 [Nack sequence=78]'
    """
    if isinstance(value, SendDatagram):
        return f"SendDatagram {_value(value.to)} [{_packet(value.data)}]"
    if isinstance(value, SendStream):
        return f"SendStream {value.stream} {len(value.data)} bytes{' eof' * value.eof}"
    if isinstance(value, OpenStream):
        return f"OpenStream {value.stream} {_value(value.to)}"
    return _words(value) if has(type(value)) else _value(value)


def _words(value: Any) -> str:
    """Return an attrs object as its name and fields."""
    words = (f"{each.name}={_value(getattr(value, each.name))}" for each in fields(type(value)))
    return " ".join((type(value).__name__, *words))


def _value(value: Any) -> str:  # noqa: PLR0911 - one line a type
    """Return one value in a form that says what counts and never changes by itself."""
    match value:
        case Node():
            host, port = value.address
            meta = f" meta={_value(value.meta)}" if value.meta else ""
            state = NodeState(value.state).name.lower()
            return f"<{value.name} {host}:{port} {state} {value.incarnation}{meta}>"
        case (str(host), int(port)):
            return f"{host}:{port}"
        case Enum():
            return str(value.value)
        case bool() | None | int():
            return str(value)
        case float():
            return f"{value:.6g}"
        case bytes():
            return repr(value)[1:] if len(value) <= 40 else f"{len(value)} bytes"
        case tuple() | list():
            return f"({' '.join(_value(item) for item in value)})"
    return f"[{_words(value)}]" if has(type(value)) else str(value)


def _packet(data: bytes) -> str:
    """Return the messages of a plain packet, or its size if it can't be read without a key."""
    try:
        return " + ".join(_messages(data))
    except DecodeError:
        return f"{len(data)} bytes"


def _messages(data: bytes) -> list[str]:
    kind = data[0] if data else -1
    if kind == MessageType.HAS_CRC:
        return _messages(data[5:])
    if kind == MessageType.COMPRESS:
        return _messages(decode_compressed(data, 1 << 16))
    if kind == MessageType.COMPOUND:
        return [text for part in decode_compound(data[1:])[0] for text in _messages(part)]
    if kind == MessageType.USER:
        return [f"User {_value(data[1:])}"]
    message = _DECODERS.get(kind, decode_gossip)(data)
    return [f"Alive {_value(message)}" if isinstance(message, Node) else _words(message)]


_DECODERS: Final[dict[int, Callable[[bytes], Any]]] = {
    MessageType.PING: decode_ping,
    MessageType.INDIRECT_PING: decode_indirect_ping,
    MessageType.ACK: decode_ack,
    MessageType.NACK: decode_nack,
}
