"""Messages and their bytes, type byte included: probes, gossip, errors, the compression envelope.

Written as HashiCorp's encoder does: fields in alphabetical order, raw family, nil for no bytes.
Read liberally (dialect.py) but bounded. Knows nothing of packets (packet.py) or streams
(streams.py), nor of what a message means.

Gossip arrives many times over, so each distinct message is decoded once: a bounded memo maps its
bytes to its object. That is a pure function remembered, and it makes nodes that agree share one
immutable record, in one process as in a simulator of thousands.

Stricter than upstream: an address must be 4 or 16 bytes, and an indirect ping must have one; a
member's name must be 1 to `NAME_SIZE_MAX` bytes, its state one of the four, its versions none or
six (more are cut; one to five crash a memberlist 0.2.2, so they are never passed on).
Written otherwise than upstream might: empty payloads and metadata are nil, IPv4 is 4 bytes, and
lengths are unsigned. No versions are nil as well: zeros would make peers ignore the member.

Source: memberlist `net.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Final, Generic, TypeVar

from memberlist.dialect import (
    NIL,
    U16_MAX,
    U32_MAX,
    Fields,
    decode_fields,
    encode_raw,
    encode_text,
    encode_uint,
    take_bool,
    take_raw,
    take_text,
    take_uint,
)
from memberlist.errors import DecodeError
from memberlist.lzw import compress, decompress
from memberlist.messages import (
    Ack,
    Dead,
    ErrorReply,
    IndirectPing,
    MessageType,
    Nack,
    Ping,
    Suspect,
)
from memberlist.node import (
    ALIVE,
    NAME_SIZE_MAX,
    Address,
    Node,
    NodeState,
    pack_ip,
    unpack_ip,
)

Value = TypeVar("Value")

#: Entries in each of a memo's two generations, and the largest key in bytes.
MEMO_SIZE: Final = 16384
MEMO_KEY_SIZE_MAX: Final = 1152  # a member with the largest name and metadata takes 1100
#: Pings are remembered up to this size: what a stranger's names may cost.
_PING_KEY_SIZE_MAX: Final = 512
VERSIONS_SIZE: Final = 6

#: How every entry of a push/pull begins when its fields are in order.
NODE_STATE_PREFIX: Final = b"\x87\xa4Addr"
_COMPRESSED_PREFIX: Final = b"\x82\xa4Algo\x00\xa3Buf"
_ACK_PREFIX: Final = b"\x02\x82\xa7Payload"
_EMPTY_ACK_PREFIX: Final = b"\x02\x82\xa7Payload\xc0\xa5SeqNo"
_NACK_PREFIX: Final = b"\x0b\x81\xa5SeqNo"
_STATES: Final = tuple(NodeState)


class Memo(Generic[Value]):
    """A bounded memory of a pure function from bytes: what is asked for stays.

    Two dicts take turns: when the recent one is full it becomes the older one, and what is found
    in the older one moves up. Looking up `recent` alone is the fast path.

    Attributes:
        recent: The newest entries; read only, replaced when full.
    """

    __slots__ = ("_older", "_size", "recent")

    def __init__(self, size: int) -> None:
        self._size = size
        self.recent: dict[bytes, Value] = {}
        self._older: dict[bytes, Value] = {}

    def get(self, key: bytes) -> Value | None:
        """Return the value that is remembered for `key`, or None."""
        value = self.recent.get(key)
        if value is None:
            value = self._older.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Remember a value; keys above `MEMO_KEY_SIZE_MAX` bytes are not worth it."""
        if len(key) <= MEMO_KEY_SIZE_MAX:
            if len(self.recent) >= self._size:
                self._older = self.recent
                self.recent = {}
            self.recent[key] = value


_gossip: Final[Memo[Node | Suspect | Dead]] = Memo(MEMO_SIZE)
_ping_heads: Final[Memo[str]] = Memo(MEMO_SIZE)
_ping_tails: Final[Memo[tuple[Address, str]]] = Memo(MEMO_SIZE)
#: Entries of push/pulls without `NODE_STATE_PREFIX`, and the records that they stand for.
known_node_states: Final[Memo[Node]] = Memo(MEMO_SIZE)


# --- gossip ----------------------------------------------------------------------------------


