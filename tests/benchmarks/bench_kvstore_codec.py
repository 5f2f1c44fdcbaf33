"""What commands, results and snapshots cost as bytes, and access decisions as answers.

Run `python -m tests.benchmarks.bench_kvstore_codec`. CPU time of this process per operation, the
median and the least of several runs; 64-byte values, keys as of a service's configuration. The
target is 2 microseconds for a command each way. msgpack alone, on the same fields, is printed for
comparison; nothing here fails.

Snapshots are of a store with `--keys` keys. While one streams, hundred updates are applied
between any two pieces. Targets: begun in 50 microseconds, no update longer than 20 milliseconds,
500,000 entries restored a second. Restoring is told with and without the garbage collector, which
a program may switch off meanwhile.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from random import Random

import msgpack

from kvstore.acl.access import Authorizer, Level, Policy, Rule
from kvstore.codec.codec import decode_command, decode_result, encode_command, encode_result
from kvstore.commands import (
    Check,
    Command,
    Create,
    Delete,
    Get,
    Lock,
    Put,
    Range,
    SessionRenew,
    Txn,
)
from kvstore.entry import Record
from kvstore.refusals import CasMismatch
from kvstore.results import DeleteOk, PutOk, RangeOk, Result
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.store import Store

KEY = "service/app-001/config/key-000123"
VALUE = bytes(64)
NOW = 1_700_000_000_000
RECORD: Record = (KEY, VALUE, 0, 1000, 2000, 5, None, 1500, -1)

COMMANDS: dict[str, Command] = {
    "Put": Put(KEY, VALUE),
    "Put, cas": Put(KEY, VALUE, cas=1000),
    "Put, ttl": Put(KEY, VALUE, ttl=30_000),
    "Create, counter": Create(KEY, VALUE, sequence="counter"),
    "Delete": Delete(KEY),
    "Lock": Lock(KEY, "session-1"),
    "Get": Get(KEY),
    "Range of a prefix": Range(prefix="service/app-001/", limit=100),
    "Txn of 1 check and 5 puts": Txn((Check(KEY, "mod", "=", 5),), (Put(KEY, VALUE),) * 5),
    "SessionRenew of 100": SessionRenew(tuple(f"session-{i}" for i in range(100))),
}

RESULTS: dict[str, Result] = {
    "PutOk": PutOk(RECORD, None, False),
    "DeleteOk": DeleteOk(1),
    "CasMismatch": CasMismatch(KEY, 5, PutOk(RECORD, None, False).entry),
    "RangeOk of 100 entries": RangeOk((RECORD,) * 100, 100, None, False, 2000, 2000),
}


def microseconds(operation: Callable[[], object], count: int, rounds: int) -> tuple[float, float]:
    """Return the median and the least of the CPU time of one operation."""
    found = []
    for _ in range(rounds):
        gc.collect()
        begin = time.process_time()
        for _ in range(count):
            operation()
        found.append((time.process_time() - begin) / count * 1e6)
    return statistics.median(found), min(found)


def row(name: str, figures: tuple[float, float], note: str = "") -> None:
    """Print a line."""
    median, least = figures
    print(f"{name:34} {median:8.2f} {least:8.2f} {1e6 / median:12,.0f}  {note}")


def bench_codec(count: int, rounds: int) -> None:
    """Print what messages cost each way."""
    print(f"{'operation':34} {'median':>8} {'least':>8} {'a second':>12}  (us of CPU)")
    plain = (1, 1, NOW, None, KEY, VALUE)
    data = msgpack.packb(plain)
    pack = msgpack.Packer().pack
    row("msgpack alone: pack", microseconds(lambda: pack(plain), count, rounds))
    row("msgpack alone: unpackb", microseconds(lambda: msgpack.unpackb(data), count, rounds))
    for name, command in COMMANDS.items():
        encoded = encode_command(command, now=NOW)
        times = max(1, count * 100 // len(encoded) // 10) if len(encoded) > 300 else count
        write = microseconds(partial(encode_command, command, now=NOW), times, rounds)
        read = microseconds(partial(decode_command, encoded), times, rounds)
        row(f"encode {name}", write, f"{len(encoded)} bytes")
        row(f"decode {name}", read)
    for name, result in RESULTS.items():
        encoded = encode_result(result)
        times = max(1, count // 20) if len(encoded) > 1000 else count
        row(
            f"encode {name}",
            microseconds(partial(encode_result, result), times, rounds),
            f"{len(encoded)} bytes",
        )
        row(f"decode {name}", microseconds(partial(decode_result, encoded), times, rounds))


def bench_acl(count: int, rounds: int) -> None:
    """Print what decisions cost over 200 rules."""
    rules = tuple(
        Rule("key", f"service/app-{i:03d}/" + "x" * (i % 12), Level.READ, prefix=True)
        for i in range(200)
    )
    authorizer = Authorizer([Policy("apps", rules)], allow=False)
    fresh = iter([f"service/app-{i % 300:03d}/key-{i}" for i in range(count * rounds)])
    read = Level.READ
    new = microseconds(lambda: authorizer.allows_key(next(fresh), read), count, rounds)
    row("decide on a new key, 200 rules", new)
    known = microseconds(lambda: authorizer.allows_key(KEY, read), count, rounds)
    row("decide on a known key", known)
    prefix, end = "service/app-001/", "service/app-0010"
    whole = microseconds(lambda: authorizer.allows_range(prefix, end, read), count, rounds)
    row("decide on a range", whole)
    explain = microseconds(lambda: authorizer.decide("key", KEY, read), count, rounds)
    row("explain a decision", explain)


def bench_snapshot(keys: int) -> None:
    """Print what a snapshot costs, and what it does to the writes meanwhile."""
    store = Store()
    names = [f"service/app-{i % 1000:03d}/config/key-{i:07d}" for i in range(keys)]
    for name in names:
        store.apply(Put(name, VALUE))
    begins = []
    for _ in range(20):
        store.apply(Put(names[0], bytes(8), force=True))
        begin = time.process_time()
        writer = SnapshotWriter(store.view())
        begins.append(time.process_time() - begin)
        writer.close()
    print(f"snapshot of {keys:,} keys")
    print(f"  begin: median {statistics.median(begins) * 1e6:.0f} us, most {max(begins) * 1e6:.0f}")

    Random(1).shuffle(names)
    updates = cycle([Put(name, bytes(32)) for name in names[:100_000]])
    # What is there stays: looking at all of it again and again is not the store's pause.
    gc.collect()
    gc.freeze()
    stream, piece_times, alone, streaming = [], [], pauses(store, updates, 20_000), []
    writer = SnapshotWriter(store.view())
    while True:
        begin = time.process_time()
        piece = next(writer, None)
        piece_times.append(time.process_time() - begin)
        if piece is None:
            break
        stream.append(piece)
        streaming += pauses(store, updates, 100)
    after = pauses(store, updates, 20_000)
    size = sum(map(len, stream))
    rate = keys / sum(piece_times)
    print(f"  write: {rate:,.0f} entries/s, {size:,} bytes in {len(stream)} pieces")
    print(f"  a piece: median {statistics.median(piece_times) * 1e3:.2f} ms, "
          f"most {max(piece_times) * 1e3:.2f} ms")  # fmt: skip
    for when, times in (("before", alone), ("meanwhile", streaming), ("afterwards", after)):
        print(
            f"  updates {when}: median {statistics.median(times) * 1e6:.1f} us, "
            f"most {max(times) * 1e3:.2f} ms of {len(times):,}"
        )
    del store
    for collecting in (True, True, False, False):
        if not collecting:
            gc.disable()
        reader = SnapshotReader(Store.importer)
        begin = time.process_time()
        for piece in stream:
            reader.feed(piece)
        restored = reader.finish()
        taken = time.process_time() - begin
        what = "" if collecting else ", no collector"
        print(f"  restore{what}: {restored.count('') / taken:,.0f} entries/s ({taken:.2f} s)")
        del restored, reader
        gc.enable()


def pauses(store: Store, updates: Iterator[Put], count: int) -> list[float]:
    """Return how long each of some updates takes, in seconds."""
    found = []
    for update in islice(updates, count):
        begin = time.process_time()
        store.apply(update)
        found.append(time.process_time() - begin)
    return found


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="operations in a run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each operation")
    parser.add_argument("--keys", type=int, default=100_000, help="of the store in the snapshot")
    parser.add_argument("--only", choices=["codec", "acl", "snapshot"], help="measure one part")
    options = parser.parse_args()
    if options.only in {None, "codec"}:
        bench_codec(options.count, options.rounds)
    if options.only in {None, "acl"}:
        bench_acl(options.count, options.rounds)
    if options.only in {None, "snapshot"}:
        bench_snapshot(options.keys)


if __name__ == "__main__":
    main()
