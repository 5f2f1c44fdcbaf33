"""The agent's command line and configuration files, named as Serf's.

`SETTINGS` is the table of all there is: the name of the flag, the key in a configuration file,
and how its value is read. Flags win over files, later files over earlier ones; lists add up.

Left out, and refused rather than ignored, are those that name services of the host and not of
the protocol: discovery by multicast DNS, network interfaces by name, syslog and statsd.

Source: serf's cmd/serf/command/agent/command.go and config.go.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, field, fields, frozen

from examples.serf.handlers import Script, parse_script
from examples.serf.journal import rank
from memberlist import Address, parse_address
from serfevents import is_valid_name

_T = TypeVar("_T")

#: Where members meet unless a port is given.
DEFAULT_PORT = 7946

#: Serf's versions of its own protocol that can be spoken.
PROTOCOLS = range(2, 6)

#: Flags and keys of Serf's that name something of the host.
LEFT_OUT = {
    "discover": "multicast DNS belongs to the host: give `-join` or `-retry-join`",
    "iface": "give the address itself by `-bind`",
    "interface": "give the address itself by `bind`",
    "mdns": "multicast DNS belongs to the host",
    "statsd_addr": "ask `serf info`",
    "statsite_addr": "ask `serf info`",
    "syslog": "let whoever starts the agent redirect its output",
    "enable_syslog": "let whoever starts the agent redirect its output",
    "syslog_facility": "let whoever starts the agent redirect its output",
}


class OptionError(Exception):
    """A command line or configuration file that makes no sense, in one line."""


class HelpWanted(Exception):
    """Somebody asked what there is."""


@frozen(kw_only=True)
class Options:
    """All settings of an agent. Durations are seconds, sizes bytes; None leaves Serf's default.

    Attributes are named as the keys of a configuration file, and mean what they mean there. The
    last four are not Serf's; they are memberlist's `Config`'s.
    """

    node_name: str = field(factory=socket.gethostname)
    bind: str = "0.0.0.0"
    advertise: str = ""
    start_join: tuple[str, ...] = ()
    replay_on_join: bool = False
    retry_join: tuple[str, ...] = ()
    retry_interval: float = 30.0
    retry_max_attempts: int = 0
    role: str = ""
    tags: dict[str, str] = field(factory=dict)
    tags_file: str = ""
    encrypt_key: str = ""
    keyring_file: str = ""
    rpc_addr: str = "127.0.0.1:7373"
    rpc_auth: str = ""
    event_handlers: tuple[str, ...] = ()
    snapshot_path: str = ""
    rejoin_after_leave: bool = False
    profile: str = "lan"
    protocol: int = 5
    log_level: str = "INFO"
    leave_on_terminate: bool = False
    skip_leave_on_interrupt: bool = False
    disable_coordinates: bool = False
    disable_name_resolution: bool = False
    validate_node_names: bool = False
    enable_compression: bool = True
    broadcast_timeout: float = 5.0
    reconnect_interval: float | None = None
    reconnect_timeout: float | None = None
    tombstone_timeout: float | None = None
    query_size_limit: int = 1024
    query_response_size_limit: int = 1024
    user_event_size_limit: int = 512
    gossip_interval: float | None = None
    gossip_nodes: int | None = None
    push_pull_interval: float | None = None
    retransmit_mult: int | None = None

    @property
    def bind_address(self) -> Address:
        """Where to listen."""
        return parse_address(self.bind, DEFAULT_PORT)

    @property
    def advertised(self) -> Address | None:
        """Where others are told to reach us; None for where we listen."""
        return parse_address(self.advertise, DEFAULT_PORT) if self.advertise else None

    @property
    def rpc_address(self) -> Address:
        """Where to serve the RPC."""
        return parse_address(self.rpc_addr, 7373)

    @property
    def key(self) -> bytes | None:
        """The key to encrypt with, if any."""
        return read_key(self.encrypt_key) if self.encrypt_key else None

    @property
    def scripts(self) -> tuple[Script, ...]:
        """The event handlers, one for each filter."""
        return tuple(script for text in self.event_handlers for script in parse_script(text))


# --- kinds of values --------------------------------------------------------------------------

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+")


def read_duration(text: str) -> float:
    """Read a duration as Go writes it: `1m30s`, `250ms`.

    Raises:
        ValueError: It is none.

    >>> read_duration("1m30.5s")
    90.5
    """
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration such as 30s or 1m30s")
    parts = re.findall(r"([\d.]+)([^\d.]+)", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def read_key(text: str) -> bytes:
    """Read a key as `serf keygen` prints it.

    Raises:
        ValueError: It is no base64, or not 16, 24 or 32 bytes.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("the encryption key is not base64") from None
    if len(key) not in (16, 24, 32):
        raise ValueError(f"the encryption key has {len(key)} bytes instead of 16, 24 or 32")
    return key