def decode_gossip(data: bytes) -> Node | Suspect | Dead:
    """Return an alive message's node, or a suspect or dead message; equal bytes, same object.

    Raises:
        DecodeError: `unknown-type`, `malformed`, `too-large`, `bad-field`, `bad-name`,
            `bad-address` or `bad-versions`.
    """
    found = _gossip.recent.get(data)
    if found is not None:
        return found
    found = _gossip.get(data)
    if found is None:
        decode = _GOSSIP_DECODERS.get(data[0]) if data else None
        if decode is None:
            raise DecodeError("unknown-type", "not a gossip message")
        found = decode(decode_fields(data[1:]))
        if type(found) is Node:
            # What is told on are these very bytes, if they are as we would write them.
            wire = _alive(found)
            found.wire = data if wire == data else wire
        _gossip.put(data, found)
    return found


def intern(node: Node) -> Node:
    """Return the record that all decoded alive messages equal to `node` share."""
    if node.state != ALIVE:
        return node
    wire = node.wire
    if wire is None:
        wire = node.wire = _alive(node)
    known = _gossip.get(wire)
    if isinstance(known, Node):
        return known
    _gossip.put(wire, node)
    return node


def encode_alive(node: Node) -> bytes:
    """Return `node` as an alive message, whatever its state; kept in `node.wire`.

    Raises:
        ValueError: Its incarnation, port or versions don't fit the wire.
    """
    wire = node.wire
    if wire is None:
        wire = node.wire = _alive(node)
        intern(node)
    return wire


def encode_suspect(incarnation: int, node: str, sender: str) -> bytes:
    """Return a suspect message of `sender` about `node`."""
    return _accusation(b"\x03\x83\xa4From", incarnation, node, sender)


def encode_dead(incarnation: int, node: str, sender: str) -> bytes:
    """Return a dead message of `sender` about `node`; about itself it means that it leaves."""
    return _accusation(b"\x05\x83\xa4From", incarnation, node, sender)


_ALIVE_FIELDS: Final = itemgetter(b"Addr", b"Incarnation", b"Meta", b"Node", b"Port", b"Vsn")
_STATE_FIELDS: Final = itemgetter(b"Addr", b"Incarnation", b"Meta", b"Name", b"Port", b"Vsn")


def node_from_fields(fields: Fields, name_key: bytes, state: NodeState) -> Node:
    """Return the member that an alive message or a push/pull entry describes.

    Fields that are all there, as peers write them with IPv4, take one look; a push/pull has
    thousands of them. All others take the careful way to the same rules.

    Args:
        fields: Of either.
        name_key: What the field of its name is called there: `Node` or `Name`.
        state: The member's state.

    Raises:
        DecodeError: `bad-field`, `bad-name`, `bad-address` or `bad-versions`.
    """
    values = _ALIVE_FIELDS if name_key == b"Node" else _STATE_FIELDS
    try:
        ip, incarnation, meta, name, port, versions = values(fields)
    except KeyError:
        return _any_member(fields, name_key, state)
    if meta is None:
        meta = b""
    if (
        type(ip) is bytes
        and len(ip) == 4
        and type(incarnation) is int
        and 0 <= incarnation <= U32_MAX
        and type(meta) is bytes
        and type(name) is bytes
        and 0 < len(name) <= NAME_SIZE_MAX
        and type(port) is int
        and 0 <= port <= U16_MAX
        and type(versions) is bytes
        and len(versions) == VERSIONS_SIZE
    ):
        text = name.decode("utf-8", "surrogateescape")
        address = (unpack_ip(ip), port)
        return Node(text, address, meta, _shared(versions), incarnation, state, ip)
    return _any_member(fields, name_key, state)


@lru_cache(maxsize=256)
def _shared(versions: bytes) -> bytes:
    """Return one object for equal versions: a cluster has few, and each member some."""
    return versions


def _any_member(fields: Fields, name_key: bytes, state: NodeState) -> Node:
    name = take_raw(fields, name_key)
    if not 0 < len(name) <= NAME_SIZE_MAX:
        raise DecodeError("bad-name", f"a name of {len(name)} bytes")
    versions = take_raw(fields, b"Vsn")
    if 0 < len(versions) < VERSIONS_SIZE:
        raise DecodeError("bad-versions", f"{len(versions)} bytes instead of six")
    return Node(
        name.decode("utf-8", "surrogateescape"),
        (unpack_ip(take_raw(fields, b"Addr")), take_uint(fields, b"Port", U16_MAX)),
        take_raw(fields, b"Meta"),
        versions[:VERSIONS_SIZE],
        take_uint(fields, b"Incarnation", U32_MAX),
        state,
    )


