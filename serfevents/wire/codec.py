"""Bytes to messages and back: what Serf writes behind memberlist's type byte of user messages.

Owns the layout of each message. Knows nothing of rules: what is well-formed is decoded, whatever
it says. A decoder takes the whole payload, type byte included; what gossip repeats is decoded once
(a bounded memo keyed by the bytes is a pure function).

Push/pull states are in states.py; tags, which travel in memberlist's metadata, in ../tags.py.

Source: serf/messages.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeVar

from serfevents.errors import DecodeError
from serfevents.members import Member, pack_ip, unpack_ip
from serfevents.records import Address
from serfevents.wire.dialect import (
    INT_MAX,
    NIL,
    U8_MAX,
    U16_MAX,
    U32_MAX,
    U64_MAX,
    decode_fields,
    decode_fields_and_rest,
    decode_value,
    encode_array,
    encode_bool,
    encode_bytes,
    encode_map,
    encode_raw,
    encode_text,
    encode_uint,
    take_bool,
    take_int,
    take_list,
    take_raw,
    take_text,
    take_uint,
    to_bytes,
    to_text,
)
from serfevents.wire.messages import (
    ConflictResponse,
    Filter,
    FilterType,
    JoinIntent,
    KeyRequest,
    KeyResponse,
    LeaveIntent,
    MessageType,
    NodeFilter,
    Query,
    QueryResponse,
    Relay,
    TagFilter,
    UserEvent,
)

#: Most filters of one query.
FILTERS_MAX: Final = 128

#: Larger payloads are not remembered with what they decode to.
MEMO_SIZE_MAX: Final = 2048

_NANOSECONDS: Final = 1_000_000_000

_T = TypeVar("_T")


def _remembered(decode: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Decode equal payloads once: gossip brings each many times, and to many machines of a test."""
    memo = lru_cache(maxsize=4096)(decode)

    def remembering(payload: bytes) -> _T:
        return memo(payload) if len(payload) <= MEMO_SIZE_MAX else decode(payload)

    return remembering


# --- decoding --------------------------------------------------------------------------------


def _decode_join(payload: bytes) -> JoinIntent:
    fields = decode_fields(payload[1:])
    return JoinIntent(take_uint(fields, b"LTime", U64_MAX), take_text(fields, b"Node"))


def _decode_leave(payload: bytes) -> LeaveIntent:
    fields = decode_fields(payload[1:])
    return LeaveIntent(
        take_uint(fields, b"LTime", U64_MAX),
        take_text(fields, b"Node"),
        take_bool(fields, b"Prune"),
    )


def _decode_user_event(payload: bytes) -> UserEvent:
    fields = decode_fields(payload[1:])
    return UserEvent(
        take_uint(fields, b"LTime", U64_MAX),
        take_text(fields, b"Name"),
        take_raw(fields, b"Payload"),
        take_bool(fields, b"CC"),
    )


def _decode_query(payload: bytes) -> Query:
    fields = decode_fields(payload[1:])
    filters = take_list(fields, b"Filters")
    if len(filters) > FILTERS_MAX:
        raise DecodeError("too-large", f"a query with {len(filters)} filters")
    timeout = take_int(fields, b"Timeout", -INT_MAX - 1, INT_MAX)
    return Query(
        take_uint(fields, b"LTime", U64_MAX),
        take_uint(fields, b"ID", U32_MAX),
        _address(take_raw(fields, b"Addr"), take_uint(fields, b"Port", U16_MAX)),
        take_text(fields, b"SourceNode"),
        tuple(to_bytes(each, "a filter") for each in filters),
        take_uint(fields, b"Flags", U32_MAX),
        take_uint(fields, b"RelayFactor", U8_MAX),
        timeout / _NANOSECONDS,
        take_text(fields, b"Name"),
        take_raw(fields, b"Payload"),
    )


decode_join = _remembered(_decode_join)
decode_leave = _remembered(_decode_leave)
decode_user_event = _remembered(_decode_user_event)
decode_query = _remembered(_decode_query)


def decode_query_response(payload: bytes) -> QueryResponse:
    """Return an answer to a query.

    Raises:
        DecodeError: It is none.
    """
    fields = decode_fields(payload[1:])
    return QueryResponse(
        take_uint(fields, b"LTime", U64_MAX),
        take_uint(fields, b"ID", U32_MAX),
        take_text(fields, b"From"),
        take_uint(fields, b"Flags", U32_MAX),
        take_raw(fields, b"Payload"),
    )


