"""The words in which serfevents' tests speak: members by name, messages by meaning.

A member's address follows from its name. What a machine puts out is read with `drain`; broadcasts
and replies come as `Told` and `Sent`, with the message inside them.

    a = machine("a", knows="bc")
    hears(a, leave("c", 5), source="b")

    assert drain(a) == [Told(leave("c", 5))]
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from serfevents import (
    Address,
    Broadcast,
    Change,
    Config,
    Member,
    MembersChanged,
    Output,
    SendReply,
    SerfEvents,
    Status,
    encode_tags,
)
from serfevents.wire.codec import (
    decode_join,
    decode_leave,
    decode_query,
    decode_query_response,
    decode_relay,
    decode_user_event,
    encode_join,
    encode_leave,
    encode_query,
    encode_query_response,
    encode_relay,
    encode_user_event,
)
from serfevents.wire.messages import (
    JoinIntent,
    LeaveIntent,
    MessageType,
    PushPull,
    Query,
    QueryResponse,
    Relay,
    UserEvent,
)
from serfevents.wire.states import decode_state, encode_state

#: Of a member that passes answers on, and of one that is too old for it.
VERSIONS = bytes([1, 5, 2, 2, 5, 5])
OLD_VERSIONS = bytes([1, 4, 2, 2, 4, 4])

Message = JoinIntent | LeaveIntent | UserEvent | Query | QueryResponse | Relay


# --- who -------------------------------------------------------------------------------------


def address(name: str) -> Address:
    """Return where a member lives: `a` at 10.0.0.1 .. `z` at 10.0.0.26, `n300` at 10.1.1.44."""
    if not name[1:].isdigit():
        return f"10.0.0.{ord(name[0]) - 96}", 7946
    number = int(name[1:])
    return f"10.1.{number >> 8}.{number & 255}", 7946


def meta(**tags: str) -> bytes:
    """Return tags as metadata."""
    return encode_tags(tags, 5)


def machine(
    name: str = "a",
    *,
    knows: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
    seed: int = 1,
    now: float = 0.0,
    fresh: bool = False,
    options: dict[str, Any] | None = None,
    **changes: Any,
) -> SerfEvents:
    """Return a member.

    Args:
        name: Its name.
        knows: Names of members that memberlist told it of.
        tags: How it describes itself.
        seed: Of its rng.
        now: When it starts.
        fresh: Whether what it put out so far still waits to be polled.
        options: Other arguments of `SerfEvents`.
        changes: Fields of its configuration.
    """
    made = SerfEvents(
        name,
        address(name),
        Config(**changes),
        rng=random.Random(seed),
        now=now,
        tags=tags or {},
        **(options or {}),
    )
    for other in knows:
        joins(made, other, now=now)
    if not fresh:
        drain(made)
    return made


def joins(
    made: SerfEvents,
    name: str,
    now: float = 0.0,
    *,
    at: Address | None = None,
    versions: bytes = VERSIONS,
    **tags: str,
) -> None:
    """Have memberlist tell that a member is alive."""
    made.member_joined(name, at or address(name), meta(**tags), versions, now)


def member(
    name: str,
    status: Status = Status.ALIVE,
    *,
    at: Address | None = None,
    versions: bytes = VERSIONS,
    **tags: str,
) -> Member:
    """Return a member's record."""
    return Member(name, at or address(name), tags, status, versions)


def changed(change: Change, *members: Member) -> MembersChanged:
    """Return the event that something happened to members."""
    return MembersChanged(change, members)


def status(made: SerfEvents, name: str) -> Status | None:
    """Return a member's status, or None if it isn't known."""
    found = made.member(name)
    return None if found is None else found.status


# --- messages --------------------------------------------------------------------------------


def join(node: str, ltime: int) -> JoinIntent:
    """Return a join intent."""
    return JoinIntent(ltime, node)


def leave(node: str, ltime: int, *, prune: bool = False) -> LeaveIntent:
    """Return a leave intent."""
    return LeaveIntent(ltime, node, prune)


