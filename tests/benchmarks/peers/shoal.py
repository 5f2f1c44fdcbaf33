"""Shoal's memberlist, measured in this tree's own environment."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from random import Random

from examples.drivers.asyncio_driver import Driver
from memberlist import Config, Memberlist, Node, SendDatagram
from memberlist.codec import encode_ack, encode_alive, encode_ping
from tests.benchmarks import bench_memberlist as own
from tests.benchmarks.peers.detection import CLUSTER_SIZE, CLUSTERS, Agent, detect
from tests.benchmarks.peers.loopback import HOST, bare_echo, volleys
from tests.benchmarks.peers.measuring import (
    BATCH,
    MEMBERS,
    MEMBERS_SETTLED,
    Figures,
    Measures,
    answer,
    bytes_per_member,
    host,
    meta,
    micros,
)


def pings_from(source: tuple[str, int]) -> Iterator[bytes]:
    """Yield pings of ever new sequence numbers, as a prober sends them."""
    for sequence in itertools.count(1):
        yield encode_ping(sequence, "member-00001", source, "member-00002")


def ping() -> Figures:
    pings = pings_from(own.PEER)
    run = own.receiving(own.machine(MEMBERS), lambda count: list(itertools.islice(pings, count)))
    return {"ping in, ack out": micros(run, 20 * BATCH)}


def sealed_ping() -> Figures:
    return {"the same, authenticated": micros(own.ping_encrypted(), 20 * BATCH)}


def loopback() -> Figures:
    def make(bound: tuple[str, int], now: float) -> Memberlist:
        config = Config.lan(compression=False)
        return Memberlist("member-00001", bound, config, rng=Random(1), now=now)

    async def measure() -> list[float]:
        driver = await Driver.start(make, lambda _: None, HOST)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            pings = pings_from(client.getsockname())
            figures = await volleys(client, driver.address, lambda _: next(pings))
        await driver.close()
        return figures

    return {"the same over loopback, asyncio": asyncio.run(measure())}


def known() -> Figures:
    return {"one record, known": micros(own.alive_known(MEMBERS), 20 * BATCH)}


def newer() -> Figures:
    versions = itertools.count(2)

    def make(count: int) -> list[bytes]:
        packets = []
        for _ in range(0, count, BATCH):
            version = next(versions)
            packets += [alive(index, version) for index in range(2, BATCH + 2)]
        return packets

    target = own.machine(MEMBERS)
    figures = micros(own.receiving(target, make), 10 * BATCH)
    last = target.member("member-00002")
    assert last is not None
    assert last.meta == meta(next(versions) - 1).encode()
    return {"one record, newer and changed": figures}


def alive(index: int, version: int) -> bytes:
    bare = own.node(index)
    return encode_alive(
        Node(bare.name, bare.address, meta(version).encode(), own.VERSIONS, version)
    )


def state() -> Figures:
    run = own.push_pull(MEMBERS, known=True)
    return {"state of 1,000 records, all known": micros(run, 20)}


def filler() -> Callable[[int], None]:
    kept = []
    # The encoder's caches are the sender's memory: other members' packets are cut from this one.
    model, name, ip = alive(2, 1), b"member-00002", socket.inet_aton(host(2))
    assert model.count(name) == model.count(ip) == 1

    def fill(count: int) -> None:
        target = own.machine(1)
        for index in range(2, count + 2):
            packet = model.replace(name, b"member-%05d" % index)
            packet = packet.replace(ip, socket.inet_aton(host(index)))
            target.receive_datagram(packet, own.PEER, 10.0)
        for tick in range(2000):  # until the news is told and forgotten
            target.handle_timeout(10.0 + tick * 0.1)
            for sent in own.outputs(target):
                if isinstance(sent, SendDatagram) and b"SeqNo" in sent.data:
                    ack = encode_ack(own.sequence_of(sent.data), b"")
                    target.receive_datagram(ack, sent.to, 10.0 + tick * 0.1)
        assert target.members[count].address == (host(count + 1), 7946)
        kept.append(target)

    return fill


def memory() -> Figures:
    return {"1,000 members, learned from one": bytes_per_member(filler(), MEMBERS)}


def settled() -> Figures:
    return {"300 members, settled": bytes_per_member(filler(), MEMBERS_SETTLED)}


class ShoalAgent:
    def __init__(self, name: str, driver: Driver[Memberlist]) -> None:
        self.name = name
        self._driver = driver

    @classmethod
    async def start(cls, name: str, seed: int, peers: list[ShoalAgent]) -> ShoalAgent:
        def make(bound: tuple[str, int], now: float) -> Memberlist:
            return Memberlist(name, bound, Config.lan(), rng=Random(seed), now=now)

        driver = await Driver.start(make, lambda _: None, HOST)
        if peers:
            driver.call(driver.machine.join, [peer._driver.address for peer in peers])
        return cls(name, driver)

    def alive(self) -> set[str]:
        return {node.name for node in self._driver.machine.members} - {self.name}

    async def crash(self) -> None:
        await self._driver.close()


def crash() -> Figures:
    async def measure() -> Figures:
        clusters: list[list[Agent]] = []
        for number in range(CLUSTERS):
            agents: list[ShoalAgent] = []
            for index in range(CLUSTER_SIZE):
                seed = number * CLUSTER_SIZE + index
                agents.append(await ShoalAgent.start(f"member-{index}", seed, agents))
            clusters.append([*agents])
        return await detect(clusters)

    return asyncio.run(measure())


MEASURES: Measures = {
    "ping": ping,
    "sealed ping": sealed_ping,
    "loopback": loopback,
    "bare echo": bare_echo,
    "known": known,
    "newer": newer,
    "state": state,
    "memory": memory,
    "settled": settled,
    "crash": crash,
}


if __name__ == "__main__":
    answer(MEASURES)
