"""Changes as values and as payloads of entries."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.changes import (
    CONTEXT_BYTES_MAX,
    ENCODING_VERSION,
    ID_BYTES_MAX,
    MEMBERS_MAX,
    AddLearner,
    AddVoter,
    AddWitness,
    Change,
    ChangeRefusal,
    ChangeRefused,
    DemoteVoter,
    PromoteLearner,
    RemoveMember,
    SingleChange,
    Transition,
    check_id,
)
from raft.errors import RaftError

KINDS = (AddVoter, AddLearner, AddWitness, RemoveMember, PromoteLearner, DemoteVoter)

singles = st.builds(
    lambda kind, server: kind(server), st.sampled_from(KINDS), st.sampled_from(["a", "é"])
)
changes = st.builds(
    Change, st.lists(singles, max_size=4), st.sampled_from(Transition), st.binary(max_size=8)
)


# --- ids


@pytest.mark.parametrize("server", ["n1", "x" * ID_BYTES_MAX, "Zürich", "\x00"])
def test_any_short_text_is_an_id(server: str) -> None:
    assert check_id(server) == server


@pytest.mark.parametrize("server", ["", "x" * (ID_BYTES_MAX + 1), "é" * 128, "\ud800"])
def test_what_cannot_be_an_id_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match=r"an id has 1 to 255 bytes|surrogates"):
        check_id(server)


def test_a_number_is_no_id() -> None:
    with pytest.raises(TypeError, match="an id is a str, not int"):
        AddVoter(1)  # type: ignore[arg-type] # the mistake under test


# --- changes


def test_no_single_change_leaves_a_joint_configuration() -> None:
    change = Change.leave_joint()

    assert change.leaves_joint
    assert not change.enters_joint


def test_a_context_does_not_keep_a_change_from_leaving() -> None:
    assert Change(context=b"why").leaves_joint


@pytest.mark.parametrize("transition", [Transition.IMPLICIT, Transition.EXPLICIT])
def test_a_joint_configuration_can_be_asked_for(transition: Transition) -> None:
    for change in (Change((), transition), Change([AddVoter("n1")], transition)):
        assert change.enters_joint
        assert not change.leaves_joint


def test_one_single_change_is_simple_and_two_are_joint() -> None:
    assert not Change([AddVoter("n1")]).enters_joint
    assert Change([AddVoter("n1"), RemoveMember("n2")]).enters_joint


def test_what_is_not_a_single_change_is_refused() -> None:
    with pytest.raises(TypeError, match="not a single change: 'n1'"):
        Change(["n1"])  # type: ignore[list-item] # the mistake under test


def test_too_many_single_changes_are_refused() -> None:
    with pytest.raises(ValueError, match="1025 single changes exceed the limit of 1024"):
        Change([AddVoter("n1")] * (MEMBERS_MAX + 1))


def test_a_context_is_bounded() -> None:
    assert Change(context=bytes(CONTEXT_BYTES_MAX))
    with pytest.raises(ValueError, match="a context has at most 65536 bytes"):
        Change(context=bytes(CONTEXT_BYTES_MAX + 1))


def test_a_refusal_says_which_rule_and_reads_as_one() -> None:
    refused = ChangeRefused(ChangeRefusal.ALL_REMOVED)

    assert isinstance(refused, RaftError)
    assert refused.refusal is ChangeRefusal.ALL_REMOVED
    assert str(refused) == "removed all voters"


# --- encoding


@given(changes)
def test_a_change_survives_its_encoding(change: Change) -> None:
    assert Change.decode(change.encode()) == change


def test_the_largest_change_survives_its_encoding() -> None:
    servers: list[SingleChange] = [
        AddVoter(f"{number:0{ID_BYTES_MAX}}") for number in range(MEMBERS_MAX)
    ]
    change = Change(servers, context=bytes(CONTEXT_BYTES_MAX))

    assert Change.decode(change.encode()) == change


def test_an_encoded_change_looks_like_this() -> None:
    change = Change([AddVoter("n4"), RemoveMember("n1")], Transition.EXPLICIT, b"c")

    assert msgpack.unpackb(change.encode()) == [1, [[0, "n4"], [3, "n1"]], 2, b"c"]


@pytest.mark.parametrize(
    "elements",
    [
        None,
        7,
        "text",
        {},
        [],
        [ENCODING_VERSION],
        [ENCODING_VERSION + 1, [], 0, b""],
        [True, [], 0, b""],
        [ENCODING_VERSION, [], 0],
        [ENCODING_VERSION, [], 0, b"", 0],
        [ENCODING_VERSION, [], 3, b""],
        [ENCODING_VERSION, [], -1, b""],
        [ENCODING_VERSION, [], None, b""],
        [ENCODING_VERSION, [], 0, "text"],
        [ENCODING_VERSION, 7, 0, b""],
        [ENCODING_VERSION, [7], 0, b""],
        [ENCODING_VERSION, [[0]], 0, b""],
        [ENCODING_VERSION, [[6, "a"]], 0, b""],
        [ENCODING_VERSION, [[-1, "a"]], 0, b""],
        [ENCODING_VERSION, [[False, "a"]], 0, b""],
        [ENCODING_VERSION, [["a", "a"]], 0, b""],
        [ENCODING_VERSION, [[0, b"a"]], 0, b""],
        [ENCODING_VERSION, [[0, ""]], 0, b""],
        [ENCODING_VERSION, [[0, "a", "b"]], 0, b""],
    ],
)
def test_what_is_no_encoded_change_is_refused(elements: object) -> None:
    with pytest.raises(ValueError, match="not an encoded change"):
        Change.decode(msgpack.packb(elements))


@pytest.mark.parametrize("size", [0, 1, 5, 8])
def test_a_cut_encoding_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="not an encoded change"):
        Change.decode(Change([AddVoter("n1")], context=b"c").encode()[:size])


def test_bytes_behind_an_encoding_are_refused() -> None:
    with pytest.raises(ValueError, match="not an encoded change"):
        Change.decode(Change().encode() + b"\x00")


def test_a_long_form_of_the_same_change_is_refused() -> None:
    long = b"\x94\x01\x90\xcc\x00\xc4\x00"  # the transition as a byte of its own

    assert msgpack.unpackb(long) == msgpack.unpackb(Change().encode())
    with pytest.raises(ValueError, match="it has a shorter form"):
        Change.decode(long)


def test_more_bytes_than_any_change_has_are_not_even_read() -> None:
    with pytest.raises(ValueError, match="not an encoded change: more than"):
        Change.decode(bytes(10_000_000))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_change_or_a_value_error(data: bytes) -> None:
    try:
        change = Change.decode(data)
    except ValueError:
        return

    assert change.encode() == data
