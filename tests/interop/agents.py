"""Real `serf agent` processes and members of ours, side by side on loopback.

An agent is a process of Debian's package `serf` (0.9.4), driven and watched by its own command
line. A member of ours runs on the asyncio driver, in this process or (to be stopped and killed)
in one of its own. Everything waits for conditions with deadlines; nothing sleeps and hopes.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, ClassVar

import msgpack

from examples.drivers.shared import bind, local_address
from memberlist import Address, Config, Keyring, Memberlist, Node
from tests.examples.hosts import Running

#: Seconds that a condition may take to come true, beyond what detecting a failure needs.
PATIENCE = 30.0

#: Serf's own protocol range (memberlist's application versions): without it Serf refuses us.
SERF_VERSIONS = (2, 5, 5)

REPOSITORY = Path(__file__).parent.parent.parent

SERF = shutil.which("serf")

#: Ports that no outgoing connection is given (Linux: 32768 and above), so that a free one is still
#: free when an agent takes it. Processes of tests that run side by side have ports of their own:
#: an agent that looks for a dead one must not find another's pool there.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_FIRST_PORT = 20_000 + 3_000 * _WORKER
_PORTS = islice(
    cycle(range(_FIRST_PORT, _FIRST_PORT + 3_000)), SystemRandom().randrange(3_000), None
)


def until(condition: Callable[[], object], within: float = PATIENCE) -> float:
    """Wait until a condition is truthy; return how long it took.

    A condition may fail with an assertion of its own, which is then what the failure shows.
    """
    start = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - start
        except AssertionError:
            if time.monotonic() - start > within:
                raise
        assert time.monotonic() - start < within, f"not within {within} s"
        time.sleep(0.05)


def free_address(host: str = "127.0.0.1") -> Address:
    """Return an address whose port is free for UDP and TCP at this moment."""
    while True:
        try:
            udp, tcp = bind(host, next(_PORTS))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise
        address = local_address(tcp)
        udp.close()
        tcp.close()
        return address


def text(address: Address) -> str:
    """Return an address as Serf writes it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tags(**values: str) -> bytes:
    """Encode metadata as Serf does: 0xff and a map of text, in the old msgpack dialect."""
    packed: bytes = msgpack.packb(values, use_bin_type=False)
    return b"\xff" + packed


def leave_intent(name: str, ltime: int) -> bytes:
    """Encode Serf's leave intent, without which it takes a leave for a failure."""
    intent = {"LTime": ltime, "Node": name, "Prune": False}
    packed: bytes = msgpack.packb(intent, use_bin_type=False)
    return b"\x00" + packed


