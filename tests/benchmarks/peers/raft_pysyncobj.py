"""PySyncObj on the workload of `tests.benchmarks.bench_raft`, messages handed over as objects.

Its own code does everything but the transport. Its timer for appends (100 ms) is put back before
each tick of the leader, or the figure would be the timer; servers tick no more often than it takes
until all three have applied all.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from typing import Any, ClassVar

from pysyncobj import SyncObj, SyncObjConf, replicated  # type: ignore[import-not-found, unused-ignore]
from pysyncobj.node import Node  # type: ignore[import-not-found, unused-ignore]
from pysyncobj.transport import Transport  # type: ignore[import-not-found, unused-ignore]

NAMES = ("n1", "n2", "n3")


class Loopback(Transport):  # type: ignore[misc]
    """Messages of all servers of one process, in one queue."""

    network: ClassVar[deque[tuple[str, Node, Any]]] = deque()
    servers: ClassVar[dict[str, Loopback]] = {}

    def __init__(self, server: Any, own: Node, others: Any) -> None:
        super().__init__(server, own, others)
        self.own = own
        Loopback.servers[own.id] = self

    def tryGetReady(self) -> None:  # noqa: N802  # the peer's name
        """There is nothing to wait for."""

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return True

    def waitReady(self) -> None:  # noqa: N802  # the peer's name
        """There is nothing to wait for."""

    def send(self, node: Node, message: Any) -> bool:
        """Queue a message."""
        Loopback.network.append((node.id, self.own, message))
        return True

    def destroy(self) -> None:
        """There is nothing to close."""


class Counter(SyncObj):  # type: ignore[misc]
    """A state machine that counts what it applies."""

    def __init__(self, own: str) -> None:
        config = SyncObjConf(
            autoTick=False,
            commandsQueueSize=1_000_000,
            raftMinTimeout=0.31,
            raftMaxTimeout=0.5,
            dynamicMembershipChange=False,
        )
        others = [Node(name) for name in NAMES if name != own]
        super().__init__(Node(own), others, config, nodeClass=Node, transportClass=Loopback)
        self.applied = 0

    @replicated  # type: ignore[untyped-decorator]
    def apply(self, payload: bytes) -> None:
        """Apply one command."""
        self.applied += 1


class Cluster:
    """Three servers that tick when told to."""

    def __init__(self) -> None:
        Loopback.network.clear()
        Loopback.servers.clear()
        self.servers = {name: Counter(name) for name in NAMES}
        for name, transport in Loopback.servers.items():
            for other in NAMES:
                if other != name:
                    transport._onNodeConnected(Node(other))  # what transports do
        limit = time.monotonic() + 5
        while self.leader is None and time.monotonic() < limit:
            self.tick()

    @property
    def leader(self) -> Counter | None:
        """Who leads and is ready."""
        for server in self.servers.values():
            status = server._isLeader()  # its only query of this
            if status and server.isReady():
                return server
        return None

    def tick(self) -> None:
        """Tick every server once, and deliver what they say until all is quiet."""
        for server in self.servers.values():
            server._SyncObj__newAppendEntriesTime = 0
            server.doTick(0.0)
            self.deliver()

    def deliver(self) -> None:
        """Deliver messages, oldest first."""
        network = Loopback.network
        while network:
            to, source, message = network.popleft()
            Loopback.servers[to]._onMessageReceived(source, message)

    def commit(self, payloads: list[bytes]) -> None:
        """Have a batch applied everywhere."""
        leader = self.leader
        assert leader is not None
        wanted = leader.applied + len(payloads)
        for payload in payloads:
            leader.apply(payload)
        followers = [server for server in self.servers.values() if server is not leader]
        # Three ticks: entries go out; they are committed, and that goes out; all apply them.
        while any(server.applied < wanted for server in self.servers.values()):
            for _ in range(2):
                leader._SyncObj__newAppendEntriesTime = 0
                leader.doTick(0.0)
                self.deliver()
            for server in followers:
                server.doTick(0.0)


def measure(batch: int, repeats: int = 7) -> float:
    """Return entries per second, the median of several runs."""
    cluster = Cluster()
    rounds = max(1, 2_000 // batch)
    found = []
    for _ in range(repeats):
        work = [[bytes(16)] * batch for _ in range(rounds)]
        begun = time.process_time()
        for payloads in work:
            cluster.commit(payloads)
        found.append(rounds * batch / (time.process_time() - begun))
    return statistics.median(found)


def main() -> None:
    """Print entries per second for each batch."""
    print("\nPySyncObj in this run, entries/s, 16-byte payloads")
    for batch in (1, 16, 256):
        print(f"{batch:>6}{measure(batch):>12,.0f}")


if __name__ == "__main__":
    main()
