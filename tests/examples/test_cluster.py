"""The main job as a user meets it: a process, its output and its exit code."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgpack
import pytest

from examples.freezable import Freezable
from examples.guest import SerfGuest, encode_tags
from examples.timeline import table
from memberlist import (
    Address,
    Config,
    Keyring,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    Memberlist,
    SendDatagram,
)
from tests.examples.hosts import Running

SCRIPT = Path(__file__).parent.parent.parent / "examples" / "cluster.py"

KEY = bytes(range(32))


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(SCRIPT), *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = command(*arguments)
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def pool() -> Iterator[Running[Memberlist]]:
    """Run one encrypted member, for others to join."""

    def make(address: Address, now: float) -> Memberlist:
        config = Config.local(retransmit_mult=4)
        keyring = Keyring([KEY])
        return Memberlist("host", address, config, rng=Random(1), now=now, keyring=keyring)

    running = Running("asyncio", make)
    yield running
    running.close()


# --- among themselves ------------------------------------------------------------------------


def test_a_run_tells_a_story_and_ends_with_a_table() -> None:
    ended = run("--duration", "9", "--seed", "1", "--members", "4")

    assert (ended.returncode, ended.stderr) == (0, "")
    story, summary, _ = ended.stdout.split("\n\n")
    assert "everybody knows everybody" in story
    assert re.search(r"--- freezing shoal-\d until it is suspected", story)
    assert re.search(r"shoal-\d SUSPECTED: shoal-\d sent a ping, pings through shoal-\d", story)
    assert re.search(r"shoal-\d objects to shoal-\d: not suspect", story)
    assert re.search(r"shoal-\d refuted: alive after all", story)
    assert "--- killing shoal-" in story
    assert "--- everybody leaves" in story
    heads, _, *rows = summary.splitlines()
    assert heads.split()[:4] == ["member", "incarnation", "knows", "health"]
    assert [row.split()[0] for row in rows] == [f"shoal-{number}" for number in range(1, 5)]
    assert {row.split()[-1] for row in rows} <= {"left", "killed"}


def test_a_lonely_member_waits_for_the_end() -> None:
    ended = run("--duration", "1", "--members", "1", "--name", "hermit")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "hermit-1" in ended.stdout


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    line = command("--duration", "30", "--members", "2")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(line, text=True, **pipes)  # type: ignore[call-overload]

    process.stdout.readline()
    process.stdout.close()

    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


# --- in a pool that exists -------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_it_leave_properly(number: int, pool: Running[Memberlist]) -> None:
    key = base64.b64encode(KEY).decode()
    seed = "{}:{}".format(*pool.address)
    line = command("--members", "1", "--join", seed, "--key", key, "--pool", "memberlist")

    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    pool.wait(lambda events: [e for e in events if isinstance(e, MemberJoined)])
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    pool.wait(lambda events: [e for e in events if isinstance(e, MemberLeft)])
    assert [e for e in pool.events if isinstance(e, MemberFailed)] == []
    assert "--- everybody leaves" in output
    assert "others in the pool: host (alive)" in output


def test_a_signal_while_joining_ends_it_too() -> None:
    """The seed accepts the stream and says nothing: only `stream_timeout` (30 s) ends the join."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        seed = f"127.0.0.1:{silent.getsockname()[1]}"
        line = command("--members", "2", "--join", seed, "--profile", "wan")
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()

        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        connection.close()

    assert (process.returncode, errors) == (0, "")
    assert "--- everybody leaves" in output


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bogus",), "unrecognized arguments: --bogus"),
        (("--members", "0"), "'0' is not a number from 1 to 100"),
        (("--members", "many"), "'many' is not a number from 1 to 100"),
        (("--join", "host:x"), "not a port: 'x'"),
        (("--join", ""), "no host in ''"),
        (("--join", "host:99999"), "port 99999 is not within"),
        (("--key", "abc"), "not base64"),
        (("--key", "AAAA"), "3 bytes; a key has 16, 24 or 32"),
        (("--duration", "-1"), "'-1' is not a positive number of seconds"),
        (("--duration", "nan"), "'nan' is not a positive number of seconds"),
        (("--profile", "moon"), "invalid choice: 'moon'"),
        (("--seed", "x"), "invalid int value: 'x'"),
        (("--bind", "127.0.0.1:65535"), "no 5 ports from 65535 on"),
        (("--bind", "192.0.2.1"), "can't bind to 192.0.2.1"),
        (("--bind", "no..name"), "can't bind to no..name"),
        (("--name", ""), "must be 1 to 100 bytes"),
    ],
)
def test_a_bad_argument_gets_one_line_and_code_2(arguments: tuple[str, ...], words: str) -> None:
    ended = run(*arguments)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("cluster.py: ")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_pool_that_does_not_answer_gets_one_line_and_code_1(pool: Running[Memberlist]) -> None:
    nobody, host = "127.0.0.1:1", "{}:{}".format(*pool.address)

    alone, keyless = run("--join", nobody), run("--join", host)

    assert (alone.returncode, keyless.returncode) == (1, 1)
    assert alone.stderr == "cluster.py: can't join 127.0.0.1:1: unreachable\n"
    assert keyless.stderr.startswith(f"cluster.py: can't join {host}: ")
    assert keyless.stderr.count("\n") == 1


