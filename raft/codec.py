"""Messages and entries as bytes: a versioned msgpack array each.

Owns the mapping between `raft.messages` and bytes. Optional: the machine takes and gives messages,
and another codec may carry them. Knows nothing of sockets or frames: one call, one message.

A message is `[version, kind, to, source, term, fields...]`, fields in the order of its
constructor; entries are the columns of `raft.packing`. What a receiver does not know:
- a version or a kind: the message is refused. Whatever would be wrong to overlook needs one;
- elements behind the fields: they are ignored. A later release may append what can be lost;
- a value of an enumeration: the message is refused.

Nothing that bytes say is believed before it is there: no decoding allocates more than twenty times
what it is given, nor takes more time than is proportional, nor raises anything but
`DecodeError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgpack

from raft.entries import INDEX_MAX, Entries
from raft.errors import Drop, RaftError
from raft.membership.changes import ID_BYTES_MAX
from raft.membership.configuration import Configuration
from raft.messages import (
    KINDS,
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    Message,
    Propose,
    ProposeResponse,
    ReadIndex,
    ReadIndexResponse,
    Refusal,
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    TimeoutNow,
    TransferLeadership,
)
from raft.packing import (
    ENTRIES_COLUMNS,
    pack_entries,
    pack_strings,
    unpack_entries,
    unpack_strings,
)

VERSION: Final = 1
"""First element of every encoding. Whatever makes old receivers wrong raises it."""

MESSAGE_BYTES_MAX: Final = 64 * 2**20
"""Longer messages are not decoded unless told otherwise. Raise it for larger payloads."""

_ELEMENTS_MAX = 64
_PRIORITY_MAX = 2**31

# Numbers on the wire; new members go to the end.
_REFUSALS = (
    Refusal.NONE,
    Refusal.STALE_TERM,
    Refusal.VOTED,
    Refusal.LOG,
    Refusal.LEADER_ALIVE,
    Refusal.NOT_A_MEMBER,
    Refusal.PRIORITY,
    Refusal.REGRESSED,
    Refusal.LEASE,
)
_DROPS = (
    None,
    Drop.NOT_LEADER,
    Drop.NO_LEADER,
    Drop.TRANSFERRING,
    Drop.BACKLOG_FULL,
    Drop.TOO_LARGE,
    Drop.TOO_MANY,
    Drop.FORWARDING_OFF,
    Drop.DISK_BEHIND,
)


class DecodeError(RaftError):
    """Bytes that are not a message of this version.

    Attributes:
        reason: A short stable word for counters: `too-large`, `malformed`, `version`, `kind`,
            `field`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


# --- fields: how many elements each takes, and what makes one of them

_Pack: TypeAlias = Callable[[Any], tuple[Any, ...]]
_Unpack: TypeAlias = Callable[[Any], Any]


def _count(value: Any) -> int:
    """Return an index, a term or a size."""
    if type(value) is not int or not 0 <= value <= INDEX_MAX:
        raise ValueError(f"not a count: {value!r:.40}")
    return value


def _priority(value: Any) -> int:
    """Return a priority."""
    if type(value) is not int or not -_PRIORITY_MAX <= value <= _PRIORITY_MAX:
        raise ValueError(f"not a priority: {value!r:.40}")
    return value


def _flag(value: Any) -> bool:
    """Return a bool."""
    if type(value) is not bool:
        raise ValueError(f"not a bool: {value!r:.40}")
    return value


def _id(value: Any) -> str:
    """Return the id of a server."""
    if type(value) is not str or not 0 < len(value) <= ID_BYTES_MAX:
        raise ValueError(f"not an id: {value!r:.40}")
    return value


def _bytes(value: Any) -> bytes:
    """Return bytes."""
    if type(value) is not bytes:
        raise ValueError(f"not bytes: {value!r:.40}")
    return value


def _member_of(members: Sequence[Any]) -> _Unpack:
    """Return what makes a member of an enumeration of its number."""

    def unpack(value: Any) -> Any:
        if type(value) is not int or not 0 <= value < len(members):
            raise ValueError(f"an unknown number: {value!r:.40}")
        return members[value]

    return unpack


