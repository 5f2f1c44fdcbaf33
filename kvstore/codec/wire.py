"""Bytes and the shapes of what is in them: bounded msgpack, and arrays of typed fields.

Owns what a hostile message may cost: arrays are short and never hold maps or extensions, and a
list of any length is a binary string of its elements back to back, so that no header can claim
room for what never comes. Knows no commands (codec.py) and no snapshots (`kvstore.snapshots`).

A value is an array of its fields in a fixed order. Fields at the end that have their defaults
are left out, which makes small commands small, and lets a newer minor version append fields that
an older one's bytes do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgpack

from kvstore.errors import DecodeError

Value = TypeVar("Value")

#: Elements of an array: more than any value has fields. Arrays in each other are limited by
#: msgpack to about a thousand, so that what they may claim together stays below a megabyte.
ARRAY_LENGTH_MAX: Final = 64
#: Lists within lists, as those of nested transactions.
DEPTH_MAX: Final = 33
#: Shapes that a form remembers; it forgets them all when they become more.
_SHAPES_MAX: Final = 1024

_NONE: Final = type(None)

#: What may stand in a field.
TEXT: Final = (str,)
BYTES: Final = (bytes,)
INTEGER: Final = (int,)
BOOL: Final = (bool,)
TEXT_OR_NONE: Final = (str, _NONE)
INTEGER_OR_NONE: Final = (int, _NONE)

#: A required field's default.
REQUIRED: Final = object()

Writer: TypeAlias = Callable[[Any, int], object]
Reader: TypeAlias = Callable[[Any, int], object]
#: What to convert at which position, and what to append.
_Reading: TypeAlias = tuple[tuple[tuple[int, Reader], ...], tuple[object, ...]]

pack: Final[Callable[[object], bytes]] = msgpack.Packer(use_bin_type=True).pack


def unpack(data: bytes) -> Any:
    """Return what bytes stand for, with arrays as tuples.

    Raises:
        DecodeError: `malformed`: they are no msgpack, more or less than one object, or hold
            what no message of ours has.
    """
    try:
        return msgpack.unpackb(
            data,
            use_list=False,
            max_array_len=ARRAY_LENGTH_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException):
        # Its own words, not msgpack's: what a log holds is refused alike by replicas whose
        # libraries differ.
        raise DecodeError("malformed", "no msgpack of this format") from None


def unpack_list(data: bytes) -> list[Any]:
    """Return the elements that `pack_list` wrote.

    Raises:
        DecodeError: `malformed`, as by `unpack`.
    """
    # The unpacker does not tell whether it stands between two elements. What it makes of a None
    # behind them does: that is one element more only if the last one was whole.
    unpacker = msgpack.Unpacker(
        use_list=False,
        max_buffer_size=len(data) + 1,
        max_array_len=ARRAY_LENGTH_MAX,
        max_map_len=0,
        max_ext_len=0,
    )
    try:
        unpacker.feed(data)
        unpacker.feed(b"\xc0")
        elements = list(unpacker)
    except (ValueError, TypeError, msgpack.UnpackException):
        raise DecodeError("malformed", "no msgpack of this format") from None
    if not elements or elements.pop() is not None:
        raise DecodeError("malformed", "the last element of a list is cut off")
    return elements


def pack_list(elements: Iterable[object]) -> bytes:
    """Return elements back to back: what stands for a list."""
    return b"".join(map(pack, elements))


class Field:
    """One field of a form.

    Args:
        name: The attribute it is read from.
        types: What may be written: exact types, as a bool is no integer.
        default: What it is if left out; without one it must be there.
        write: Turns a value that msgpack does not know into one of `wire_types`.
        read: Turns that back; what it raises as `DecodeError` refuses the whole.
        wire_types: What may be read; by default what may be written.
        converted: The types of values that `write` is for; by default all of `types`.
        converted_wire: The types that `read` is for; by default all of `wire_types`.
    """

    __slots__ = ("default", "name", "read", "reads", "types", "wire_types", "write", "writes")

    def __init__(
        self,
        name: str,
        types: Sequence[type],
        default: object = REQUIRED,
        *,
        write: Writer | None = None,
        read: Reader | None = None,
        wire_types: Sequence[type] | None = None,
        converted: Sequence[type] | None = None,
        converted_wire: Sequence[type] | None = None,
    ) -> None:
        self.name = name
        self.types = tuple(types)
        self.default = default
        self.write = write
        self.read = read
        self.wire_types = self.types if wire_types is None else tuple(wire_types)
        self.writes = () if write is None else converted or self.types
        self.reads = () if read is None else converted_wire or self.wire_types


class Form(Generic[Value]):
    """How the values of one class are written: an array of fields in a fixed order.

    The types of the fields of a value are looked up together, as one shape, so that checking
    them all costs one look into a dict.

    Args:
        build: Makes a value of its fields, by position. What it refuses with `ValueError` or
            `TypeError` cannot be read.
        fields: In the order in which they are written; required ones first. New ones are only
            ever appended, with a default.
    """

    __slots__ = (
        "_build",
        "_core",
        "_defaults",
        "_fields",
        "_get",
        "_name",
        "_readable",
        "_required",
        "_tail",
        "_tails",
        "_writable",
    )

    def __init__(
        self,
        build: Callable[..., Value],
        fields: Sequence[Field],
        often: Sequence[int] = (),
        get: Callable[[Value], tuple[object, ...]] | None = None,
    ) -> None:
        self._build = build
        self._fields = tuple(fields)
        self._name = getattr(build, "__name__", "value")
        self._get = get or _getter([field.name for field in fields])
        self._defaults = tuple(field.default for field in fields)
        self._required = sum(default is REQUIRED for default in self._defaults)
        # Most values differ from the defaults in their first fields only: one comparison then,
        # or two, rather than one for each field.
        self._core, *others = often or (self._required,)
        self._tail = self._defaults[self._core :]
        self._tails = [(place, self._defaults[place:]) for place in others]
        self._readable: dict[tuple[type, ...], _Reading] = {}
        self._writable: dict[tuple[type, ...], tuple[tuple[int, Writer], ...]] = {}

    def write(self, value: Value, depth: int = 0) -> Sequence[object]:
        """Return the fields of a value, ready for `pack`.

        Raises:
            TypeError: A field is of a type that it cannot have.
            ValueError: A field cannot be written, or is nested too deep.
        """
        fields = self._get(value)
        size = self._core
        if fields[size:] != self._tail:
            for size, tail in self._tails:  # pragma: no branch (the last tail is empty)
                if fields[size:] == tail:
                    break
            else:
                size = len(fields)
            defaults = self._defaults
            while fields[size - 1] == defaults[size - 1]:
                size -= 1
        fields = fields[:size]
        shape = tuple(map(type, fields))
        conversions = self._writable.get(shape)
        if conversions is None:
            conversions = self._learn_writable(shape)
        if conversions:
            converted = list(fields)
            for position, write in conversions:
                converted[position] = write(converted[position], depth)
            return converted
        return fields

    def read(self, fields: tuple[Any, ...], depth: int = 0) -> Value:
        """Return the value that some fields stand for.

        Raises:
            DecodeError: They are no such value.
        """
        shape = tuple(map(type, fields))
        found = self._readable.get(shape)
        if found is None:
            found = self._learn_readable(shape)
        conversions, left_out = found
        told: Sequence[Any] = fields
        if conversions:
            told = converted = list(fields)
            for position, read in conversions:
                converted[position] = read(converted[position], depth)
        try:
            return self._build(*told, *left_out)
        except (ValueError, TypeError) as error:
            raise DecodeError("bad-field", f"{self._name}: {error}") from None

    def read_any(self, fields: object, depth: int = 0) -> Value:
        """Return the value that an element stands for which may be anything.

        Raises:
            DecodeError: It is no such value.
        """
        if type(fields) is not tuple:
            raise DecodeError("malformed", f"{self._name} is no array")
        return self.read(fields, depth)

    def _learn_writable(self, shape: tuple[type, ...]) -> tuple[tuple[int, Writer], ...]:
        for field, found in zip(self._fields, shape, strict=False):
            if found not in field.types:
                raise TypeError(f"{self._name}.{field.name} cannot be of type {found.__name__}")
        if len(self._writable) >= _SHAPES_MAX:
            self._writable.clear()
        conversions = tuple(
            (i, field.write)
            for i, (field, found) in enumerate(zip(self._fields, shape, strict=False))
            if field.write is not None and found in field.writes
        )
        self._writable[shape] = conversions
        return conversions

    def _learn_readable(self, shape: tuple[type, ...]) -> _Reading:
        if len(shape) < self._required:
            raise DecodeError("truncated", f"{self._name} has {len(shape)} fields")
        if len(shape) > len(self._fields):
            raise DecodeError("unsupported", f"{self._name} has {len(shape)} fields")
        for field, found in zip(self._fields, shape, strict=False):
            if found not in field.wire_types:
                what = f"{self._name}.{field.name} is of type {found.__name__}"
                raise DecodeError("bad-field", what)
        if len(self._readable) >= _SHAPES_MAX:
            self._readable.clear()
        conversions = tuple(
            (i, field.read)
            for i, (field, found) in enumerate(zip(self._fields, shape, strict=False))
            if field.read is not None and found in field.reads
        )
        # What was left out is what the format says, whatever the class's defaults become.
        reading = (conversions, self._defaults[len(shape) :])
        self._readable[shape] = reading
        return reading


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes all attributes of a value at once."""
    if not names:
        return _nothing
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda value: (one(value),)
    return attrgetter(*names)


