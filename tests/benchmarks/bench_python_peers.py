"""Shoal's memberlist beside the Python packages that do the same, in one run.

Run `python -m tests.benchmarks.bench_python_peers`. It installs `swim-protocol` and `swim-p2p`
from the package index into a temporary virtual environment and measures each row there, in a
process of its own, one process at a time, our own row first. Where that is impossible the cell is
a dash, the reason is printed below the table, and nothing fails. All traffic stays on 127.0.0.1.

What is measured on each side stands in `NOTES`, which is printed with the table. The rule: the
package's own code takes each packet as bytes and gives its answer as bytes, by the shortest way
that exists through that code.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.metadata
import itertools
import json
import logging
import math
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import tracemalloc
import types
import venv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Protocol

if __package__:  # Run by its path in the peers' environment, this file has neither.
    from examples.drivers.asyncio_driver import Driver
    from memberlist import Config, Memberlist, Node, SendDatagram
    from memberlist.codec import encode_ack, encode_alive, encode_ping
    from tests.benchmarks import bench_memberlist as own

#: Figures of one process: the row's name to the median and the best, or the median and the worst.
Figures = dict[str, list[float]]

#: Takes a count; does the operation so often and returns the CPU seconds that it took.
Run = Callable[[int], float]

HOST = "127.0.0.1"
MEMBERS = 1000
MEMBERS_SETTLED = 300
BATCH = 256
REPEATS = 7
CLUSTERS, CLUSTER_SIZE = 6, 5

#: Seconds: for an installation, for a process, for a cluster to form, to rest, to notice a crash.
INSTALL_TIMEOUT, PROCESS_TIMEOUT, FORM_TIMEOUT, REST, NOTICE_TIMEOUT = 60.0, 60.0, 15.0, 3.0, 30.0

# --- what all sides share


def micros(run: Run, count: int) -> list[float]:
    """Return the median and the least CPU microseconds per operation."""
    run(count)
    gc.collect()
    gc.freeze()
    figures = [run(count) / count * 1e6 for _ in range(REPEATS)]
    return [statistics.median(figures), min(figures)]


def timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def host(index: int) -> str:
    return f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}"


def address(index: int) -> str:
    return f"{host(index)}:7946"


def meta(version: int) -> str:
    return f"{version:032d}"


def bytes_per_member(fill: Callable[[int], object], count: int) -> list[float]:
    """Return what is kept of `fill(count)`, by member; what it makes and drops is not counted."""
    fill(1)
    gc.collect()
    tracemalloc.start()
    fill(count)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return [kept / count, kept / count]


async def volley(client: socket.socket, to: tuple[str, int], packets: list[bytes]) -> None:
    """Send packets in bursts of 16, each once the answers to the last are there."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    missing, all_here = 0, asyncio.Event()

    def answer() -> None:  # One reader for all: `sock_recv` costs by chance once or thrice as much.
        nonlocal missing
        client.recv(65536)
        missing -= 1
        if not missing:
            all_here.set()

    loop.add_reader(client, answer)
    for start in range(0, len(packets), 16):
        burst = packets[start : start + 16]
        missing = len(burst)
        all_here.clear()
        for packet in burst:
            client.sendto(packet, to)
        await all_here.wait()
    loop.remove_reader(client)


async def volleys(
    client: socket.socket, to: tuple[str, int], packet: Callable[[int], bytes]
) -> list[float]:
    """Return the median and the least CPU microseconds of a packet there and an answer back."""
    figures = []
    for turn in range(REPEATS + 1):
        packets = [packet(turn * 4 * BATCH + number) for number in range(4 * BATCH)]
        begun = time.process_time()
        await volley(client, to, packets)
        figures.append((time.process_time() - begun) / len(packets) * 1e6)
    return [statistics.median(figures[1:]), min(figures[1:])]