def event(name: str, ltime: int, payload: bytes = b"", *, coalesce: bool = False) -> UserEvent:
    """Return a user event."""
    return UserEvent(ltime, name, payload, coalesce)


def query(
    name: str = "load",
    ltime: int = 1,
    id: int = 1,  # noqa: A002 -- the protocol's word
    *,
    source: str = "b",
    at: Address | None = None,
    filters: tuple[bytes, ...] = (),
    flags: int = 0,
    relay_factor: int = 0,
    timeout: float = 5.0,
    payload: bytes = b"",
) -> Query:
    """Return a query of another member."""
    where = at or address(source)
    return Query(ltime, id, where, source, filters, flags, relay_factor, timeout, name, payload)


def answer(to: Query, source: str, payload: bytes = b"", *, flags: int = 0) -> QueryResponse:
    """Return an answer to a query."""
    return QueryResponse(to.ltime, to.id, source, flags, payload)


def ack(to: Query, source: str) -> QueryResponse:
    """Return the word that a query arrived."""
    return answer(to, source, flags=1)


def relay(to: str, message: Message, *, at: Address | None = None) -> Relay:
    """Return an answer to be passed on."""
    return Relay(at or address(to or "a"), to, encode(message))


def encode(message: Message) -> bytes:
    """Return a message as bytes."""
    match message:
        case JoinIntent():
            return encode_join(message)
        case LeaveIntent():
            return encode_leave(message)
        case UserEvent():
            return encode_user_event(message)
        case Query():
            return encode_query(message)
        case QueryResponse():
            return encode_query_response(message)
        case Relay():
            return encode_relay(message)


def decode(payload: bytes) -> Message:
    """Return bytes as a message."""
    match payload[0]:
        case MessageType.JOIN:
            return decode_join(payload)
        case MessageType.LEAVE:
            return decode_leave(payload)
        case MessageType.USER_EVENT:
            return decode_user_event(payload)
        case MessageType.QUERY:
            return decode_query(payload)
        case MessageType.QUERY_RESPONSE:
            return decode_query_response(payload)
        case _:
            return decode_relay(payload)


def state(made: SerfEvents) -> PushPull:
    """Return what a member tells in a push/pull."""
    return decode_state(
        made.state(), size_max=1 << 24, members_max=1 << 20, events_size_max=1 << 24
    )


# --- talking ---------------------------------------------------------------------------------


@frozen
class Told:
    """A broadcast."""

    message: Message


@frozen
class Sent:
    """A reply to one member."""

    to: str
    message: Message


def hears(made: SerfEvents, *messages: Message, source: str = "b", now: float = 0.0) -> None:
    """Give messages that arrive."""
    for message in messages:
        made.receive(encode(message), address(source), now)


def merges(
    made: SerfEvents, told: PushPull, *, now: float = 0.0, join: bool = False, source: str = "b"
) -> None:
    """Give another member's part of a push/pull."""
    made.merge(encode_state(told), now, join=join, source=address(source))


def drain(made: SerfEvents) -> list[Any]:
    """Return what a machine put out, messages decoded."""
    outputs: list[Any] = []
    while (output := made.poll()) is not None:
        outputs.append(readable(output))
    return outputs


def readable(output: Output) -> Any:
    """Return an output with the message inside it."""
    match output:
        case Broadcast(payload=payload):
            return Told(decode(payload))
        case SendReply(_, name, payload):
            return Sent(name, decode(payload))
        case _:
            return output


def only(outputs: Iterable[Any], *kinds: type) -> list[Any]:
    """Return the outputs of some kinds."""
    return [output for output in outputs if isinstance(output, kinds)]


def wait(made: SerfEvents, until: float) -> list[Any]:
    """Let time pass, and return what was put out meanwhile."""
    outputs = []
    while (at := made.next_timeout()) is not None and at <= until:
        made.handle_timeout(at)
        outputs += drain(made)
    made.handle_timeout(until)
    return outputs + drain(made)