def decode_relay(payload: bytes) -> Relay:
    """Return what shall be passed on, and where to.

    Raises:
        DecodeError: It is no such message.
    """
    fields, message = decode_fields_and_rest(payload[1:])
    to = fields.get(b"DestAddr")
    if to is None:
        to = {}
    if type(to) is not dict:
        raise DecodeError("bad-field", "DestAddr is not a map")
    # Signed on the wire: Go's net.UDPAddr has an int.
    port = take_int(to, b"Port", -INT_MAX - 1, INT_MAX)
    address = _address(take_raw(to, b"IP"), port)
    return Relay(address, take_text(fields, b"DestName"), message)


def decode_filter(blob: bytes) -> Filter:
    """Return one filter of a query.

    Raises:
        DecodeError: It is none, or of a type that isn't known: nobody matches it.
    """
    kind = blob[0] if blob else -1
    if kind == FilterType.NODE:
        value, _ = decode_value(blob[1:])
        if type(value) is not list:
            raise DecodeError("malformed", "a filter without names")
        return NodeFilter(tuple(to_text(name, "a name") for name in value))
    if kind == FilterType.TAG:
        fields = decode_fields(blob[1:])
        return TagFilter(take_text(fields, b"Tag"), take_text(fields, b"Expr"))
    raise DecodeError("unknown-filter", f"a filter of type {kind}")


_VERSIONS = (
    b"ProtocolMin",
    b"ProtocolMax",
    b"ProtocolCur",
    b"DelegateMin",
    b"DelegateMax",
    b"DelegateCur",
)


def decode_conflict_response(payload: bytes) -> ConflictResponse:
    """Return where a member believes a name to be; the name is empty if it doesn't know it.

    Raises:
        DecodeError: It is no such message.
    """
    if payload[:1] != _CONFLICT_RESPONSE:
        raise DecodeError("unknown-type", "not the answer to a conflict")
    fields = decode_fields(payload[1:])
    tags = fields.get(b"Tags")
    if tags is None:
        tags = {}
    if type(tags) is not dict:
        raise DecodeError("bad-field", "Tags is not a map")
    return ConflictResponse(
        take_text(fields, b"Name"),
        _address(take_raw(fields, b"Addr"), take_uint(fields, b"Port", U16_MAX)),
        tuple((to_text(key, "a tag"), to_text(value, "a tag")) for key, value in tags.items()),
        take_int(fields, b"Status", 0, U8_MAX),
        bytes(take_uint(fields, key, U8_MAX) for key in _VERSIONS),
    )


def decode_key_request(payload: bytes) -> KeyRequest:
    """Return the key of a key query.

    Raises:
        DecodeError: It is no such message.
    """
    if payload[:1] != _KEY_REQUEST:
        raise DecodeError("unknown-type", "not a key")
    return KeyRequest(take_raw(decode_fields(payload[1:]), b"Key"))


def decode_key_response(payload: bytes) -> KeyResponse:
    """Return what a member did with its keyring.

    Raises:
        DecodeError: It is no such message.
    """
    if payload[:1] != _KEY_RESPONSE:
        raise DecodeError("unknown-type", "not the answer to a key query")
    fields = decode_fields(payload[1:])
    return KeyResponse(
        take_bool(fields, b"Result"),
        take_text(fields, b"Message"),
        tuple(to_text(key, "a key") for key in take_list(fields, b"Keys")),
        take_text(fields, b"PrimaryKey"),
    )


def _address(packed: bytes, port: int) -> Address | None:
    """Return an endpoint, or None if nobody can be there."""
    if len(packed) not in (4, 16) or not any(packed) or not 0 < port <= U16_MAX:
        return None
    return unpack_ip(packed), port


# --- encoding --------------------------------------------------------------------------------


_LEAVE = bytes([MessageType.LEAVE])
_JOIN = bytes([MessageType.JOIN])
_USER_EVENT = bytes([MessageType.USER_EVENT])
_QUERY = bytes([MessageType.QUERY])
_QUERY_RESPONSE = bytes([MessageType.QUERY_RESPONSE])
_CONFLICT_RESPONSE = bytes([MessageType.CONFLICT_RESPONSE])
_KEY_REQUEST = bytes([MessageType.KEY_REQUEST])
_KEY_RESPONSE = bytes([MessageType.KEY_RESPONSE])
_RELAY = bytes([MessageType.RELAY])


def encode_join(intent: JoinIntent) -> bytes:
    """Return a join intent as bytes."""
    return _JOIN + encode_map(
        [("LTime", encode_uint(intent.ltime)), ("Node", encode_text(intent.node))]
    )


def encode_leave(intent: LeaveIntent) -> bytes:
    """Return a leave intent as bytes."""
    return _LEAVE + encode_map(
        [
            ("LTime", encode_uint(intent.ltime)),
            ("Node", encode_text(intent.node)),
            ("Prune", encode_bool(intent.prune)),
        ]
    )


