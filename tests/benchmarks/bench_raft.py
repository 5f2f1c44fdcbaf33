"""What raft costs in one process: throughput, latency, elections, memory, many groups.

Run `python -m tests.benchmarks.bench_raft`; names of sections choose some of them. Three servers,
leader elected, messages handed over as objects and oldest first, no disk: each `Persist` is
reported as soon as it is fetched. A batch of proposals is handed over, messages are delivered
until all is quiet, and again; at the end all three have applied everything. All three servers'
work is counted, the median and the least of several runs, in CPU time of this process.

Beside it stand figures of other libraries on the same workload, measured on two cores with
CPython 3.11.7, Go 1.27 and Rust 1.95 (etcd-io/raft after v3.7.0 with one MsgProp a batch,
tikv/raft-rs 0.7 with batch_append, hashicorp/raft 1.7.3, PySyncObj 0.3.17, rraft-py 0.2.27), and
PySyncObj measured here where it is installed. Nothing fails on a figure.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import statistics
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random

from raft import Config, Configuration, EntriesCommitted, Persist, Raft, Role, SendMessage
from raft.codec import decode, encode
from raft.messages import Message

NAMES = ("n1", "n2", "n3")

#: Entries per second of others by batch: etcd-raft, raft-rs, hashicorp, PySyncObj, rraft-py; then
#: what is asked of this package, at least and at best.
OTHERS = {
    1: (105_000, 271_000, 37_000, 16_300, 6_600, 45_000, 90_000),
    16: (640_000, 917_000, 231_000, 86_000, 51_000, 400_000, 800_000),
    256: (1_222_000, 1_318_000, 411_000, 129_000, 80_000, 1_250_000, 2_500_000),
}
HEADINGS = ("etcd-raft", "raft-rs", "hashicorp", "PySyncObj", "rraft-py", "must", "aim")


class Group:
    """Three servers and the messages between them."""

    def __init__(self, config: Config, *, codec: bool = False, seed: int = 1) -> None:
        configuration = Configuration(voters=NAMES)
        self.servers = {
            name: Raft(name, config, rng=Random(f"{seed}{name}"), now=0.0) for name in NAMES
        }
        self.applied = dict.fromkeys(NAMES, 0)
        self.network: deque[Message] = deque()
        self.codec = codec
        for server in self.servers.values():
            server.bootstrap(configuration, 0.0)
            self.pump(server, 0.0)

    def pump(self, server: Raft, now: float) -> None:
        """Take what a server puts out."""
        poll, network = server.poll, self.network
        while (output := poll()) is not None:
            kind = type(output)
            if kind is SendMessage:
                network.append(output.message)  # type: ignore[union-attr]
            elif kind is Persist:
                server.persisted(output.seq, now)  # type: ignore[union-attr]
            elif kind is EntriesCommitted:
                self.applied[server.id] += len(output.entries.payloads)  # type: ignore[union-attr]

    def run(self, now: float) -> None:
        """Deliver messages until all is quiet."""
        network, servers, pump, codec = self.network, self.servers, self.pump, self.codec
        while network:
            message = network.popleft()
            if codec:
                message = decode(encode(message))
            server = servers[message.to]
            server.receive(message, now)
            pump(server, now)

    def elect(self, now: float = 0.0) -> Raft:
        """Have the first server elected."""
        leader = self.servers["n1"]
        leader.campaign(now)
        self.pump(leader, now)
        self.run(now)
        assert leader.role is Role.LEADER
        return leader


def per_entry(batch: int, size: int, *, codec: bool = False, repeats: int = 100) -> list[float]:
    """Return CPU seconds per entry, sorted; a measurement takes some 5 ms."""
    group = Group(Config(), codec=codec)
    leader = group.elect()
    rounds = 200 if batch < 256 else 100
    found = []
    for _ in range(repeats):
        work = [[bytes(size)] * batch for _ in range(rounds)]
        begun = time.process_time()
        for payloads in work:
            if batch == 1:
                leader.propose(payloads[0], 0.0)
            else:
                leader.propose_many(payloads, 0.0)
            group.pump(leader, 0.0)
            group.run(0.0)
        found.append((time.process_time() - begun) / (rounds * batch))
    assert len(set(group.applied.values())) == 1
    return sorted(found)


def throughput() -> None:
    """Print entries per second."""
    for size in (16, 256):
        for codec in (False, True):
            print(f"\nentries/s, {size}-byte payloads{', through our codec' if codec else ''}")
            print(f"{'batch':>6}{'median':>12}{'best':>12}" + "".join(f"{h:>12}" for h in HEADINGS))
            for batch, others in OTHERS.items():
                found = per_entry(batch, size, codec=codec)
                shown = [1 / statistics.median(found), 1 / found[0], *others]
                print(f"{batch:>6}" + "".join(f"{value:>12,.0f}" for value in shown))


def latency() -> None:
    """Print how long one proposal takes until its leader has applied it."""
    group = Group(Config())
    leader = group.elect()
    found = []
    for _ in range(3_000):
        begun = time.perf_counter()
        log_id = leader.propose(b"0123456789abcdef", 0.0)
        group.pump(leader, 0.0)
        while leader.applied_index < log_id.index:
            message = group.network.popleft()
            server = group.servers[message.to]
            server.receive(message, 0.0)
            group.pump(server, 0.0)
        found.append(time.perf_counter() - begun)
        group.run(0.0)
    median, least = statistics.median(found) * 1e6, min(found) * 1e6
    print(f"\none proposal until its leader applied it: {median:.1f} us, at best {least:.1f}")
    print("  at most 60 asked; etcd-raft 8, hashicorp 27, PySyncObj 61, rraft-py 106")


def election() -> None:
    """Print what an election costs."""
    found = []
    for number in range(300):
        group = Group(Config(), seed=number)
        group.run(0.0)
        gc.collect() if number % 50 == 0 else None
        begun = time.process_time()
        group.elect()
        found.append(time.process_time() - begun)
    plain = []
    for number in range(300):
        group = Group(Config(pre_vote=False), seed=number)
        begun = time.process_time()
        group.elect()
        plain.append(time.process_time() - begun)
    print()
    for what, times in (("with", found), ("without", plain)):
        median, least = statistics.median(times) * 1e6, min(times) * 1e6
        print(f"election {what} pre-vote, until quiet: {median:.0f} us CPU, at best {least:.0f}")
    print("  at most 100 asked; raft-rs 7, etcd-raft 18, PySyncObj 79, rraft-py 370")


def memory() -> None:
    """Print bytes for each entry and server beyond the payload."""
    group = Group(Config())
    leader = group.elect()
    count = 100_000
    payloads = [b"%016d" % number for number in range(count)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at in range(0, count, 250):
        leader.propose_many(payloads[at : at + 250], 0.0)
        group.pump(leader, 0.0)
        group.run(0.0)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(f"\nmemory: {grown / count / 3:.1f} bytes an entry and server beyond the payload")
    print("  at most 120 asked; etcd-raft 39, hashicorp 178, PySyncObj 202")


def resident() -> int:
    """Return the bytes of memory that this process has, where the system tells; else 0."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def groups(count: int = 10_000) -> None:
    """Print what many idle groups cost, in this process: nothing is extrapolated."""
    config = Config(quiescence=True)
    gc.collect()
    before = resident()
    made = [Group(config, seed=number) for number in range(count)]
    for group in made:
        group.elect()
    gc.collect()
    used = (resident() - before) / count
    spent, now = float("inf"), 0.0
    for _ in range(5):
        now += 0.1
        begun = time.process_time()
        for group in made:
            leader = group.servers["n1"]
            leader.handle_timeout(now)
            group.pump(leader, now)
            group.run(now)
        spent = min(spent, (time.process_time() - begun) / count)
    for group in made:
        assert group.servers["n1"].quiesce(now)
        group.pump(group.servers["n1"], now)
        group.run(now)
    awake = sum(
        server.next_timeout() is not None for group in made for server in group.servers.values()
    )
    print(f"\n{count:,} idle groups of three servers: {used * count / 1e9:.2f} GB resident", end="")
    print(f" (at most 1.5 asked), {used / 1024:.1f} KiB a group")
    print(f"  a round of heartbeats: {spent * 1e6:.1f} us a group (etcd-raft 1.7)")
    print(f"  asleep: {awake} of {3 * len(made):,} servers have a timer")


def peers() -> None:
    """Print PySyncObj's figures on the same workload, where it is installed."""
    with contextlib.suppress(ImportError):
        from tests.benchmarks.peers import raft_pysyncobj  # noqa: PLC0415  # needs pysyncobj

        raft_pysyncobj.main()


SECTIONS: dict[str, Callable[[], None]] = {
    "throughput": throughput,
    "latency": latency,
    "election": election,
    "memory": memory,
    "groups": groups,
    "peers": peers,
}


def main() -> None:
    """Print the sections that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], default=[])
    for name in parser.parse_args().sections or SECTIONS:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
