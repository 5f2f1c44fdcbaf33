"""What one packet, one tick and one push/pull cost, beside the Go library's figures.

Run `python -m tests.benchmarks.bench_memberlist`. CPU time of this process per operation, the
median and the least of several runs; 1,000 members unless said otherwise, no compression. The
figures for Go (hashicorp/memberlist 0.6.0, Go 1.27, two cores, mock transport) and the targets
were measured apart; they are printed for comparison, and nothing here fails on them.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from random import Random

from memberlist import Config, Keyring, Memberlist, Node, Output, SendDatagram, SendStream
from memberlist.codec import encode_ack, encode_alive, encode_ping
from memberlist.packet import PacketCodec, PacketLimits, encode_compound
from memberlist.streams import encode_push_pull

VERSIONS = bytes((1, 5, 2, 0, 0, 0))
META = bytes(32)
PEER = ("10.0.0.2", 7946)

#: Takes a count; does the operation so often and returns the CPU seconds that it took.
Run = Callable[[int], float]


def node(index: int, incarnation: int = 1) -> Node:
    """Return the record of the index-th member."""
    address = (f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}", 7946)
    return Node(f"member-{index:05d}", address, META, VERSIONS, incarnation)


def machine(members: int, keyring: Keyring | None = None) -> Memberlist:
    """Return a quiet machine that knows so many members."""
    known = [node(index) for index in range(2, members + 1)]
    config = Config.lan(compression=False, members_max=200_000)
    result = Memberlist(
        "member-00001",
        ("10.0.0.1", 7946),
        config,
        rng=Random(1),
        now=0.0,
        keyring=keyring,
        known=known,
    )
    for tick in range(1, 60):  # until the own alive message is told
        result.handle_timeout(tick * 0.05)
        for sent in outputs(result):
            if isinstance(sent, SendDatagram) and b"SeqNo" in sent.data:
                result.receive_datagram(
                    encode_ack(sequence_of(sent.data), b""), sent.to, tick * 0.05
                )
    drain(result)
    return result


def drain(target: Memberlist) -> None:
    """Fetch and forget all outputs."""
    while target.poll() is not None:
        pass


def timed(work: Callable[[], None]) -> float:
    """Return the CPU seconds of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def copies(packets: list[bytes]) -> list[bytes]:
    """Return equal bytes that are new objects, as a socket gives them."""
    return [bytes(bytearray(packet)) for packet in packets]


def receiving(target: Memberlist, make: Callable[[int], list[bytes]]) -> Run:
    """Return a run that receives packets and fetches what they cause."""

    def run(count: int) -> float:
        packets = copies(make(count))

        def work() -> None:
            receive, poll = target.receive_datagram, target.poll
            for packet in packets:
                receive(packet, PEER, 10.0)
                while poll() is not None:
                    pass

        return timed(work)

    return run


