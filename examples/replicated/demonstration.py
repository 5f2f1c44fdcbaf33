"""The story that `examples/replicated_kv.py` plays: servers are killed, and nobody loses a word.

Owns the acts and what is asserted of them. Clients run in this process, so that one recorder sees
the calls and returns of all in the order in which they happened.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from examples.replicated.client import Client, OutcomeUnknown
from examples.replicated.server import Address
from kvstore.commands import Check, Get, Put, Txn
from kvstore.results import GetOk, TxnOk
from kvstore.testing import (
    CompareAndSet,
    Read,
    Recorder,
    Registers,
    Report,
    Verdict,
    Write,
    check,
    picture,
)

SERVERS: Final = ("n1", "n2", "n3")
CLIENTS: Final = 8
KEYS: Final = 6

#: Operations in each act.
ACT: Final = 400

#: Seconds that all of it may take; it takes about ten.
LIMIT: Final = 90.0

#: Seconds between two looks at what is waited for.
_LOOK: Final = 0.05

Say: TypeAlias = Callable[[str], None]


class DemonstrationFailed(Exception):
    """Something did not go as it must, with what as its text."""


class Process:
    """One server, as a process of its own that ends with ours."""

    def __init__(self, name: str, command: list[str], say: Say) -> None:
        self._name = name
        self._command = command
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, *options: str) -> None:
        """Start it, and return once it listens.

        Raises:
            DemonstrationFailed: It does not.
        """
        pipe = asyncio.subprocess.PIPE
        # With its errors in order among the rest: why it does not start is told there.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, *options, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.startswith(b"listening"):
            self._process.stdin.close()  # one that said something else first ends, too
            said = (line + await self._process.stdout.read()).decode().strip()
            code = await self._process.wait()
            raise DemonstrationFailed(f"{self._name} does not start, exit code {code}: {said}")
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    async def kill(self) -> None:
        """End it as `kill -9` does: no farewell, no flush."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            self._say(f"{self._name} {line.decode().rstrip()}")


class Load:
    """Clients that write, read and compare-and-set, and write down what they were told.

    Attributes:
        recorder: Their history.
        done: Operations that were answered.
        unknown: Operations whose outcome was never learned.
        longest_gap: The longest time without any answer to a write, seconds.
    """

    def __init__(self, servers: Mapping[str, Address], seed: int) -> None:
        self.recorder = Recorder()
        self.done = self.unknown = 0
        self.longest_gap = 0.0
        self._rng = Random(seed)
        self._written_at = time.monotonic()
        self._over = False
        self._clients = [
            Client(f"client-{number}", servers, rng=Random(self._rng.random()))
            for number in range(CLIENTS)
        ]

    @property
    def repeated(self) -> int:
        """How often clients asked again."""
        return sum(client.repeated for client in self._clients)

    async def run(self) -> None:
        """Run all clients until `stop`."""
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(self._use(number, client, Random(self._rng.random())))

    def stop(self) -> None:
        """Let every client finish what it does."""
        self._over = True

    def begin_gap(self) -> None:
        """Measure gaps from now on."""
        self._written_at, self.longest_gap = time.monotonic(), 0.0

    async def _use(self, number: int, client: Client, rng: Random) -> None:
        """Do one thing after the other, each at once."""
        seen: dict[str, str | None] = {}
        count = 0
        while not self._over:
            count += 1
            key, value = f"key-{rng.randrange(KEYS)}", f"{number}.{count}"
            old, chance = seen.get(key), rng.random()
            if chance < 0.4:
                known, found = await self._do(number, Read(key), _read(client, key, rng))
                if known:
                    seen[key] = found
                continue
            if chance < 0.7 or old is None:
                known, _ = await self._do(number, Write(value, key), _write(client, key, value))
            else:
                request = CompareAndSet(old, value, key)
                known, _ = await self._do(number, request, _swap(client, key, old, value))
            if known:
                now = time.monotonic()
                self.longest_gap = max(self.longest_gap, now - self._written_at)
                self._written_at = now
        await client.close()

    async def _do(
        self, number: int, request: Read | Write | CompareAndSet, work: Awaitable[Any]
    ) -> tuple[bool, Any]:
        """Do one operation, and write down its call and its return.

        Returns:
            Whether its outcome is known, and what it is.
        """
        operation = self.recorder.called(number, request)
        try:
            output = await work
        except OutcomeUnknown:
            self.unknown += 1
            return False, None
        self.recorder.returned(operation, output)
        self.done += 1
        return True, output


async def _read(client: Client, key: str, rng: Random) -> str | None:
    """Read at any server: a follower asks the leader how far it has to be."""
    result = await client.query(Get(key), at=rng.choice(SERVERS))
    assert isinstance(result, GetOk), result
    return None if result.entry is None else result.entry.value.decode()


async def _write(client: Client, key: str, value: str) -> None:
    await client.execute(Put(key, value.encode()))


async def _swap(client: Client, key: str, old: str, value: str) -> bool:
    """Compare and set: what shows best that nothing is executed twice."""
    when = Check(key, target="value", operand=old.encode())
    result = await client.execute(Txn((when,), (Put(key, value.encode()),)))
    assert isinstance(result, TxnOk), result
    return result.branch


