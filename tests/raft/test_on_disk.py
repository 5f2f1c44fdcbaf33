"""Servers on write-ahead logs and bytes: what a machine, its log and its codec do together.

Every message goes through the codec, every `Persist` through a log on a simulated disk; servers
are killed and cut from power after any operation of their disks.
"""

from __future__ import annotations

from random import Random

import msgpack

from raft.codec import decode, encode
from raft.config import Config
from raft.errors import ProposalDropped
from raft.membership.configuration import Configuration
from raft.outputs import EntriesCommitted, Persist, SendMessage, SnapshotInstalled
from raft.raft import Raft
from raft.testing.simulated_disk import DiskStopped, SimulatedDisk
from raft.testing.wal_driver import WalDriver

NAMES = ("n1", "n2", "n3")
CONFIG = Config(trailing_entries=4, snapshot_chunk_size=1024)


class Server:
    """One server with its disk; its state machine is the list of commands."""

    def __init__(self, name: str, rng: Random) -> None:
        self.name = name
        self.rng = rng
        self.disk = SimulatedDisk(rng, sector=64)
        self.start(0.0)

    def start(self, now: float) -> None:
        """Begin a new life with what is on the disk."""
        self.disk.stop_at = None
        self.driver = WalDriver(
            self.disk, log_id=self.name.encode() * 8, segment_bytes=2000, trailing=4
        )
        stored = self.driver.load()
        data = stored.snapshot.data if stored.snapshot else b"\x90"
        self.commands: list[tuple[int, bytes]] = [
            (index, command) for index, command in msgpack.unpackb(data)
        ]
        rng = Random(self.rng.random())
        self.machine = Raft(self.name, CONFIG, rng=rng, now=now, stored=stored)

    def crash(self, now: float) -> None:
        """Die, with or without power, and come back."""
        if self.rng.random() < 0.5:
            self.disk.crash()
        self.start(now)

    def pump(self, now: float) -> list[bytes]:
        """Do what the machine asks for; return messages as bytes."""
        messages: list[bytes] = []
        persists: list[Persist] = []
        while True:
            output = self.machine.poll()
            match output:
                case None if persists:
                    self.machine.persisted(self.driver.write(persists), now)
                    persists = []
                case None:
                    return messages
                case Persist():
                    persists.append(output)
                case SendMessage(message=message):
                    messages.append(encode(message))
                case EntriesCommitted():
                    self.commands += output.commands()
                    if len(self.commands) % 7 == 0 and output.entries:
                        data = msgpack.packb(self.commands)
                        self.machine.compact(output.entries.last_index, data, now)
                case SnapshotInstalled(snapshot):
                    self.commands = [tuple(pair) for pair in msgpack.unpackb(snapshot.data)]
                case _:
                    pass


class Cluster:
    """Three servers, and a network that loses and delays."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.servers = {name: Server(name, self.rng) for name in NAMES}
        self.network: list[bytes] = []
        self.proposed = 0
        self.crashes = 0
        for server in self.servers.values():
            server.machine.bootstrap(Configuration(voters=NAMES), 0.0)

    def step(self, *, loss: float, faults: float) -> None:
        """Let a little time pass."""
        rng = self.rng
        self.now += rng.uniform(0.0, 0.05)
        for server in self.servers.values():
            if rng.random() < faults:
                server.disk.stop_at = server.disk.operations + rng.randint(0, 8)
            try:
                server.machine.handle_timeout(self.now)
                if server.machine.leader == server.name and rng.random() < 0.5:
                    self.propose(server)
                self.network += server.pump(self.now)
            except DiskStopped:
                self.crashes += 1
                server.crash(self.now)
        rng.shuffle(self.network)
        moving, self.network = self.network, []
        for data in moving:
            if rng.random() < loss:
                continue
            message = decode(data)
            server = self.servers[message.to]
            try:
                server.machine.receive(message, self.now)
                self.network += server.pump(self.now)
            except DiskStopped:
                self.crashes += 1
                server.crash(self.now)

    def propose(self, server: Server) -> None:
        """Propose a command on a server that believes to lead."""
        try:
            server.machine.propose(b"command %d" % self.proposed, self.now)
        except ProposalDropped:
            return
        self.proposed += 1

    def check(self) -> int:
        """Assert that all agree on what is committed; return how much the most advanced has."""
        everything = [dict(server.commands) for server in self.servers.values()]
        for server in self.servers.values():
            indexes = [index for index, _ in server.commands]
            assert indexes == sorted(set(indexes))
            server.machine.check_invariants()
        for one in everything:
            for other in everything:
                assert all(other.get(index, command) == command for index, command in one.items())
        return max(map(len, everything))


def test_servers_agree_whatever_their_disks_lose(seed: int) -> None:
    cluster = Cluster(seed)
    committed: dict[int, bytes] = {}
    for _ in range(1200):
        cluster.step(loss=0.05, faults=0.01)
        cluster.check()
        for server in cluster.servers.values():
            for index, command in server.commands:
                assert committed.setdefault(index, command) == command
    for _ in range(400):
        cluster.step(loss=0.0, faults=0.0)

    assert cluster.crashes > 5
    assert len(committed) > 50
    for server in cluster.servers.values():
        assert committed.items() <= dict(server.commands).items()
