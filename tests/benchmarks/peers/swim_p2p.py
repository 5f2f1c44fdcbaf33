"""The package swim-p2p: JSON; gossip is a digest of the whole table."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import socket
import types
from collections.abc import Callable, Iterable
from typing import Any

from tests.benchmarks.peers.detection import CLUSTER_SIZE, CLUSTERS, Agent, detect
from tests.benchmarks.peers.loopback import HOST, free_ports, volleys
from tests.benchmarks.peers.measuring import (
    BATCH,
    MEMBERS,
    MEMBERS_SETTLED,
    Figures,
    Measures,
    Run,
    address,
    answer,
    bytes_per_member,
    host,
    meta,
    micros,
    timed,
)


class Sink:
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        self.local_address = (host(1), 7946)
        self.sent: list[bytes] = []

    async def send(self, data: bytes, _: tuple[str, int]) -> None:
        self.sent.append(data)


class SwimP2p:
    """A node without sockets, background tasks, metrics and Lifeguard."""

    def __init__(self, count: int = 1) -> None:
        member = importlib.import_module("swim.protocol.member")
        detector = importlib.import_module("swim.protocol.failure_detector")
        gossip = importlib.import_module("swim.protocol.disseminator")
        self.encode = importlib.import_module("swim.utils.serialization").serialize_message
        self.sink = Sink()
        self.members = member.MemberList(self.sink.local_address)
        config = {"METRICS_ENABLED": False, "LIFEGUARD_ENABLED": False}
        self.node = importlib.import_module("swim.protocol.node").Node(
            self.sink,
            self.members,
            detector.FailureDetector(self.sink, self.members, config),
            gossip.GossipService(self.sink, self.members, config),
            config=config,
        )
        if count > 1:
            self.take([self.digest("HEARTBEAT", range(2, count + 1), 1)])
            assert self.members.size == count

    def ping(self, number: int) -> bytes:
        return self.message("PING", id=f"{number:08x}")

    def digest(self, kind: str, indexes: Iterable[int], version: int) -> bytes:
        about = {"state": "ALIVE", "incarnation": version, "last_heartbeat": 1.7e9}
        told = {"m": meta(version)}
        entries = [{"addr": address(index), **about, "metadata": told} for index in indexes]
        digest = {"version": version, "entries": entries, "is_full": True, "timestamp": 1.7e9}
        return self.message(kind, digest={**digest, "source": address(2)}, id="00000000")

    def message(self, kind: str, **fields: Any) -> bytes:
        message = {"type": kind, "from": address(2), **fields, "timestamp": 1.7e9}
        return bytes(self.encode(message))

    def take(self, packets: list[bytes]) -> None:
        """Run the handler on each packet without an event loop: nothing in it ever waits."""
        handle, source = self.node._handle_message, (host(2), 7946)
        for data in packets:
            try:
                handle(data, source).send(None)
            except StopIteration:
                continue
            raise AssertionError("the handler waits")

    def receiving(self, make: Callable[[int], list[bytes]]) -> Run:
        def run(count: int) -> float:
            packets = make(count)
            self.sink.sent.clear()
            return timed(lambda: self.take(packets))

        return run


def ping() -> Figures:
    target = SwimP2p(MEMBERS)
    run = target.receiving(lambda count: [target.ping(number) for number in range(count)])
    figures = micros(run, 8 * BATCH)
    assert len(target.sink.sent) == 8 * BATCH
    return {"ping in, ack out": figures}


def known() -> Figures:
    target = SwimP2p(MEMBERS)
    packets = [target.digest("SYNC-RESP", [index], 1) for index in range(2, BATCH + 2)]
    return {"one record, known": micros(target.receiving(lambda _: packets * 8), 8 * BATCH)}


def newer() -> Figures:
    target = SwimP2p(MEMBERS)
    versions = itertools.count(2)

    def make(count: int) -> list[bytes]:
        packets = []
        for _ in range(0, count, BATCH):
            version = next(versions)
            packets += [target.digest("SYNC-RESP", [i], version) for i in range(2, BATCH + 2)]
        return packets

    figures = micros(target.receiving(make), 8 * BATCH)
    assert target.members.get_member((host(2), 7946)).incarnation == next(versions) - 1
    return {"one record, newer and changed": figures}


def state() -> Figures:
    target = SwimP2p(MEMBERS)
    packet = target.digest("HEARTBEAT", range(2, MEMBERS + 1), 1)
    run = target.receiving(lambda count: [packet] * count)
    return {"state of 1,000 records, all known": micros(run, 20)}


def loopback_transport() -> Any:
    """Return its UDP transport, which would listen on all interfaces, held to loopback."""

    class Loopback(socket.socket):
        def bind(self, bound: Any) -> None:
            super().bind((HOST, bound[1]))

    udp = importlib.import_module("swim.transport.udp")
    held = types.SimpleNamespace(**{**vars(socket), "socket": Loopback})
    vars(udp)["socket"] = held
    return udp.UDPTransport()


async def node_on(port: int, seeds: list[int]) -> Any:
    """Return a node with its defaults, and Lifeguard services that it shares with no other."""
    for kind in ("awareness", "timing", "probe_rate"):
        module = importlib.import_module(f"swim.lifeguard.{kind}")
        setattr(module, f"default_{kind}_service", None)
    return await importlib.import_module("swim.protocol.node").Node.create(
        (HOST, port),
        loopback_transport(),
        [(HOST, seed) for seed in seeds],
        validate_ports=False,
    )


def loopback() -> Figures:
    async def measure() -> list[float]:
        encoder = SwimP2p()
        port = free_ports(1)[0]
        node = await node_on(port, [])
        await node.transport.start_receiver(node._handle_message)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            figures = await volleys(client, (HOST, port), encoder.ping)
        await node.transport.close()
        return figures

    return {"the same over loopback, asyncio": asyncio.run(measure())}


def memory() -> Figures:
    kept = []
    figures = bytes_per_member(lambda count: kept.append(SwimP2p(count + 1)), MEMBERS)
    return {"1,000 members, learned from one": figures}


def settled() -> Figures:
    kept = []
    figures = bytes_per_member(lambda count: kept.append(SwimP2p(count + 1)), MEMBERS_SETTLED)
    return {"300 members, settled": figures}


class SwimP2pAgent:
    def __init__(self, name: str, node: Any) -> None:
        self.name = name
        self._node = node

    def alive(self) -> set[str]:
        others = self._node.members.get_all_members(exclude_self=True)
        return {member.address for member in others if not member.is_dead}

    async def crash(self) -> None:
        self._node.running = False
        for task in list(self._node.tasks):
            task.cancel()
        self._node.sync_service._sync_task.cancel()
        await self._node.transport.close()


def crash() -> Figures:
    async def measure() -> Figures:
        ports = iter(free_ports(CLUSTERS * CLUSTER_SIZE))
        clusters: list[list[Agent]] = []
        for _ in range(CLUSTERS):
            group = [next(ports) for _ in range(CLUSTER_SIZE)]
            agents: list[Agent] = []
            for index, port in enumerate(group):
                node = await node_on(port, group[:index] or group[1:2])
                await node.start()
                agents.append(SwimP2pAgent(f"{HOST}:{port}", node))
            clusters.append(agents)
        return await detect(clusters)

    return asyncio.run(measure())


MEASURES: Measures = {
    "ping": ping,
    "sealed ping": "it authenticates nothing",
    "loopback": loopback,
    "known": known,
    "newer": newer,
    "state": state,
    "memory": memory,
    "settled": settled,
    "crash": crash,
}


if __name__ == "__main__":
    answer(MEASURES)
