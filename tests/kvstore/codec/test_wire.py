"""Bounded msgpack, lists without headers, and forms: arrays of typed fields."""

from __future__ import annotations

from itertools import product
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec import wire
from kvstore.codec.wire import (
    ARRAY_LENGTH_MAX,
    BOOL,
    INTEGER,
    INTEGER_OR_NONE,
    TEXT,
    Field,
    Form,
    form_field,
    form_list,
    pack,
    pack_list,
    read_nested,
    text_list,
    unpack,
    unpack_list,
)
from kvstore.errors import DecodeError


@attrs.frozen
class Fish:
    """A value for the forms below."""

    name: str
    length: int | None = None
    hungry: bool = False

    def __attrs_post_init__(self) -> None:
        if self.length is not None and self.length < 0:
            raise ValueError("length is negative")


@attrs.frozen
class Five:
    """A value with many defaults."""

    a: str
    b: int
    c: int
    d: int
    e: int


@attrs.frozen
class Shoal:
    """A value that holds others."""

    fish: tuple[Fish, ...]
    leader: Fish | None = None
    names: tuple[str, ...] = ()


FISH = Form(
    Fish,
    [Field("name", TEXT), Field("length", INTEGER_OR_NONE, None), Field("hungry", BOOL, False)],
)
SHOAL = Form(
    Shoal, [form_list("fish", FISH), form_field("leader", FISH, Fish, None), text_list("names", ())]
)


# --- msgpack


@given(st.lists(st.text() | st.binary() | st.integers(-(2**63), 2**64 - 1)))
def test_a_list_is_its_elements_back_to_back(elements: list[object]) -> None:
    data = pack_list(elements)

    assert data == b"".join(pack(each) for each in elements)
    assert unpack_list(data) == elements


def test_a_list_may_be_longer_than_an_array() -> None:
    elements = list(range(100_000))

    assert unpack_list(pack_list(elements)) == elements
    with pytest.raises(DecodeError, match="malformed"):
        unpack(pack(elements))


@pytest.mark.parametrize("length", [ARRAY_LENGTH_MAX, ARRAY_LENGTH_MAX + 1])
def test_an_array_has_a_limit(length: int) -> None:
    array = tuple(range(length))

    if length <= ARRAY_LENGTH_MAX:
        assert unpack(pack(array)) == array
        assert unpack_list(pack_list([array])) == [array]
    else:
        for read in (unpack, unpack_list):
            with pytest.raises(DecodeError, match="malformed"):
                read(pack(array))


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_a_list_that_is_cut_off_is_malformed(elements: list[bytes], data: st.DataObject) -> None:
    whole = pack_list(elements)
    ends = [len(pack_list(elements[:i])) for i in range(len(elements) + 1)]
    size = data.draw(st.integers(0, len(whole) - 1).filter(lambda size: size not in ends))

    with pytest.raises(DecodeError, match="the last element of a list is cut off"):
        unpack_list(whole[:size])


# --- forms


@pytest.mark.parametrize(
    ("fish", "fields"),
    [
        (Fish("nemo"), ("nemo",)),
        (Fish("nemo", 5), ("nemo", 5)),
        (Fish("nemo", None, True), ("nemo", None, True)),
    ],
)
def test_defaults_at_the_end_are_left_out(fish: Fish, fields: tuple[object, ...]) -> None:
    assert FISH.write(fish) == fields
    assert FISH.read(fields) == fish
    assert FISH.read_any(fields) == fish


@pytest.mark.parametrize("often", [(1, 2), (1, 3), (1, 2, 3, 4), (1, 5)])
def test_where_defaults_often_begin_changes_no_bytes(often: tuple[int, ...]) -> None:
    fields = [Field("a", TEXT), *(Field(name, INTEGER, 0) for name in "bcde")]
    plain, quick = Form(Five, fields), Form(Five, fields, often)
    values = [Five("x", *numbers) for numbers in product((0, 1), repeat=4)]

    written = [quick.write(value) for value in values]

    assert written == [plain.write(value) for value in values]
    assert [quick.read(tuple(each)) for each in written] == values
    assert min(map(len, written)) == 1


def test_fields_that_are_often_there_are_always_written() -> None:
    form = Form(Fish, [Field("name", TEXT), Field("length", INTEGER_OR_NONE, None)], often=(2,))

    assert form.write(Fish("nemo")) == ("nemo", None)


