"""What bytes cost: `python -m tests.benchmarks.bench_raft_codec`.

Entries a second through the codec, each way, and through the write-ahead log, each way; messages
without entries; sessions. Best of several rounds of process time, garbage collection included.
Targets on one core: 300,000 entries a second each way in batches of 256 through the codec,
200,000 into the log.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from time import process_time

from raft.codec import decode, decode_batch, encode, encode_batch
from raft.entries import Entries
from raft.messages import AppendEntries, AppendEntriesResponse, Heartbeat
from raft.outputs import Persist
from raft.sessions import Command, Execute, Register, Sessions, encode_request
from raft.stored import HardState
from raft.wal.recovery import Recovery
from raft.wal.writer import WalWriter

TERM = 7
LOG = bytes(range(16))


def batch(count: int, size: int) -> Entries:
    """Return entries of one term, with payloads that differ."""
    payloads = (b"%08d" % number for number in range(count))
    return Entries(1, ((1, TERM),), tuple(payload.ljust(size, b".") for payload in payloads))


def best(run: Callable[[], object], *, seconds: float) -> float:
    """Return the CPU seconds that one run takes at best."""
    start, runs = process_time(), 0
    while process_time() - start < seconds / 10 or runs < 3:
        run()
        runs += 1
    shortest = float("inf")
    for _ in range(9):
        start = process_time()
        for _ in range(runs):
            run()
        shortest = min(shortest, (process_time() - start) / runs)
    return shortest


def new_writer() -> tuple[WalWriter, bytes]:
    """Return a writer of a new log, and what its segment begins with."""
    writer = WalWriter(Recovery().finish(), log_id=LOG)
    begin = writer.begin_segment()
    writer.synced(writer.last_number)
    return writer, begin


def log_of(entries: Entries, groups: int) -> bytes:
    """Return a segment with so many `Persist`s."""
    writer, log = new_writer()
    count = len(entries)
    parts = [log]
    for group in range(groups):
        first = 1 + group * count
        moved = Entries(first, ((first, TERM),), entries.payloads)
        parts.append(writer.append(Persist(group, HardState(TERM, None, first), moved)))
    return b"".join(parts)


def recover(log: bytes) -> int:
    """Return how many entries a log has."""
    recovery = Recovery()
    recovery.begin(1)
    recovery.feed(log)
    return len(recovery.finish().entries)


def show(what: str, count: int, seconds: float) -> None:
    """Print one figure."""
    print(f"{what:<42} {seconds / count * 1e6:8.3f} us   {count / seconds:14,.0f} /s")


def bench_entries(count: int, size: int, seconds: float) -> None:
    """Measure one batch of entries through the codec and through the log."""
    entries = batch(count, size)
    message = AppendEntries("n2", "n1", TERM, 0, 0, entries, 0)
    data = encode(message)
    persist = Persist(1, HardState(TERM, None, 0), entries)
    writer, _ = new_writer()
    groups = max(1, 10_000 // count)
    log = log_of(entries, groups)
    assert decode(data) == message
    assert recover(log) == count * groups
    name = f"{count} x {size} B"
    show(f"encode, {name}, an entry", count, best(lambda: encode(message), seconds=seconds))
    show(f"decode, {name}, an entry", count, best(lambda: decode(data), seconds=seconds))
    show(f"log, {name}, an entry", count, best(lambda: writer.append(persist), seconds=seconds))
    show(f"recover, {name}, an entry", count * groups, best(lambda: recover(log), seconds=seconds))


def bench_messages(seconds: float) -> None:
    """Measure messages without entries, alone and for many groups together."""
    for message in (
        AppendEntriesResponse("n1", "n2", TERM, rejected=False, index=1000),
        Heartbeat("n2", "n1", TERM, 1000, 1000, 9),
    ):
        data, name = encode(message), type(message).__name__
        assert decode(data) == message
        show(f"encode {name}", 1, best(partial(encode, message), seconds=seconds))
        show(f"decode {name}", 1, best(partial(decode, data), seconds=seconds))
    groups = [(f"g{number}", Heartbeat("n2", "n1", TERM, 9, 9, 3)) for number in range(1000)]
    together = encode_batch(groups)
    assert decode_batch(together) == groups
    show(
        "encode heartbeats of 1000 groups, each",
        1000,
        best(lambda: encode_batch(groups), seconds=seconds),
    )
    show(
        "decode heartbeats of 1000 groups, each",
        1000,
        best(lambda: decode_batch(together), seconds=seconds),
    )


def bench_sessions(seconds: float) -> None:
    """Measure commands of sessions, the table's part only."""
    count = 5000
    requests = [encode_request(Register())]
    requests += [
        encode_request(Command(1, n, max(1, n - 8), b"0123456789abcdef")) for n in range(1, count)
    ]

    def run() -> None:
        sessions = Sessions()
        for index, request in enumerate(requests, start=1):
            if type(sessions.apply(index, request)) is Execute:
                sessions.executed(b"done")

    show("a command in a session", count, best(run, seconds=seconds))


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure, about")
    seconds = parser.parse_args().seconds / 10
    for count, size in ((1, 16), (16, 16), (256, 16), (256, 256)):
        bench_entries(count, size, seconds)
    bench_messages(seconds)
    bench_sessions(seconds)


if __name__ == "__main__":
    main()
