"""The replicated store as a process, and its parts: wire, disk, machine, client."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TypeVar

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.replicated.client import Client, OutcomeUnknown, RequestRefused
from examples.replicated.demonstration import DemonstrationFailed, Process, judge
from examples.replicated.server import Address
from examples.replicated.wire import (
    FRAME_BYTES_MAX,
    STATUS,
    Answer,
    Done,
    FrameParser,
    Gone,
    Opened,
    Oversized,
    Refused,
    Retry,
    WireError,
    decode_hello,
    decode_reply,
    decode_request,
    encode_hello,
    encode_reply,
    encode_request,
    frame,
)
from examples.replicated_kv import parse_peers
from kvstore.codec.codec import decode_result, encode_command
from kvstore.commands import Get, Put, Range
from kvstore.results import GetOk, PutOk, RangeOk
from kvstore.testing import Read, Recorder, Verdict, Write

SCRIPT = Path(__file__).parent.parent.parent / "examples" / "replicated_kv.py"


T = TypeVar("T")


# --- the demonstration -----------------------------------------------------------------------


def test_the_demonstration_kills_servers_and_loses_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=120, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    story = ended.stdout
    assert re.search(r"kill -9 of the leader n\d, under load", story)
    assert re.search(r"without an answered write since: \d+\.\d\d s", story)
    assert len(re.findall(r"n\d remembers term \d+, \d+ entries", story)) == 4
    assert "all three are in one state" in story
    assert "a single store could have answered so: LEGAL" in story


def test_a_server_that_does_not_start_says_why() -> None:
    script = "print('first this', flush=True); raise OSError('no room')"
    process = Process("n2", [sys.executable, "-c", script], lambda _: None)

    with pytest.raises(DemonstrationFailed) as failed:
        asyncio.run(process.start())

    said = str(failed.value).splitlines()
    assert (said[0], said[-1]) == ("n2 does not start, exit code 1: first this", "OSError: no room")


def test_a_history_that_cannot_be_is_judged_illegal() -> None:
    recorder = Recorder()
    recorder.returned(recorder.called(1, Write("a", "key")), None)
    recorder.returned(recorder.called(2, Read("key")), None)

    assert judge(recorder).verdict is Verdict.ILLEGAL


# --- processes -------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Served:
    """One server that is a cluster by itself, as a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address: Address = ("127.0.0.1", free_port())
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> subprocess.Popen[str]:
        host, port = self.address
        command = [sys.executable, str(SCRIPT), "serve", "--with-parent", "--id", "n1"]
        command += ["--peers", f"n1={host}:{port}", "--directory", str(self.directory), *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        return self.process

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate(timeout=30)
            self.process = None

    def use(self, work: Callable[[Client], Awaitable[T]], patience: float = 15.0) -> T:
        """Let a client do something."""

        async def use() -> T:
            client = Client("test", {"n1": self.address}, rng=Random(1), patience=patience)
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(use())

    @property
    def segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.wal"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path / "n1")
    yield found
    found.kill()


def putting(count: int) -> Callable[[Client], Awaitable[None]]:
    async def put(client: Client) -> None:
        for number in range(count):
            result = await client.execute(Put(f"key/{number}", b"%d" % number))
            assert isinstance(result, PutOk)

    return put


async def stored(client: Client) -> dict[str, bytes]:
    result = await client.query(Range("key/"))
    assert isinstance(result, RangeOk)
    return {entry.key: entry.value for entry in result.entries}


def expected(count: int) -> dict[str, bytes]:
    return {f"key/{number}": b"%d" % number for number in range(count)}


def test_a_server_remembers_what_it_answered_after_kill_9(served: Served) -> None:
    served.start("--found")
    served.use(putting(20))
    served.kill()
    served.start()

    assert served.use(stored) == expected(20)


@pytest.mark.parametrize("damage", ["half a record", "garbage"])
def test_a_torn_last_write_is_cut_off_and_nothing_else(served: Served, damage: str) -> None:
    served.start("--found")
    served.use(putting(20))
    served.kill()
    last = served.segments[-1]
    torn = {
        "half a record": last.read_bytes()[-200:-60],
        "garbage": Random(1).randbytes(700),
    }
    with last.open("ab") as file:
        file.write(torn[damage])

    served.start()

    assert served.use(stored) == expected(20)
    served.kill()
    served.start()
    assert served.use(stored) == expected(20)


def test_a_server_whose_log_is_damaged_does_not_start(served: Served) -> None:
    served.start("--found")
    served.use(putting(20))
    served.kill()
    last = served.segments[-1]
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)

    process = served.start()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 2
    assert re.search(r"can't go on: segment 1, byte \d+", errors)


def test_two_processes_do_not_share_a_log(served: Served) -> None:
    served.start("--found")
    served.use(putting(1))
    other = Served(served.directory)

    process = other.start()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 2
    assert "is in use" in errors


def test_a_server_ends_with_its_parent(served: Served) -> None:
    process = served.start("--found")
    served.use(putting(1))

    _, errors = process.communicate(timeout=30)  # closes its input

    assert (process.returncode, errors) == (0, "")


