"""What members say to each other: Serf's messages, decoded.

Owns their fields and type numbers; knows neither bytes (codec.py) nor what to do about them.
Slotted classes with a plain constructor, because each payload that arrives makes one; treat them
as immutable: equal bytes may share one object.

Source: serf/messages.go.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final, TypeAlias

from attrs import Factory, define, frozen

from serfevents.records import Address


class MessageType(IntEnum):
    """The first byte of a message."""

    LEAVE = 0
    JOIN = 1
    PUSH_PULL = 2
    USER_EVENT = 3
    QUERY = 4
    QUERY_RESPONSE = 5
    CONFLICT_RESPONSE = 6
    KEY_REQUEST = 7
    KEY_RESPONSE = 8
    RELAY = 9


class FilterType(IntEnum):
    """The first byte of a query's filter."""

    NODE = 0
    TAG = 1


class QueryFlag(IntFlag):
    """Flags of queries and their answers.

    `ACK` on a query asks every member that it concerns to say that it arrived; on an answer it
    says so. `NO_BROADCAST` asks members not to pass the query on.
    """

    ACK = 1
    NO_BROADCAST = 2


# Plain numbers, as every query and answer is tested: `&` of an IntFlag runs Python code.
FLAG_ACK: Final = QueryFlag.ACK.value
FLAG_NO_BROADCAST: Final = QueryFlag.NO_BROADCAST.value


@define
class JoinIntent:
    """A member means to be part of the cluster."""

    ltime: int
    node: str


@define
class LeaveIntent:
    """A member means to leave, or somebody declares that a failed one has left.

    Attributes:
        ltime: Lamport time of the member clock.
        node: Whom it concerns.
        prune: Whether it shall be forgotten altogether.
    """

    ltime: int
    node: str
    prune: bool = False


@define
class UserEvent:
    """An event of the application.

    Attributes:
        ltime: Lamport time of the event clock.
        name: What happened, for handlers to choose by.
        payload: The application's bytes.
        coalesce: Whether only the newest of a name matters.
    """

    ltime: int
    name: str
    payload: bytes
    coalesce: bool = False


@define
class Query:
    """A question to the cluster.

    Attributes:
        ltime: Lamport time of the query clock; with `id` the query's identity.
        id: A random number, u32.
        address: Where answers go; None if the bytes were no address.
        source: Who asks; empty from members that don't tell.
        filters: Encoded filters, all of which must match.
        flags: See `QueryFlag`.
        relay_factor: Members through which an answer is sent besides, 0 to 255.
        timeout: Seconds for which answers are taken, as the asker said; may be negative.
        name: What is asked; `_serf_*` are Serf's own.
        payload: The application's bytes.
    """

    ltime: int
    id: int
    address: Address | None
    source: str
    filters: tuple[bytes, ...]
    flags: int
    relay_factor: int
    timeout: float
    name: str
    payload: bytes


@define
class QueryResponse:
    """An answer to a query, or the word that it arrived.

    Attributes:
        ltime: That of the query.
        id: That of the query.
        source: Who answers.
        flags: `QueryFlag.ACK` if it only says that the query arrived.
        payload: The answer.
    """

    ltime: int
    id: int
    source: str
    flags: int
    payload: bytes


@define
class Relay:
    """An answer to be passed on.

    Attributes:
        address: Where to; None if the bytes were no address.
        name: Who lives there; empty if not told.
        message: What to pass on, type byte first.
    """

    address: Address | None
    name: str
    message: bytes


@frozen
class NodeFilter:
    """Only the named members are asked."""

    names: tuple[str, ...]


@frozen
class TagFilter:
    """Only members are asked whose tag matches the expression; a missing tag is empty."""

    tag: str
    expression: str


Filter: TypeAlias = NodeFilter | TagFilter


@frozen
class ConflictResponse:
    """Where the answering member believes a disputed name to be.

    Attributes:
        name: The disputed name.
        address: Where it is; None if the bytes were no address.
        tags: Its tags, as pairs.
        status: Serf's number of its status.
        versions: Protocol minimum, maximum, current; then those of the delegate.
    """

    name: str
    address: Address | None
    tags: tuple[tuple[str, str], ...] = ()
    status: int = 1
    versions: bytes = bytes(6)


@frozen
class KeyRequest:
    """A key to install, use or remove; empty to list them."""

    key: bytes


@frozen
class KeyResponse:
    """What one member did with its keyring.

    Attributes:
        result: Whether it worked.
        message: Why not, or a remark.
        keys: Its keys as base64, if it was asked to list them.
        primary_key: The one that it encrypts with, as base64; empty from old members.
    """

    result: bool
    message: str = ""
    keys: tuple[str, ...] = ()
    primary_key: str = ""


@define
class PushPull:
    """A member's whole view, exchanged from time to time.

    Attributes:
        ltime: Its member clock.
        status_ltimes: The newest intent that it knows of each member.
        left: Members that left.
        leaving: Members that mean to leave, with the intent in `status_ltimes`; Serf's own members
            don't tell.
        event_ltime: Its event clock.
        events: What its event buffer holds, in any order.
        query_ltime: Its query clock.
    """

    ltime: int = 0
    status_ltimes: dict[str, int] = Factory(dict)
    left: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    event_ltime: int = 0
    events: tuple[UserEvent, ...] = ()
    query_ltime: int = 0
