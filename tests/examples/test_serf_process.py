"""The agent as its users meet it: a process, its output, its RPC, its signals, its exit code."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from examples.drivers.shared import bind, local_address
from examples.serf.rpc import WAITING_MAX, Client
from examples.serf.session import Session
from tests.interop.rpc_client import Listener, RpcClient

SCRIPT = Path(__file__).parent.parent.parent / "examples" / "serf_agent.py"

PATIENCE = 20.0


def free() -> str:
    """Return an address that is free at this moment."""
    udp, tcp = bind("127.0.0.1")
    host, port = local_address(tcp)
    udp.close()
    tcp.close()
    return f"{host}:{port}"


class Process:
    """One agent; what it prints is in `said`."""

    def __init__(self, *flags: str, ready: bool = True) -> None:
        self.address, self.rpc = free(), free()
        line = [sys.executable, str(SCRIPT), f"-bind={self.address}", f"-rpc-addr={self.rpc}"]
        line += ["-profile=local", *flags]
        self._process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = ""
        if ready:
            self.wait_for("Log data will now stream in")

    def wait_for(self, text: str) -> None:
        """Read what it prints until a text comes."""
        assert self._process.stdout is not None
        for line in iter(self._process.stdout.readline, ""):
            self.said += line
            if text in line:
                return
        raise AssertionError(self.said)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        said, _ = self._process.communicate(timeout=PATIENCE)
        self.said += said
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start() -> Iterator[Any]:
    started: list[Process] = []

    def launch(*flags: str, ready: bool = True) -> Process:
        started.append(Process(*flags, ready=ready))
        return started[-1]

    yield launch
    for process in started:
        process.kill()


def members(rpc: str) -> dict[str, str]:
    client = RpcClient(rpc)
    found = client.ask("members", bodies=1)[b"Members"]
    client.close()
    return {member[b"Name"].decode(): member[b"Status"].decode() for member in found}


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- starting ---------------------------------------------------------------------------------


def test_an_agent_introduces_itself_as_serf_does(start: Any) -> None:
    agent = start("-node=me", "-encrypt=AAECAwQFBgcICQoLDA0ODw==")

    assert agent.said.startswith("==> Starting Serf agent...\n")
    assert "                      Node name: 'me'\n" in agent.said
    assert f"                      Bind addr: '{agent.address}'\n" in agent.said
    assert f"                       RPC addr: '{agent.rpc}'\n" in agent.said
    assert "                      Encrypted: true\n" in agent.said
    assert "    Message Compression Enabled: true\n" in agent.said
    assert re.search(r"    \d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[INFO\] agent: Serf agent", agent.said)


def test_agents_find_each_other(start: Any) -> None:
    one = start("-node=one")
    start("-node=two", f"-join={one.address}")
    start("-node=three", f"-retry-join={one.address}", "-retry-interval=1s")

    alive = {"one": "alive", "two": "alive", "three": "alive"}
    until(lambda: members(one.rpc) == alive)


def test_a_join_that_reaches_nobody_is_the_end(start: Any) -> None:
    agent = start(f"-join={free()}", "-join=host:x", ready=False)

    assert agent.end() == 1
    assert "2 errors occurred:\n\t* Failed to resolve host:x: not a port" in agent.said
    assert "\t* Failed to join 127.0.0.1: unreachable" in agent.said


def test_a_retried_join_gives_up_if_it_is_told_to(start: Any) -> None:
    agent = start(f"-retry-join={free()}", "-retry-interval=1s", "-retry-max=1", ready=False)

    assert agent.end() == 1
    assert "Join failed: 1 error occurred" in agent.said
    assert "maximum retry join attempts made, exiting" in agent.said


def test_what_makes_no_sense_is_told_in_a_line(start: Any, tmp_path: Path) -> None:
    bad_flag = start("-bogus", ready=False)
    bad_file = start(f"-keyring-file={tmp_path / 'none'}", ready=False)
    bad_tags = tmp_path / "tags"
    bad_tags.write_text("{")
    unread = start(f"-tags-file={bad_tags}", ready=False)

    assert bad_flag.end() == 1
    assert bad_flag.said == "serf_agent.py: there is no flag -bogus (see -help)\n"
    assert bad_file.end() == 1
    assert "==> Failed to read keyring file" in bad_file.said
    assert unread.end() == 1
    assert "==> Failed to decode tags file" in unread.said


def test_an_address_that_is_taken_is_told_in_a_line(start: Any) -> None:
    one = start()
    other = start(f"-bind={one.address}", ready=False)
    third = start(f"-rpc-addr={one.rpc}", ready=False)

    assert other.end() == 1
    assert f"==> can't bind to {one.address}: Address already in use\n" in other.said
    assert third.end() == 1
    assert "==> Error starting RPC listener: " in third.said


def test_help_is_no_error(start: Any) -> None:
    agent = start("-help", ready=False)

    assert agent.end() == 0
    assert agent.said.startswith("usage: serf_agent.py")


# --- living -----------------------------------------------------------------------------------


def test_a_hangup_reads_the_options_again(start: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"tags": {"a": "1"}, "log_level": "err"}))
    agent = start(f"-config-file={file}")
    listener = Listener(agent.rpc, "member-update")

    file.write_text(json.dumps({"tags": {"a": "2"}, "log_level": "info"}))
    agent.signal(signal.SIGHUP)
    agent.wait_for("Reloading configuration")
    until(lambda: listener.records)
    file.write_text("{")
    agent.signal(signal.SIGHUP)
    agent.wait_for("Failed to reload configs")
    listener.close()

    (record,) = listener.records
    assert record[b"Members"][0][b"Tags"] == {b"a": b"2"}
    assert "[INFO] agent: Received event: member-update" in agent.said


def test_a_second_signal_ends_a_leave_that_takes_long(start: Any) -> None:
    one = start("-node=one")
    two = start("-node=two", f"-join={one.address}", "-broadcast-timeout=30s")
    until(lambda: members(two.rpc) == {"one": "alive", "two": "alive"})
    one.signal(signal.SIGSTOP)

    two.signal(signal.SIGINT)
    two.wait_for("Gracefully shutting down")
    two.signal(signal.SIGINT)

    assert two.end() in (0, 1)
    one.signal(signal.SIGCONT)


def test_signals_leave_only_if_they_should(start: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"leave_on_terminate": True, "skip_leave_on_interrupt": True}))
    leaves, stays = start(f"-config-file={file}"), start(f"-config-file={file}")

    leaves.signal(signal.SIGTERM)
    stays.signal(signal.SIGINT)

    assert leaves.end() == 0
    assert stays.end() == 1
    assert "requesting graceful leave" in leaves.said
    assert "requesting graceful leave" not in stays.said


# --- the RPC ----------------------------------------------------------------------------------


def test_streams_and_monitors_end_when_they_are_stopped(start: Any) -> None:
    agent = start()
    client = RpcClient(agent.rpc)
    client.ask("stream", {"Type": "user"})
    client.ask("stop", {"Stop": 1})
    client.ask("monitor", {"LogLevel": "err"})
    client.ask("stop", {"Stop": 3})
    client.ask("monitor", {"LogLevel": "err"})
    client.fire("unheard")
    stats = client.ask("stats", bodies=1)
    client.close()

    assert stats[b"agent"]


class Clogged(asyncio.StreamWriter):
    """The way to a client that does not read."""

    def __init__(self, waiting: int) -> None:  # it needs no loop
        self.waiting = waiting
        self.written = b""

    def __del__(self) -> None:
        """Nothing is open."""

    @property
    def transport(self) -> Any:
        return self

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self.written += data


@pytest.mark.parametrize(("waiting", "is_sent"), [(WAITING_MAX, True), (WAITING_MAX + 1, False)])
def test_records_for_a_client_that_does_not_read_are_dropped(waiting: int, is_sent: bool) -> None:
    writer = Clogged(waiting)

    sent = Client(Session(), writer, "them").record(1, {"Log": "line"})

    assert sent is is_sent
    assert bool(writer.written) is is_sent


def test_too_many_clients_are_hung_up_on(start: Any) -> None:
    agent = start()
    host, port = agent.rpc.split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(256)]

    with socket.create_connection((host, int(port))) as late:
        late.settimeout(PATIENCE)
        late.sendall(msgpack.packb({"Command": "handshake", "Seq": 0}))
        try:
            answer = late.recv(100)
        except ConnectionResetError:
            answer = b""
    for each in idle:
        each.close()

    assert answer == b""
    until(lambda: reachable(agent.rpc))


def reachable(rpc: str) -> bool:
    try:
        return len(members(rpc)) == 1
    except ConnectionError:
        return False


def test_streams_have_a_limit(start: Any) -> None:
    agent = start()
    client = RpcClient(agent.rpc)
    for _ in range(64):
        client.ask("stream", {"Type": "user"})

    client.send("stream", {"Type": "user"})
    refused = client.read()
    client.close()

    assert refused[b"Error"] == b"Too many streams"