class _Field:
    """How a field travels: as one element, or as several, which `unpack` gets as a list."""

    __slots__ = ("pack", "size", "unpack")

    def __init__(self, unpack: _Unpack, size: int = 1, pack: _Pack | None = None) -> None:
        self.unpack = unpack
        self.size = size
        # None if the value is its own element.
        self.pack = pack


_COUNT = _Field(_count)
_PRIORITY = _Field(_priority)
_FLAG = _Field(_flag)
_ID = _Field(_id)
_CHUNK = _Field(_bytes)
_ENTRIES = _Field(unpack_entries, ENTRIES_COLUMNS, pack_entries)
_PAYLOADS = _Field(lambda columns: unpack_strings(*columns), 2, pack_strings)
_CONFIGURATION = _Field(
    lambda value: Configuration.decode(_bytes(value)), 1, lambda value: (value.encode(),)
)
_REFUSAL = _Field(_member_of(_REFUSALS), 1, lambda value: (_REFUSALS.index(value),))
_DROP = _Field(_member_of(_DROPS), 1, lambda value: (_DROPS.index(value),))

_HEAD = (_ID, _ID, _COUNT)
_FIELDS: dict[type[Message], tuple[_Field, ...]] = {
    AppendEntries: (_COUNT, _COUNT, _ENTRIES, _COUNT),
    AppendEntriesResponse: (_FLAG, _COUNT, _COUNT, _COUNT, _FLAG),
    Heartbeat: (_COUNT, _COUNT, _COUNT, _FLAG),
    HeartbeatResponse: (_COUNT,),
    RequestVote: (_COUNT, _COUNT, _COUNT, _COUNT, _PRIORITY, _FLAG),
    RequestVoteResponse: (_FLAG, _REFUSAL, _COUNT, _COUNT),
    RequestPreVote: (_COUNT, _COUNT, _COUNT, _COUNT, _PRIORITY),
    RequestPreVoteResponse: (_FLAG, _REFUSAL, _COUNT, _COUNT),
    InstallSnapshot: (_COUNT, _COUNT, _CONFIGURATION, _COUNT, _COUNT, _COUNT, _COUNT, _CHUNK),
    InstallSnapshotResponse: (_COUNT, _COUNT, _FLAG),
    TimeoutNow: (),
    TransferLeadership: (_ID,),
    ReadIndex: (_COUNT,),
    ReadIndexResponse: (_COUNT, _COUNT, _FLAG),
    Propose: (_COUNT, _PAYLOADS),
    ProposeResponse: (_COUNT, _COUNT, _COUNT, _DROP),
}


class _Layout:
    """How one kind of message travels."""

    __slots__ = ("get", "kind", "packs", "size", "unpacks", "wide")

    def __init__(self, kind: int, message: type[Message]) -> None:
        fields = (*_HEAD, *_FIELDS[message])
        self.kind = kind
        self.get: Callable[[Message], tuple[Any, ...]] = attrgetter(*message.fields)
        self.unpacks = [(at, field.unpack) for at, field in enumerate(fields, 2)]
        # From the end on, so that what takes several elements moves none that is still to come.
        backwards = list(enumerate(fields, 2))[::-1]
        self.packs = [(at, field.pack) for at, field in backwards if field.pack is not None]
        # Where fields of several elements begin and end among the elements of all.
        ends = [0, 1, *accumulate((field.size for field in fields), initial=2)]
        self.wide = [(ends[at], ends[at + 1]) for at, field in backwards if field.size > 1]
        self.size = ends[-1]


_LAYOUTS = {message: _Layout(kind, message) for kind, message in enumerate(KINDS)}
_BY_KIND = tuple(zip(KINDS, _LAYOUTS.values(), strict=True))


# --- messages


def encode(message: Message) -> bytes:
    """Return a message as bytes.

    >>> encode(TimeoutNow("n2", "n1", 7)).hex(" ")
    '95 01 0a a2 6e 32 a2 6e 31 07'
    """
    layout = _LAYOUTS[type(message)]
    elements = [VERSION, layout.kind, *layout.get(message)]
    for at, pack in layout.packs:
        elements[at : at + 1] = pack(elements[at])
    return _packed(elements)