def _nothing(_: object) -> tuple[Any, ...]:
    return ()


# --- lists in fields


def text_list(name: str, default: object = REQUIRED) -> Field:
    """Return a field that is a tuple of texts."""
    return Field(name, (tuple,), default, write=_write_texts, read=_read_texts, wire_types=(bytes,))


def form_list(name: str, form: Form[Any], default: object = REQUIRED) -> Field:
    """Return a field that is a tuple of values of one form."""

    def write(values: tuple[Any, ...], depth: int) -> bytes:
        return pack_list(form.write(value, depth) for value in values)

    def read(data: bytes, depth: int) -> tuple[Any, ...]:
        return tuple([form.read_any(fields, depth) for fields in unpack_list(data)])

    return Field(name, (tuple,), default, write=write, read=read, wire_types=(bytes,))


def form_field(name: str, form: Form[Any], value_type: type, default: object = REQUIRED) -> Field:
    """Return a field that is a value of one form, or None if that is its default."""
    none = () if default is REQUIRED else (_NONE,)
    return Field(
        name,
        (value_type, *none),
        default,
        write=form.write,
        read=form.read,
        wire_types=(tuple, *none),
        converted=(value_type,),
        converted_wire=(tuple,),
    )


def _write_texts(texts: tuple[object, ...], _: int) -> bytes:
    for text in texts:
        if type(text) is not str:
            raise TypeError(f"a list of texts cannot hold {type(text).__name__}")
    return pack_list(texts)


def _read_texts(data: bytes, _: int) -> tuple[str, ...]:
    texts = tuple(unpack_list(data))
    if any(type(text) is not str for text in texts):
        raise DecodeError("bad-field", "a list of texts holds something else")
    return texts


def read_nested(data: bytes, depth: int, forms: dict[int, Form[Any]], what: str) -> list[Any]:
    """Return a list of values, each written as the number of its kind and its fields.

    Args:
        data: The list.
        depth: How many lists it is within.
        forms: The forms by number.
        what: What the values are called.

    Raises:
        DecodeError: `malformed`, `unsupported`, `too-deep`, or as by the forms.
    """
    if depth >= DEPTH_MAX:
        raise DecodeError("too-deep", f"more than {DEPTH_MAX} levels")
    found = []
    for element in unpack_list(data):
        if type(element) is not tuple or not element or type(element[0]) is not int:
            raise DecodeError("malformed", f"an {what} is an array that begins with its kind")
        form = forms.get(element[0])
        if form is None:
            raise DecodeError("unsupported", f"no {what} has the number {element[0]}")
        found.append(form.read(element[1:], depth + 1))
    return found
