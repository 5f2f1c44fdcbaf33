"""Every byte that HashiCorp's library and real Serf agents wrote, read and written again.

`vectors/memberlist.json` and `lzw.json` were made by the newest library, `capture.json` holds
whole conversations of agents of several ages. What is not read as upstream reads it stands in
`STRICTER`, what is not written as upstream wrote it in `NOT_CANONICAL`, each with its reason.
"""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memberlist.codec import (
    decode_ack,
    decode_compressed,
    decode_error,
    decode_gossip,
    decode_indirect_ping,
    decode_nack,
    decode_node_state,
    decode_ping,
    encode_ack,
    encode_alive,
    encode_compressed,
    encode_dead,
    encode_error,
    encode_indirect_ping,
    encode_nack,
    encode_node_state,
    encode_ping,
    encode_suspect,
)
from memberlist.dialect import encode_uint
from memberlist.errors import DecodeError
from memberlist.lzw import compress, decompress
from memberlist.messages import (
    Ack,
    Dead,
    ErrorReply,
    IndirectPing,
    Nack,
    Ping,
    PushPull,
    StreamMessage,
    Suspect,
    UserMessage,
)
from memberlist.node import Node, pack_ip
from memberlist.packet import (
    COMPOUND_PARTS_MAX,
    PacketCodec,
    PacketLimits,
    decode_compound,
    encode_compound,
    split_label,
)
from memberlist.security import Keyring
from memberlist.streams import (
    StreamDecoder,
    StreamLimits,
    encode_push_pull,
    encode_user_message,
    seal_stream,
)

Message = Ping | IndirectPing | Ack | Nack | Suspect | Dead | Node | ErrorReply

VECTORS = Path(__file__).parent / "vectors"
LIMITS = PacketLimits(parts=1024, depth=4, decompressed_size=1 << 20)
STREAM_LIMITS = StreamLimits(
    frame_size=1 << 20,
    decompressed_size=1 << 20,
    nodes=1000,
    user_state_size=1 << 20,
    user_message_size=1 << 20,
)


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def raw(text: str) -> bytes:
    return base64.b64decode(text)


MEMBERLIST = load("memberlist.json")
LZW = load("lzw.json")
CAPTURE = load("capture.json")


def named(entries: list[Any]) -> list[Any]:
    return [pytest.param(entry, id=entry["name"]) for entry in entries]


# --- upstream's fields beside ours -----------------------------------------------------------

BYTES = {"SourceAddr", "Payload", "Meta", "Vsn", "Addr", "Target"}
ADDRESSES = {"SourceAddr", "Addr", "Target"}