class Demonstration:
    """Three servers, their clients, and what befalls them.

    Args:
        directory: Where the servers keep their logs, and the picture of a failure is put.
        seed: Decides what clients do.
        say: Hears the story, line by line.
    """

    def __init__(self, directory: Path, seed: int, say: Say) -> None:
        self._directory = directory
        self._say = say
        # Bound, so that nobody else is given these ports while a server is down.
        self._reserved = {name: _reserve() for name in SERVERS}
        self._addresses: dict[str, Address] = {
            name: reserved.getsockname()[:2] for name, reserved in self._reserved.items()
        }
        peers = ",".join(f"{name}={host}:{port}" for name, (host, port) in self._addresses.items())

        def options(name: str) -> list[str]:
            return ["--id", name, "--peers", peers, "--directory", str(directory / name)]

        script = str(Path(__file__).resolve().parent.parent / "replicated_kv.py")
        self._processes = {
            name: Process(
                name,
                [sys.executable, script, "serve", "--with-parent", *options(name)],
                say,
            )
            for name in SERVERS
        }
        self._load = Load(self._addresses, seed)
        self._observer = Client("observer", self._addresses, rng=Random(seed))

    async def run(self) -> Report:
        """Play all acts, and return the verdict on the clients' history.

        Raises:
            DemonstrationFailed: Something else went wrong.
        """
        try:
            async with asyncio.timeout(LIMIT):
                await self._play()
        except TimeoutError:
            raise DemonstrationFailed(f"not over after {LIMIT:.0f} s") from None
        finally:
            for process in self._processes.values():
                await process.kill()
            for reserved in self._reserved.values():
                reserved.close()
        return self._judge()

    async def _play(self) -> None:
        say, load = self._say, self._load
        say("--- three servers found a cluster; eight clients write and read")
        await asyncio.gather(*(each.start("--found") for each in self._processes.values()))
        clients = asyncio.create_task(load.run())
        try:
            await self._reach(ACT, clients)
            leader = await self._leader()
            say(f"--- {load.done} operations answered; kill -9 of the leader {leader}, under load")
            load.begin_gap()
            await self._processes[leader].kill()
            await self._reach(load.done + ACT, clients)
            say(f"    longest time without an answered write since: {load.longest_gap:.2f} s")
            say(f"--- {load.done} operations answered; {leader} starts again, from its log")
            await self._processes[leader].start()
            await self._reach(load.done + ACT, clients)
            say(f"--- {load.done} operations answered; kill -9 of all three, and all start again")
            await asyncio.gather(*(each.kill() for each in self._processes.values()))
            await asyncio.gather(*(each.start() for each in self._processes.values()))
            await self._reach(load.done + ACT // 2, clients)
        finally:
            load.stop()
            if clients.done():
                clients.result()
        await clients
        say(f"--- {load.done} operations answered; clients are done")
        await self._agree()

    async def _reach(self, operations: int, clients: asyncio.Task[None]) -> None:
        """Wait for so many operations; a client that fails ends the wait."""
        while self._load.done < operations:
            if clients.done():
                clients.result()
            await asyncio.sleep(_LOOK)

    async def _leader(self) -> str:
        """Wait until one leads, and return its name."""
        while True:
            for name in SERVERS:
                status = await self._observer.status(name)
                if status is not None and status["role"] == "leader":
                    return name
            await asyncio.sleep(_LOOK)

    async def _agree(self) -> None:
        """Wait until all three are in the same state.

        Raises:
            DemonstrationFailed: They have applied the same entries, and differ.
        """
        while True:
            states = [await self._observer.status(name) for name in SERVERS]
            if None not in states:
                digests = {each["digest"] for each in states if each is not None}
                applied = {each["applied"] for each in states if each is not None}
                if len(applied) == 1:
                    if len(digests) > 1:
                        raise DemonstrationFailed("the states of the servers differ")
                    break
            await asyncio.sleep(_LOOK)
        leader = next(each for each in states if each is not None and each["role"] == "leader")
        self._say(
            f"    all three are in one state, at entry {leader['applied']} in term {leader['term']}"
        )

    def _judge(self) -> Report:
        """Check the history, and tell what came of it."""
        load, began = self._load, time.monotonic()
        report = judge(load.recorder)
        self._say(
            f"    {load.done} operations answered, {load.unknown} never,"
            f" {load.repeated} times a client asked again"
        )
        self._say(
            f"    a single store could have answered so: {report.verdict.value.upper()}"
            f" (linearizability, {report.steps} steps in {time.monotonic() - began:.1f} s)"
        )
        if report.verdict is Verdict.ILLEGAL:
            page = self._directory / "illegal.html"
            page.write_text(picture(report, Registers()), encoding="utf-8")
            self._say(f"    see {page}")
        return report


def judge(recorder: Recorder) -> Report:
    """Return whether a store that does one thing at a time could have answered so."""
    return check(Registers(), recorder.operations)


def _reserve() -> socket.socket:
    """Return a socket that holds a free port of loopback, for a server that will listen there."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
