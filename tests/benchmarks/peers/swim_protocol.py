"""The package swim-protocol: members are named by address, packets are pickled and signed."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import socket
import time
from collections.abc import Callable
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
    meta,
    micros,
)


class SwimProtocol:
    """One member without sockets: its codec, its handler's task and its table."""

    def __init__(self, local: str, peers: list[str], **options: Any) -> None:
        self.packet = importlib.import_module("swimprotocol.packet")
        self.status = importlib.import_module("swimprotocol.status").Status
        udp = importlib.import_module("swimprotocol.udp")
        config_type = importlib.import_module("swimprotocol.udp.config").UdpConfig
        self.config = config_type(secret="benchmark", local_name=local, peers=peers, **options)
        self.members = importlib.import_module("swimprotocol.members").Members(self.config)
        self.worker = importlib.import_module("swimprotocol.worker").Worker(
            self.config, self.members
        )
        self.transport = udp.UdpTransport(self.config, self.worker)
        self.codec = self.transport.udp_pack
        self.source = self.packet.Source(address(2), b"validity")

    def ping(self) -> bytes:
        return bytes(self.codec.pack(self.packet.Ping(source=self.source)))

    def gossip(self, index: int, clock: int) -> bytes:
        online, metadata = self.status.ONLINE, {"m": meta(clock).encode()}
        return bytes(
            self.codec.pack(
                self.packet.Gossip(self.source, address(index), clock, online, metadata)
            )
        )

    async def take(self, packets: list[bytes]) -> list[bytes]:
        """Pass packets in as the transport does, but in this thread; return the answers."""
        received, to_send = self.worker.recv_queue, self.worker.send_queue
        for data in packets:
            received.put_nowait(self.codec.unpack(data))
        while not received.empty():  # noqa: ASYNC110 - one turn of the loop is all it takes
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        answers = []
        while not to_send.empty():
            member, packet = to_send.get_nowait()
            self.config.address_parser.parse(member.name)
            answers.append(self.codec.pack(packet))
        return answers

    def receiving(self, loop: asyncio.AbstractEventLoop, make: Callable[[], list[bytes]]) -> Run:
        task = loop.create_task(self.worker._run_handler())

        def run(count: int) -> float:
            total = 0.0
            for _ in range(0, count, BATCH):
                packets = make()
                begun = time.process_time()
                answers = loop.run_until_complete(self.take(packets))
                total += time.process_time() - begun
                assert len(answers) == len(packets)
                assert not task.done()
            return total

        return run


def informed(count: int = MEMBERS) -> tuple[asyncio.AbstractEventLoop, SwimProtocol]:
    """Return a loop and a member that knows so many, itself included."""
    loop = asyncio.new_event_loop()
    target = SwimProtocol(address(1), [address(2)])
    run = target.receiving(loop, lambda: [target.gossip(i, 1) for i in range(2, count + 1)])
    run(BATCH)
    assert len(target.members.non_local) == count - 1
    return loop, target


def ping() -> Figures:
    loop, target = informed()
    figures = micros(
        target.receiving(loop, lambda: [target.ping() for _ in range(BATCH)]), BATCH * 8
    )
    return {"ping in, ack out": figures, "the same, authenticated": figures}


def known() -> Figures:
    loop, target = informed()
    run = target.receiving(loop, lambda: [target.gossip(i, 1) for i in range(2, BATCH + 2)])
    return {"one record, known": micros(run, BATCH * 8)}


def newer() -> Figures:
    loop, target = informed()
    clocks = itertools.count(2)

    def make() -> list[bytes]:
        clock = next(clocks)
        return [target.gossip(index, clock) for index in range(2, BATCH + 2)]

    figures = micros(target.receiving(loop, make), BATCH * 8)
    assert target.members.get(address(2)).clock == next(clocks) - 1
    return {"one record, newer and changed": figures}


def loopback() -> Figures:
    async def measure() -> list[float]:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            peer = f"{HOST}:{client.getsockname()[1]}"
            port = free_ports(1)[0]
            target = SwimProtocol(f"{HOST}:{port}", [peer])
            target.source = target.packet.Source(peer, b"validity")
            handler = asyncio.create_task(target.worker._run_handler())
            async with target.transport:
                figures = await volleys(client, (HOST, port), lambda _: target.ping())
            handler.cancel()
        return figures

    return {"the same over loopback, asyncio": asyncio.run(measure())}


def memory() -> Figures:
    kept = []
    figures = bytes_per_member(lambda count: kept.append(informed(count + 1)), MEMBERS)
    return {"1,000 members, learned from one": figures}


def settled() -> Figures:
    kept = []

    def fill(count: int) -> None:
        kept.append(informed(count + 1))
        members = kept[-1][1].members
        for source, member in itertools.product(list(members.non_local), repeat=2):
            members.ack_gossip(member, source, member.clock)

    return {"300 members, settled": bytes_per_member(fill, MEMBERS_SETTLED)}


class SwimProtocolAgent:
    def __init__(self, name: str, peers: list[str]) -> None:
        self.name = name
        self._member = SwimProtocol(name, peers)

    async def start(self) -> None:
        await self._member.transport.__aenter__()
        await self._member.worker.__aenter__()

    def alive(self) -> set[str]:
        available = self._member.status.AVAILABLE
        others = self._member.members.non_local
        return {member.name for member in others if member.status & available}

    async def crash(self) -> None:
        await self._member.worker.__aexit__(None, None, None)
        await self._member.transport.__aexit__(None, None, None)


def crash() -> Figures:
    async def measure() -> Figures:
        ports = iter(free_ports(CLUSTERS * CLUSTER_SIZE))
        clusters: list[list[Agent]] = []
        for _ in range(CLUSTERS):
            names = [f"{HOST}:{next(ports)}" for _ in range(CLUSTER_SIZE)]
            agents = [
                SwimProtocolAgent(name, names[:index] or names[1:2])
                for index, name in enumerate(names)
            ]
            for agent in agents:
                await agent.start()
            clusters.append([*agents])
        return await detect(clusters)

    return asyncio.run(measure())


MEASURES: Measures = {
    "ping": ping,
    "loopback": loopback,
    "known": known,
    "newer": newer,
    "state": "it sends one record a packet, never a state",
    "memory": memory,
    "settled": settled,
    "crash": crash,
}


if __name__ == "__main__":
    answer(MEASURES)