def free_ports(count: int) -> list[int]:
    """Return ports that were free for UDP and TCP a moment ago."""
    held: list[socket.socket] = []
    while len(held) < 2 * count:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        tcp.bind((HOST, 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            held += [tcp, udp]
    ports = [each.getsockname()[1] for each in held[::2]]
    for each in held:
        each.close()
    return ports


class Agent(Protocol):
    """A running member, as the detection row sees it."""

    name: str

    def alive(self) -> set[str]:
        """Return the others that it holds for alive or suspect."""

    async def crash(self) -> None:
        """Free the sockets at once and say nothing to anybody."""


async def detection(clusters: list[list[Agent]]) -> Figures:
    """Crash one member of each cluster and watch the others; seconds, median and worst."""
    for cluster in clusters:
        everybody = {agent.name for agent in cluster}
        async with asyncio.timeout(FORM_TIMEOUT):
            # Members have no event in common to wait for.
            while any(everybody - {agent.name} - agent.alive() for agent in cluster):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await asyncio.sleep(REST)
    rng = Random(1)
    outcomes = [_crash(cluster, rng.uniform(0.0, 1.0)) for cluster in clusters]
    firsts, lasts, false = zip(*await asyncio.gather(*outcomes), strict=True)
    return {
        "crash: first to know": [statistics.median(firsts), max(firsts)],
        "crash: all know": [statistics.median(lasts), max(lasts)],
        "false verdicts": [float(sum(false)), float(sum(false))],
    }


async def _crash(cluster: list[Agent], wait: float) -> tuple[float, float, int]:
    """Return when the first and the last survivor knew, and the verdicts about survivors."""
    await asyncio.sleep(wait)
    victim, *survivors = cluster
    await victim.crash()
    begun = time.monotonic()
    informed: dict[str, float] = {}
    false: set[tuple[str, str]] = set()
    while len(informed) < len(survivors) and time.monotonic() - begun < NOTICE_TIMEOUT:
        await asyncio.sleep(0.02)
        for agent in survivors:
            alive = agent.alive()
            if victim.name not in alive:
                informed.setdefault(agent.name, time.monotonic() - begun)
            false |= {
                (agent.name, other.name)
                for other in survivors
                if other is not agent and other.name not in alive
            }
    first = min(informed.values(), default=math.inf)
    last = max(informed.values()) if len(informed) == len(survivors) else math.inf
    return first, last, len(false)


# --- Shoal


def shoal_pings(source: tuple[str, int]) -> Iterator[bytes]:
    """Yield pings of ever new sequence numbers, as a prober sends them."""
    for sequence in itertools.count(1):
        yield encode_ping(sequence, "member-00001", source, "member-00002")


def shoal_ping() -> Figures:
    pings = shoal_pings(own.PEER)
    run = own.receiving(own.machine(MEMBERS), lambda count: list(itertools.islice(pings, count)))
    return {"ping in, ack out": micros(run, 20 * BATCH)}


def shoal_sealed_ping() -> Figures:
    return {"the same, authenticated": micros(own.ping_encrypted(), 20 * BATCH)}


def shoal_loopback() -> Figures:
    def make(bound: tuple[str, int], now: float) -> Memberlist:
        config = Config.lan(compression=False)
        return Memberlist("member-00001", bound, config, rng=Random(1), now=now)

    async def measure() -> list[float]:
        driver = await Driver.start(make, lambda _: None, HOST)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            pings = shoal_pings(client.getsockname())
            figures = await volleys(client, driver.address, lambda _: next(pings))
        await driver.close()
        return figures

    return {"the same over loopback, asyncio": asyncio.run(measure())}


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._transport.sendto(data, addr)


def bare_echo() -> Figures:
    async def measure() -> list[float]:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, (HOST, 0))
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            to = server.get_extra_info("sockname")
            figures = await volleys(client, to, lambda _: bytes(64))
        server.close()
        return figures

    return {"(a bare asyncio echo in its place)": asyncio.run(measure())}


def shoal_known() -> Figures:
    return {"one record, known": micros(own.alive_known(MEMBERS), 20 * BATCH)}


def shoal_newer() -> Figures:
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


def shoal_state() -> Figures:
    run = own.push_pull(MEMBERS, known=True)
    return {"state of 1,000 records, all known": micros(run, 20)}


def shoal_filler() -> Callable[[int], None]:
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


def shoal_memory() -> Figures:
    return {"1,000 members, learned from one": bytes_per_member(shoal_filler(), MEMBERS)}


def shoal_settled() -> Figures:
    return {"300 members, settled": bytes_per_member(shoal_filler(), MEMBERS_SETTLED)}


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


def shoal_detection() -> Figures:
    async def measure() -> Figures:
        clusters: list[list[Agent]] = []
        for number in range(CLUSTERS):
            agents: list[ShoalAgent] = []
            for index in range(CLUSTER_SIZE):
                seed = number * CLUSTER_SIZE + index
                agents.append(await ShoalAgent.start(f"member-{index}", seed, agents))
            clusters.append([*agents])
        return await detection(clusters)

    return asyncio.run(measure())


# --- swim-protocol: members are named by their address; every packet is pickled and signed


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


def swim_protocol(count: int = MEMBERS) -> tuple[asyncio.AbstractEventLoop, SwimProtocol]:
    """Return a loop and a member that knows so many, itself included."""
    loop = asyncio.new_event_loop()
    target = SwimProtocol(address(1), [address(2)])
    run = target.receiving(loop, lambda: [target.gossip(i, 1) for i in range(2, count + 1)])
    run(BATCH)
    assert len(target.members.non_local) == count - 1
    return loop, target


def swim_protocol_ping() -> Figures:
    loop, target = swim_protocol()
    figures = micros(
        target.receiving(loop, lambda: [target.ping() for _ in range(BATCH)]), BATCH * 8
    )
    return {"ping in, ack out": figures, "the same, authenticated": figures}


def swim_protocol_known() -> Figures:
    loop, target = swim_protocol()
    run = target.receiving(loop, lambda: [target.gossip(i, 1) for i in range(2, BATCH + 2)])
    return {"one record, known": micros(run, BATCH * 8)}


def swim_protocol_newer() -> Figures:
    loop, target = swim_protocol()
    clocks = itertools.count(2)

    def make() -> list[bytes]:
        clock = next(clocks)
        return [target.gossip(index, clock) for index in range(2, BATCH + 2)]

    figures = micros(target.receiving(loop, make), BATCH * 8)
    assert target.members.get(address(2)).clock == next(clocks) - 1
    return {"one record, newer and changed": figures}


def swim_protocol_loopback() -> Figures:
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


def swim_protocol_memory() -> Figures:
    kept = []
    figures = bytes_per_member(lambda count: kept.append(swim_protocol(count + 1)), MEMBERS)
    return {"1,000 members, learned from one": figures}


def swim_protocol_settled() -> Figures:
    kept = []

    def fill(count: int) -> None:
        kept.append(swim_protocol(count + 1))
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


def swim_protocol_detection() -> Figures:
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
        return await detection(clusters)

    return asyncio.run(measure())


# --- swim-p2p: JSON; gossip is a digest of the whole table


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


def swim_p2p_ping() -> Figures:
    target = SwimP2p(MEMBERS)
    run = target.receiving(lambda count: [target.ping(number) for number in range(count)])
    figures = micros(run, 8 * BATCH)
    assert len(target.sink.sent) == 8 * BATCH
    return {"ping in, ack out": figures}


def swim_p2p_known() -> Figures:
    target = SwimP2p(MEMBERS)
    packets = [target.digest("SYNC-RESP", [index], 1) for index in range(2, BATCH + 2)]
    return {"one record, known": micros(target.receiving(lambda _: packets * 8), 8 * BATCH)}


def swim_p2p_newer() -> Figures:
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


def swim_p2p_state() -> Figures:
    target = SwimP2p(MEMBERS)
    packet = target.digest("HEARTBEAT", range(2, MEMBERS + 1), 1)
    run = target.receiving(lambda count: [packet] * count)
    return {"state of 1,000 records, all known": micros(run, 20)}


def swim_p2p_transport() -> Any:
    """Return its UDP transport, which would listen on all interfaces, held to loopback."""

    class Loopback(socket.socket):
        def bind(self, bound: Any) -> None:
            super().bind((HOST, bound[1]))

    udp = importlib.import_module("swim.transport.udp")
    held = types.SimpleNamespace(**{**vars(socket), "socket": Loopback})
    vars(udp)["socket"] = held
    return udp.UDPTransport()


async def swim_p2p_node(port: int, seeds: list[int]) -> Any:
    """Return a node with its defaults, and Lifeguard services that it shares with no other."""
    for kind in ("awareness", "timing", "probe_rate"):
        module = importlib.import_module(f"swim.lifeguard.{kind}")
        setattr(module, f"default_{kind}_service", None)
    return await importlib.import_module("swim.protocol.node").Node.create(
        (HOST, port),
        swim_p2p_transport(),
        [(HOST, seed) for seed in seeds],
        validate_ports=False,
    )


def swim_p2p_loopback() -> Figures:
    async def measure() -> list[float]:
        encoder = SwimP2p()
        port = free_ports(1)[0]
        node = await swim_p2p_node(port, [])
        await node.transport.start_receiver(node._handle_message)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            figures = await volleys(client, (HOST, port), encoder.ping)
        await node.transport.close()
        return figures

    return {"the same over loopback, asyncio": asyncio.run(measure())}


def swim_p2p_memory() -> Figures:
    kept = []
    figures = bytes_per_member(lambda count: kept.append(SwimP2p(count + 1)), MEMBERS)
    return {"1,000 members, learned from one": figures}


def swim_p2p_settled() -> Figures:
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


def swim_p2p_detection() -> Figures:
    async def measure() -> Figures:
        ports = iter(free_ports(CLUSTERS * CLUSTER_SIZE))
        clusters: list[list[Agent]] = []
        for _ in range(CLUSTERS):
            group = [next(ports) for _ in range(CLUSTER_SIZE)]
            agents: list[Agent] = []
            for index, port in enumerate(group):
                node = await swim_p2p_node(port, group[:index] or group[1:2])
                await node.start()
                agents.append(SwimP2pAgent(f"{HOST}:{port}", node))
            clusters.append(agents)
        return await detection(clusters)

    return asyncio.run(measure())


# --- the run

SIDES = ("Shoal", "swim-protocol", "swim-p2p")

#: One process each: what it measures on each side, or why it can't be; None where it is moot.
MEASURES: list[tuple[Callable[[], Figures] | str | None, ...]] = [
    (shoal_ping, swim_protocol_ping, swim_p2p_ping),
    (shoal_sealed_ping, None, "it authenticates nothing"),
    (shoal_loopback, swim_protocol_loopback, swim_p2p_loopback),
    (bare_echo, None, None),
    (shoal_known, swim_protocol_known, swim_p2p_known),
    (shoal_newer, swim_protocol_newer, swim_p2p_newer),
    (shoal_state, "it sends one record a packet, never a state", swim_p2p_state),
    (shoal_memory, swim_protocol_memory, swim_p2p_memory),
    (shoal_settled, swim_protocol_settled, swim_p2p_settled),
    (shoal_detection, swim_protocol_detection, swim_p2p_detection),
]

#: Rows and how their figures are printed; a heading has no form.
ROWS = [
    ("CPU us per packet: median (least)", ""),
    ("ping in, ack out", ".2f"),
    ("the same, authenticated", ".2f"),
    ("the same over loopback, asyncio", ".2f"),
    ("(a bare asyncio echo in its place)", ".2f"),
    ("one record, known", ".2f"),
    ("one record, newer and changed", ".2f"),
    ("state of 1,000 records, all known", ",.0f"),
    ("bytes per known member", ""),
    ("1,000 members, learned from one", ",.0f"),
    ("300 members, settled", ",.0f"),
    ("seconds after a crash: median (worst)", ""),
    ("crash: first to know", ".1f"),
    ("crash: all know", ".1f"),
    ("false verdicts", ".0f"),
]

NOTES = """
Each cell is a process of its own, one after the other; CPU time of that process, all threads, \
median and least of {repeats} runs. Logging is off everywhere. A table holds 1,000 members with 32 \
bytes of metadata each.
ping: bytes of a ping in, bytes of the ack out, without sockets and without an event loop to wait \
for. Shoal: receive_datagram and poll, plain packets. swim-protocol: UdpPack.unpack, the worker's \
handler, UdpPack.pack, all in one thread; every packet is pickled and signed (HMAC-SHA256), so \
its figure stands for both rows. swim-p2p: Node._handle_message with METRICS_ENABLED and \
LIFEGUARD_ENABLED off and a transport that only keeps the bytes; JSON, no authentication.
authenticated: Shoal encrypts with AES-128-GCM, which is more than signing.
over loopback: real UDP sockets on asyncio, bursts of 16, the client's share (equal on all sides) \
included, as a bare asyncio echo shows; Shoal with examples/drivers/asyncio_driver.py, the others \
with their own transports and default settings: swim-protocol hands every packet to a thread \
pool, swim-p2p keeps metrics.
one record: Shoal an alive message; Shoal recognises the bytes of news that it has heard before, \
which is how gossip comes. swim-protocol a Gossip packet, with the GossipAck that it owes. \
swim-p2p a SYNC-RESP with one entry and PUSH_PULL_SYNC off, its cheapest way to take one: what it \
really gossips is the whole table, the row below. newer and changed: a higher incarnation (clock) \
with other metadata. Shoal's figure includes an event and queueing the news for others, swim-p2p's \
noting the change; swim-protocol looks for news in the whole table, later, for each target.
state: Shoal a push/pull stream, merged and closed; swim-p2p a HEARTBEAT with its full digest.
memory: tracemalloc, what stays of learning so many members from one other by packets, news told. \
settled: everybody has told everybody everything; only swim-protocol keeps something for it, a \
clock for each pair, so its figure grows with the cluster.
crash: {clusters} clusters of {size} over loopback sockets in one process and event loop, default \
settings: all three probe once a second; suspicion lasts 4 s or more in Shoal, 5 s in \
swim-protocol, 5 s or more in swim-p2p, which first pings a silent member up to three times. \
One member of each closes its sockets without a word; seen by asking every member each 20 ms. \
false verdicts: pairs of a survivor and a survivor that it held for dead. swim-p2p's UDP \
transport binds all interfaces; here it is held to loopback.
"""


def measured(python: list[str], index: int, side: str) -> Figures | str:
    """Measure in a process of its own; return the reason where that fails."""
    command = [*python, "--side", side, "--measure", str(index)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROCESS_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not ready after {PROCESS_TIMEOUT:.0f} s"
    if done.returncode:
        return last_line(done.stderr) or f"exit status {done.returncode}"
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def install(python: Path, package: str) -> str:
    """Install a peer; return its version, or the reason why not after a dash."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    try:
        done = subprocess.run(
            [*pip, "install", "--retries", "1", "--timeout", "10", package],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"- not installed after {INSTALL_TIMEOUT:.0f} s"
    if done.returncode:
        return f"- not installed: {last_line(done.stderr)}"
    return subprocess.run(
        [str(python), "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()


def interpreters(folder: str) -> dict[str, list[str] | str]:
    """Return how to run each side, or the reason why it can't be run."""
    result: dict[str, list[str] | str] = {
        "Shoal": [sys.executable, "-m", "tests.benchmarks.bench_python_peers"]
    }
    python = Path(folder, "bin", "python")
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return result | dict.fromkeys(SIDES[1:], f"no virtual environment: {error}")
    for package in SIDES[1:]:
        version = install(python, package)
        print(f"{package} {version}", flush=True)
        here = str(Path(__file__).resolve())
        result[package] = version[2:] if version.startswith("- ") else [str(python), here]
    return result


def cell(figures: list[float] | None, form: str) -> str:
    if figures is None:
        return "-"
    texts = [f"{figure:{form}}" if figure < math.inf else "never" for figure in figures]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} ({texts[1]})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare Shoal with other Python packages.")
    parser.add_argument("--side", choices=SIDES, help="measure this side only, and print JSON")
    parser.add_argument("--measure", type=int, default=0, help="which measurement, with --side")
    arguments = parser.parse_args()
    if arguments.side:
        logging.disable(logging.CRITICAL)
        work = MEASURES[arguments.measure][SIDES.index(arguments.side)]
        assert callable(work), work
        print(json.dumps(work()))
    else:
        compare()


def compare() -> None:
    """Measure everything and print the table."""
    print(f"CPython {platform.python_version()}, {platform.machine()}; Shoal of this tree")
    figures: dict[tuple[str, str], list[float]] = {}
    reasons: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        pythons = interpreters(folder)
        for index, measure in enumerate(MEASURES):
            for side, work in zip(SIDES, measure, strict=True):
                python = pythons[side]
                if work is None:
                    continue
                if isinstance(work, str):
                    reasons[f"{side}: {work}"] = None
                elif isinstance(python, str):
                    reasons[f"{side}: {python}"] = None
                elif isinstance(found := measured(python, index, side), str):
                    reasons[f"{side}, {work.__name__}: {found}"] = None
                else:
                    figures |= {(side, row): pair for row, pair in found.items()}
    for row, form in ROWS:
        cells = [cell(figures.get((side, row)), form) for side in SIDES] if form else SIDES
        print(("" if form else "\n") + f"{row:38}" + "".join(f"{text:>20}" for text in cells))
    if reasons:
        print("\nA dash:", *reasons, sep="\n  ")
    print()
    for note in (
        NOTES.format(repeats=REPEATS, clusters=CLUSTERS, size=CLUSTER_SIZE).strip().splitlines()
    ):
        print(textwrap.fill(note, 98, subsequent_indent="  "))


if __name__ == "__main__":
    main()