def _text(value: object) -> str:
    return _typed(value, str)


def _texts(value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else _typed(value, list)
    return tuple(_text(each) for each in values)


def _tags(value: object) -> dict[str, str]:
    """Read a map, or one `key=value` of the command line."""
    if isinstance(value, str):
        name, equals, content = value.partition("=")
        if not (name and equals):
            raise ValueError(f"Invalid tag: '{value}'")
        return {name: content}
    return {_text(name): _text(content) for name, content in _typed(value, dict).items()}


def _flag(value: object) -> bool:
    if isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise ValueError(f"{value!r} is neither true nor false")
        return value.lower() in ("true", "1", "t")
    return _typed(value, bool)


def _count(value: object) -> int:
    return int(value) if isinstance(value, str) else _typed(value, int)


def _seconds(value: object) -> float:
    return read_duration(_text(value))


def _typed(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


@frozen
class Setting:
    """One setting.

    Attributes:
        key: Its name in a file and in `Options`.
        read: From a flag's text or a file's value.
        flag: Its name on the command line, if it has one.
        help: What for.
    """

    key: str
    read: Callable[[object], Any]
    flag: str = ""
    help: str = ""


SETTINGS = (
    Setting("node_name", _text, "node", "our name, unique in the cluster; the host's by default"),
    Setting("bind", _text, "bind", "address to listen at (0.0.0.0:7946)"),
    Setting("advertise", _text, "advertise", "address that others are told to reach us at"),
    Setting("start_join", _texts, "join", "a member to join at the start, or end; repeatable"),
    Setting("replay_on_join", _flag, "replay", "have the events from before a join replayed"),
    Setting("retry_join", _texts, "retry-join", "like -join, tried until it works; repeatable"),
    Setting("retry_interval", _seconds, "retry-interval", "time between two tries (30s)"),
    Setting("retry_max_attempts", _count, "retry-max", "most retries, 0 for any number (0)"),
    Setting("role", _text, "role", "old form of -tag role=..."),
    Setting("tags", _tags, "tag", "a tag of ours, key=value; repeatable"),
    Setting("tags_file", _text, "tags-file", "file that keeps our tags over a restart"),
    Setting("encrypt_key", _text, "encrypt", "encrypt with this key, in base64"),
    Setting("keyring_file", _text, "keyring-file", "file that keeps the keys over a restart"),
    Setting("rpc_addr", _text, "rpc-addr", "address to serve the RPC at (127.0.0.1:7373)"),
    Setting("rpc_auth", _text, "rpc-auth", "what RPC clients must show"),
    Setting("event_handlers", _texts, "event-handler", "[type[:name],...=]script; repeatable"),
    Setting("snapshot_path", _text, "snapshot", "file to recover from after a restart"),
    Setting("rejoin_after_leave", _flag, "rejoin", "recover after a leave too"),
    Setting("profile", _text, "profile", "timing: lan, wan or local (lan)"),
    Setting("protocol", _count, "protocol", "version of Serf's protocol to speak (5)"),
    Setting("log_level", _text, "log-level", "least urgent lines to print (info)"),
    Setting("broadcast_timeout", _seconds, "broadcast-timeout", "limit of a leave's news (5s)"),
    Setting("leave_on_terminate", _flag),
    Setting("skip_leave_on_interrupt", _flag),
    Setting("disable_coordinates", _flag),
    Setting("disable_name_resolution", _flag),
    Setting("validate_node_names", _flag),
    Setting("enable_compression", _flag),
    Setting("reconnect_interval", _seconds),
    Setting("reconnect_timeout", _seconds),
    Setting("tombstone_timeout", _seconds),
    Setting("query_size_limit", _count),
    Setting("query_response_size_limit", _count),
    Setting("user_event_size_limit", _count),
    # Serf's profiles fix these; a cluster that has much to tell may want others.
    Setting("gossip_interval", _seconds),
    Setting("gossip_nodes", _count),
    Setting("push_pull_interval", _seconds),
    Setting("retransmit_mult", _count),
)

_BY_KEY = {setting.key: setting for setting in SETTINGS}
_BY_FLAG = {setting.flag: setting for setting in SETTINGS if setting.flag}
_BOOLEAN_FLAGS = {s.flag for s in SETTINGS if s.read is _flag} | {"disable-compression"}
_FILES = ("config-file", "config-dir")

# --- reading ---------------------------------------------------------------------------------


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line and the files that it names.

    Raises:
        OptionError: Something is wrong with one of them.
        HelpWanted: `-help` was given.
    """
    given: dict[str, Any] = {}
    from_files: dict[str, Any] = {}
    for flag, value in _flags(arguments):
        if flag in _FILES:
            for file in config_files(Path(value)):
                _merge(from_files, read_file(file))
        elif flag == "disable-compression":
            _merge(given, {"enable_compression": not _read(flag, _flag, value)})
        else:
            setting = _BY_FLAG[flag]
            _merge(given, {setting.key: _read(f"-{flag}", setting.read, value)})
    _merge(from_files, given)
    options = Options(**from_files)
    if options.role:
        options = evolve(options, tags=options.tags | {"role": options.role})
    _check(options)
    return options


def _flags(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Take a command line apart as Go does: `-flag value`, `-flag=value`, `--flag`."""
    found = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not flag:
            raise OptionError(f"{word!r} is no flag")
        if flag in ("h", "help"):
            raise HelpWanted
        if flag in LEFT_OUT:
            raise OptionError(f"-{flag} is not supported: {LEFT_OUT[flag]}")
        if flag not in _BY_FLAG and flag not in (*_FILES, "disable-compression"):
            raise OptionError(f"there is no flag -{flag}")
        if not equals and flag in _BOOLEAN_FLAGS:
            value = "true"
        elif not equals and not rest:
            raise OptionError(f"-{flag} needs a value")
        elif not equals:
            value = rest.pop(0)
        found.append((flag, value))
    return found


def config_files(path: Path) -> list[Path]:
    """Return a file, or the `.json` files of a folder in alphabetical order."""
    if path.is_dir():
        return sorted(file for file in path.glob("*.json") if file.is_file())
    return [path]


def read_file(file: Path) -> dict[str, Any]:
    """Read one configuration file.

    Raises:
        OptionError: It can't be read, or has a key that there is not.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"can't read {file}: {error.strerror}") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise OptionError(f"{file} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise OptionError(f"{file} holds no object")
    values = {}
    for key, value in content.items():
        if key in LEFT_OUT:
            raise OptionError(f"{file}: {key} is not supported: {LEFT_OUT[key]}")
        if key not in _BY_KEY:
            raise OptionError(f"{file}: there is no setting {key}")
        values[key] = _read(f"{file}: {key}", _BY_KEY[key].read, value)
    return values


def _read(where: str, read: Callable[[object], Any], value: object) -> Any:
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{where}: {error}") from None


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            into[key] = into.get(key, {}) | value
        elif isinstance(value, tuple):
            into[key] = (*into.get(key, ()), *value)
        else:
            into[key] = value


def _check(options: Options) -> None:
    """Refuse what can be seen to be wrong before anything is started."""
    try:
        _ = options.bind_address, options.advertised, options.rpc_address
        _ = options.key, options.scripts, rank(options.log_level)
    except ValueError as error:
        raise OptionError(str(error)) from None
    if options.validate_node_names and not is_valid_name(options.node_name):
        raise OptionError(
            f"Node name '{options.node_name}' is invalid: "
            "at most 128 letters, digits, dashes and dots"
        )
    if options.profile not in ("lan", "wan", "local"):
        raise OptionError(f"Unknown profile: {options.profile}")
    if options.protocol not in PROTOCOLS:
        raise OptionError(f"protocol {options.protocol} is not spoken, only 2 to 5 are")
    if options.tags and options.tags_file:
        raise OptionError("Tags config not allowed while using tag files")
    if options.encrypt_key and options.keyring_file:
        raise OptionError("Encryption key not allowed while using a keyring")


def usage() -> str:
    """Return what there is, for a person."""
    lines = ["usage: serf_agent.py [-flag value ...]", ""]
    lines += [f"  -{each.flag:<18} {each.help}" for each in SETTINGS if each.flag]
    lines.append(f"  -{'disable-compression':<18} send packets and streams as they are")
    lines.append(f"  -{'config-file':<18} read settings from a JSON file; repeatable")
    lines.append(f"  -{'config-dir':<18} read settings from the .json files of a folder")
    return "\n".join(lines)


assert {each.name for each in fields(Options)} == set(_BY_KEY), "table and Options differ"
