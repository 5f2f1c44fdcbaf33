"""Every byte that Serf wrote, read and written again.

`vectors/serf.json` was made by the newest library; interop's `capture.json` holds whole
conversations of agents of several ages. What is not read as upstream reads it stands in
`STRICTER`, what is not written as upstream wrote it in `NOT_CANONICAL`, each with its reason.
"""

import base64
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serfevents import (
    Config,
    DecodeError,
    PayloadTooLarge,
    SerfEvents,
    decode_tags,
    default_query_timeout,
    encode_tags,
    is_valid_name,
)
from serfevents.filters import matches
from serfevents.lamport import LamportClock
from serfevents.members import pack_ip
from serfevents.wire.codec import (
    decode_conflict_response,
    decode_filter,
    decode_join,
    decode_key_request,
    decode_key_response,
    decode_leave,
    decode_query,
    decode_query_response,
    decode_relay,
    decode_user_event,
    encode_conflict_response,
    encode_filter,
    encode_join,
    encode_key_request,
    encode_key_response,
    encode_leave,
    encode_query,
    encode_query_response,
    encode_relay,
    encode_user_event,
    nanoseconds,
)
from serfevents.wire.messages import (
    ConflictResponse,
    JoinIntent,
    KeyRequest,
    KeyResponse,
    LeaveIntent,
    NodeFilter,
    PushPull,
    Query,
    QueryResponse,
    Relay,
    TagFilter,
    UserEvent,
)
from serfevents.wire.states import decode_state, encode_state

HERE = Path(__file__).parents[1]
SERF = json.loads((HERE / "vectors" / "serf.json").read_text(encoding="utf-8"))
CAPTURE = json.loads(
    (HERE.parent / "interop" / "vectors" / "capture.json").read_text(encoding="utf-8")
)

NOT_CANONICAL = {
    "user-event/empty-payload": "an empty payload is written as nil, as most of them come",
    "query/both-flags": "no filters are written as nil, and an empty payload too",
    "relay/ip16": "IPv4 goes out as 4 bytes, because peers compare addresses bytewise",
}

STRICTER = {
    "decode/push-pull/left-as-map": "a map where an array belongs: nobody writes it",
}


def raw(text: str) -> bytes:
    return base64.b64decode(text)


def value(field: Any) -> Any:
    """Return a field of a vector as ours are: nil bytes are empty."""
    match field:
        case {"b64": text}:
            return raw(text)
        case {"str_b64": text}:
            return raw(text).decode("utf-8", "surrogateescape")
        case list():
            return [value(each) for each in field]
        case _:
            return field


def ip(address: tuple[str, int] | None) -> bytes:
    return b"" if address is None else pack_ip(address[0])


def four(packed: bytes) -> bytes:
    """Return an IP in the form in which we keep it."""
    return packed[12:] if packed.startswith(bytes(10) + b"\xff\xff") else packed


