"""The words in which memberlist's tests speak: members by name, messages by meaning.

A member's address follows from its name, so that a test says `"b"` and never an address. What a
machine puts out is read with `drain`: datagrams come as `Sent`, with the messages inside them.

    a = machine("a", knows="bc")
    deliver(a, suspect("c", by="b"), source="b", now=1.0)

    assert drain(a) == [MemberSuspected(...)]

Machines are quiet unless told otherwise: nothing runs but the failure detector (`QUIET`), and
their own introduction was told already, so that it rides on no packet.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from memberlist import (
    Address,
    Config,
    Evidence,
    Memberlist,
    Node,
    NodeState,
    Output,
    PingCompleted,
    ProbeRecord,
    SendDatagram,
)
from memberlist.codec import (
    decode_ack,
    decode_compressed,
    decode_gossip,
    decode_indirect_ping,
    decode_nack,
    decode_ping,
    encode_ack,
    encode_alive,
    encode_dead,
    encode_indirect_ping,
    encode_nack,
    encode_ping,
    encode_suspect,
)
from memberlist.errors import DecodeError
from memberlist.messages import Ack, Dead, IndirectPing, Nack, Ping, Suspect
from memberlist.node import ALIVE
from memberlist.packet import decode_compound, encode_compound

#: Only the failure detector runs; no packet is compressed.
QUIET: dict[str, Any] = {
    "gossip_interval": 0.0,
    "push_pull_interval": 0.0,
    "heal_interval": 0.0,
    "stream_pings": False,
    "compression": False,
}

#: The versions that a member of default configuration announces, and those of older ones.
VERSIONS = Config.lan().versions
WITHOUT_CRC = bytes([1, 4, 2, 0, 0, 0])
WITHOUT_NACK = bytes([1, 3, 2, 0, 0, 0])
WITHOUT_STREAM_PING = bytes([1, 2, 2, 0, 0, 0])


# --- who -------------------------------------------------------------------------------------


def address(name: str) -> Address:
    """Return where a member lives: `a` at 10.0.0.1 .. `z` at 10.0.0.26, `n300` at 10.1.1.44.

    A longer name without a number lives where its first letter does.
    """
    if not name[1:].isdigit():
        return f"10.0.0.{ord(name[0]) - 96}", 7946
    number = int(name[1:])
    return f"10.1.{number >> 8}.{number & 255}", 7946


def node(
    name: str,
    incarnation: int = 1,
    state: NodeState = ALIVE,
    *,
    at: Address | None = None,
    meta: bytes = b"",
    versions: bytes = VERSIONS,
) -> Node:
    """Return a member's record."""
    return Node(name, at or address(name), meta, versions, incarnation, state)


def machine(
    name: str = "a",
    *,
    knows: Iterable[str | Node] = (),
    seed: int = 1,
    now: float = 0.0,
    fresh: bool = False,
    preset: str = "lan",
    options: dict[str, Any] | None = None,
    **changes: Any,
) -> Memberlist:
    """Return a quiet member.

    Args:
        name: Its name.
        knows: Names or records of members that it takes for alive.
        seed: Of its rng.
        now: When it starts.
        fresh: Whether its own introduction still waits to be told.
        preset: The preset that its configuration starts from.
        options: Arguments of `Memberlist` (meta, incarnation, accept, ...).
        changes: Fields of its configuration; they win over `QUIET`.
    """
    config: Config = getattr(Config, preset)(**(QUIET | changes))
    known = [node(who) if isinstance(who, str) else who for who in knows]
    rng = random.Random(seed)
    made = Memberlist(name, address(name), config, rng=rng, now=now, known=known, **(options or {}))
    if not fresh:
        tell_all(made, now)
    return made


# --- messages --------------------------------------------------------------------------------


@frozen
class User:
    """A payload of the application."""

    payload: bytes


Message = Ping | IndirectPing | Ack | Nack | Suspect | Dead | Node | User


def ping(sequence: int, to: str = "a", *, by: str = "b") -> Ping:
    return Ping(sequence, to, address(by), by)


def indirect_ping(sequence: int, target: str, *, by: str = "b", nack: bool = True) -> IndirectPing:
    return IndirectPing(sequence, target, address(target), nack, address(by), by)


def ack(sequence: int, payload: bytes = b"") -> Ack:
    return Ack(sequence, payload)


def nack(sequence: int) -> Nack:
    return Nack(sequence)


def alive(
    name: str,
    incarnation: int = 2,
    *,
    at: Address | None = None,
    meta: bytes = b"",
    versions: bytes = VERSIONS,
) -> Node:
    return node(name, incarnation, at=at, meta=meta, versions=versions)


def suspect(name: str, incarnation: int = 1, *, by: str) -> Suspect:
    return Suspect(incarnation, name, by)


def dead(name: str, incarnation: int = 1, *, by: str) -> Dead:
    return Dead(incarnation, name, by)


def left(name: str, incarnation: int = 1) -> Dead:
    return Dead(incarnation, name, name)


def encode(*messages: Message) -> bytes:
    """Return the packet of these messages: a compound, if there are several."""
    parts = [_encode(message) for message in messages]
    return parts[0] if len(parts) == 1 else encode_compound(parts)


def _encode(message: Message) -> bytes:
    match message:
        case Ping(sequence, name, source, source_name):
            return encode_ping(sequence, name, source or ("0.0.0.0", 0), source_name)
        case IndirectPing():
            return encode_indirect_ping(message)
        case Ack(sequence, payload):
            return encode_ack(sequence, payload)
        case Nack(sequence):
            return encode_nack(sequence)
        case Suspect(incarnation, name, sender):
            return encode_suspect(incarnation, name, sender)
        case Dead(incarnation, name, sender):
            return encode_dead(incarnation, name, sender)
        case User(payload):
            return b"\x08" + payload
        case Node():
            return encode_alive(message)


