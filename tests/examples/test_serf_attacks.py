"""The agent against members and RPC clients that mean no good."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest

from examples.serf import rpc
from examples.serf.journal import LINE_MAX, Journal
from examples.serf.rpc import Client, RpcServer
from examples.serf.session import REQUEST_SIZE_MAX, STRANGERS_SIZE_MAX, Asked, Session, pack
from examples.serf_agent import print_line

ARRAY = b"\xdc\x10\x00"  # of 4096 elements
HANDSHAKE = pack({"Command": "handshake", "Seq": 0}) + pack({"Version": 1})


def size_taken(session: Session, piece: bytes) -> int:
    """Return how many bytes of one request a session takes before it ends, 100 MB at most."""
    taken = 0
    while not session.over and taken < 100_000_000:
        session.receive(piece)
        assert session.next_request() is None
        taken += len(piece)
    return taken


# --- clients -----------------------------------------------------------------------------------


def test_a_request_of_many_values_is_bounded_by_its_bytes() -> None:
    """What the unpacker has begun to build it keeps, and does not count."""
    session = Session()
    session.receive(HANDSHAKE + ARRAY)
    session.next_request()

    assert size_taken(session, ARRAY + b"\x90" * 4096) <= REQUEST_SIZE_MAX + 4099 + 3
    assert session.over == f"a request is larger than {REQUEST_SIZE_MAX} bytes"


@pytest.mark.parametrize("begin", [b"", HANDSHAKE], ids=["no handshake", "no key"])
def test_a_stranger_gets_less_room(begin: bytes) -> None:
    session = Session("secret")
    session.receive(begin + ARRAY)
    session.next_request()

    assert size_taken(session, ARRAY + b"\x90" * 4096) <= STRANGERS_SIZE_MAX + 4099 + 3


def test_many_requests_one_after_the_other_are_no_large_request() -> None:
    session = Session()
    session.receive(HANDSHAKE)
    session.next_request()
    one = pack({"Command": "event", "Seq": 1}) + pack({"Name": "x", "Payload": bytes(100_000)})
    for _ in range(20):
        session.receive(one[:50_000])
        assert session.next_request() is None
        session.receive(one[50_000:])
        assert session.next_request() is not None

    assert not session.over


def test_who_never_says_who_it_is_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def execute(_: Client, __: Asked) -> None:
        """Nothing is ever asked here."""

    async def scenario() -> tuple[bytes, bytes]:
        server = RpcServer("", execute, Journal())
        address = await server.start(("127.0.0.1", 0))
        polite, polite_writer = await asyncio.open_connection(*address)
        polite_writer.write(HANDSHAKE)
        greeting = await polite.readexactly(len(pack({"Error": "", "Seq": 0})))
        monkeypatch.setattr(rpc, "HANDSHAKE_MAX", 0.05)
        silent, silent_writer = await asyncio.open_connection(*address)
        nothing = await silent.read()
        assert next(iter(server.clients)).session.is_trusted
        assert len(server.clients) == 1
        silent_writer.close()
        polite_writer.close()
        await server.close()
        return greeting, nothing

    assert asyncio.run(asyncio.wait_for(scenario(), 20)) == (pack({"Error": "", "Seq": 0}), b"")


# --- the log -----------------------------------------------------------------------------------


def test_a_name_can_not_forge_a_line_of_the_log() -> None:
    lines: list[str] = []
    journal = Journal()
    journal.listen("TRACE", lines.append)
    journal.info("serf", "EventMemberJoin: x\n2030/01/01 [ERR] serf: forged \x1b[2J \udcff é")

    assert len(lines) == 1
    assert lines[0].endswith(r"x\n2030/01/01 [ERR] serf: forged \x1b[2J \udcff é")


def test_a_line_of_the_log_ends() -> None:
    lines: list[str] = []
    journal = Journal()
    journal.listen("TRACE", lines.append)
    journal.info("agent", "x" * 100_000)

    assert len(lines[0]) < LINE_MAX + 100


def test_a_terminal_that_can_not_show_a_name_does_not_end_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception on the way would leave outputs of the machine behind, and its timer unset."""
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    print_line("é \udcff")

    assert shown.getvalue() == b"    \\xe9 \\udcff\n"