def test_a_snapshot_takes_the_place_of_the_log(served: Served) -> None:
    served.start("--found", "--compact-every", "10")
    served.use(putting(60))
    served.kill()

    served.start("--compact-every", "10")
    assert served.process is not None
    assert served.process.stdout is not None
    told = [served.process.stdout.readline() for _ in range(2)]

    assert "a snapshot of all up to" in told[1]
    assert served.use(stored) == expected(60)
    assert len(list(served.directory.glob("*.snapshot"))) == 1


def test_the_command_line_refuses_what_makes_no_sense() -> None:
    for arguments in (["--peers", "n1"], ["--peers", "n1=host:0"], ["--peers", "n2=host:1"]):
        command = [sys.executable, str(SCRIPT), "serve", "--id", "n1", "--directory", "d"]
        ended = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=30, check=False
        )

        assert ended.returncode == 2
        assert "usage:" in ended.stderr


# --- clients that misbehave, and clients without a server ------------------------------------


async def converse(address: Address, *bodies: bytes) -> list[bytes]:
    """Send frames, and return those that come until as many came, or the connection ends."""
    reader, writer = await asyncio.open_connection(*address)
    for body in bodies:
        writer.write(frame(body))
    parser, came = FrameParser(), list[bytes]()
    with suppress(OSError):
        async with asyncio.timeout(10):
            while len(came) < len(bodies) - 1 and (data := await reader.read(1 << 16)):
                came += parser.feed(data)
            if len(bodies) < 2:
                assert await reader.read(1) == b""
    writer.transport.abort()
    return came


def test_connections_that_make_no_sense_are_closed_and_harm_nobody(served: Served) -> None:
    served.start("--found")
    served.use(putting(1))
    client, peer = encode_hello("client", "c"), encode_hello("peer", "n9")

    for bodies in ([b"nonsense"], [client, b"nonsense"], [peer, b"nonsense"]):
        assert asyncio.run(converse(served.address, *bodies)) == []

    assert served.use(stored) == expected(1)


def test_requests_of_one_connection_are_answered_together(served: Served) -> None:
    served.start("--found")
    served.use(putting(1))
    query = encode_command(Get("key/0"))
    requests = [encode_request(number, number % 3, query) for number in range(30)]

    replies = asyncio.run(converse(served.address, encode_hello("client", "c"), *requests))

    answers = dict(map(decode_reply, replies))
    assert sorted(answers) == list(range(30))
    assert all(isinstance(answers[number], Refused) for number in range(0, 30, 3))
    assert {type(decode_result(answers[number].result)) for number in range(1, 30, 3)} == {GetOk}  # type: ignore[union-attr]
    assert msgpack.unpackb(answers[STATUS].result)["role"] == "leader"  # type: ignore[union-attr]


def test_a_client_without_servers_says_that_it_does_not_know(served: Served) -> None:
    async def use(client: Client) -> None:
        with pytest.raises(OutcomeUnknown):
            await client.query(Get("a"))
        assert await client.status("n1") is None
        assert client.repeated >= 1

    served.use(use, patience=0.3)


def test_an_answer_that_is_too_large_is_told(served: Served) -> None:
    served.start("--found")

    async def use(client: Client) -> None:
        for number in range(5):
            await client.execute(Put(f"key/{number}", bytes(400_000)))
        with pytest.raises(RequestRefused):
            await client.query(Range("key/"))

    served.use(use)


# --- the wire --------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 9))
def test_frames_come_out_however_they_are_cut(bodies: list[bytes], size: int) -> None:
    stream = b"".join(map(frame, bodies))
    parser = FrameParser()

    came = [
        body for at in range(0, len(stream), size) for body in parser.feed(stream[at : at + size])
    ]

    assert came == bodies


def test_frames_that_are_too_long_are_refused_before_they_come() -> None:
    with pytest.raises(WireError):
        FrameParser().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="at most"):
        frame(bytes(FRAME_BYTES_MAX + 1))


ANSWERS: list[Answer] = [
    Opened(7),
    Done(b"result"),
    Oversized(),
    Gone(),
    Refused("no"),
    Retry("later"),
    Retry("elsewhere", "n2"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
def test_replies_come_back_as_they_were(answer: Answer) -> None:
    assert decode_reply(encode_reply(3, answer)) == (3, answer)


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for decode in (decode_reply, decode_hello, decode_request):
        with suppress(WireError):
            decode(data)


def test_greetings_and_requests_come_back_as_they_were() -> None:
    assert decode_hello(encode_hello("peer", "n1")) == ("peer", "n1")
    assert decode_request(encode_request(4, STATUS, b"data")) == (4, STATUS, b"data")
    with pytest.raises(WireError):
        decode_request(encode_request(4, 99, b""))
    with pytest.raises(WireError):
        decode_hello(encode_hello("stranger", "n1"))


def test_peers_are_read_from_the_command_line() -> None:
    assert parse_peers("a=::1:70,b=host:80") == {"a": ("::1", 70), "b": ("host", 80)}
