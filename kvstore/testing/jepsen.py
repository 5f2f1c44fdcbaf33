r"""Histories of registers from Jepsen's logs.

Owns the reader of lines such as these, which Jepsen and Knossos write and Porcupine's test data
consist of; anything before the process (date, level, logger) is skipped:

    INFO  jepsen.util - 4  :invoke  :write  3
    INFO  jepsen.util - 4  :ok      :write  3
    INFO  jepsen.util - 1  :invoke  :cas    [3 0]
    INFO  jepsen.util - 1  :info    :cas    :timed-out

What the types mean: `:ok` took effect; `:info` may or may not have, now or later, so it counts as
never returned; `:fail` did not. A compare-and-set that fails with its own value, `[3 0]`, was
compared and refused, which is an observation; one that fails with a reason, such as `:timed-out`
after it, is left out, like every other operation that failed.

Registers of several keys (jepsen.independent) have `[key value]` for a value: `[7 3]`, `[7 nil]`,
`[7 [3 0]]`. Lines that hold no operation of a process (other loggers, the nemesis) are skipped;
those that do, but not as it should be, are refused with their number.

It opens no file: hand in its text, its bytes, or the open file itself.

>>> log = "0 :invoke :read nil\n0 :ok :read 3\n"
>>> [(each.client, each.input, each.output) for each in read_jepsen_log(log)]
[(0, Read(key=None), 3)]
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any, Final, TypeAlias, assert_never

import attrs

from kvstore.errors import KvstoreError
from kvstore.testing.histories import UNKNOWN, Operation
from kvstore.testing.models import CompareAndSet, Read, Write

__all__ = ["LogError", "read_jepsen_log"]

# Registers hold numbers and words; what Jepsen writes has some ten characters.
VALUE_LENGTH_MAX: Final = 1_000

# What one log may hold; a check of so many takes minutes.
OPERATIONS_MAX: Final = 1_000_000

# Nothing is deeper than `[key [old new]]`.
_DEPTH_MAX: Final = 2

_OPERATION = re.compile(
    r"(?:^|\s)(?P<process>\d{1,18})\s+:(?P<type>invoke|ok|fail|info)\s+:(?P<f>\S+)\s*(?P<value>.*)",
    re.ASCII,
)

# What a register can hold in EDN: nil, truth, a 64-bit number, a keyword, a text without escapes.
_SCALAR = re.compile(
    r'(?:nil|true|false|-?\d{1,18}|:[^\s,\[\]"]+|"(?P<text>[^"\\]*)")(?![^\s,\]])',
    re.ASCII,
)
_WORDS: Final[dict[str, Hashable]] = {"nil": None, "true": True, "false": False}

_Request: TypeAlias = Read | Write | CompareAndSet
_NAMES: Final[dict[type[_Request], str]] = {Read: "read", Write: "write", CompareAndSet: "cas"}


class LogError(KvstoreError):
    """A line of a log that is no step of a history of registers.

    Attributes:
        line: Its number, from 1.
        reason: What is wrong with it.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def read_jepsen_log(log: str | bytes | Iterable[str | bytes]) -> tuple[Operation, ...]:
    """Return the operations of a log, in order of their calls, with line numbers for times.

    Args:
        log: The text, its UTF-8 bytes, or its lines (such as an open file).

    Raises:
        LogError: A line is malformed, or does not fit to those before it: a process that calls
            while it has a call open, or returns what it did not call; or the log is too large.
    """
    reader = _Reader()
    if isinstance(log, bytes):
        log = log.decode("utf-8", "replace")
    for number, line in enumerate(log.split("\n") if isinstance(log, str) else log, 1):
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        if (found := _OPERATION.search(text.rstrip())) is not None:
            reader.take(number, found)
    return tuple(
        Operation(call.process, call.request, call.called, call.returned, call.output)
        for call in reader.calls
        if not call.is_void
    )


