"""Changes as values and as payloads of entries."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from raft.errors import RaftError
from raft.membership.changes import (
    CONTEXT_BYTES_MAX,
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
    Transition,
    check_id,
)

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
