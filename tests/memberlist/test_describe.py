from typing import Any

import pytest

from memberlist import codec, packet
from memberlist.describe import describe
from memberlist.messages import IndirectPing
from memberlist.outputs import (
    BroadcastFinished,
    BroadcastOutcome,
    Evidence,
    HealthChanged,
    MemberJoined,
    MemberlistLeft,
    MessageReceived,
    OpenStream,
    PingCompleted,
    SendDatagram,
    SendStream,
)
from tests.memberlist.toy import record

A = ("10.0.0.1", 7946)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (HealthChanged(1, 0, "late"), "HealthChanged score=1 previous=0 cause=late"),
        (MemberlistLeft(True), "MemberlistLeft told=True"),
        (MemberJoined(record("x", 5)), "MemberJoined node=<x 10.0.0.9:7946 alive 5>"),
        (
            BroadcastFinished(1, BroadcastOutcome.SENT, 4),
            "BroadcastFinished broadcast=1 outcome=sent transmits=4",
        ),
        (
            PingCompleted(None, "x", 0.0012345678, b""),
            "PingCompleted ping=None node=x rtt=0.00123457 payload=''",
        ),
        (
            MessageReceived(A, bytes(50), True),
            "MessageReceived source=10.0.0.1:7946 payload=50 bytes reliable=True",
        ),
        (
            Evidence("a", ("b", "c"), 1.0, 2.5, None, 0),
            "Evidence suspected_by=a confirmed_by=(b c) since=1 timeout=2.5 probe=None health=0",
        ),
        (OpenStream(2, A, 1.0), "OpenStream 2 10.0.0.1:7946"),
        (SendStream(2, b"abc"), "SendStream 2 3 bytes"),
        (SendStream(2, b"", eof=True), "SendStream 2 0 bytes eof"),
        (3, "3"),
        ({}, "{}"),
    ],
)
def test_an_output_reads_in_one_line(output: Any, line: str) -> None:
    assert describe(output) == line


def packed(*parts: bytes) -> bytes:
    return packet.encode_compound(parts) if len(parts) > 1 else parts[0]


PING = codec.encode_ping(7, "b", None, "")
ASKED = codec.encode_indirect_ping(IndirectPing(7, "c", A, nack=True))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (PING, "Ping sequence=7 node=b source=None source_name="),
        (codec.encode_ack(7, b"hi"), "Ack sequence=7 payload='hi'"),
        (codec.encode_nack(7), "Nack sequence=7"),
        (
            ASKED,
            (
                "IndirectPing sequence=7 node=c target=10.0.0.1:7946 nack=True source=None "
                "source_name="
            ),
        ),
        (
            packed(codec.encode_nack(1), codec.encode_suspect(2, "x", "y")),
            "Nack sequence=1 + Suspect incarnation=2 node=x sender=y",
        ),
        (codec.encode_alive(record("x", 5)), "Alive <x 10.0.0.9:7946 alive 5>"),
        (codec.encode_compressed(codec.encode_nack(1)), "Nack sequence=1"),
        (b"\x0c\0\0\0\0" + codec.encode_nack(1), "Nack sequence=1"),
        (b"\x08hello", "User 'hello'"),
        (b"\x0a\xff\xff", "3 bytes"),
        (b"", "0 bytes"),
    ],
)
def test_a_packet_is_described_by_its_messages(data: bytes, text: str) -> None:
    assert describe(SendDatagram(A, data)) == f"SendDatagram 10.0.0.1:7946 [{text}]"