def encode_user_event(event: UserEvent) -> bytes:
    """Return a user event as bytes."""
    return _USER_EVENT + encode_map(
        [
            ("CC", encode_bool(event.coalesce)),
            ("LTime", encode_uint(event.ltime)),
            ("Name", encode_text(event.name)),
            ("Payload", encode_bytes(event.payload)),
        ]
    )


def encode_query(query: Query) -> bytes:
    """Return a query as bytes; its timeout must not be negative."""
    host, port = query.address or ("", 0)
    filters = encode_array(map(encode_raw, query.filters)) if query.filters else NIL
    return _QUERY + encode_map(
        [
            ("Addr", encode_bytes(pack_ip(host) if host else b"")),
            ("Filters", filters),
            ("Flags", encode_uint(query.flags)),
            ("ID", encode_uint(query.id)),
            ("LTime", encode_uint(query.ltime)),
            ("Name", encode_text(query.name)),
            ("Payload", encode_bytes(query.payload)),
            ("Port", encode_uint(port)),
            ("RelayFactor", encode_uint(query.relay_factor)),
            ("SourceNode", encode_text(query.source)),
            ("Timeout", encode_uint(nanoseconds(query.timeout))),
        ]
    )


def nanoseconds(seconds: float) -> int:
    """Return a duration as the wire has it, at most Go's longest."""
    return min(math.floor(seconds * _NANOSECONDS + 0.5), INT_MAX)


def encode_query_response(response: QueryResponse) -> bytes:
    """Return an answer to a query as bytes."""
    return _QUERY_RESPONSE + encode_map(
        [
            ("Flags", encode_uint(response.flags)),
            ("From", encode_text(response.source)),
            ("ID", encode_uint(response.id)),
            ("LTime", encode_uint(response.ltime)),
            ("Payload", encode_bytes(response.payload)),
        ]
    )


def encode_relay(relay: Relay) -> bytes:
    """Return as bytes what somebody else shall pass on."""
    host, port = relay.address or ("", 0)
    to = [
        ("IP", encode_bytes(pack_ip(host) if host else b"")),
        ("Port", encode_uint(port)),
        ("Zone", encode_text("")),
    ]
    fields = [("DestAddr", encode_map(to)), ("DestName", encode_text(relay.name))]
    return _RELAY + encode_map(fields) + relay.message


def encode_filter(each: Filter) -> bytes:
    """Return one filter as bytes."""
    if isinstance(each, NodeFilter):
        return bytes([FilterType.NODE]) + encode_array(map(encode_text, each.names))
    fields = [("Expr", encode_text(each.expression)), ("Tag", encode_text(each.tag))]
    return bytes([FilterType.TAG]) + encode_map(fields)


def encode_conflict_response(response: ConflictResponse | None) -> bytes:
    """Return as bytes where we believe a name to be; None if we don't know it."""
    if response is None:
        return _CONFLICT_RESPONSE + NIL
    host, port = response.address or ("", 0)
    low, high, current, delegate_low, delegate_high, delegate_current = response.versions
    return _CONFLICT_RESPONSE + encode_map(
        [
            ("Addr", encode_bytes(pack_ip(host) if host else b"")),
            ("DelegateCur", encode_uint(delegate_current)),
            ("DelegateMax", encode_uint(delegate_high)),
            ("DelegateMin", encode_uint(delegate_low)),
            ("Name", encode_text(response.name)),
            ("Port", encode_uint(port)),
            ("ProtocolCur", encode_uint(current)),
            ("ProtocolMax", encode_uint(high)),
            ("ProtocolMin", encode_uint(low)),
            ("Status", encode_uint(response.status)),
            ("Tags", encode_pairs(response.tags)),
        ]
    )


def conflict_response_of(member: Member) -> ConflictResponse:
    """Return what we tell of a member whose name is disputed."""
    versions = member.versions if len(member.versions) == 6 else bytes(6)
    tags = tuple(member.tags.items())
    return ConflictResponse(member.name, member.address, tags, int(member.status), versions)


def encode_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return a map of texts as bytes, in the order given."""
    return encode_map((key, encode_text(value)) for key, value in pairs)


def encode_key_request(request: KeyRequest) -> bytes:
    """Return the payload of a key query; an empty key is an empty raw, as Serf writes it."""
    return _KEY_REQUEST + encode_map([("Key", encode_raw(request.key))])


def encode_key_response(response: KeyResponse) -> bytes:
    """Return as bytes what we did with our keyring."""
    keys = encode_array(map(encode_text, response.keys)) if response.keys else NIL
    return _KEY_RESPONSE + encode_map(
        [
            ("Keys", keys),
            ("Message", encode_text(response.message)),
            ("PrimaryKey", encode_text(response.primary_key)),
            ("Result", encode_bool(response.result)),
        ]
    )
