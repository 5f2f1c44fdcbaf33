"""Run an agent that belongs to a Serf cluster; the original `serf` command drives it.

    python examples/serf_agent.py -node=web1 -bind=10.0.0.5 -join=10.0.0.1 -tag role=web
    serf members

The flags, the RPC, the event handlers and the files are Serf's own (`-help` lists the flags), so
nobody in the cluster can tell which members run it. What there is to see here is how machines
that know nothing of each other are put together:

| module | what it owns |
|---|---|
| serf/agent.py, coordinates.py | the composite of the three packages: one machine again |
| serf/service.py | the composite on the asyncio driver, with files and handlers |
| serf/commands.py | what an RPC command does |
| serf/rpc.py, session.py, requests.py, records.py | the RPC: sockets, bytes, values |
| serf/handlers.py, happenings.py | scripts that are run for events |
| serf/options.py, settings.py | the command line, and what it means for the machines |
| serf/files.py, snapshots.py | what survives a restart |
| serf/journal.py, narration.py | what is said about all this |

This module is the life of one process: start, join, signals, end.

Source: serf's cmd/serf/command/agent/command.go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a script: find `examples` from anywhere
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.serf.commands import Commands, list_errors
from examples.serf.files import FileError
from examples.serf.journal import Journal
from examples.serf.options import HelpWanted, OptionError, parse, usage
from examples.serf.rpc import RpcServer
from examples.serf.service import CantStart, Service
from memberlist import MemberlistError
from serfevents import SerfEventsError


class Process:
    """One agent as a process.

    Args:
        arguments: The command line.

    Raises:
        OptionError: It makes no sense.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self.options = parse(arguments)
        self.journal = Journal()
        self._printer = self.journal.listen(self.options.log_level, print_line)
        self._service = Service(self.options, self.journal)
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()

    async def run(self) -> int:
        """Run until the agent has left, was ended or could not go on; return the exit code."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(each, self._signals.put_nowait, each)
        service = self._service
        rpc = RpcServer(self.options.rpc_auth, Commands(service).execute, self.journal)
        try:
            say("Starting Serf agent...")
            await service.start()
            say("Starting Serf agent RPC...")
            try:
                await rpc.start(self.options.rpc_address)
            except OSError as error:
                raise CantStart(f"Error starting RPC listener: {error}") from None
            self._introduce()
            await self._join()
            return await self._live()
        except CantStart as error:
            say(str(error))
            return 1
        finally:
            await service.close()
            await rpc.close()

    def _introduce(self) -> None:
        options = self.options
        host, port = self._service.address
        say("Serf agent running!")
        for title, value in (
            ("Node name", f"'{options.node_name}'"),
            ("Bind addr", f"'{host}:{port}'"),
            ("RPC addr", f"'{options.rpc_addr}'"),
            ("Encrypted", str(bool(self._service.machine.keys)).lower()),
            ("Snapshot", str(bool(options.snapshot_path)).lower()),
            ("Profile", options.profile),
            ("Message Compression Enabled", str(options.enable_compression).lower()),
        ):
            print(f"{title:>31}: {value}", flush=True)

    # --- joining -----------------------------------------------------------------------------

    async def _join(self) -> None:
        """Join whom `-join` names.

        Raises:
            CantStart: Nobody of them answers.
        """
        options = self.options
        if options.start_join:
            replay = options.replay_on_join
            say(f"Joining cluster...(replay: {str(replay).lower()})")
            contacted, failures = await self._service.join(options.start_join, replay=replay)
            if not contacted:
                raise CantStart(list_errors(failures))
            print(f"    Join completed. Synced with {contacted} initial agents", flush=True)

    async def _retry_join(self) -> None:
        """Join whom `-retry-join` names, again and again until somebody answers.

        Raises:
            CantStart: Nobody did, as often as was allowed.
        """
        options, journal = self.options, self.journal
        attempts = 0
        while options.retry_join:
            replay = options.replay_on_join
            contacted, failures = await self._service.join(options.retry_join, replay=replay)
            if contacted:
                journal.info("agent", f"Join completed. Synced with {contacted} initial agents")
                return
            attempts += 1
            if 0 < options.retry_max_attempts < attempts:
                raise CantStart("maximum retry join attempts made, exiting")
            wait = max(options.retry_interval, 1.0)
            journal.warn("agent", f"Join failed: {list_errors(failures)}, retrying in {wait:g}s")
            await asyncio.sleep(wait)

    # --- living ------------------------------------------------------------------------------

    async def _live(self) -> int:
        """Wait for a signal or an end, whichever comes first; return the exit code."""
        say("Log data will now stream in as it occurs:\n")
        over = asyncio.ensure_future(self._service.over.wait())
        joining = asyncio.ensure_future(self._retry_join())
        try:
            while True:
                heard = asyncio.ensure_future(self._signals.get())
                waiting = {over, heard} | ({joining} if not joining.done() else set())
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if over.done():
                    heard.cancel()
                    return 0
                if joining.done():
                    joining.result()
                if heard.done():
                    say(f"Caught signal: {heard.result().name}")
                    if heard.result() is not signal.SIGHUP:
                        return await self._end(heard.result())
                    self._reload()
                heard.cancel()
        finally:
            over.cancel()
            joining.cancel()

    async def _end(self, reason: signal.Signals) -> int:
        """Leave the cluster, unless this signal does not ask for it; return the exit code."""
        options = self.options
        wants = {
            signal.SIGINT: not options.skip_leave_on_interrupt,
            signal.SIGTERM: options.leave_on_terminate,
        }
        if not wants[reason]:
            return 1
        say("Gracefully shutting down agent...")
        leaving = asyncio.ensure_future(self._service.leave())
        again = asyncio.ensure_future(self._signals.get())
        await asyncio.wait({leaving, again}, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if leaving.done():
            return 0 if not leaving.exception() and leaving.result() else 1
        leaving.cancel()
        return 1

    def _reload(self) -> None:
        """Read the options again and take over what can change while we run."""
        say("Reloading configuration...")
        try:
            options = parse(self._arguments)
            self.journal.change(self._printer, options.log_level)
            self._service.handlers.change(options.scripts)
            if not options.tags_file:
                self._service.set_tags(options.tags)
        except (OptionError, SerfEventsError, MemberlistError, FileError) as error:
            say(f"Failed to reload configs: {error}")


def say(text: str) -> None:
    """Print a line about the process itself."""
    print(f"==> {text}", flush=True)


def print_line(line: str) -> None:
    """Print a line of the journal, whatever the terminal's encoding can show of it."""
    encoding = sys.stdout.encoding or "utf-8"
    shown = line.encode(encoding, "backslashreplace").decode(encoding)
    print(f"    {shown}", flush=True)


async def start(arguments: Sequence[str]) -> int:
    """Run an agent; return the exit code."""
    return await Process(arguments).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an agent as a command; return the exit code."""
    try:
        return asyncio.run(start(sys.argv[1:] if arguments is None else arguments))
    except HelpWanted:
        print(usage())
        return 0
    except OptionError as error:
        print(f"serf_agent.py: {error} (see -help)", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