class Agent:
    """One `serf agent` process.

    Args:
        name: Of the node.
        directory: For its configuration and log.
        key: AES key of 16 or 32 bytes, or None for plaintext.
        keyring: Whether it has a keyring file, so that keys can be changed.
        compression: Whether it compresses.
        host: Where it listens.
        address: Where exactly, to come back there; a free port of `host` if None.
        stays: Whether it is waited for until it can be asked; one that need not stay may be gone.
        options: More flags.
    """

    #: What is started, before its flags.
    program: ClassVar[tuple[str, ...]] = (SERF or "serf", "agent")

    def __init__(
        self,
        name: str,
        directory: Path,
        *options: str,
        key: bytes | None = None,
        keyring: bool = False,
        compression: bool = True,
        host: str = "127.0.0.1",
        address: Address | None = None,
        stays: bool = True,
    ) -> None:
        assert SERF is not None
        self.name = name
        self.address = address or free_address(host)
        self.rpc = text(free_address())
        self.log = directory / f"{name}.log"
        self.ring = directory / f"{name}.keyring"
        config: dict[str, Any] = {"enable_compression": compression, "log_level": "debug"}
        if key is not None and keyring:
            self.ring.write_text(json.dumps([base64.b64encode(key).decode()]))
            config["keyring_file"] = str(self.ring)
        elif key is not None:
            config["encrypt_key"] = base64.b64encode(key).decode()
        file = directory / f"{name}.json"
        file.write_text(json.dumps(config))
        command = [*self.program, f"-node={name}", f"-bind={text(self.address)}"]
        command += [f"-rpc-addr={self.rpc}", "-profile=local", f"-config-file={file}", *options]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        if stays:
            self._await()

    def _await(self) -> None:
        try:
            until(self._is_up)
        except BaseException:
            self.kill()
            raise

    def _is_up(self) -> bool:
        assert self.process.poll() is None, f"the agent ended:\n{self.written()}"
        return self.cli("info").returncode == 0

    def cli(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a serf command against this agent: 0.9.4 wants flags before other arguments."""
        assert SERF is not None
        line = [SERF, command, f"-rpc-addr={self.rpc}", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def members(self) -> dict[str, dict[str, Any]]:
        """Return what `serf members` shows, by name."""
        answer = self.cli("members", "-format=json")
        assert answer.returncode == 0, answer.stderr
        return {member["name"]: member for member in json.loads(answer.stdout)["members"]}

    def status(self, name: str) -> str:
        """Return the status of a member: alive, leaving, left, failed, or unknown."""
        return str(self.members().get(name, {}).get("status", "unknown"))

    def info(self, field: str) -> str:
        """Return one field of `serf info`, such as `health_score`."""
        lines = (line.strip().partition(" = ") for line in self.cli("info").stdout.splitlines())
        return {key: value for key, _, value in lines}[field]

    def keys(self) -> list[bytes]:
        """Return its keys, the primary first, as it keeps them in its file."""
        return [base64.b64decode(key) for key in json.loads(self.ring.read_text())]

    def join(self, address: Address) -> bool:
        """Run `serf join`; return whether it worked."""
        return self.cli("join", text(address)).returncode == 0

    def written(self) -> str:
        """Return its log so far."""
        return self.log.read_text(errors="replace")

    def pause(self) -> None:
        """Stop the process as a debugger or a sleeping laptop does."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.process.kill()
        self.process.wait()


def config(**changes: Any) -> Config:
    """Return the local profile as a guest of Serf's.

    The retransmit multiplier is 4 because 2 can miss one of three nodes until the next push/pull.
    """
    return Config.local(**({"app_versions": SERF_VERSIONS, "retransmit_mult": 4} | changes))


class Member:
    """A member of ours in this process, with what tests ask of it."""

    def __init__(
        self,
        name: str,
        settings: Config,
        *,
        key: bytes | None = None,
        meta: bytes = b"",
        host: str = "127.0.0.1",
    ) -> None:
        self.name = name
        self.keyring = None if key is None else Keyring([key])

        def make(address: Address, now: float) -> Memberlist:
            return Memberlist(
                name,
                address,
                settings,
                rng=Random(name),
                now=now,
                meta=meta,
                keyring=self.keyring,
            )

        self.running: Running[Memberlist] = Running("asyncio", make, host=host)
        self.address = self.running.address
        self.events = self.running.events

    def call(self, method: Callable[[Memberlist, float], Any]) -> Any:
        """Give it one input."""
        return self.running.call(method)

    def ask(self, question: Callable[[Memberlist], Any]) -> Any:
        """Put a query."""
        return self.running.ask(question)

    def join(self, *addresses: Address) -> None:
        """Join and wait until it is finished well."""
        join = self.call(lambda machine, now: machine.join(addresses, now))
        until(lambda: [e for e in self.of("JoinFinished") if e.join == join])
        finished = next(e for e in self.of("JoinFinished") if e.join == join)
        assert finished.contacted == len(addresses), finished

    def state(self, name: str) -> str:
        """Return the state of a member in our table: alive, suspect, dead, left, or unknown."""
        node = self.ask(lambda machine: machine.member(name))
        return "unknown" if node is None else str(node.state.name.lower())

    def view(self, name: str) -> Node:
        """Return our record of a member that must be known."""
        node = self.ask(lambda machine: machine.member(name))
        assert isinstance(node, Node), f"{name} is unknown"
        return node

    def health(self) -> int:
        """Return the local health score; 0 is healthy."""
        return int(self.ask(lambda machine: machine.health))

    def incarnation(self) -> int:
        """Return its present incarnation."""
        return int(self.ask(lambda machine: machine.incarnation))

    def of(self, kind: str, since: int = 0) -> list[Any]:
        """Return the events of one kind so far, without the first `since` of all kinds."""
        return [event for event in self.events[since:] if type(event).__name__ == kind]

    def close(self) -> None:
        """End it without a word to anybody."""
        self.running.close()


class Process:
    """A member of ours in a process of its own (member.py), to be stopped and killed."""

    def __init__(self, name: str, seed: Address, key: bytes | None = None) -> None:
        self.name = name
        command = [sys.executable, "-m", "tests.interop.member", name, text(seed)]
        if key is not None:
            command.append(key.hex())
        self.process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"CI": ""})

    def pause(self) -> None:
        """Stop the process."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.process.kill()
        self.process.wait()


def send(data: bytes, to: Address) -> None:
    """Send one packet from nowhere in particular."""
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(data, to)


def packet(kind: int, **fields: Any) -> bytes:
    """Encode one memberlist message in the dialect of the wire: sorted, old raw strings."""
    packed: bytes = msgpack.packb(dict(sorted(fields.items())), use_bin_type=False)
    return bytes([kind]) + packed


def alive(name: str, address: Address, incarnation: int = 1) -> bytes:
    """Encode an alive message of a member that Serf accepts."""
    return packet(
        4,
        Addr=socket.inet_aton(address[0]),
        Incarnation=incarnation,
        Meta=tags(role="crowd"),
        Node=name,
        Port=address[1],
        Vsn=bytes((1, 5, 2, *SERF_VERSIONS)),
    )
