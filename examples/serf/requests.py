"""What a client of Serf's RPC may ask for: a class for each command, read from untrusted fields.

A request is two msgpack values, a header (`Command`, `Seq`) and, for most commands, a body. As in
Serf a field that is missing or nil is empty, and unknown fields are ignored.

Source: serf's cmd/serf/command/agent/ipc.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from attrs import frozen

_T = TypeVar("_T")

U64 = (1 << 64) - 1
I64 = (1 << 63) - 1

#: Elements of one array or map in a request. Making room is all that a claim of more would cost,
#: but it would cost it at once.
ELEMENTS_MAX = 4096


class BadRequest(Exception):
    """A request whose parts are not what its command needs; the client is cut off, as in Serf."""


# --- requests --------------------------------------------------------------------------------


@frozen
class Handshake:
    """Agree on the RPC's version, before anything else."""

    version: int


@frozen
class Authenticate:
    """Show the key of `-rpc-auth`."""

    key: str


@frozen
class FireEvent:
    """Fire a user event."""

    name: str
    payload: bytes
    coalesce: bool


@frozen
class ForceLeave:
    """Declare a failed member left, and with `prune` forget it."""

    node: str
    prune: bool


@frozen
class Join:
    """Join through members at these addresses; `replay` wants the events from before."""

    addresses: tuple[str, ...]
    replay: bool


@frozen
class ListMembers:
    """List all members."""


@frozen
class FilterMembers:
    """List members whose tags, status and name match these expressions in full."""

    tags: dict[str, str]
    status: str
    name: str


@frozen
class StartStream:
    """Send a record of each event that one of the filters lets through."""

    filters: str


@frozen
class StartMonitor:
    """Send a record of each log line from this level on."""

    level: str


@frozen
class Stop:
    """End the stream or monitor that a request with this number began."""

    number: int


@frozen
class Leave:
    """Leave the cluster and end the agent."""


@frozen
class ChangeKey:
    """Have all members `install`, `use` or `remove` a key, given in base64."""

    action: str
    key: str


@frozen
class ListKeys:
    """Ask all members for their keys."""


@frozen
class ChangeTags:
    """Set and delete tags of our own."""

    tags: dict[str, str]
    deleted: tuple[str, ...]


@frozen
class AskQuery:
    """Ask a query; acks, responses and the end come as records. Timeout in seconds, 0: default."""

    name: str
    payload: bytes
    nodes: tuple[str, ...]
    tags: dict[str, str]
    ack: bool
    relay_factor: int
    timeout: float


@frozen
class Respond:
    """Answer a query that a stream of ours told of, by the number that it gave."""

    number: int
    payload: bytes


@frozen
class GetStats:
    """Tell what operators want to know."""


@frozen
class GetCoordinate:
    """Tell the network coordinate of a member."""

    node: str


Request: TypeAlias = (
    Handshake
    | Authenticate
    | FireEvent
    | ForceLeave
    | Join
    | ListMembers
    | FilterMembers
    | StartStream
    | StartMonitor
    | Stop
    | Leave
    | ChangeKey
    | ListKeys
    | ChangeTags
    | AskQuery
    | Respond
    | GetStats
    | GetCoordinate
)

# --- reading ---------------------------------------------------------------------------------


class Fields:
    """A header or body, asked for its fields by name and type.

    Raises:
        BadRequest: It is no map.
    """

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict) and value is not None:
            raise BadRequest(f"a {type(value).__name__} instead of fields")
        self._values: dict[Any, Any] = value or {}

    def text(self, name: str) -> str:
        """Return a text; bytes that are no UTF-8 survive, for names are bytes to Serf."""
        return _text(self.payload(name))

    def payload(self, name: str) -> bytes:
        """Return bytes."""
        return self._get(name, bytes, b"")

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return self._get(name, bool, False)

    def number(self, name: str, low: int, high: int) -> int:
        """Return an integer within [low, high]."""
        number = self._get(name, int, 0)
        if not low <= number <= high:
            raise BadRequest(f"{name} is not within {low} to {high}")
        return number

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values: list[object] = self._get(name, list, [])
        return tuple(_text(value) for value in values)

    def tags(self, name: str) -> dict[str, str]:
        """Return a map of texts."""
        values: dict[object, object] = self._get(name, dict, {})
        return {_text(key): _text(value) for key, value in values.items()}

    def _get(self, name: str, kind: type[_T], empty: _T) -> _T:
        value = self._values.get(name.encode())
        if value is None:
            return empty
        if type(value) is not kind:
            raise BadRequest(f"{name} is a {type(value).__name__}, not a {kind.__name__}")
        return value


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        raise BadRequest(f"a {type(value).__name__} instead of text")
    return value.decode("utf-8", "surrogateescape")


def _ask_query(body: Fields) -> AskQuery:
    return AskQuery(
        name=body.text("Name"),
        payload=body.payload("Payload"),
        nodes=body.texts("FilterNodes"),
        tags=body.tags("FilterTags"),
        ack=body.flag("RequestAck"),
        relay_factor=body.number("RelayFactor", 0, 255),
        timeout=body.number("Timeout", -I64 - 1, I64) / 1e9,
    )


def _change_key(action: str) -> Callable[[Fields], ChangeKey]:
    return lambda body: ChangeKey(action, body.text("Key"))


#: Commands without a body.
BODILESS: dict[str, Callable[[], Request]] = {
    "leave": Leave,
    "list-keys": ListKeys,
    "members": ListMembers,
    "stats": GetStats,
}

#: The others, and what their body says.
WITH_BODY: dict[str, Callable[[Fields], Request]] = {
    "auth": lambda body: Authenticate(body.text("AuthKey")),
    "event": lambda body: FireEvent(
        body.text("Name"), body.payload("Payload"), body.flag("Coalesce")
    ),
    "force-leave": lambda body: ForceLeave(body.text("Node"), body.flag("Prune")),
    "get-coordinate": lambda body: GetCoordinate(body.text("Node")),
    "handshake": lambda body: Handshake(body.number("Version", -(1 << 31), (1 << 31) - 1)),
    "install-key": _change_key("install"),
    "join": lambda body: Join(body.texts("Existing"), body.flag("Replay")),
    "members-filtered": lambda body: FilterMembers(
        body.tags("Tags"), body.text("Status"), body.text("Name")
    ),
    "monitor": lambda body: StartMonitor(body.text("LogLevel")),
    "query": _ask_query,
    "remove-key": _change_key("remove"),
    "respond": lambda body: Respond(body.number("ID", 0, U64), body.payload("Payload")),
    "stop": lambda body: Stop(body.number("Stop", 0, U64)),
    "stream": lambda body: StartStream(body.text("Type")),
    "tags": lambda body: ChangeTags(body.tags("Tags"), body.texts("DeleteTags")),
    "use-key": _change_key("use"),
}