def _alive_of(fields: Fields) -> Node:
    return node_from_fields(fields, b"Node", ALIVE)


def _suspect_of(fields: Fields) -> Suspect:
    return Suspect(*_accusation_of(fields))


def _dead_of(fields: Fields) -> Dead:
    return Dead(*_accusation_of(fields))


def _accusation_of(fields: Fields) -> tuple[int, str, str]:
    node, sender = take_raw(fields, b"Node"), take_raw(fields, b"From")
    if not 0 < len(node) <= NAME_SIZE_MAX:
        raise DecodeError("bad-name", f"a name of {len(node)} bytes")
    if len(sender) > NAME_SIZE_MAX:  # It is kept as long as a suspicion runs.
        raise DecodeError("bad-name", f"an accuser's name of {len(sender)} bytes")
    return (
        take_uint(fields, b"Incarnation", U32_MAX),
        node.decode("utf-8", "surrogateescape"),
        sender.decode("utf-8", "surrogateescape"),
    )


_GOSSIP_DECODERS: Final[dict[int, Callable[[Fields], Node | Suspect | Dead]]] = {
    MessageType.SUSPECT: _suspect_of,
    MessageType.ALIVE: _alive_of,
    MessageType.DEAD: _dead_of,
}


def _alive(node: Node) -> bytes:
    return b"".join(
        (
            b"\x04\x86\xa4Addr",
            encode_raw(node.ip),
            b"\xabIncarnation",
            encode_uint(node.incarnation),
            b"\xa4Meta",
            encode_raw(node.meta) if node.meta else NIL,
            b"\xa4Node",
            encode_text(node.name),
            b"\xa4Port",
            encode_uint(node.address[1]),
            b"\xa3Vsn",
            _versions(node),
        )
    )


def _versions(node: Node) -> bytes:
    versions = node.versions
    if len(versions) == VERSIONS_SIZE:
        return b"\xa6" + versions
    if versions:
        raise ValueError(f"versions are none or six bytes, not {len(versions)}")
    return NIL


def _accusation(prefix: bytes, incarnation: int, node: str, sender: str) -> bytes:
    return b"".join(
        (
            prefix,
            encode_text(sender),
            b"\xabIncarnation",
            encode_uint(incarnation),
            b"\xa4Node",
            encode_text(node),
        )
    )


# --- entries of a push/pull ------------------------------------------------------------------


def encode_node_state(node: Node) -> bytes:
    """Return `node` as an entry of a push/pull; kept in `node.wire_state`.

    Raises:
        ValueError: Its incarnation, port or versions don't fit the wire.
    """
    entry = node.wire_state
    if entry is None:
        entry = node.wire_state = b"".join(
            (
                NODE_STATE_PREFIX,
                encode_raw(node.ip),
                b"\xabIncarnation",
                encode_uint(node.incarnation),
                b"\xa4Meta",
                encode_raw(node.meta) if node.meta else NIL,
                b"\xa4Name",
                encode_text(node.name),
                b"\xa4Port",
                encode_uint(node.address[1]),
                b"\xa5State",
                encode_uint(node.state),
                b"\xa3Vsn",
                _versions(node),
            )
        )
        # What others tell about a member in the same words is then known as this very record.
        known_node_states.put(entry[len(NODE_STATE_PREFIX) :], node)
    return entry


def decode_node_state(entry: bytes) -> Node:
    """Return the member that one whole entry of a push/pull describes.

    Raises:
        DecodeError: `malformed` if it isn't exactly one map; else, as for an alive message, what
            makes it no member, or `bad-state`.
    """
    if entry.startswith(NODE_STATE_PREFIX):
        return decode_ordered_node_state(entry[len(NODE_STATE_PREFIX) :])
    return _state_of(decode_fields(entry, exact=True))


def decode_ordered_node_state(rest: bytes) -> Node:
    """Return the member that `NODE_STATE_PREFIX` and `rest` describe; equal bytes, same object.

    Raises:
        DecodeError: As `decode_node_state`.
    """
    node = known_node_states.get(rest)
    if node is None:
        node = _state_of(decode_fields(NODE_STATE_PREFIX + rest, exact=True))
        known_node_states.put(rest, node)
    return node