def expected(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a vector as `described` gives ours: nil is empty, IPv4 is 4 bytes."""
    values: dict[str, Any] = {}
    for key, value in fields.items():
        match value:
            case {"b64": text}:
                values[key] = raw(text)
            case {"str_b64": text}:
                values[key] = raw(text).decode("utf-8", "surrogateescape")
            case None if key in BYTES:
                values[key] = b""
            case _:
                values[key] = value
        if key in ADDRESSES and values[key].startswith(bytes(10) + b"\xff\xff"):
            values[key] = values[key][12:]
    return values


def described(message: Message, name_key: str = "Node") -> dict[str, Any]:
    """Return a message of ours under upstream's names."""
    match message:
        case Ping(sequence, node, source, source_name):
            return {"SeqNo": sequence, "Node": node, **described_source(source, source_name)}
        case IndirectPing(sequence, node, target, nack, source, source_name):
            return {
                "SeqNo": sequence,
                "Node": node,
                "Target": pack_ip(target[0]),
                "Port": target[1],
                "Nack": nack,
                **described_source(source, source_name),
            }
        case Ack(sequence, payload):
            return {"SeqNo": sequence, "Payload": payload}
        case Nack(sequence):
            return {"SeqNo": sequence}
        case Suspect(incarnation, node, sender) | Dead(incarnation, node, sender):
            return {"Incarnation": incarnation, "Node": node, "From": sender}
        case Node(name, address, meta, versions, incarnation, state):
            fields = {
                "Addr": pack_ip(address[0]),
                "Incarnation": incarnation,
                "Meta": meta,
                name_key: name,
                "Port": address[1],
                "Vsn": versions,
            }
            return fields if name_key == "Node" else {**fields, "State": state}
        case ErrorReply(text):
            return {"Error": text}


def described_source(source: tuple[str, int] | None, name: str) -> dict[str, Any]:
    host, port = (pack_ip(source[0]), source[1]) if source is not None else (b"", 0)
    return {"SourceAddr": host, "SourcePort": port, "SourceNode": name}


def encoded(message: Message) -> bytes:
    match message:
        case Ping(sequence, node, source, source_name):
            return encode_ping(sequence, node, source, source_name)
        case IndirectPing():
            return encode_indirect_ping(message)
        case Ack(sequence, payload):
            return encode_ack(sequence, payload)
        case Nack(sequence):
            return encode_nack(sequence)
        case Suspect(incarnation, node, sender):
            return encode_suspect(incarnation, node, sender)
        case Dead(incarnation, node, sender):
            return encode_dead(incarnation, node, sender)
        case Node():
            return encode_alive(message)
        case ErrorReply(text):
            return encode_error(text)


DECODERS: dict[str, Callable[[bytes], Message]] = {
    "ping": decode_ping,
    "indirectPing": decode_indirect_ping,
    "indirectPingReq": decode_indirect_ping,
    "ackResp": decode_ack,
    "nackResp": decode_nack,
    "suspect": decode_gossip,
    "alive": decode_gossip,
    "dead": decode_gossip,
    "errResp": decode_error,
}


def afresh(node: Node) -> Node:
    """Return a record without the encodings that decoding may have kept in it."""
    return node.replaced(state=node.state, incarnation=node.incarnation)


# --- layers ----------------------------------------------------------------------------------


def packet_codec(
    *,
    label: bytes = b"",
    keys: tuple[bytes, ...] = (),
    version: int = 1,
    compression: bool = False,
    nonce: bytes = bytes(12),
) -> PacketCodec:
    return PacketCodec(
        label=label,
        label_check_skipped=False,
        keyring=Keyring(keys),
        verify_incoming=True,
        verify_outgoing=True,
        encryption_version=version,
        compression=compression,
        compression_size_min=0,
        entropy=lambda size: nonce[:size],
        limits=LIMITS,
    )


def stream_decoder(
    *, label: bytes = b"", keys: tuple[bytes, ...] = (), reply: bool = False
) -> StreamDecoder:
    return StreamDecoder(
        label=label,
        label_check_skipped=False,
        keyring=Keyring(keys),
        verify_incoming=True,
        reply=reply,
        limits=STREAM_LIMITS,
    )


def sealed(
    message: bytes,
    *,
    label: bytes = b"",
    keys: tuple[bytes, ...] = (),
    version: int = 1,
    compression: bool = False,
    nonce: bytes = bytes(12),
) -> bytes:
    return seal_stream(
        message,
        label=label,
        keyring=Keyring(keys),
        verify_outgoing=True,
        encryption_version=version,
        compression=compression,
        entropy=lambda size: nonce[:size],
        reply=False,
    )


def vectors(*types: str, kind: str = "packet") -> list[Any]:
    return named(
        [
            vector
            for vector in MEMBERLIST["vectors"]
            if vector["type"] in types and vector["kind"] == kind
        ]
    )


# --- memberlist.json: messages ---------------------------------------------------------------

NOT_CANONICAL = {
    "ack/empty-payload": "an empty payload is written as nil, as upstream's relayed acks have it",
    "alive/empty-meta": "empty metadata is written as nil, as upstream re-gossips it",
    "ping/ipv4-in-16": "IPv4 goes out as 4 bytes, because peers compare addresses bytewise",
}


@pytest.mark.parametrize("vector", vectors(*DECODERS) + vectors(*DECODERS, kind="stream"))
def test_a_message_is_read_field_by_field_and_written_byte_by_byte(vector: Any) -> None:
    wire = raw(vector["wire"])
    message = DECODERS[vector["type"]](wire)
    again = DECODERS[vector["type"]](bytes(bytearray(wire)))

    assert described(message) == expected(vector["fields"])
    assert again == message
    fresh = encoded(afresh(message) if isinstance(message, Node) else message)
    if vector["name"] in NOT_CANONICAL:
        assert fresh != wire
        assert DECODERS[vector["type"]](fresh) == message
    else:
        assert fresh == wire


@pytest.mark.parametrize("vector", vectors("user"))
def test_a_user_message_of_a_packet_is_its_type_byte_and_the_payload(vector: Any) -> None:
    wire = raw(vector["wire"])

    assert wire == b"\x08" + raw(vector["fields"]["Payload"]["b64"])
    assert packet_codec().open(wire) == wire


@pytest.mark.parametrize("vector", vectors("userMsgHeader", kind="stream"))
def test_a_user_message_of_a_stream_has_its_length_in_front(vector: Any) -> None:
    payload = raw(vector["fields"]["Payload"]["b64"])

    assert stream_decoder().feed(raw(vector["wire"])) == UserMessage(payload)
    # Lengths above 127 are signed in the newest codec; unsigned, as Serf 0.9.4 writes them, is
    # understood by both.
    assert encode_user_message(payload) == raw(vector.get("wire_legacy", vector["wire"]))


def push_pull_of(fields: dict[str, Any]) -> tuple[bool, list[dict[str, Any]], bytes]:
    return (
        fields["Header"]["Join"],
        [expected(node) for node in fields["Nodes"]],
        raw(fields["UserState"]["b64"]),
    )


@pytest.mark.parametrize("vector", vectors("pushPull", kind="stream"))
def test_a_push_pull_is_read_member_by_member_and_written_byte_by_byte(vector: Any) -> None:
    message = stream_decoder().feed(raw(vector["wire"]))

    assert isinstance(message, PushPull)
    nodes = [described(node, "Name") for node in message.nodes]
    assert (message.join, nodes, message.user_state) == push_pull_of(vector["fields"])
    fresh = [afresh(node) for node in message.nodes]
    wire = encode_push_pull(message.join, fresh, message.user_state)
    assert stream_decoder().feed(wire) == message
    # Lengths above 127 as Serf 0.9.4 writes them, and empty metadata as nil.
    legacy = raw(vector.get("wire_legacy", vector["wire"]))
    assert wire == legacy.replace(b"\xa4Meta\xa0", b"\xa4Meta\xc0")


# --- memberlist.json: layers -----------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("compound"))
def test_a_compound_is_taken_apart_and_put_together(vector: Any) -> None:
    wire = raw(vector["wire"])
    parts = [raw(part) for part in vector["fields"]["parts"]]

    assert decode_compound(wire[1:]) == (parts, 0)
    if len(parts) <= COMPOUND_PARTS_MAX:
        assert encode_compound(parts) == wire
    leaves, lost = packet_codec().split(wire)
    if vector["name"] == "compound/nested":
        assert leaves == [decode_compound(parts[0][1:])[0][0], parts[1]]
    else:
        assert leaves == [part for part in parts if part]
    assert lost == parts.count(b"")


@pytest.mark.parametrize("vector", vectors("compound-split"))
def test_compounds_of_255_parts_are_read_though_never_written(vector: Any) -> None:
    parts = [raw(part) for part in vector["fields"]["parts"]]
    wires = [raw(wire) for wire in vector["fields"]["wires"]]

    assert wires[0] == raw(vector["wire"])
    assert [part for wire in wires for part in decode_compound(wire[1:])[0]] == parts
    with pytest.raises(ValueError, match="255 parts exceed 127"):
        encode_compound(parts[:255])


@pytest.mark.parametrize("vector", vectors("compress") + vectors("compress", kind="stream"))
def test_a_compressed_message_is_opened_and_made_again(vector: Any) -> None:
    wire = raw(vector["wire"])
    plain = raw(vector["fields"]["plaintext"])

    assert decode_compressed(wire, limit=len(plain)) == plain
    assert encode_compressed(plain) == wire
    if vector["kind"] == "stream":
        assert sealed(plain, compression=True) == wire
        assert stream_decoder().feed(wire) == stream_decoder().feed(plain)
    else:
        smaller = wire if len(wire) < len(plain) else plain
        assert packet_codec(compression=True).seal(plain, crc=False) == smaller


@pytest.mark.parametrize("vector", vectors("crc"))
def test_a_checksum_is_verified_and_computed(vector: Any) -> None:
    wire = raw(vector["wire"])
    inner = raw(vector["fields"]["inner"])

    assert packet_codec().open(wire) == inner
    assert packet_codec().seal(inner, crc=True) == wire


@pytest.mark.parametrize("vector", vectors("label"))
def test_a_label_is_verified_and_written(vector: Any) -> None:
    wire = raw(vector["wire"])
    inner = raw(vector["fields"]["inner"])
    label = vector["fields"]["label"].encode()

    assert split_label(wire) == (label, inner)
    if "encrypted" not in vector["name"] and "full-stack" not in vector["name"]:
        codec = packet_codec(label=label)
        assert codec.seal(inner, crc=False) == wire
        assert codec.open(wire) == (inner[5:] if inner[0] == 12 else inner)


@pytest.mark.parametrize("vector", vectors("encrypted"))
def test_a_packet_is_decrypted_and_encrypted(vector: Any) -> None:
    wire, crypto = raw(vector["wire"]), vector["crypto"]
    key, nonce, label = raw(crypto["key"]), raw(crypto["nonce"]), raw(crypto["aad"])
    plain = raw(crypto["plaintext"])
    ring = Keyring([bytes(16), key], primary=key)

    assert ring.open(wire, label) == plain
    assert ring.seal(plain, label, nonce, crypto["version"]) == wire
    codec = packet_codec(label=label, keys=(key,), version=crypto["version"], nonce=nonce)
    datagram = codec.seal(plain, crc=False)
    assert datagram == (bytes([244, len(label)]) + label if label else b"") + wire
    if plain:
        assert codec.open(datagram) == (plain[5:] if plain[0] == 12 else plain)


@pytest.mark.parametrize("vector", vectors("encrypted-stream", kind="stream"))
def test_a_stream_is_decrypted_and_encrypted(vector: Any) -> None:
    wire, crypto = raw(vector["wire"]), vector["crypto"]
    key, label = raw(crypto["key"]), vector["fields"]["label"].encode()
    inner = raw(vector["fields"]["inner"])

    message = stream_decoder(label=label, keys=(key,)).feed(wire)
    answer = stream_decoder(label=label, keys=(key,), reply=True).feed(
        wire.removeprefix(bytes([244, len(label)]) + label)
    )

    assert message is not None
    assert answer == message == stream_decoder().feed(inner)
    assert wire == sealed(
        inner,
        label=label,
        keys=(key,),
        version=crypto["version"],
        nonce=raw(crypto["nonce"]),
    )


@pytest.mark.parametrize("vector", vectors("label", kind="stream"))
def test_a_stream_has_its_label_once_in_front(vector: Any) -> None:
    wire, inner = raw(vector["wire"]), raw(vector["fields"]["inner"])
    label = vector["fields"]["label"].encode()

    assert sealed(inner, label=label) == wire
    assert stream_decoder(label=label).feed(wire) == stream_decoder().feed(inner) is not None


def test_no_vector_is_left_out() -> None:
    tested = {
        *DECODERS, "user", "userMsgHeader", "pushPull", "compound", "compound-split", "compress",
        "crc", "label", "encrypted", "encrypted-stream",
    }  # fmt: skip

    assert {vector["type"] for vector in MEMBERLIST["vectors"]} <= tested


# --- memberlist.json: odd and broken input ---------------------------------------------------

NO_ADDRESS = "an alive message without an address names no reachable member"
ARRAY = "no peer writes a struct as an array"
NOT_BYTES = "no peer writes a map for bytes"
NOT_BOOL = "no peer writes an integer for a bool, and msgpack hides which form it had"
NO_TARGET = "an indirect ping without a target can't be served"
BAD_ADDRESS = "a source address of neither 4 nor 16 bytes can't be answered"
BAD_COUNT = "refused with the header; upstream refuses it one step later"

STRICTER = {
    "decode/ping/array": ARRAY,
    "decode/ping/array-long": ARRAY,
    "decode/ping/array-empty": ARRAY,
    "decode/ping/source-addr-as-map": NOT_BYTES,
    "decode/ack/payload-as-map": NOT_BYTES,
    "decode/indirect/nack-as-int": NOT_BOOL,
    "decode/indirect/nack-as-0": NOT_BOOL,
    "decode/indirect/nack-as-nil": NO_TARGET,
    "decode/indirect/nack-true": NO_TARGET,
    "decode/push-pull-header/negative-nodes": BAD_COUNT,
    "decode/push-pull-header/uint64-overflow": BAD_COUNT,
    "decode/push-node/state-unknown": "a fifth state means another protocol; no address either",
    "decode/push-node/state-negative": "a fifth state means another protocol; no address either",
    "crc/empty-inner": "nothing inside is an error of the packet; upstream reports it later",
    **{
        f"decode/alive/vsn-as-{form}": NO_ADDRESS
        for form in (
            "str8", "str16", "str32", "bin8", "bin16", "bin32", "nil", "array-of-ints", "map",
            "invalid-utf8",
        )
    },
    **{
        f"decode/ping/source-addr-as-{form}": BAD_ADDRESS
        for form in (
            "str8", "str16", "str32", "bin8", "bin16", "bin32", "array-of-ints", "invalid-utf8",
        )
    },
}  # fmt: skip

TYPE_BYTES = {"ping": 0, "indirectPingReq": 1, "ackResp": 2, "alive": 4}


def run(op: Any) -> Any:
    """Run one of upstream's decoders as ours; return its result in the form of the vectors."""
    data = raw(op["input"])
    match op["op"], op.get("args", {}):
        case "msgpack_decode", {"type": "pushPullHeader"}:
            return stream_decoder().feed(b"\x06" + data)
        case "msgpack_decode", {"type": "pushNodeState"}:
            return described(decode_node_state(data), "Name")
        case "msgpack_decode", {"type": name}:
            return described(DECODERS[name](bytes([TYPE_BYTES[name]]) + data))
        case "decode_compound", _:
            parts, truncated = decode_compound(data)
            return {"parts": parts, "truncated": truncated}
        case "remove_label_packet", _:
            label, rest = split_label(data)
            return {"label": label.decode("utf-8", "surrogateescape"), "rest": rest}
        case "decompress_payload", _:
            return decode_compressed(b"\x09" + data, limit=1000)
        case "decrypt_payload", {"keys": keys, "aad": aad}:
            return Keyring([raw(key) for key in keys]).open(data, raw(aad))
        case "crc_check", _:
            inner = packet_codec().open(data)
            return {"crc": inner != data, "rest": inner}
    raise AssertionError(op["op"])


def result_of(op: Any) -> Any:
    result = op["result"]
    match op["op"]:
        case "msgpack_decode":
            # What a header announces is still missing, so there is no message yet.
            return None if op["args"]["type"] == "pushPullHeader" else expected(result)
        case "decode_compound":
            return {**result, "parts": [raw(part) for part in result["parts"]]}
        case "decompress_payload" | "decrypt_payload":
            return raw(result)
        case _:
            return expected({**result, "rest": {"b64": result["rest"]}})


@pytest.mark.parametrize("op", named(MEMBERLIST["ops"]))
def test_odd_input_gets_upstream_s_verdict_or_a_stricter_one(op: Any) -> None:
    if not op["ok"] or op["name"] in STRICTER:
        with pytest.raises(DecodeError):
            run(op)
    else:
        assert run(op) == result_of(op)


def test_what_is_stricter_is_what_upstream_accepts() -> None:
    accepted = {op["name"] for op in MEMBERLIST["ops"] if op["ok"]}

    assert set(STRICTER) <= accepted


# --- lzw.json --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", named(LZW["cases"]))
def test_compression_is_go_s_to_the_bit(case: Any) -> None:
    plain, compressed = raw(case["plain"]), raw(case["compressed"])

    assert compress(plain) == compressed
    assert decompress(compressed, limit=len(plain)) == plain


@pytest.mark.parametrize("case", named(LZW["decode"]))
def test_odd_compressed_streams_get_go_s_verdict(case: Any) -> None:
    if case["ok"]:
        assert decompress(raw(case["input"]), limit=100) == raw(case["output"])
    else:
        with pytest.raises(DecodeError) as error:
            decompress(raw(case["input"]), limit=100)
        upstream = {"unexpected EOF": "truncated", "lzw: invalid code": "bad-compression"}
        assert error.value.reason == upstream[case["error"]]


# --- capture.json ----------------------------------------------------------------------------


def records(kind: str) -> Iterator[Any]:
    for scenario in CAPTURE["scenarios"]:
        for number, record in enumerate(scenario["records"]):
            if record["kind"] == kind:
                yield pytest.param(scenario, record, id=f"{scenario['name']}-{number}")


def keys_of(scenario: Any) -> tuple[bytes, ...]:
    return tuple(raw(key) for key in scenario["keys"])


@pytest.mark.parametrize(("scenario", "record"), list(records("udp")))
def test_a_captured_packet_is_read_and_its_messages_written_again(
    scenario: Any, record: Any
) -> None:
    codec = packet_codec(label=scenario["label"].encode(), keys=keys_of(scenario))
    layers = record["decoded"][0]["layers"]

    message = codec.open(raw(record["bytes"]))
    messages, lost = codec.split(message) if message[0] in (7, 9) else ([message], 0)

    assert len(messages) == len(record["decoded"])
    assert lost == 0
    for part, entry in zip(messages, record["decoded"], strict=True):
        assert part[0] == entry["msg_type"]
        if entry["type"] == "user":
            assert part[1:] == raw(entry["fields"]["payload"]["b64"])
            continue
        decoded = DECODERS[entry["type"]](part)
        assert described(decoded) == expected(entry["fields"])
        assert encoded(afresh(decoded) if isinstance(decoded, Node) else decoded) == part
    if "compound" in layers and "lzw" not in layers:
        assert encode_compound(messages) == message
    elif "lzw" in layers:
        plain = encode_compound(messages) if "compound" in layers else messages[0]
        assert encode_compressed(plain) == message


def check_push_pull(message: StreamMessage | None, entry: Any, ports: set[int]) -> None:
    assert isinstance(message, PushPull)
    fields = entry["fields"]
    nodes = [described(node, "Name") for node in message.nodes]
    # The capture's own decoder lost the ports of push/pulls: they are those of the members.
    assert all(node.pop("Port") in ports for node in nodes)
    for node, other in zip(nodes, fields["nodes"], strict=True):
        wanted = expected(other)
        del wanted["Port"]
        assert node == wanted
    assert message.join == fields["join"]
    assert message.user_state == raw(fields["user_state"]["b64"])


@pytest.mark.parametrize(("scenario", "record"), list(records("stream")))
def test_a_captured_stream_is_read_and_written_again(scenario: Any, record: Any) -> None:
    data = raw(record["bytes"])
    label, keys = scenario["label"].encode(), keys_of(scenario)
    reply = record["role"] == "listener"
    ports = {int(node["advertised"].rpartition(":")[2]) for node in scenario["nodes"].values()}
    (entry,) = record["decoded"]
    decoder = stream_decoder(label=label, keys=keys, reply=reply)
    at, message = 0, None

    for size in record["chunks"]:
        assert message is None
        message = decoder.feed(data[at : at + size])
        at += size

    assert at == len(data)
    assert decoder.pending == decoder.refused == 0
    layers = entry["layers"]
    if entry["type"] == "pushPull":
        check_push_pull(message, entry, ports)
        assert isinstance(message, PushPull)
        size = len(message.user_state)
        nodes = [afresh(node) for node in message.nodes]
        plain = encode_push_pull(message.join, nodes, message.user_state)
    elif entry["type"] == "user":
        assert message == UserMessage(raw(entry["fields"]["payload"]["b64"]))
        size = len(message.payload)
        plain = encode_user_message(message.payload)
    else:
        assert isinstance(message, Ping | Ack | ErrorReply)
        assert described(message) == expected(entry["fields"])
        size = 0
        plain = encoded(message)
    if "encrypted" not in layers:
        assert data in [
            sealed(form, label=b"" if reply else label, compression="lzw" in layers)
            for form in (plain, with_signed_length(plain, size))
        ]


def with_signed_length(plain: bytes, size: int) -> bytes:
    """Return a message with its length as the newest library writes those above 127: signed."""
    signed = b"\xd1" + size.to_bytes(2, "big")
    return plain.replace(b"Len" + encode_uint(size), b"Len" + signed, 1)


def test_the_capture_holds_what_it_promises() -> None:
    assert len(CAPTURE["scenarios"]) == 12
    assert sum(1 for _ in records("udp")) == 1850
    assert sum(1 for _ in records("stream")) == 171


def test_a_member_s_record_survives_both_of_its_encodings() -> None:
    alive = [raw(vector["wire"]) for vector in MEMBERLIST["vectors"] if vector["type"] == "alive"]
    for wire in alive:
        node = decode_gossip(wire)

        assert isinstance(node, Node)
        assert decode_node_state(encode_node_state(node)) == node