def decode(data: bytes) -> tuple[Message, ...]:
    """Return the messages of a plain packet, in order.

    Raises:
        DecodeError: It is encrypted, or not a packet.
    """
    kind = data[0]
    if kind == 12:
        return decode(data[5:])
    if kind == 9:
        return decode(decode_compressed(data, 1 << 20))
    if kind == 7:
        parts, lost = decode_compound(data[1:])
        assert not lost
        return tuple(message for part in parts for message in decode(part))
    if kind == 8:
        return (User(data[1:]),)
    readers: dict[int, Any] = {
        0: decode_ping,
        1: decode_indirect_ping,
        2: decode_ack,
        11: decode_nack,
    }
    return (readers.get(kind, decode_gossip)(data),)


# --- feeding and reading a machine -----------------------------------------------------------


@frozen
class Sent:
    """A datagram, read: where it goes and what it says."""

    to: Address
    messages: tuple[Message, ...]


def sent(to: str | Address, *messages: Message) -> Sent:
    """Return a datagram to a member (or an address) with these messages, in order."""
    return Sent(address(to) if isinstance(to, str) else to, messages)


def drain(machine: Memberlist) -> list[Output | Sent]:
    """Return every output that waits, datagrams as `Sent` where they can be read."""
    outputs: list[Output | Sent] = []
    while (output := machine.poll()) is not None:
        outputs.append(_read(output))
    return outputs


def _read(output: Output) -> Output | Sent:
    if not isinstance(output, SendDatagram):
        return output
    try:
        return Sent(output.to, decode(output.data))
    except DecodeError:
        return output


def deliver(
    machine: Memberlist, *messages: Message, source: str | Address = "b", now: float
) -> None:
    """Have one packet arrive from a member (or an address), with these messages in it."""
    where = address(source) if isinstance(source, str) else source
    machine.receive_datagram(encode(*messages), where, now)


def ack_from(
    machine: Memberlist, name: str, sequence: int, *, now: float, payload: bytes = b""
) -> None:
    deliver(machine, ack(sequence, payload), source=name, now=now)


def nack_from(machine: Memberlist, name: str, sequence: int, *, now: float) -> None:
    deliver(machine, nack(sequence), source=name, now=now)


def hears(
    machine: Memberlist, *messages: Message, source: str | Address = "b", now: float
) -> list[Any]:
    """Deliver one packet and return what comes of it."""
    deliver(machine, *messages, source=source, now=now)
    return drain(machine)


def timeline(machine: Memberlist, until: float) -> list[tuple[float, Output | Sent]]:
    """Wake the machine whenever it wants until a time; return its outputs with their times."""
    line: list[tuple[float, Output | Sent]] = []
    while (due := machine.next_timeout()) is not None and due <= until:
        machine.handle_timeout(due)
        line += ((due, output) for output in drain(machine))
    return line


def run(machine: Memberlist, until: float) -> list[Output | Sent]:
    """Wake the machine whenever it wants until a time; return its outputs."""
    return [output for _, output in timeline(machine, until)]


def peace(
    machine: Memberlist, until: float, *, silent: str = ""
) -> list[tuple[float, Output | Sent]]:
    """Run until a time while everybody answers each ping at once, but those who are `silent`.

    Pings, and what their answers cause, are left out.
    """
    line: list[tuple[float, Output | Sent]] = []
    while (due := machine.next_timeout()) is not None and due <= until:
        machine.handle_timeout(due)
        for output in drain(machine):
            if not (isinstance(output, Sent) and isinstance(first := output.messages[0], Ping)):
                line.append((due, output))
            elif first.node not in silent:
                ack_from(machine, first.node, first.sequence, now=due)
        line += ((due, output) for output in drain(machine) if type(output) is not PingCompleted)
    return line


def of(kind: Any, outputs: Iterable[Any]) -> list[Any]:
    """Return the outputs of a kind (or of several, as a tuple)."""
    return [output for output in outputs if isinstance(output, kind)]


def tell_all(machine: Memberlist, now: float) -> None:
    """Let the machine tell all its news to somebody who keeps pinging; drop all outputs."""
    drain(machine)
    while len(news(machine, now)) > 0:
        pass


def news(machine: Memberlist, now: float) -> tuple[Message, ...]:
    """Return what the machine has to tell now: what rides on the answer to a ping."""
    deliver(machine, ping(0, machine.name, by="z"), source="z", now=now)
    for output in drain(machine):
        if isinstance(output, Sent) and output.messages[0] == ack(0):
            return output.messages[1:]
    raise AssertionError("the ping was not answered")


# --- probes ----------------------------------------------------------------------------------


@frozen
class Probed:
    """The direct ping of a probe: when, whom, and under which number."""

    at: float
    node: str
    sequence: int
    packet: Sent


def next_probe(machine: Memberlist) -> Probed:
    """Wake the machine until it probes somebody; other outputs on the way are dropped."""
    for _ in range(1000):
        due = machine.next_timeout()
        assert due is not None, "it never wakes again"
        machine.handle_timeout(due)
        for output in drain(machine):
            if isinstance(output, Sent) and isinstance(output.messages[0], Ping):
                first = output.messages[0]
                return Probed(due, first.node, first.sequence, output)
    raise AssertionError("it does not probe")


def evidence(
    by: str,
    *confirmed_by: str,
    since: float,
    timeout: float,
    probe: ProbeRecord | None = None,
    health: int = 0,
) -> Evidence:
    """Return the evidence of a suspicion."""
    return Evidence(by, confirmed_by, since, timeout, probe, health)
