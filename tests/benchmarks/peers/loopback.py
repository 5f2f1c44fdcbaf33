"""A packet there and an answer back over real UDP sockets, and what of it is the sockets' share."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.peers.measuring import BATCH, REPEATS, Figures

HOST = "127.0.0.1"


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