def test_a_form_can_be_told_how_to_get_the_fields() -> None:
    fields = [Field("name", TEXT), Field("length", INTEGER, 1)]
    form = Form(Fish, fields, get=lambda fish: (fish.name.upper(), fish.length))

    assert form.write(Fish("nemo", 3)) == ("NEMO", 3)


def test_what_was_left_out_is_what_the_format_says() -> None:
    form = Form(Fish, [Field("name", TEXT), Field("length", INTEGER, 7), Field("hungry", BOOL)])

    assert Form(Fish, [Field("name", TEXT), Field("length", INTEGER, 7)]).read(("nemo",)) == Fish(
        "nemo", 7
    )
    with pytest.raises(DecodeError, match="truncated"):
        form.read(("nemo",))


def test_values_may_hold_values() -> None:
    shoal = Shoal((Fish("a"), Fish("b", 2)), Fish("c"), ("x", "y"))

    fields = tuple(SHOAL.write(shoal))

    assert fields == (pack_list([("a",), ("b", 2)]), ("c",), pack_list(["x", "y"]))
    assert SHOAL.read(fields) == shoal
    assert SHOAL.read(tuple(SHOAL.write(Shoal(())))) == Shoal(())


@pytest.mark.parametrize(
    ("form", "fields", "error"),
    [
        (FISH, (), "truncated: Fish has 0 fields"),
        (FISH, ("a", 1, True, 1), "unsupported: Fish has 4 fields"),
        (FISH, (1,), "bad-field: Fish.name is of type int"),
        (FISH, ("a", True), "bad-field: Fish.length is of type bool"),
        (FISH, ("a", -1), "bad-field: Fish: length is negative"),
        (FISH, 5, "malformed: Fish is no array"),
        (SHOAL, (pack_list([5]),), "malformed: Fish is no array"),
        (SHOAL, (b"", None, pack_list([5])), "bad-field: a list of texts holds something else"),
    ],
)
def test_fields_that_are_no_value_are_refused(
    form: Form[object], fields: object, error: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        form.read_any(fields)

    assert str(caught.value) == error


def test_a_value_with_another_type_in_it_is_not_written() -> None:
    with pytest.raises(TypeError, match=r"Fish\.name cannot be of type int"):
        FISH.write(Fish(5))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a list of texts cannot hold int"):
        SHOAL.write(Shoal((), None, (1,)))  # type: ignore[arg-type]


def test_shapes_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_SHAPES_MAX", 2)
    form = Form(Fish, [Field("name", TEXT), Field("length", INTEGER_OR_NONE, None)])
    values = [Fish("a"), Fish("a", 1), Fish("a"), Fish("b", 2)]
    two = Form(Fish, [Field("name", (str, bytes, int))])

    assert [form.read(tuple(form.write(each))) for each in values] == values
    assert [two.write(Fish(each)) for each in ("a", b"b", 1)] == [("a",), (b"b",), (1,)]  # type: ignore[arg-type]
    assert [two.read((each,)).name for each in ("a", b"b", 1, "a")] == ["a", b"b", 1, "a"]
    assert max(len(two._writable), len(two._readable)) <= 2


def test_a_form_may_have_no_fields() -> None:
    form = Form(Noop, [])

    assert form.write(Noop()) == ()
    assert form.read(()) == Noop()


@attrs.frozen
class Noop:
    """Nothing."""


def test_nested_values_are_written_with_their_kind() -> None:
    forms: dict[int, Form[Any]] = {1: FISH, 2: SHOAL}

    assert read_nested(pack_list([(1, "a", 5), (2, b"")]), 0, forms, "animal") == [
        Fish("a", 5),
        Shoal(()),
    ]


@pytest.mark.parametrize(
    ("elements", "depth", "error"),
    [
        ([(3,)], 0, "unsupported: no animal has the number 3"),
        ([("a",)], 0, "malformed: an animal is an array that begins with its kind"),
        ([()], 0, "malformed: an animal is an array"),
        ([1], 0, "malformed: an animal is an array"),
        ([], 33, "too-deep: more than 33 levels"),
    ],
)
def test_nested_values_of_no_kind_are_refused(
    elements: list[object], depth: int, error: str
) -> None:
    with pytest.raises(DecodeError, match=error):
        read_nested(pack_list(elements), depth, {1: FISH}, "animal")
