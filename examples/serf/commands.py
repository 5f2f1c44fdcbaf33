"""Serf's RPC commands, carried out on the running agent and answered in Serf's words.

Source: serf's cmd/serf/command/agent/ipc.go; the texts are those that 0.9.4 answers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any, assert_never

from examples.serf import records
from examples.serf.files import FileError
from examples.serf.happenings import Happening, parse_filters
from examples.serf.requests import (
    AskQuery,
    Authenticate,
    ChangeKey,
    ChangeTags,
    FilterMembers,
    FireEvent,
    ForceLeave,
    GetCoordinate,
    GetStats,
    Handshake,
    Join,
    Leave,
    ListKeys,
    ListMembers,
    Respond,
    StartMonitor,
    StartStream,
    Stop,
)
from examples.serf.rpc import Client
from examples.serf.service import QueryEvent, Service
from examples.serf.session import STREAMS_MAX, Asked
from memberlist import MemberlistError
from serfevents import (
    InvalidExpression,
    KeyChange,
    KeysAnswered,
    Member,
    PayloadTooLarge,
    QueryAcknowledged,
    QueryAnswered,
    QueryFinished,
    QueryReceived,
    SerfEventsError,
    TagExpression,
    UnknownQuery,
    compile_expression,
)
from serfevents.queries import INTERNAL_PREFIX, PING

FILTER_INVALID = "Invalid event filter"
STREAM_EXISTS = "Stream with given sequence exists"
STREAMS_TOO_MANY = "Too many streams"
MONITOR_EXISTS = "Monitor already exists"
QUERY_UNKNOWN = "No pending queries matching ID"
QUERY_RESERVED = "Queries cannot contain the '_serf_' prefix"

KEY_CHANGES = {
    "install": KeyChange.INSTALL,
    "use": KeyChange.USE,
    "remove": KeyChange.REMOVE,
}

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386"}


class Commands:
    """Carry out what clients ask of one agent.

    Args:
        service: The agent.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._streams: dict[Client, None] = {}
        service.listeners.append(self._tell_streams)

    async def execute(self, client: Client, asked: Asked) -> None:
        """Carry out one request and answer it, with an error in Serf's words if it is refused."""
        try:
            await self._execute(client, asked)
        except (SerfEventsError, MemberlistError, FileError, ValueError) as error:
            client.answer(asked, explain(error))

    async def _execute(self, client: Client, asked: Asked) -> None:  # noqa: C901, PLR0912 - a table
        service = self._service
        match asked.request:
            case FireEvent(name, payload, coalesce):
                service.call(service.machine.fire, name, payload, coalesce=coalesce)
                client.answer(asked)
            case ForceLeave(node, prune):
                self._force_leave(node, prune=prune)
                client.answer(asked)
            case Join(addresses, replay):
                contacted, failures = await service.join(addresses, replay=replay)
                error = "" if contacted else list_errors(failures)
                client.answer(asked, error, records.joined(contacted))
            case ListMembers():
                client.answer(asked, body=records.members(service.machine.events.members))
            case FilterMembers() as wanted:
                self._filter_members(client, asked, wanted)
            case StartStream(filters):
                self._start_stream(client, asked, filters)
            case StartMonitor(level):
                self._start_monitor(client, asked, level)
            case Stop(number):
                self._stop(client, number)
                client.answer(asked)
            case Leave():
                await self._leave(client, asked)
            case ChangeKey() as wanted:
                await self._change_key(client, asked, wanted)
            case ListKeys():
                answered = await service.list_keys()
                client.answer(asked, answered.error, key_body(answered, dict(answered.keys)))
            case ChangeTags(tags, deleted):
                kept = {tag: value for tag, value in self._own.tags.items() if tag not in deleted}
                service.set_tags(kept | tags)
                client.answer(asked)
            case AskQuery() as wanted:
                self._ask_query(client, asked, wanted)
            case Respond(number, payload):
                self._respond(client, asked, number, payload)
            case GetStats():
                client.answer(asked, body=self._statistics())
            case GetCoordinate(node):
                client.answer(asked, body=self._coordinate(node))
            case Handshake() | Authenticate():
                raise AssertionError("the session's own affair")
            case request:
                assert_never(request)

    @property
    def _own(self) -> Member:
        return self._service.own

    # --- members and ourselves ---------------------------------------------------------------

    def _filter_members(self, client: Client, asked: Asked, wanted: FilterMembers) -> None:
        """List members; whoever sends an expression that is none is hung up on, as by Serf."""
        try:
            tags = {tag: whole(text) for tag, text in wanted.tags.items()}
            status = whole(wanted.status) if wanted.status else None
            name = whole(wanted.name) if wanted.name else None
        except InvalidExpression as error:
            client.session.over = f"Failed to compile regex: {error}"
            return

        def matches(member: Member) -> bool:
            if any(not wants.search(member.tags.get(tag, "")) for tag, wants in tags.items()):
                return False
            if status is not None and not status.search(member.status.name.lower()):
                return False
            return name is None or name.search(member.name)

        members = filter(matches, self._service.machine.events.members)
        client.answer(asked, body=records.members(members))

    def _force_leave(self, node: str, *, prune: bool) -> None:
        service = self._service
        service.journal.info("agent", f"Force leaving node: {node}")
        if node != service.machine.name:  # about ourselves we would only refute it
            service.call(service.machine.force_leave, node, prune=prune)

    async def _leave(self, client: Client, asked: Asked) -> None:
        self._service.journal.info("agent.ipc", "Graceful leave triggered")
        complete = await self._service.leave()
        client.answer(asked, "" if complete else "timeout while waiting for graceful leave")
        self._service.over.set()

    def _statistics(self) -> dict[str, Any]:
        service = self._service
        scripts = service.handlers.scripts
        return {
            "agent": {"name": service.machine.name},
            "event_handlers": {
                f"{each.filter.kind}:{each.filter.name}": each.command for each in scripts
            },
            "runtime": runtime(),
            "serf": service.machine.statistics(),
            "tags": dict(self._own.tags),
        }

    def _coordinate(self, node: str) -> dict[str, Any]:
        found = self._service.machine.coordinate(node)
        if found is None:
            return records.coordinate(None)
        return records.coordinate(
            found.vector, error=found.error, adjustment=found.adjustment, height=found.height
        )

    # --- keys --------------------------------------------------------------------------------

    async def _change_key(self, client: Client, asked: Asked, wanted: ChangeKey) -> None:
        try:
            key = base64.b64decode(wanted.key, validate=True)
        except (binascii.Error, ValueError):  # ValueError: not even ASCII
            body = records.keys({}, None, nodes=0, errors=0, responses=0)
            client.answer(asked, f"illegal base64 data: {wanted.key!r}", body)
            return
        if len(key) not in (16, 24, 32):
            body = records.keys({}, None, nodes=0, errors=0, responses=0)
            client.answer(asked, "key size must be 16, 24 or 32 bytes", body)
            return
        answered = await self._service.change_key(KEY_CHANGES[wanted.action], key)
        client.answer(asked, answered.error, key_body(answered, None))

    # --- queries -----------------------------------------------------------------------------

    def _ask_query(self, client: Client, asked: Asked, wanted: AskQuery) -> None:
        if wanted.name.startswith(INTERNAL_PREFIX) and (wanted.name != PING or wanted.payload):
            client.answer(asked, QUERY_RESERVED)
            return

        def tell(event: QueryEvent) -> None:
            match event:
                case QueryAcknowledged(_, source):
                    client.record(asked.number, records.query("ack", source))
                case QueryAnswered(_, source, payload):
                    client.record(asked.number, records.query("response", source, payload))
                case QueryFinished():
                    client.record(asked.number, records.query("done"))

        self._service.ask(
            tell,
            wanted.name,
            wanted.payload,
            nodes=wanted.nodes,
            tags=wanted.tags,
            ack=wanted.ack,
            relay_factor=wanted.relay_factor,
            timeout=wanted.timeout or None,
        )
        client.answer(asked)

    def _respond(self, client: Client, asked: Asked, number: int, payload: bytes) -> None:
        query = client.session.pending(number)
        if query is None:
            client.answer(asked, QUERY_UNKNOWN)
            return
        try:
            self._service.respond(query, payload)
        except (UnknownQuery, PayloadTooLarge) as error:
            text = explain(error)
            prefix = "" if text == QUERY_UNKNOWN else "failed to respond to key query: "
            client.answer(asked, prefix + text)
        else:
            client.answer(asked)

    # --- streams and monitors ----------------------------------------------------------------

    def _start_stream(self, client: Client, asked: Asked, text: str) -> None:
        streams = client.session.streams
        try:
            filters = parse_filters(text)
        except ValueError:
            client.answer(asked, FILTER_INVALID)
            return
        if asked.number in streams:
            client.answer(asked, STREAM_EXISTS)
        elif len(streams) >= STREAMS_MAX:
            client.answer(asked, STREAMS_TOO_MANY)
        else:
            streams[asked.number] = filters
            self._streams[client] = None
            client.answer(asked)

    def _tell_streams(self, happening: Happening) -> None:
        """Send a record to every stream that wants it; who does not read misses it."""
        for client in list(self._streams):
            if client.is_gone:
                del self._streams[client]
                continue
            for number, filters in client.session.streams.items():
                if any(each.admits(happening) for each in filters):
                    query = 0
                    if isinstance(happening, QueryReceived):
                        query = client.session.expect_response(happening.query)
                    if not client.record(number, records.happening(happening, query)):
                        self._service.journal.warn("agent.ipc", f"Dropping event to {client.name}")

    def _start_monitor(self, client: Client, asked: Asked, level: str) -> None:
        session, number = client.session, asked.number
        if session.monitor is not None:
            client.answer(asked, MONITOR_EXISTS)
            return

        def tell(line: str) -> None:
            client.record(number, records.log(line))

        journal = self._service.journal
        try:
            journal.check(level)
        except ValueError as error:
            client.answer(asked, str(error))
            return
        session.monitor = number
        client.answer(asked)
        client.monitor = journal.listen(level, tell, replay=True)

    def _stop(self, client: Client, number: int) -> None:
        session = client.session
        session.streams.pop(number, None)
        if session.monitor == number and client.monitor is not None:
            self._service.journal.forget(client.monitor)
            session.monitor = client.monitor = None