def described(message: Any) -> dict[str, Any]:
    """Return a message of ours under upstream's names."""
    match message:
        case JoinIntent(ltime, node):
            return {"LTime": ltime, "Node": node}
        case LeaveIntent(ltime, node, prune):
            return {"LTime": ltime, "Node": node, "Prune": prune}
        case UserEvent(ltime, name, payload, coalesce):
            return {"LTime": ltime, "Name": name, "Payload": payload, "CC": coalesce}
        case Query():
            return {
                "LTime": message.ltime,
                "ID": message.id,
                "Addr": ip(message.address),
                "Port": message.address[1] if message.address else 0,
                "SourceNode": message.source,
                "Filters": list(message.filters),
                "Flags": message.flags,
                "RelayFactor": message.relay_factor,
                "Timeout": message.timeout,
                "Name": message.name,
                "Payload": message.payload,
            }
        case QueryResponse(ltime, id_, source, flags, payload):
            return {"LTime": ltime, "ID": id_, "From": source, "Flags": flags, "Payload": payload}
        case Relay(address, name, inner):
            to = {"IP": ip(address), "Port": address[1] if address else 0, "Zone": ""}
            return {"DestAddr": to, "DestName": name, "inner": inner}
        case ConflictResponse(name, address, tags, status, versions):
            return {
                "Name": name,
                "Addr": ip(address),
                "Port": address[1] if address else 0,
                "Tags": dict(tags),
                "Status": status,
                "ProtocolMin": versions[0],
                "ProtocolMax": versions[1],
                "ProtocolCur": versions[2],
                "DelegateMin": versions[3],
                "DelegateMax": versions[4],
                "DelegateCur": versions[5],
            }
        case KeyRequest(key):
            return {"Key": key}
        case KeyResponse(result, text, keys, primary):
            return {"Result": result, "Message": text, "Keys": list(keys), "PrimaryKey": primary}
        case NodeFilter(names):
            return {"names": list(names)}
        case TagFilter(tag, expression):
            return {"Tag": tag, "Expr": expression}
        case PushPull():
            return {
                "LTime": message.ltime,
                "StatusLTimes": message.status_ltimes,
                "LeftMembers": list(message.left),
                "EventLTime": message.event_ltime,
                "Events": [(e.ltime, e.name, e.payload) for e in message.events],
                "QueryLTime": message.query_ltime,
            }
        case _:
            raise AssertionError(message)


def expected(kind: str, fields: Any) -> dict[str, Any]:
    """Return the fields of a vector as `described` gives ours."""
    if kind == "filterNode":
        return {"names": fields}
    values = {key: value(each) for key, each in (fields or {}).items()}
    for key in ("Payload", "Key", "Addr"):
        if key in values:
            values[key] = values[key] or b""
    for key in ("Filters", "Keys", "LeftMembers"):
        if key in values:
            values[key] = values[key] or []
    if kind == "messageQuery":
        values["Addr"] = four(values["Addr"])
        # Nobody can be there.
        values["Port"] *= bool(values["Addr"])
        values["Timeout"] = pytest.approx(values["Timeout"] / 1e9)
    if kind == "messagePushPull":
        values["StatusLTimes"] = values["StatusLTimes"] or {}
        values["Events"] = [
            (slot["LTime"], value(event["Name"]), value(event["Payload"]) or b"")
            for slot in values["Events"] or []
            if slot is not None
            for event in slot["Events"]
        ]
    if kind == "relay" or kind == "relayHeader":
        to = {key: value(each) for key, each in values["DestAddr"].items()}
        values["DestAddr"] = to | {"IP": four(to["IP"])}
        values["inner"] = raw(values.get("inner", ""))
    if kind == "Member":
        values = dict(described(ConflictResponse("", None, (), 0))) | values
        values["Tags"] = values["Tags"] or {}
    return values


def state_of(data: bytes) -> PushPull:
    return decode_state(data, size_max=1 << 20, members_max=1000, events_size_max=1 << 20)


CODECS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "messageJoin": (decode_join, encode_join),
    "messageLeave": (decode_leave, encode_leave),
    "messageUserEvent": (decode_user_event, encode_user_event),
    "messageQuery": (decode_query, encode_query),
    "messageQueryResponse": (decode_query_response, encode_query_response),
    "relay": (decode_relay, encode_relay),
    "Member": (decode_conflict_response, encode_conflict_response),
    "keyRequest": (decode_key_request, encode_key_request),
    "nodeKeyResponse": (decode_key_response, encode_key_response),
    "filterNode": (decode_filter, encode_filter),
    "filterTag": (decode_filter, encode_filter),
    "messagePushPull": (state_of, encode_state),
}


def vectors(*types: str) -> list[Any]:
    chosen = [each for each in SERF["vectors"] if each["type"] in types]
    assert chosen
    return [pytest.param(each, id=each["name"]) for each in chosen]