def _packed(elements: Sequence[Any]) -> bytes:
    """Return elements as bytes, in half the time that `msgpack.packb` takes for a few."""
    data: bytes = msgpack.Packer().pack(elements)
    return data


def decode(data: bytes, *, size_max: int = MESSAGE_BYTES_MAX) -> Message:
    """Return the message that was encoded.

    Args:
        data: From a peer, of any content.
        size_max: What is longer is refused unread.

    Raises:
        DecodeError: It is no message of this version.
    """
    elements = _unpack(data, size_max)
    if len(elements) < 2:
        raise DecodeError("malformed", "no head of a message")
    kind = elements[1]
    if type(kind) is not int or not 0 <= kind < len(_BY_KIND):
        raise DecodeError("kind", f"{kind!r:.40}")
    make, layout = _BY_KIND[kind]
    if len(elements) < layout.size:
        raise DecodeError("malformed", f"{len(elements)} elements are too few")
    for begin, end in layout.wide:
        elements[begin:end] = [elements[begin:end]]
    try:
        values = []
        for at, unpack in layout.unpacks:
            values.append(unpack(elements[at]))
    except ValueError as error:
        raise DecodeError("field", str(error)) from None
    return make(*values)


def _unpack(data: bytes, size_max: int) -> list[Any]:
    """Return the elements of an encoding of this version."""
    if len(data) > size_max:
        raise DecodeError("too-large", f"{len(data)} bytes")
    try:
        elements = msgpack.unpackb(
            data,
            max_array_len=_ELEMENTS_MAX,
            max_map_len=_ELEMENTS_MAX,
            max_str_len=ID_BYTES_MAX,
            max_ext_len=0,
        )
    except (ValueError, TypeError) as error:
        raise DecodeError("malformed", f"{error}") from None
    if type(elements) is not list or not elements:
        raise DecodeError("malformed", "not an array")
    if type(elements[0]) is not int or elements[0] != VERSION:
        raise DecodeError("version", f"{elements[0]!r:.40}")
    return elements


# --- many messages, and entries alone


def encode_batch(messages: Iterable[tuple[str, Message]]) -> bytes:
    """Return messages of several groups to one server as bytes: one datagram or frame for all.

    Args:
        messages: Each with the name of its group, which is the driver's.
    """
    pairs = [(group.encode(), encode(message)) for group, message in messages]
    groups = pack_strings([group for group, _ in pairs])
    return _packed((VERSION, *groups, *pack_strings([data for _, data in pairs])))


def decode_batch(data: bytes, *, size_max: int = MESSAGE_BYTES_MAX) -> list[tuple[str, Message]]:
    """Return the messages of several groups, each with the name of its group.

    Args:
        data: From a peer, of any content.
        size_max: What is longer is refused unread.

    Raises:
        DecodeError: It is no batch of this version, or one of its messages is none.
    """
    elements = _unpack(data, size_max)
    try:
        _, group_lengths, group_names, lengths, blob, *_ = elements
        groups = [name.decode() for name in unpack_strings(group_lengths, group_names)]
        encoded = unpack_strings(lengths, blob)
        return [
            (group, decode(message, size_max=size_max))
            for group, message in zip(groups, encoded, strict=True)
        ]
    except ValueError as error:
        raise DecodeError("malformed", str(error)) from None


def encode_entries(entries: Entries) -> bytes:
    """Return entries as bytes, for a log of one's own."""
    return _packed((VERSION, *pack_entries(entries)))


def decode_entries(data: bytes, *, size_max: int = MESSAGE_BYTES_MAX) -> Entries:
    """Return the entries that were encoded.

    Raises:
        DecodeError: They are none of this version. Nothing unknown is passed over.
    """
    elements = _unpack(data, size_max)
    try:
        return unpack_entries(elements[1:])
    except ValueError as error:
        raise DecodeError("malformed", str(error)) from None