# --- words ------------------------------------------------------------------------------------


def explain(error: Exception) -> str:
    """Return why something was refused, in Serf's words where Serf has some."""
    match error:
        case PayloadTooLarge(what="user event", limit=limit):
            return f"user event exceeds configured limit of {limit} bytes before encoding"
        case PayloadTooLarge(what="tags", limit=limit):
            return f"Encoded length of tags exceeds limit of {limit} bytes"
        case PayloadTooLarge(what=what, limit=limit):
            return f"{what} exceeds limit of {limit} bytes"
        case UnknownQuery(reason="answered"):
            return "response already sent"
        case UnknownQuery():
            return QUERY_UNKNOWN
        case _:
            return str(error)


def list_errors(errors: list[str]) -> str:
    """Return several reasons as Go's multierror prints them; nothing for none."""
    if not errors:
        return ""
    plural = "" if len(errors) == 1 else "s"
    lines = "".join(f"\t* {error}\n" for error in errors)
    return f"{len(errors)} error{plural} occurred:\n{lines}\n"


def key_body(answered: KeysAnswered, counts: Mapping[str, int] | None) -> dict[str, Any]:
    """Return the body of an answer about keys."""
    return records.keys(
        dict(answered.messages),
        counts,
        nodes=answered.members,
        errors=answered.errors,
        responses=answered.responses,
    )


def whole(text: str) -> TagExpression:
    """Return an expression that must match all of a text, put together as Serf does it.

    Raises:
        InvalidExpression: It is none.
    """
    return compile_expression(f"^{text}$")


def runtime() -> dict[str, str]:
    """Return what `serf info` shows of the process."""
    machine = platform.machine()
    cores = str(os.cpu_count() or 1)
    return {
        "arch": _GO_ARCHITECTURES.get(machine, machine),
        "cpu_count": cores,
        "goroutines": str(len(asyncio.all_tasks())),
        "max_procs": cores,
        "os": sys.platform,
        "version": f"python{platform.python_version()}",
    }