# --- serf.json: messages ---------------------------------------------------------------------


def test_every_type_of_vector_is_tested() -> None:
    types = {each["type"] for each in SERF["vectors"]}

    assert types == CODECS.keys() | {"tags", "Coordinate"}


@pytest.mark.parametrize("vector", vectors(*(CODECS.keys() - {"messagePushPull"})))
def test_a_message_is_read_field_by_field_and_written_byte_by_byte(vector: Any) -> None:
    decode, encode = CODECS[vector["type"]]
    wire = raw(vector["wire"])

    message = decode(wire)

    assert described(message) == expected(vector["type"], vector["fields"])
    if isinstance(message, Query) and message.timeout < 0:
        with pytest.raises(ValueError, match="is not within"):
            encode(message)
    elif vector["name"] == "conflict-response/unknown":
        assert encode_conflict_response(None) == wire
    elif vector["name"] in NOT_CANONICAL:
        assert encode(message) != raw(vector.get("wire_legacy", vector["wire"]))
        assert decode(encode(message)) == message
    else:
        # Signed fields as old codecs write them, which new ones understand as well.
        assert encode(message) == raw(vector.get("wire_legacy", vector["wire"]))


@pytest.mark.parametrize("vector", vectors("messagePushPull"))
def test_a_state_is_read_and_written(vector: Any) -> None:
    state = state_of(raw(vector["wire"]))

    assert described(state) == expected("messagePushPull", vector["fields"])
    # Empty slots of the event buffer are not written, so the bytes are fewer.
    assert state_of(encode_state(state)) == state
    assert len(encode_state(state)) <= len(raw(vector["wire"]))


@pytest.mark.parametrize("vector", vectors("tags"))
def test_tags_are_read_and_written(vector: Any) -> None:
    wire, fields = raw(vector["wire"]), vector["fields"]
    tags, version = fields["tags"] or {}, fields["serf_protocol"]

    assert len(wire) == fields["len"]
    if len(wire) > 512:
        with pytest.raises(PayloadTooLarge):
            encode_tags(tags, version)
    elif fields["tags"] is None:
        assert encode_tags({}, version) == b"\xff\x80"
    else:
        assert encode_tags(tags, version) == wire
    expected = {"role": tags.get("role", "")} if version < 3 else tags
    assert decode_tags(wire) == expected


# --- serf.json: odd and broken input ---------------------------------------------------------


def ops(name: str) -> list[Any]:
    chosen = [op for op in SERF["ops"] if op["op"] == name]
    assert chosen
    return [pytest.param(op, id=op["name"]) for op in chosen]


def test_every_kind_of_op_is_tested() -> None:
    tested = {
        "msgpack_decode",
        "decode_tags",
        "should_process_query",
        "validate_node_name",
        "default_query_timeout",
    }

    # Ping payloads carry coordinates, which are no part of this package.
    assert {op["op"] for op in SERF["ops"]} == tested | {"notify_ping_complete"}


TYPE_BYTES = {
    "messageLeave": 0,
    "messageJoin": 1,
    "messagePushPull": 2,
    "messageUserEvent": 3,
    "messageQuery": 4,
    "messageQueryResponse": 5,
    "Member": 6,
    "keyRequest": 7,
    "nodeKeyResponse": 8,
    "relayHeader": 9,
}


# Coordinates are no part of this package.
@pytest.mark.parametrize(
    "op", [op for op in ops("msgpack_decode") if op.values[0]["args"]["type"] != "Coordinate"]
)
def test_odd_messages_are_read_as_upstream_reads_them(op: Any) -> None:
    kind = op["args"]["type"]
    decode = CODECS.get(kind, (decode_relay,))[0]
    wire = bytes([TYPE_BYTES[kind]]) + raw(op["input"])

    if not op["ok"] or op["name"] in STRICTER:
        with pytest.raises(DecodeError):
            decode(wire)
    else:
        assert described(decode(wire)) == expected(kind, op["result"])