def test_it_runs_as_a_module_and_from_anywhere(tmp_path: Path) -> None:
    root = SCRIPT.parent.parent
    as_module = [sys.executable, "-m", "examples.cluster", "--help"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    for line, folder in ((as_module, root), (command("--help"), tmp_path)):
        ended = subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0
        assert "--join HOST:PORT" in ended.stdout


# --- the parts -------------------------------------------------------------------------------


def test_a_guest_s_clock_follows_what_it_hears_and_nothing_moves_it_back() -> None:
    guest = SerfGuest("us")

    def pack(kind: int, value: object) -> bytes:
        packed: bytes = msgpack.packb(value, use_bin_type=False)
        return bytes([kind]) + packed

    guest.hear(pack(1, {"LTime": 41, "Node": "them"}))
    assert guest.clock == 42
    for payload in (
        b"",
        b"\x00",
        b"\x01\xc1",
        pack(1, {"LTime": 5}),
        pack(0, {"LTime": "soon"}),
        pack(2, [1]),
        pack(2, {"LTime": 2**64 - 1}),
        pack(3, {"LTime": 99}),  # an event's clock is another one
    ):
        guest.hear(payload)

    assert guest.clock == 42
    intent = msgpack.unpackb(guest.leave_intent()[1:])
    assert intent == {"LTime": 43, "Node": "us", "Prune": False}


def test_a_frozen_member_says_nothing_and_hears_everything_when_it_thaws() -> None:
    machine = Memberlist("us", ("127.0.0.1", 1), Config.local(), rng=Random(1), now=0.0)
    frozen = Freezable(machine)
    ping = b"\x00\x82\xa4Node\xa2us\xa5SeqNo\x07"

    frozen.freeze(0.0)
    frozen.receive_datagram(ping, ("127.0.0.1", 2), 5.0)
    assert (frozen.poll(), frozen.next_timeout()) == (None, None)
    frozen.thaw(9.0)

    sent = [output for output in iter(frozen.poll, None) if isinstance(output, SendDatagram)]
    assert [b"\x02\x82\xa7Payload\xc0\xa5SeqNo\x07" in packet.data for packet in sent] == [True]
    deadline = frozen.next_timeout()
    assert deadline is not None
    assert deadline > 9.0


def test_tags_are_what_serf_s_captured_ones_are() -> None:
    assert encode_tags({"role": "web", "dc": "a"}).hex() == "ff82a4726f6c65a3776562a26463a161"


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert table(("who", "count"), [("a", 5), ("longer", 12)]).splitlines() == [
        "who     count",
        "------  -----",
        "a           5",
        "longer     12",
    ]
