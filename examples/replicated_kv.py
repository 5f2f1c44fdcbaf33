r"""A replicated key-value store: Raft and kvstore over TCP, with a log on disk.

    python examples/replicated_kv.py                 # the demonstration: servers die, data doesn't
    python examples/replicated_kv.py serve --id n1 --directory n1 --found \
        --peers n1=127.0.0.1:7001,n2=127.0.0.1:7002,n3=127.0.0.1:7003

The demonstration starts three servers, kills the leader while eight clients write and read, lets
it start again from its log, kills all three, and checks that one store that does one thing at a
time could have answered all that the clients were told. Its exit code tells.

`--found` is for the very first start of each server of a new cluster, and never again: a server
that lost its directory must come back under a new id.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

if not __package__:  # run as a script: find `examples` from anywhere
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.replicated.demonstration import Demonstration, DemonstrationFailed
from examples.replicated.disk import DirectoryInUse, LogDirectory
from examples.replicated.machine import COMPACT_EVERY, ReplicatedStore
from examples.replicated.server import CONFIG, Address, Server
from kvstore.testing import Verdict
from raft import Configuration, RaftError


def parse_peers(text: str) -> dict[str, Address]:
    """Return addresses by id from `n1=host:port,n2=host:port`.

    >>> parse_peers("n1=10.0.0.1:7001,n2=10.0.0.2:7001")
    {'n1': ('10.0.0.1', 7001), 'n2': ('10.0.0.2', 7001)}
    """
    peers: dict[str, Address] = {}
    for part in text.split(","):
        name, equals, address = part.partition("=")
        host, _, port = address.rpartition(":")
        if not (name and equals and host and port.isdecimal() and 0 < int(port) < 65536):
            raise argparse.ArgumentTypeError(f"not id=host:port: {part!r}")
        peers[name] = (host, int(port))
    return peers


def parser() -> argparse.ArgumentParser:
    """Return what understands the command line."""
    whole = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    whole.add_argument("--seed", type=int, default=1, help="decides what clients do")
    whole.add_argument("--directory", type=Path, help="keep the logs here (default: nowhere)")
    commands = whole.add_subparsers(dest="command")
    serve = commands.add_parser("serve", help="run one server")
    serve.add_argument("--id", required=True)
    serve.add_argument("--peers", required=True, type=parse_peers, metavar="ID=HOST:PORT,...")
    serve.add_argument("--directory", required=True, type=Path, help="of its log")
    serve.add_argument("--found", action="store_true", help="first start of a new cluster")
    serve.add_argument("--compact-every", type=int, default=COMPACT_EVERY, metavar="ENTRIES")
    serve.add_argument("--with-parent", action="store_true", help="end when standard input does")
    return whole


async def serve(options: argparse.Namespace) -> None:
    """Run one server until it is killed."""
    loop = asyncio.get_running_loop()
    peers = dict(options.peers)
    own = peers.pop(options.id)
    disk = LogDirectory(options.directory)
    machine = ReplicatedStore(
        options.id,
        CONFIG,
        rng=Random(),
        now=loop.time(),
        stored=disk.stored,
        compact_every=options.compact_every,
    )
    if options.found:
        machine.bootstrap(Configuration(voters=options.peers), loop.time())
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(own)
        listener.listen(128)
        print("listening", flush=True)
        if disk.recovered.last_number:
            print(f"remembers {_memory(disk)}", flush=True)
        server = asyncio.ensure_future(Server(machine, disk, peers, _print).run(listener))
        if options.with_parent:
            loop.add_reader(sys.stdin, server.cancel)
        with suppress(asyncio.CancelledError):
            await server


def _memory(disk: LogDirectory) -> str:
    """Return what a server found on its disk, for people."""
    recovered = disk.recovered
    parts = [f"term {recovered.hard_state.term}", f"{len(recovered.entries)} entries"]
    if recovered.snapshot is not None:
        parts.append(f"a snapshot of all up to {recovered.snapshot.index}")
    if recovered.torn is not None:
        parts.append("of the last write a part only, which nobody was told of")
    return ", ".join(parts)


def _print(text: str) -> None:
    print(text, flush=True)


async def demonstrate(directory: Path, seed: int) -> int:
    """Play the story and return the exit code."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.2f}  {text}", flush=True)

    try:
        report = await Demonstration(directory, seed, say).run()
    except DemonstrationFailed as failure:
        say(f"FAILED: {failure}")
        return 1
    return 0 if report.verdict is Verdict.LEGAL else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "serve":
            if options.id not in options.peers:
                parser().error(f"{options.id} is not among the peers")
            asyncio.run(serve(options))
            return 0
        if options.directory is not None:
            return asyncio.run(demonstrate(options.directory, options.seed))
        with tempfile.TemporaryDirectory() as directory:
            return asyncio.run(demonstrate(Path(directory), options.seed))
    except (DirectoryInUse, RaftError, OSError) as error:
        print(f"can't go on: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