@pytest.mark.parametrize("op", ops("decode_tags"))
def test_odd_tags_are_read_as_upstream_reads_them(op: Any) -> None:
    assert decode_tags(raw(op["input"])) == (op.get("result") or {})


@pytest.mark.parametrize("op", ops("should_process_query"))
def test_filters_match_as_upstream_matches_them(op: Any) -> None:
    filters = [raw(each) for each in op["args"]["filters"]]

    # Upstream panics at an empty filter, where we take nobody to be concerned.
    assert matches(filters, op["args"]["node"], op["args"]["tags"]) is bool(op.get("result"))


@pytest.mark.parametrize("op", ops("validate_node_name"))
def test_names_are_validated_as_upstream_does(op: Any) -> None:
    assert is_valid_name(raw(op["input"]).decode()) is op["ok"]


@pytest.mark.parametrize("op", ops("default_query_timeout"))
def test_the_default_timeout_is_upstreams(op: Any) -> None:
    args = op["args"]
    interval = args["gossip_interval_ns"] / 1e9

    timeout = default_query_timeout(args["members"], interval, args["query_timeout_mult"])

    assert nanoseconds(timeout) == op["result"]["timeout_ns"]


def test_the_clock_moves_as_upstreams() -> None:
    clock = LamportClock()

    for step in SERF["lamport"]:
        result = clock.increment() if step["op"] == "increment" else clock.witness(step["arg"])
        assert result == clock.time == step["time"], step


def test_the_defaults_are_upstreams() -> None:
    config, theirs = Config(), SERF["constants"]["defaults"]

    assert config.event_buffer == theirs["EventBuffer"]
    assert config.query_buffer == theirs["QueryBuffer"]
    assert config.queue_depth_max == theirs["MaxQueueDepth"]
    assert config.user_event_size_limit == theirs["UserEventSizeLimit"]
    assert config.query_size_limit == theirs["QuerySizeLimit"]
    assert config.query_response_size_limit == theirs["QueryResponseSizeLimit"]
    assert config.query_timeout_mult == theirs["QueryTimeoutMult"]
    assert config.name_conflict_vote is theirs["EnableNameConflictResolution"]
    durations = {
        "broadcast_timeout": "BroadcastTimeout",
        "leave_propagate_delay": "LeavePropagateDelay",
        "flap_timeout": "FlapTimeout",
        "reap_interval": "ReapInterval",
        "reconnect_interval": "ReconnectInterval",
        "reconnect_timeout": "ReconnectTimeout",
        "tombstone_timeout": "TombstoneTimeout",
        "recent_intent_timeout": "RecentIntentTimeout",
    }
    for ours, name in durations.items():
        assert getattr(config, ours) * 1e9 == theirs[name + "_ns"], ours


# --- capture.json: conversations -------------------------------------------------------------


def captured(node: Any) -> Iterator[tuple[bytes, Any]]:
    """Yield each distinct Serf message of the conversations, and how upstream decoded it."""
    if isinstance(node, dict):
        decoded, payload = node.get("decoded"), node.get("payload")
        if isinstance(decoded, dict) and isinstance(payload, dict):
            yield raw(payload["b64"]), decoded
        for each in node.values():
            yield from captured(each)
    elif isinstance(node, list):
        for each in node:
            yield from captured(each)


def captured_states(node: Any) -> Iterator[tuple[bytes, Any]]:
    """Yield each distinct push/pull state, and how upstream decoded it."""
    if isinstance(node, dict):
        if "user_state_decoded" in node:
            fields = node["user_state_decoded"]["fields"]
            counts = {"Events_nil_entries", "Events_total"}
            fields = {key: each for key, each in fields.items() if key not in counts}
            yield raw(node["user_state"]["b64"]), fields
        for each in node.values():
            yield from captured_states(each)
    elif isinstance(node, list):
        for each in node:
            yield from captured_states(each)


