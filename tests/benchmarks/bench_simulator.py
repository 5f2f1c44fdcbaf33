"""How fast the simulator runs, and how much of a cluster fits into one process.

`python -m tests.benchmarks.bench_simulator` prints two tables:

- 1,000 full members without faults, as a factor of real time, from a warm start. The first thirty
  virtual seconds hold everybody's first push/pull and are shown apart.
- 10,000 full members, 60 virtual seconds, one crash: wall time, memory, and when the first and
  the last heard of it.

Invariants and the trace are off, compression too (the LZW in Python would be what is measured;
the peer's figures are without it as well). Beside it stands what was measured of Go's
memberlist: 500 members in one process need 20 real seconds to converge and 84 to 145 us of CPU
for a member's second.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Sequence

from memberlist import Config
from memberlist.testing import Cluster

#: What was measured for hashicorp/memberlist 0.6.0, LZW off: CPU us per member-second.
GO = "84-145"


def quiet(members: int, seed: int) -> Cluster:
    """Return a warm cluster without checks, trace and compression, frozen for the collector."""
    gc.disable()
    config = Config.lan(compression=False)
    cluster = Cluster(seed=seed, config=config, trace=False, check=False)
    cluster.start(members)
    gc.collect()
    gc.freeze()
    gc.enable()
    return cluster


def memory() -> float:
    """Return the most memory that the process ever had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def speed(members: int, seed: int) -> None:
    """Print how much faster than real time a cluster runs."""
    cluster = quiet(members, seed)
    print(f"\n{members} members, no faults: virtual seconds in CPU seconds; Go: {GO} us")
    print(f"{'virtual s':>12} {'CPU s':>8} {'x real time':>12} {'us/member-s':>12} {'packets':>9}")
    total = 0.0
    for begin, seconds in ((0, 30), (30, 60), (90, 90)):
        sent, start = cluster.messages, time.process_time()
        cluster.run(seconds)
        spent = time.process_time() - start
        total += spent
        print(
            f"{begin:>5}-{begin + seconds:<6} {spent:8.2f} {seconds / spent:12.1f} "
            f"{1e6 * spent / seconds / members:12.1f} {cluster.messages - sent:9}"
        )
    print(f"all 180 s: {180 / total:.1f} times real time; memory {memory():.0f} MiB")


def crowd(members: int, seed: int, seconds: int = 60) -> None:
    """Print what a crash among very many members costs to simulate, and how it was seen."""
    begin = time.perf_counter()
    cluster = quiet(members, seed)
    started = time.perf_counter() - begin
    print(f"\n{members} full members: started in {started:.0f} s, {memory():.0f} MiB")
    begin = time.perf_counter()
    cluster.run(5.0)
    victim = f"n{members // 2}"
    cluster.crash(victim)
    while cluster.now < seconds:
        cluster.run(min(5.0, seconds - cluster.now))
        wall = time.perf_counter() - begin
        told = len(cluster.detections[victim].informed)
        print(f"{cluster.now:8.0f} virtual s, {wall:6.0f} s wall, {told} informed", flush=True)
    seen = cluster.detections[victim]
    first, last = seen.failed or float("nan"), seen.everybody or float("nan")
    print(
        f"crash known to the first after {first:.1f} s and to all {members - 1} after {last:.1f} s"
    )
    print(f"{cluster.messages} packets, {cluster.connections.opened} streams")
    print(f"wall {started + time.perf_counter() - begin:.0f} s, memory {memory():.0f} MiB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_simulator")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--members", type=int, default=1000, help="of the first table (1000)")
    parser.add_argument("--crowd", type=int, default=10_000, help="of the second (10000); 0: none")
    options = parser.parse_args(arguments)
    speed(options.members, options.seed)
    if options.crowd:
        crowd(options.crowd, options.seed)


if __name__ == "__main__":
    main()
