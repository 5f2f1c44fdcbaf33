"""Event handlers: scripts that are run for each event, told of it as Serf tells them.

The kind of event, its name and our own tags are in the environment; members (one a line) or the
payload are on standard input; what the script prints in answer to a query is the response.

Source: serf's cmd/serf/command/agent/event_handler.go and invoke.go; checked against what
scripts of 0.9.4 are given.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from attrs import frozen

from examples.serf.happenings import Filter, Happening, kind_of, parse_filters, title
from examples.serf.journal import Journal
from serfevents import Member, MembersChanged, QueryReceived, UserEventReceived

#: Bytes of a script's output that are kept: the last ones, as in Serf.
OUTPUT_MAX = 8 * 1024

#: Seconds after which a script is called slow.
SLOW = 1.0

#: Events that wait for scripts; more are dropped with a warning.
WAITING_MAX = 512


@frozen
class Script:
    """A shell command and what it is run for."""

    filter: Filter
    command: str


def parse_script(text: str) -> tuple[Script, ...]:
    """Read `script`, `kind=script` or `kind,user:name=script`: one script for each filter.

    Raises:
        ValueError: There is no such kind of event.
    """
    filters, equals, command = text.partition("=")
    if not equals:
        filters, command = "", text
    return tuple(Script(each, command) for each in parse_filters(filters))


# --- what a script is given -------------------------------------------------------------------


def environment(happening: Happening, own: Member) -> dict[str, str]:
    """Return the variables that tell a script what happened, and to whom it belongs."""
    variables = {
        "SERF_EVENT": kind_of(happening),
        "SERF_SELF_NAME": own.name,
        "SERF_SELF_ROLE": own.tags.get("role", ""),
    }
    for tag, value in own.tags.items():
        variables["SERF_TAG_" + re.sub("[^A-Z0-9_]", "_", tag.upper())] = value
    match happening:
        case UserEventReceived(ltime, name):
            variables |= {"SERF_USER_EVENT": name, "SERF_USER_LTIME": str(ltime)}
        case QueryReceived(ltime=ltime, name=name):
            variables |= {"SERF_QUERY_NAME": name, "SERF_QUERY_LTIME": str(ltime)}
        case MembersChanged():
            pass
    # No program can be given a NUL; whoever sends one must not keep others from running.
    return {name: value.replace("\0", "") for name, value in variables.items()}


def standard_input(happening: Happening) -> bytes:
    """Return what a script reads: a line for each member, or the payload as a line."""
    if not isinstance(happening, MembersChanged):
        payload = happening.payload
        return payload if not payload or payload.endswith(b"\n") else payload + b"\n"
    lines = []
    for member in happening.members:
        tags = ",".join(f"{tag}={value}" for tag, value in member.tags.items())
        role = member.tags.get("role", "")
        words = (_clean(member.name), member.address[0], _clean(role), _clean(tags))
        lines.append("\t".join(words) + "\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _clean(word: str) -> str:
    return word.replace("\t", "\\t").replace("\n", "\\n")


# --- running ----------------------------------------------------------------------------------

Respond = Callable[[int, bytes], None]


class Handlers:
    """Run scripts for events, one after the other in the order of events, as Serf does.

    Args:
        scripts: Which, for what; `change` replaces them.
        own: Returns our own member as it is at the moment.
        respond: Called with a query's number and the response that a script printed; it may raise
            `ValueError` with the reason why that can't be sent.
        journal: For what scripts do.
    """

    def __init__(
        self,
        scripts: Sequence[Script],
        own: Callable[[], Member],
        respond: Respond,
        journal: Journal,
    ) -> None:
        self.scripts = tuple(scripts)
        self._own = own
        self._respond = respond
        self._journal = journal
        self._waiting: asyncio.Queue[Happening] = asyncio.Queue(WAITING_MAX)

    def change(self, scripts: Sequence[Script]) -> None:
        """Use other scripts from the next event on."""
        self.scripts = tuple(scripts)

    def handle(self, happening: Happening) -> None:
        """Run what is wanted for an event, once what came before is done."""
        if not any(script.filter.admits(happening) for script in self.scripts):
            return
        try:
            self._waiting.put_nowait(happening)
        except asyncio.QueueFull:
            self._journal.warn("agent", f"Dropping event for slow scripts: {title(happening)}")

    async def run(self) -> None:
        """Run scripts until cancelled."""
        while True:
            happening = await self._waiting.get()
            for script in self.scripts:
                if script.filter.admits(happening):
                    await self._invoke(script, happening)

    async def _invoke(self, script: Script, happening: Happening) -> None:
        slow = asyncio.get_running_loop().call_later(SLOW, self._warn_slow, script)
        try:
            status, output = await run_script(
                script.command,
                environment(happening, self._own()),
                standard_input(happening),
            )
        except OSError as error:
            self._journal.error("agent", f"Error invoking script '{script.command}': {error}")
            return
        finally:
            slow.cancel()
        shown = output.decode("utf-8", "replace")
        self._journal.debug("agent", f"Event '{kind_of(happening)}' script output: {shown}")
        if status:
            text = f"Error invoking script '{script.command}': exit status {status}"
            self._journal.error("agent", text)
        elif isinstance(happening, QueryReceived) and output:
            try:
                self._respond(happening.query, output)
            except ValueError as error:
                text = f"Failed to respond to query '{happening.name}': {error}"
                self._journal.warn("agent", text)

    def _warn_slow(self, script: Script) -> None:
        self._journal.warn(
            "agent", f"Script '{script.command}' slow, execution exceeding {SLOW:.0f}s"
        )


async def run_script(command: str, variables: Mapping[str, str], given: bytes) -> tuple[int, bytes]:
    """Run a shell command and return its exit status and the end of its output.

    Raises:
        OSError: It can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | dict(variables),
        start_new_session=True,  # so that what it starts can be ended with it
    )
    try:
        output, _ = await asyncio.gather(_end_of(process.stdout), _give(process.stdin, given))
        return await process.wait(), output
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise


async def _give(stdin: asyncio.StreamWriter | None, given: bytes) -> None:
    assert stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # it does not care to read
        stdin.write(given)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _end_of(stdout: asyncio.StreamReader | None) -> bytes:
    assert stdout is not None
    kept = b""
    while chunk := await stdout.read(1 << 16):
        kept = (kept + chunk)[-OUTPUT_MAX:]
    return kept
