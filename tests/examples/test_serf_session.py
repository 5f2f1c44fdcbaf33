"""The RPC session against the bytes of a real agent, and against clients that mean no good."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import pytest

from examples.serf import records
from examples.serf.requests import (
    AskQuery,
    ChangeKey,
    ChangeTags,
    FilterMembers,
    FireEvent,
    ForceLeave,
    GetCoordinate,
    GetStats,
    Join,
    Leave,
    ListKeys,
    ListMembers,
    Request,
    Respond,
    StartMonitor,
    StartStream,
    Stop,
)
from examples.serf.session import (
    PENDING_MAX,
    REQUEST_SIZE_MAX,
    Asked,
    Session,
    pack,
)
from serfevents import Change, Member, MembersChanged, QueryReceived, Status, UserEventReceived

VECTORS = Path(__file__).parent / "vectors" / "serf_rpc.json"
ANSWERS = {
    name: bytes.fromhex(answer)
    for name, answer in json.loads(VECTORS.read_text())["answers"].items()
}


def ask(command: str, number: int, body: object = None) -> bytes:
    """Encode a request as the `serf` command does."""
    header = pack({"Command": command, "Seq": number})
    return header if body is None else header + msgpack.packb(body)


def greeted(key: str = "") -> Session:
    session = Session(key)
    session.receive(ask("handshake", 0, {"Version": 1}))
    assert session.next_request() is None
    session.take()
    return session


def all_of(session: Session) -> list[Request]:
    found = []
    while (asked := session.next_request()) is not None:
        found.append(asked.request)
    return found


# --- the session's own affairs, as a real agent answers them ----------------------------------


def test_nothing_is_done_before_the_handshake() -> None:
    session = Session()

    session.receive(ask("members", 0))

    assert session.next_request() is None
    assert session.take() == ANSWERS["handshake required"]
    assert session.over == "Handshake required"


def test_a_handshake_is_made_once_in_version_1() -> None:
    session = Session()

    for number, version in enumerate((2, 1, 1)):
        session.receive(ask("handshake", number, {"Version": version}))

    assert session.next_request() is None
    expected = ("unsupported version", "handshake", "second handshake")
    assert session.take() == b"".join(ANSWERS[name] for name in expected)
    assert not session.over


def test_an_unknown_command_ends_the_session() -> None:
    session = greeted()

    session.receive(ask("bogus", 5) + ask("members", 6))

    assert session.next_request() is None
    assert session.take() == ANSWERS["unknown command"]
    assert session.over == "Unsupported command"


def test_a_key_is_asked_for_only_where_there_is_one() -> None:
    session = greeted()

    session.receive(ask("auth", 3, {"AuthKey": "zz"}) + ask("auth", 4, {"AuthKey": ""}))
    session.receive(ask("members", 5))

    assert session.next_request() == Asked(5, ListMembers())
    assert session.take() == ANSWERS["wrong key"] + ANSWERS["right key"]


def test_without_the_key_every_command_is_answered_with_a_refusal() -> None:
    session = greeted("secret")
    refused = {"Error": "Authentication required"}

    session.receive(ask("members", 1) + ask("event", 2, {"Name": "x"}) + ask("bogus", 3))

    assert session.next_request() is None
    assert session.take() == b"".join(pack({**refused, "Seq": number}) for number in (1, 2, 3))
    assert not session.over


def test_the_key_opens_everything() -> None:
    session = greeted("secret")

    session.receive(ask("auth", 1, {"AuthKey": "secret"}) + ask("stats", 2))

    assert session.next_request() == Asked(2, GetStats())
    assert session.take() == pack({"Error": "", "Seq": 1})


# --- requests ---------------------------------------------------------------------------------

REQUESTS: list[tuple[str, object, Request]] = [
    ("members", None, ListMembers()),
    (
        "members-filtered",
        {"Tags": {"role": "w.*"}, "Status": "alive", "Name": "n"},
        FilterMembers({"role": "w.*"}, "alive", "n"),
    ),
    ("members-filtered", {}, FilterMembers({}, "", "")),
    (
        "event",
        {"Name": "deploy", "Payload": b"v1", "Coalesce": True},
        FireEvent("deploy", b"v1", coalesce=True),
    ),
    ("event", {"Name": "deploy", "Payload": None}, FireEvent("deploy", b"", coalesce=False)),
    ("event", {"Name": "deploy", "Payload": "text"}, FireEvent("deploy", b"text", coalesce=False)),
    ("force-leave", {"Node": "b"}, ForceLeave("b", prune=False)),
    ("force-leave", {"Node": "b", "Prune": True}, ForceLeave("b", prune=True)),
    ("join", {"Existing": ["a", "b:1"], "Replay": True}, Join(("a", "b:1"), replay=True)),
    ("stream", {"Type": "user:x"}, StartStream("user:x")),
    ("monitor", {"LogLevel": "info"}, StartMonitor("info")),
    ("stop", {"Stop": (1 << 64) - 1}, Stop((1 << 64) - 1)),
    ("leave", None, Leave()),
    ("install-key", {"Key": "AA=="}, ChangeKey("install", "AA==")),
    ("use-key", {"Key": "AA=="}, ChangeKey("use", "AA==")),
    ("remove-key", {"Key": "AA=="}, ChangeKey("remove", "AA==")),
    ("list-keys", None, ListKeys()),
    ("tags", {"Tags": {"a": "1"}, "DeleteTags": ["b"]}, ChangeTags({"a": "1"}, ("b",))),
    ("tags", {"Tags": None, "DeleteTags": None}, ChangeTags({}, ())),
    (
        "query",
        {
            "FilterNodes": ["a"],
            "FilterTags": {"role": "db"},
            "RequestAck": True,
            "RelayFactor": 2,
            "Timeout": 1_500_000_000,
            "Name": "load",
            "Payload": b"x",
        },
        AskQuery("load", b"x", ("a",), {"role": "db"}, ack=True, relay_factor=2, timeout=1.5),
    ),
    ("query", {"Timeout": -5}, AskQuery("", b"", (), {}, ack=False, relay_factor=0, timeout=-5e-9)),
    ("respond", {"ID": 7, "Payload": b"x"}, Respond(7, b"x")),
    ("stats", None, GetStats()),
    ("get-coordinate", {"Node": "a", "More": [1]}, GetCoordinate("a")),
]


@pytest.mark.parametrize(("command", "body", "request_"), REQUESTS)
def test_a_request_is_read(command: str, body: object, request_: Request) -> None:
    session = greeted()

    session.receive(ask(command, 9, body))

    assert session.next_request() == Asked(9, request_)
    assert (session.next_request(), session.take(), session.over) == (None, b"", "")


def test_requests_may_be_cut_anywhere_and_follow_each_other() -> None:
    session = greeted()
    data = b"".join(ask(command, 9, body) for command, body, _ in REQUESTS)
    found = []

    for byte in data:
        session.receive(bytes([byte]))
        found += all_of(session)

    assert found == [request for _, _, request in REQUESTS]


def test_names_that_are_no_utf_8_survive() -> None:
    session = greeted()

    session.receive(ask("force-leave", 1, {"Node": b"\xff\xfe"}))
    asked = session.next_request()

    assert asked is not None
    assert isinstance(asked.request, ForceLeave)
    session.answer(1, asked.request.node)
    assert b"\xa2\xff\xfe" in session.take()


# --- clients that mean no good ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc1", "failed to decode: FormatError"),
        (b"\x81\x90\x01", "failed to decode: TypeError"),  # a list for a key
        (b"\x90", "failed to decode: a list instead of fields"),
        (b"\x05", "failed to decode: a int instead of fields"),
        (b"\x81\xa3Seq\xff", "failed to decode: Seq is not within"),
        (b"\x81\xa3Seq\xa15", "failed to decode: Seq is a bytes, not a int"),
        (b"\x81\xa3Seq\xcb" + bytes(8), "failed to decode: Seq is a float"),
        (b"\x81\xa7Command\x05", "failed to decode: Command is a int"),
        (b"\x91" * 2000, "failed to decode: StackError"),
        (b"\xdd\xff\xff\xff\xff", "failed to decode: ValueError"),
        (b"\xdf\xff\xff\xff\xff", "failed to decode: ValueError"),
        (b"\xc0", "Unsupported command"),
        (ask("event", 1, [1]), "failed to decode: a list instead of fields"),
        (ask("event", 1, {"Name": 5}), "failed to decode: Name is a int"),
        (ask("event", 1, {"Coalesce": 1}), "failed to decode: Coalesce is a int"),
        (ask("tags", 1, {"Tags": {1: "x"}}), "failed to decode: a int instead of text"),
        (ask("tags", 1, {"DeleteTags": [None]}), "failed to decode: a NoneType instead of text"),
        (ask("query", 1, {"RelayFactor": 300}), "failed to decode: RelayFactor is not within"),
        (ask("respond", 1, {"ID": -1}), "failed to decode: ID is not within"),
    ],
)
def test_what_can_not_be_read_ends_the_session(data: bytes, reason: str) -> None:
    session = greeted()

    session.receive(data)

    assert session.next_request() is None
    assert session.over.startswith(reason)
    session.receive(ask("members", 1))
    assert session.next_request() is None


def test_an_endless_request_ends_the_session() -> None:
    session = greeted()

    session.receive(b"\xc6" + (REQUEST_SIZE_MAX * 2).to_bytes(4, "big"))
    for _ in range(20):
        session.receive(bytes(REQUEST_SIZE_MAX // 16))
        assert session.next_request() is None

    assert session.over == f"a request is larger than {REQUEST_SIZE_MAX} bytes"


@pytest.mark.parametrize("attempt", range(20))
def test_no_bytes_raise(attempt: int, seed: int) -> None:
    rng = Random(f"{seed} {attempt}")
    good = b"".join(ask(command, 9, body) for command, body, _ in REQUESTS)

    for _ in range(50):
        session = greeted()
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        session.receive(bytes(data))
        requests = all_of(session)
        session.take()

        assert session.over or len(requests) <= len(REQUESTS) * 4


def test_queries_that_nobody_responds_to_are_forgotten_at_last() -> None:
    session = greeted()

    numbers = [session.expect_response(query) for query in range(PENDING_MAX + 2)]

    assert numbers[:3] == [1, 2, 3]
    assert [session.pending(number) for number in (1, 2, 3, 99999)] == [None, None, 2, None]


# --- answers, as a real agent sends them ------------------------------------------------------

VERSIONS = bytes((1, 5, 2, 2, 5, 5))
WEB_TAGS = {"role": "web", "x-y.1": "2\t3"}
WEB = Member("a", ("127.0.0.1", 24001), WEB_TAGS, Status.ALIVE, VERSIONS)
FAILED = Member("b", ("127.0.0.1", 24002), {}, Status.FAILED, VERSIONS)


def answered(*parts: tuple[int, str, dict[str, Any] | None]) -> bytes:
    session = Session()
    for number, error, body in parts:
        session.answer(number, error, body)
    return session.take()


def test_members_are_answered_as_serf_does() -> None:
    assert answered((2, "", records.members([WEB]))) == ANSWERS["members"]
    assert answered((3, "", records.members([]))) == ANSWERS["no members"]


def test_events_are_told_as_serf_does() -> None:
    plain = UserEventReceived(3, "deploy", b"v2", coalesce=False)
    merged = UserEventReceived(4, "deploy", b"v3", coalesce=True)
    query = QueryReceived(17, 3, 99, "load", b"hi", "a", 10.0)
    failed = MembersChanged(Change.FAILED, (FAILED,))

    assert answered((26, "", None), (25, "", records.happening(plain))) == ANSWERS["plain event"]
    assert (
        answered((27, "", None), (25, "", records.happening(merged))) == ANSWERS["coalescing event"]
    )
    assert answered((3, "", records.happening(query, 1))) == ANSWERS["query told"]
    assert answered((3, "", records.happening(failed))) == ANSWERS["member failed"]


def test_queries_are_told_as_serf_does() -> None:
    response = records.query("response", "a", b"mine")
    acknowledged = records.query("ack", "b")
    done = records.query("done")

    assert answered((28, "", response), (28, "", done)) == ANSWERS["query answered"]
    assert (
        answered((36, "", None), (36, "", acknowledged), (36, "", done))
        == ANSWERS["query acknowledged"]
    )


def test_keys_are_answered_as_serf_does() -> None:
    key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    in_use = dict.fromkeys(("a", "b"), "Removing the primary key is not allowed")
    none = dict.fromkeys(("a", "b", "cc"), "Keyring is empty (encryption not enabled)")

    listed = records.keys({}, {key: 2}, nodes=2, errors=0, responses=2)
    installed = records.keys({}, None, nodes=2, errors=0, responses=2)
    refused = records.keys(in_use, None, nodes=2, errors=2, responses=2)
    unencrypted = records.keys(none, {}, nodes=3, errors=3, responses=3)

    assert answered((13, "", listed)) == ANSWERS["keys"]
    assert answered((14, "", installed)) == ANSWERS["key installed"]
    assert answered((16, "2/2 nodes reported failure", refused)) == ANSWERS["key in use"]
    assert answered((1, "3/3 nodes reported failure", unencrypted)) == ANSWERS["no keyring"]


def test_joins_and_coordinates_are_answered_as_serf_does() -> None:
    theirs = msgpack.unpackb(ANSWERS["coordinate"][13:])["Coord"]
    ours = records.coordinate(
        theirs["Vec"],
        error=theirs["Error"],
        adjustment=theirs["Adjustment"],
        height=theirs["Height"],
    )

    assert answered((9, "", records.joined(1))) == ANSWERS["join"]
    assert answered((11, "", ours)) == ANSWERS["coordinate"]
    assert answered((12, "", records.coordinate(None))) == ANSWERS["no coordinate"]


def test_a_log_line_is_told_in_one_field() -> None:
    assert answered((2, "", records.log("hello"))) == pack({"Error": "", "Seq": 2}) + pack(
        {"Log": "hello"}
    )
