"""What all sides share: a member's record, CPU time and memory of an operation, the answer."""

from __future__ import annotations

import gc
import json
import logging
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

#: Figures of one process: the row's name to the median and the best, or the median and the worst.
Figures = dict[str, list[float]]

#: What a side measures, by name, each in a process of its own; or why it can't. Moot: not in it.
Measures = dict[str, Callable[[], Figures] | str]

#: Takes a count; does the operation so often and returns the CPU seconds that it took.
Run = Callable[[int], float]

MEMBERS = 1000
MEMBERS_SETTLED = 300
BATCH = 256
REPEATS = 7


def answer(measures: Measures) -> None:
    """Measure what the command line names, and print the figures as JSON."""
    logging.disable(logging.CRITICAL)
    work = measures[sys.argv[1]]
    assert callable(work), work
    print(json.dumps(work()))


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