@attrs.define
class _Call:
    """An operation of the log, filled in by the line that completes it."""

    process: int
    request: _Request
    called: int
    returned: int | None = None
    output: Any = UNKNOWN
    # It failed: it never took effect and tells nothing.
    is_void: bool = False


class _Reader:
    """What was read so far: all calls, and the one that each process has open."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self._open: dict[int, _Call] = {}

    def take(self, number: int, found: re.Match[str]) -> None:
        """Take one line that holds an operation of a process."""
        process, name, text = int(found["process"]), found["f"], found["value"]
        if name not in _NAMES.values():
            raise LogError(number, f"registers have no operation :{name[:40]}")
        if len(text) > VALUE_LENGTH_MAX:
            raise LogError(number, f"the value has more than {VALUE_LENGTH_MAX} characters")
        if found["type"] == "invoke":
            if process in self._open:
                raise LogError(number, f"process {process} has an operation open")
            if len(self.calls) >= OPERATIONS_MAX:
                raise LogError(number, f"there are more than {OPERATIONS_MAX} operations")
            call = _Call(process, _request(number, name, text)[0], number)
            self._open[process] = call
            self.calls.append(call)
            return
        known = self._open.pop(process, None)
        if known is None or _NAMES[type(known.request)] != name:
            raise LogError(number, f"process {process} has no :{name} open")
        if found["type"] == "ok":
            _complete(known, number, text)
        elif found["type"] == "fail":
            _fail(known, number, text)


def _complete(call: _Call, number: int, text: str) -> None:
    """Note that a call took effect. Only the value of a read is looked at."""
    call.returned = number
    match call.request:
        case Read(key):
            request, call.output = _request(number, "read", text)
            if request.key != key:
                raise LogError(number, "the answer is of another key")
        case Write():
            call.output = None
        case CompareAndSet():
            call.output = True
        case _:
            assert_never(call.request)


def _fail(call: _Call, number: int, text: str) -> None:
    """Note that a call took no effect, and whether that was because it compared."""
    echoed = _parse("cas", text)
    if echoed is not None and echoed[0] == call.request and not echoed[2]:
        call.returned, call.output = number, False
    else:
        call.is_void = True


def _request(number: int, name: str, text: str) -> tuple[_Request, Hashable]:
    """Return what a value asks for and, of a read, what it says the value is."""
    if (parsed := _parse(name, text)) is None:
        raise LogError(number, f"no value of :{name}: {text[:40]!r}")
    return parsed[0], parsed[1]


def _parse(name: str, text: str) -> tuple[_Request, Hashable, str] | None:
    """Return what a value asks for, what a read says the value is, and what comes behind."""
    if (parsed := _value(text)) is None:
        return None
    request: _Request
    answer: Hashable = None
    match name, parsed[0]:
        case "cas", (key, (old, new)):
            request = CompareAndSet(old, new, key)
        case "cas", (old, new):
            request = CompareAndSet(old, new)
        case "read", (key, answer):
            request = Read(key)
        case "read", (None | bool() | int() | str()) as answer:
            request = Read()
        case "write", (key, value):
            request = Write(value, key)
        case "write", (None | bool() | int() | str()) as value:
            request = Write(value)
        case _:
            return None
    return request, answer, parsed[1].strip()


def _value(text: str, depth: int = 0) -> tuple[Hashable, str] | None:
    """Return the first value of a text, vectors as tuples, and the rest; None if there is none."""
    if (found := _SCALAR.match(text)) is not None:
        if found["text"] is not None:
            return found["text"], text[found.end() :]
        word = found[0]
        number = word.lstrip("-").isdigit()
        return int(word) if number else _WORDS.get(word, word), text[found.end() :]
    if not text.startswith("[") or depth == _DEPTH_MAX:
        return None
    items: list[Hashable] = []
    rest = text[1:].lstrip(", \t")
    while not rest.startswith("]"):
        if (item := _value(rest, depth + 1)) is None:
            return None
        items.append(item[0])
        rest = item[1].lstrip(", \t")
    return tuple(items), rest[1:]
