"""Commands and results as bytes: what stands in a log, and what goes back to a client.

Owns the frame of format version 1; the fields are command_forms.py's and result_forms.py's. A
message is one msgpack array: the version, the number of the kind, for commands the time and the
actor, then the fields. Equal commands have equal bytes. Types are checked here, on both ways;
whether a value is allowed is the store's to say, as a result.

Bytes from elsewhere raise `DecodeError` and nothing else, and cost memory in proportion to their
size. What a log holds is agreed on even if this build cannot read it: `read_command` never
raises, and the store refuses what it returns then, as all replicas do.

Numbers and orders are never reused or changed: a field is appended with a default, a command gets
a new number. A reader refuses fields and kinds that it does not know.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from kvstore.codec.command_forms import COMMAND_FORMS, COMMANDS
from kvstore.codec.result_forms import RESULT_FORMS, RESULTS
from kvstore.codec.wire import pack, unpack
from kvstore.commands import Command, Unknown
from kvstore.config import TIME_MAX
from kvstore.errors import DecodeError
from kvstore.results import Result

VERSION: Final = 1
#: Largest message that is decoded, in bytes, unless a reader is told otherwise.
MESSAGE_SIZE_MAX: Final = 1 << 26

#: A decoded command, the time it carries, and who wants it; the arguments of `Store.apply`.
Proposal: TypeAlias = "tuple[Command, int | None, str | None]"


def encode_command(command: Command, *, now: int | None = None, actor: str | None = None) -> bytes:
    """Return a command as bytes, with what it will be applied with.

    Args:
        command: Any but `Unknown`.
        now: Milliseconds; see `Store.apply`.
        actor: The accessor of a token.

    Raises:
        TypeError: It is no command, or a field is of a wrong type.
        ValueError: `now` is out of range, a number beyond 64 bits, a text has surrogates, or
            nesting is too deep.

    >>> from kvstore.commands import Get
    >>> decode_command(encode_command(Get("a"), now=5))
    (Get(key='a', revision=None), 5, None)
    """
    found = COMMANDS.get(type(command))
    if found is None:
        raise TypeError(f"{type(command).__name__} is no command that can be written")
    if now is not None and (type(now) is not int or not 0 <= now <= TIME_MAX):
        raise _time_error(now)
    if actor is not None and type(actor) is not str:
        raise TypeError(f"actor must be text or None, not {type(actor).__name__}")
    kind, form = found
    try:
        return pack((VERSION, kind, now, actor, *form.write(command)))
    except OverflowError as error:
        raise ValueError(str(error)) from None


def decode_command(data: bytes, *, size_max: int = MESSAGE_SIZE_MAX) -> Proposal:
    """Return the command that bytes stand for, its time and its actor.

    Args:
        data: What `encode_command` returned.
        size_max: Bytes that it may have at most.

    Raises:
        DecodeError: `too-large`, `malformed`, `truncated`, `unsupported`, `bad-field` or
            `too-deep`.
    """
    message = _message(data, size_max)
    if len(message) < 4:
        raise DecodeError("truncated", f"a message of {len(message)} fields")
    kind, now, actor = message[1:4]
    # A time that no store takes would stop every replica at this entry, again and again.
    if (now is not None and (type(now) is not int or not 0 <= now <= TIME_MAX)) or (
        actor is not None and type(actor) is not str
    ):
        raise DecodeError("bad-field", "the time or the actor is none")
    form = COMMAND_FORMS.get(kind) if type(kind) is int else None
    if form is None:
        raise DecodeError("unsupported", f"no command has the number {kind!r}")
    return form.read(message[4:]), now, actor


def read_command(data: bytes, *, size_max: int = MESSAGE_SIZE_MAX) -> Proposal:
    """Return the command that an entry of a log holds, or `Unknown`, which the store refuses.

    An entry whose fields cannot be read keeps its time and its actor if those can: the clocks
    of replicas of different versions must not part.
    """
    try:
        return decode_command(data, size_max=size_max)
    except DecodeError as error:
        reason = str(error)
    try:
        message = _message(data, size_max)
    except DecodeError:
        return Unknown("bytes", reason), None, None
    kind, now, actor = (*message[1:4], None, None, None)[:3]
    return (
        Unknown(f"command {kind}" if type(kind) is int else "bytes", reason),
        now if type(now) is int and 0 <= now <= TIME_MAX else None,
        actor if type(actor) is str else None,
    )


def encode_result(result: Result) -> bytes:
    """Return a result, or a refusal, as bytes.

    Raises:
        TypeError: It is no result, or a field is of a wrong type.
        ValueError: A number is beyond 64 bits, a text has surrogates, or nesting is too deep.
    """
    found = RESULTS.get(type(result))
    if found is None:
        raise TypeError(f"{type(result).__name__} is no result")
    kind, form = found
    try:
        return pack((VERSION, kind, *form.write(result)))
    except OverflowError as error:
        raise ValueError(str(error)) from None


def decode_result(data: bytes, *, size_max: int = MESSAGE_SIZE_MAX) -> Result:
    """Return the result that bytes stand for.

    Args:
        data: What `encode_result` returned.
        size_max: Bytes that it may have at most.

    Raises:
        DecodeError: `too-large`, `malformed`, `truncated`, `unsupported`, `bad-field` or
            `too-deep`.
    """
    message = _message(data, size_max)
    if len(message) < 2:
        raise DecodeError("truncated", "a message without a kind")
    kind = message[1]
    form = RESULT_FORMS.get(kind) if type(kind) is int else None
    if form is None:
        raise DecodeError("unsupported", f"no result has the number {kind!r}")
    result: Result = form.read(message[2:])
    return result


def _time_error(now: object) -> Exception:
    if type(now) is not int:
        return TypeError(f"now must be an int or None, not {type(now).__name__}")
    return ValueError(f"now must be 0 to 2**62, not {now}")


def _message(data: bytes, size_max: int) -> tuple[Any, ...]:
    if len(data) > size_max:
        raise DecodeError("too-large", f"{len(data)} bytes exceed the limit of {size_max}")
    message = unpack(data)
    if type(message) is not tuple or not message:
        raise DecodeError("malformed", "a message is an array")
    version = message[0]
    if type(version) is not int or version != VERSION:
        raise DecodeError("unsupported", f"the version is {version!r}, not {VERSION}")
    return message