def _state_of(fields: Fields) -> Node:
    number = fields.get(b"State")
    if number is None:
        number = 0
    if type(number) is not int or not 0 <= number < len(_STATES):
        # Never its repr: nesting that a decoder takes can be too deep for it.
        what = number if type(number) is int else f"of type {type(number).__name__}"
        raise DecodeError("bad-state", f"there is no state {what}")
    return node_from_fields(fields, b"Name", _STATES[number])


# --- probes ----------------------------------------------------------------------------------


def encode_ping(sequence: int, node: str, source: Address | None, source_name: str) -> bytes:
    """Return a ping; without `source` or `source_name` their fields are left out."""
    sources, tail = _source_fields(source, source_name)
    return _ping_head(node, sources) + encode_uint(sequence) + tail


@lru_cache(maxsize=MEMO_SIZE)
def _ping_head(node: str, sources: int) -> bytes:
    return b"\x00" + bytes([0x82 + sources]) + b"\xa4Node" + encode_text(node) + b"\xa5SeqNo"


@lru_cache(maxsize=MEMO_SIZE)
def _source_fields(source: Address | None, source_name: str) -> tuple[int, bytes]:
    """Return how many of a probe's source fields are told, and their bytes but for the target."""
    fields = []
    if source is not None:
        fields.append(b"\xaaSourceAddr" + encode_raw(pack_ip(source[0])))
    if source_name:
        fields.append(b"\xaaSourceNode" + encode_text(source_name))
    if source is not None:
        fields.append(b"\xaaSourcePort" + encode_uint(source[1]))
    return len(fields), b"".join(fields)


def decode_ping(data: bytes) -> Ping:
    """Return a ping.

    A prober's pings to us differ in their sequence number only, so what is in front and what is
    behind it is looked up where the fields are in order.

    Raises:
        DecodeError: `malformed`, `too-large`, `bad-field` or `bad-address`.
    """
    # Type, map header, "Node" and its fixraw are 7 + 1 bytes; "SeqNo" is 6 more.
    at = data[7] - 0xA0 + 14 if len(data) > 7 else 0
    name = _ping_heads.recent.get(data[:at])
    if name is not None:
        sequence, end = _uint_at(data, at)
        tail = _ping_tails.recent.get(data[end:])
        if tail is not None:
            return Ping(sequence, name, tail[0], tail[1])
    return _decode_ping(data)


def _uint_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned integer at an offset and where it ends; the end is 0 if there is none."""
    first = data[at] if at < len(data) else 0xFF
    if first < 0x80:
        return first, at + 1
    size = _UINT_SIZES.get(first, 0)
    end = at + 1 + size
    if not size or end > len(data):
        return 0, 0
    return int.from_bytes(data[at + 1 : end], "big"), end


_UINT_SIZES: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4}


def _decode_ping(data: bytes) -> Ping:
    fields = decode_fields(data[1:])
    ping = Ping(
        take_uint(fields, b"SeqNo", U32_MAX),
        take_text(fields, b"Node"),
        _source(fields),
        take_text(fields, b"SourceNode"),
    )
    source = ping.source
    # One number of fields only, so that a head fits every tail. Small ones only: see the memos.
    usual = ping.source_name and len(ping.node) < 32 and len(data) <= _PING_KEY_SIZE_MAX
    if source is not None and usual:
        sources, tail = _source_fields(source, ping.source_name)
        head = _ping_head(ping.node, sources)
        if data == head + encode_uint(ping.sequence) + tail:
            _ping_heads.put(head, ping.node)
            _ping_tails.put(tail, (source, ping.source_name))
    return ping


def _source(fields: Fields) -> Address | None:
    """Return where to answer, or None if address or port are not told."""
    packed = take_raw(fields, b"SourceAddr")
    port = take_uint(fields, b"SourcePort", U16_MAX)
    source = (unpack_ip(packed), port) if packed else None
    return source if port else None


def encode_indirect_ping(message: IndirectPing) -> bytes:
    """Return an indirect ping; without a source its fields are left out."""
    count, source = _source_fields(message.source, message.source_name)
    host, port = message.target
    return b"".join(
        (
            b"\x01",
            bytes([0x85 + count]),
            b"\xa4Nack\xc3" if message.nack else b"\xa4Nack\xc2",
            b"\xa4Node",
            encode_text(message.node),
            b"\xa4Port",
            encode_uint(port),
            b"\xa5SeqNo",
            encode_uint(message.sequence),
            source,
            b"\xa6Target",
            encode_raw(pack_ip(host)),
        )
    )


def decode_indirect_ping(data: bytes) -> IndirectPing:
    """Return an indirect ping.

    Raises:
        DecodeError: `malformed`, `too-large`, `bad-field` or `bad-address`.
    """
    fields = decode_fields(data[1:])
    return IndirectPing(
        take_uint(fields, b"SeqNo", U32_MAX),
        take_text(fields, b"Node"),
        (unpack_ip(take_raw(fields, b"Target")), take_uint(fields, b"Port", U16_MAX)),
        take_bool(fields, b"Nack"),
        _source(fields),
        take_text(fields, b"SourceNode"),
    )


def encode_ack(sequence: int, payload: bytes) -> bytes:
    """Return an ack; an empty payload is nil, as upstream's relayed acks have it."""
    if not payload:
        return _EMPTY_ACK_PREFIX + encode_uint(sequence)
    return _ACK_PREFIX + encode_raw(payload) + b"\xa5SeqNo" + encode_uint(sequence)