def ping(members: int = 1000) -> Run:
    packet = [encode_ping(index, "member-00001", PEER, "member-00002") for index in range(256)]
    return receiving(machine(members), lambda count: (packet * (count // 256 + 1))[:count])


def ping_encrypted() -> Run:
    ring = Keyring([bytes(16)])
    sealed = sealing(Keyring([bytes(16)]))
    plain = [encode_ping(index, "member-00001", PEER, "member-00002") for index in range(256)]
    packets = [sealed.seal(packet, crc=False) for packet in plain]
    target = machine(1000, ring)
    return receiving(target, lambda count: (packets * (count // 256 + 1))[:count])


def sealing(keyring: Keyring) -> PacketCodec:
    rng = Random(2)
    return PacketCodec(
        label=b"",
        label_check_skipped=False,
        keyring=keyring,
        verify_incoming=True,
        verify_outgoing=True,
        encryption_version=1,
        compression=False,
        compression_size_min=0,
        entropy=rng.randbytes,
        limits=PacketLimits(parts=128, depth=2, decompressed_size=1 << 16),
    )


def alive_known(members: int = 1000) -> Run:
    packets = [encode_alive(node(index)) for index in range(2, 258)]
    return receiving(machine(members), lambda count: (packets * (count // 256 + 1))[:count])


def alive_newer(members: int = 1000) -> Run:
    incarnation = 1

    def make(count: int) -> list[bytes]:
        nonlocal incarnation
        packets = []
        for start in range(0, count, 256):
            incarnation += 1
            packets += [
                encode_alive(node(index, incarnation))
                for index in range(2, min(258, 2 + count - start))
            ]
        return packets

    return receiving(machine(members), make)


def compound(members: int = 1000) -> Run:
    packets = [
        encode_compound([encode_alive(node(index + part)) for part in range(10)])
        for index in range(2, 200)
    ]
    return receiving(machine(members), lambda count: (packets * (count // 198 + 1))[:count])


def probe(members: int = 1000) -> Run:
    """Tick a group of machines, then hand each its ack; making the acks is not timed."""
    group = [machine(members) for _ in range(32)]
    clock = 10.0

    def run(count: int) -> float:
        nonlocal clock
        total, done = 0.0, 0
        while done < count:
            clock += 1.0
            begun = time.process_time()
            for target in group:
                target.handle_timeout(clock)
            pings = [(target, sent) for target in group for sent in outputs(target)]
            total += time.process_time() - begun
            acks = [
                (target, encode_ack(sequence_of(sent.data), b""), sent.to)
                for target, sent in pings
                if isinstance(sent, SendDatagram) and sent.data[0] == 0
            ]
            done += len(acks)
            begun = time.process_time()
            for target, ack, source in acks:
                target.receive_datagram(ack, source, clock)
                target.poll()
            total += time.process_time() - begun
        return total * count / done

    return run


def outputs(target: Memberlist) -> list[Output]:
    """Fetch all outputs."""
    result = []
    while (out := target.poll()) is not None:
        result.append(out)
    return result


def sequence_of(packet: bytes) -> int:
    """Return the sequence number of a canonical ping, cheaply."""
    at = packet.index(b"SeqNo") + 5
    size = {0xCC: 1, 0xCD: 2, 0xCE: 4}.get(packet[at])
    return packet[at] if size is None else int.from_bytes(packet[at + 1 : at + 1 + size], "big")


def gossip(queued: int) -> Run:
    """Cost of each packet while so many alive messages wait."""

    def run(count: int) -> float:
        target = machine(max(1000, queued + 1))
        total, sent, incarnation = 0.0, 0, 1
        while sent < count:
            incarnation += 1
            for index in range(2, queued + 2):
                record = node(index, incarnation)
                target.receive_datagram(encode_alive(record), PEER, 10.0)
            drain(target)
            for _ in range(25):  # all of them still wait: none was sent often enough
                due = target.next_timeout()
                assert due is not None
                begun = time.process_time()
                target.handle_timeout(due)
                spent = time.process_time() - begun
                packets = 0
                while (out := target.poll()) is not None:
                    packets += type(out) is SendDatagram and len(out.data) > 1000
                if packets > 1:
                    total += spent
                    sent += packets
        return total * count / sent

    return run


def push_pull(members: int, *, known: bool) -> Run:
    records = [node(index) for index in range(2, members + 2)]
    message = encode_push_pull(False, records, b"")
    target = machine(members + 1)

    def run(count: int) -> float:
        total = 0.0
        for _ in range(count):
            receiver = target if known else machine(1)
            stream = receiver.stream_accepted(PEER, 10.0)
            data = bytes(bytearray(message))
            begun = time.process_time()
            receiver.stream_received(stream, data, 10.0)
            total += time.process_time() - begun
            while (out := receiver.poll()) is not None:
                assert type(out) is not SendStream or out.data
        return total

    return run


def measure(run: Run, count: int, repeats: int) -> tuple[float, float]:
    """Return the median and the least CPU microseconds per operation."""
    run(count)
    gc.collect()
    gc.freeze()
    figures = [run(count) / count * 1e6 for _ in range(repeats)]
    return statistics.median(figures), min(figures)


#: Operation, how to make it, operations a run, then Go's figure, the target and the aim in us.
ROWS: list[tuple[str, Callable[[], Run], int, float, float, float]] = [
    ("ping in, ack out", ping, 20_000, 4.8, 5, 2.5),
    ("alive, already known", alive_known, 20_000, 3.4, 2.5, 0.5),
    ("alive, newer: update and queue", alive_newer, 10_240, 7.6, 7, 4),
    ("compound of 10 known alives", compound, 5_000, 28, 20, 6),
    ("probe tick: pick, ping, ack handled", probe, 5_000, 6.9, 8, 5),
    ("gossip of 100 queued, per packet", lambda: gossip(100), 200, 8.5, 12, 6),
    ("gossip of 10,000 queued, per packet", lambda: gossip(9_999), 200, 8.5, 50, 50),
    ("ping in, ack out, AES-GCM", ping_encrypted, 20_000, 6.8, 8, 4.5),
    ("push/pull of 5,000 known", lambda: push_pull(5000, known=True), 5, 10.5e3, 12e3, 6e3),
    ("push/pull of 5,000 into empty", lambda: push_pull(5000, known=False), 5, 38e3, 40e3, 20e3),
]

#: Whose cost must not grow with the table: 1,000 against 10,000 members.
GROWTH: list[tuple[str, Callable[[int], Run]]] = [
    ("ping in, ack out", ping),
    ("alive, already known", alive_known),
    ("alive, newer: update and queue", alive_newer),
    ("compound of 10 known alives", compound),
    ("probe tick: pick, ping, ack handled", probe),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{'CPU us per operation':38}{'median':>9}{'least':>9}{'Go':>9}{'must':>9}{'aim':>9}")
    for name, make, count, go, must, aim in ROWS:
        median, least = measure(make(), count, arguments.repeats)
        print(f"{name:38}{median:9.2f}{least:9.2f}{go:9.1f}{must:9.1f}{aim:9.1f}", flush=True)
    print(f"\n{'growth with the table':38}{'1,000':>9}{'10,000':>9}{'ratio':>9}")
    for name, growing in GROWTH:
        runs = [growing(1000), growing(10_000)]
        small, large = interleaved(runs, 5_120, arguments.repeats)
        print(f"{name:38}{small:9.2f}{large:9.2f}{large / small:9.2f}", flush=True)


def interleaved(runs: list[Run], count: int, repeats: int) -> list[float]:
    """Return the least figure of each run, taken in turns so that drift hits both."""
    for run in runs:
        run(count)
    gc.collect()
    gc.freeze()
    figures: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, row in zip(runs, figures, strict=True):
            row.append(run(count) / count * 1e6)
    return [min(row) for row in figures]


if __name__ == "__main__":
    main()
