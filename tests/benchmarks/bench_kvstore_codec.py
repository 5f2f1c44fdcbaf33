"""What commands, results and access decisions cost as bytes and as answers.

Run `python -m tests.benchmarks.bench_kvstore_codec`. CPU time of this process per operation, the
median and the least of several runs; 64-byte values, keys as of a service's configuration. The
target is 2 microseconds for a command each way. msgpack alone, on the same fields, is printed for
comparison; nothing here fails.

Snapshots are measured with the store, in bench_kvstore_snapshot.py.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial

import msgpack

from kvstore.acl import Authorizer, Level, Policy, Rule
from kvstore.codec import decode_command, decode_result, encode_command, encode_result
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


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="operations in a run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each operation")
    options = parser.parse_args()
    bench_codec(options.count, options.rounds)
    bench_acl(options.count, options.rounds)


if __name__ == "__main__":
    main()