def decode_ack(data: bytes) -> Ack:
    """Return an ack.

    Raises:
        DecodeError: `malformed`, `too-large` or `bad-field`.
    """
    # What the detector waits for: no payload, fields in order.
    if data.startswith(_EMPTY_ACK_PREFIX) and len(data) > 17:
        first = data[17]
        if first < 0x80:
            return Ack(first)
        end = 18 + _UINT_SIZES.get(first, 0)
        if 18 < end <= len(data):
            return Ack(int.from_bytes(data[18:end], "big"))
    fields = decode_fields(data[1:])
    return Ack(take_uint(fields, b"SeqNo", U32_MAX), take_raw(fields, b"Payload"))


def encode_nack(sequence: int) -> bytes:
    """Return a nack."""
    return _NACK_PREFIX + encode_uint(sequence)


def decode_nack(data: bytes) -> Nack:
    """Return a nack.

    Raises:
        DecodeError: `malformed`, `too-large` or `bad-field`.
    """
    return Nack(take_uint(decode_fields(data[1:]), b"SeqNo", U32_MAX))


# --- errors and compression ------------------------------------------------------------------


def encode_user(payload: bytes) -> bytes:
    """Return the application's bytes as a message of a packet."""
    return b"\x08" + payload


def encode_error(text: str) -> bytes:
    """Return an error reply."""
    return b"\x0d\x81\xa5Error" + encode_text(text)


def decode_error(data: bytes) -> ErrorReply:
    """Return an error reply.

    Raises:
        DecodeError: `malformed`, `too-large` or `bad-field`.
    """
    return ErrorReply(take_text(decode_fields(data[1:]), b"Error"))


def encode_compressed(message: bytes) -> bytes:
    """Return `message` (type byte included) compressed in its envelope, even if that is longer."""
    return b"\x09" + _COMPRESSED_PREFIX + encode_raw(compress(message))


def decode_compressed(data: bytes, limit: int) -> bytes:
    """Return the message inside an envelope; at most `limit` bytes, perhaps none.

    An envelope whose fields are in order is read without building it, so it may have any size;
    others only up to `MESSAGE_SIZE_MAX`.

    Raises:
        DecodeError: `malformed`, `bad-field`, `truncated`, `bad-compression` or `too-large`.
    """
    if data.startswith(_COMPRESSED_PREFIX, 1):
        begin, end = _raw_at(data, 1 + len(_COMPRESSED_PREFIX))
        if begin:
            return decompress(data[begin:end], limit)
    fields = decode_fields(data[1:])
    algorithm = take_uint(fields, b"Algo", 255)
    if algorithm:
        raise DecodeError("bad-compression", f"there is no algorithm {algorithm}")
    return decompress(take_raw(fields, b"Buf"), limit)


def _raw_at(data: bytes, at: int) -> tuple[int, int]:
    """Return where the raw value at an offset begins and ends; 0 and 0 if there is none."""
    first = data[at] if at < len(data) else 0
    size = {0xDA: 2, 0xDB: 4}.get(first, 0)
    if not size and not 0xA0 <= first < 0xC0:
        return 0, 0
    begin = at + 1 + size
    length = int.from_bytes(data[at + 1 : begin], "big") if size else first - 0xA0
    return (begin, begin + length) if begin + length <= len(data) else (0, 0)
