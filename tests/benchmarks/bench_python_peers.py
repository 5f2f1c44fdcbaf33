"""Shoal's memberlist beside the Python packages that do the same, in one run.

Run `python -m tests.benchmarks.bench_python_peers`. It installs `swim-protocol` and `swim-p2p`
from the package index into a temporary virtual environment and measures each row there, in a
process of its own, one process at a time, our own row first. Where that is impossible the cell is
a dash, the reason is printed below the table, and nothing fails. All traffic stays on 127.0.0.1.
How each side is measured is its module in `tests.benchmarks.peers`.

What is measured on each side stands in `NOTES`, which is printed with the table. The rule: the
package's own code takes each packet as bytes and gives its answer as bytes, by the shortest way
that exists through that code.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
import tempfile
import textwrap
import venv
from pathlib import Path
from typing import Protocol

from tests.benchmarks.peers import shoal, swim_p2p, swim_protocol
from tests.benchmarks.peers.detection import CLUSTER_SIZE, CLUSTERS
from tests.benchmarks.peers.measuring import REPEATS, Figures, Measures

ROOT = Path(__file__).resolve().parents[2]

#: Seconds: for an installation, for a process.
INSTALL_TIMEOUT, PROCESS_TIMEOUT = 60.0, 60.0


class Side(Protocol):
    """A module that measures one side."""

    __name__: str
    MEASURES: Measures


#: The columns; the peers under the names that the package index has them by.
PEERS: dict[str, Side] = {"swim-protocol": swim_protocol, "swim-p2p": swim_p2p}
SIDES: dict[str, Side] = {"Shoal": shoal, **PEERS}

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


def measured(python: Path, side: Side, name: str) -> Figures | str:
    """Measure in a process of its own; return the reason where that fails."""
    command = [str(python), "-m", side.__name__, name]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PROCESS_TIMEOUT,
            check=False,
            cwd=ROOT,
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


def interpreters(folder: str) -> dict[str, Path | str]:
    """Return what runs each side, or the reason why it can't be run."""
    result: dict[str, Path | str] = {"Shoal": Path(sys.executable)}
    python = Path(folder, "bin", "python")
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return result | dict.fromkeys(PEERS, f"no virtual environment: {error}")
    for package in PEERS:
        version = install(python, package)
        print(f"{package} {version}", flush=True)
        result[package] = version[2:] if version.startswith("- ") else python
    return result


def cell(figures: list[float] | None, form: str) -> str:
    if figures is None:
        return "-"
    texts = [f"{figure:{form}}" if figure < math.inf else "never" for figure in figures]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} ({texts[1]})"


def gather(pythons: dict[str, Path | str]) -> tuple[dict[tuple[str, str], list[float]], list[str]]:
    """Measure everything; return the figures by side and row, and the reasons for dashes."""
    figures: dict[tuple[str, str], list[float]] = {}
    reasons: dict[str, None] = {}
    for name in shoal.MEASURES:
        for label, side in SIDES.items():
            python, work = pythons[label], side.MEASURES.get(name)
            if work is None:
                continue
            if isinstance(work, str):
                reasons[f"{label}: {work}"] = None
            elif isinstance(python, str):
                reasons[f"{label}: {python}"] = None
            elif isinstance(found := measured(python, side, name), str):
                reasons[f"{label}, {name}: {found}"] = None
            else:
                figures |= {(label, row): pair for row, pair in found.items()}
    return figures, list(reasons)


def main() -> None:
    """Measure everything and print the table."""
    print(f"CPython {platform.python_version()}, {platform.machine()}; Shoal of this tree")
    with tempfile.TemporaryDirectory() as folder:
        figures, reasons = gather(interpreters(folder))
    for row, form in ROWS:
        cells = [cell(figures.get((side, row)), form) for side in SIDES] if form else SIDES
        print(("" if form else "\n") + f"{row:38}" + "".join(f"{text:>20}" for text in cells))
    if reasons:
        print("\nA dash:", *reasons, sep="\n  ")
    print()
    notes = NOTES.format(repeats=REPEATS, clusters=CLUSTERS, size=CLUSTER_SIZE)
    for note in notes.strip().splitlines():
        print(textwrap.fill(note, 98, subsequent_indent="  "))


if __name__ == "__main__":
    main()