def found(node: Any, key: str) -> Iterator[bytes]:
    """Yield the bytes of each field of this name."""
    if isinstance(node, dict):
        if isinstance(field := node.get(key), dict) and "b64" in field:
            yield raw(field["b64"])
        for each in node.values():
            yield from found(each, key)
    elif isinstance(node, list):
        for each in node:
            yield from found(each, key)


CAPTURED = dict(captured(CAPTURE))
STATES = dict(captured_states(CAPTURE))
TYPES = {
    "join": "messageJoin",
    "leave": "messageLeave",
    "userEvent": "messageUserEvent",
    "query": "messageQuery",
    "queryResponse": "messageQueryResponse",
    "relay": "relay",
    "keyRequest": "keyRequest",
    "keyResponse": "nodeKeyResponse",
    "conflictResponse": "Member",
}


def signed(wire: bytes) -> bytes:
    """Return a message with the signed integers of new codecs as old ones write them."""
    for key, new, old in ((b"Timeout", b"\xd3", b"\xcf"), (b"Timeout", b"\xd2", b"\xce")):
        wire = wire.replace(key + new, key + old)
    return wire


def test_the_conversations_hold_every_kind_of_message() -> None:
    kinds = {decoded["serf_type"] for decoded in CAPTURED.values()}

    assert {"join", "leave", "userEvent", "query", "queryResponse", "relay"} <= kinds
    assert len(CAPTURED) > 60


@pytest.mark.parametrize("wire", CAPTURED, ids=lambda wire: f"{len(wire)}-{wire[-8:].hex()}")
def test_a_captured_message_is_read_and_written_again(wire: bytes) -> None:
    decoded = CAPTURED[wire]
    kind = TYPES[decoded["serf_type"]]
    decode, encode = CODECS[kind]

    message = decode(wire)

    fields = dict(decoded["fields"])
    if kind == "relay":
        fields["inner"] = base64.b64encode(message.message).decode()
        inner = decoded["inner"]
        answer = decode_query_response(message.message)
        assert described(answer) == expected("messageQueryResponse", inner["fields"])
    assert described(message) == expected(kind, fields)
    if "payload_decoded" in decoded:
        within = decoded["payload_decoded"]
        reader = CODECS[TYPES[within["serf_type"]]][0]
        assert described(reader(message.payload)) == expected(
            TYPES[within["serf_type"]], within["fields"]
        )
    written = encode(message)
    assert decode(written) == message
    # Newer members write some integers as signed ones, and longer where they are small.
    if b"Timeout\xd3" not in wire and b"Port\xd1" not in wire and b"Port\xd2" not in wire:
        assert written == signed(wire)


@pytest.mark.parametrize("wire", STATES, ids=lambda wire: f"{len(wire)}-{wire[-8:].hex()}")
def test_a_captured_state_is_read_and_written_again(wire: bytes) -> None:
    state = state_of(wire)

    assert described(state) == expected("messagePushPull", STATES[wire])
    assert state_of(encode_state(state)) == state


def test_captured_metadata_is_read() -> None:
    metas = set(found(CAPTURE, "Meta")) - {b""}

    roles = {decode_tags(meta).get("role") for meta in metas}
    assert len(metas) > 2
    assert {"db", "web"} <= roles


def test_a_machine_takes_all_that_was_captured() -> None:
    machine = SerfEvents("x", ("10.0.0.1", 7946), rng=random.Random(1), now=0.0)

    for state in STATES:
        machine.merge(state, 1.0, join=True)
    for message in CAPTURED:
        machine.receive(message, None, 1.0)

    assert len(STATES) > 5
    # Captured answers belong to questions that this machine never asked, or were to be passed on.
    assert set(machine.stats.rejected) <= {"unknown-query", "relay-unknown-destination"}
    machine.check_invariants()
