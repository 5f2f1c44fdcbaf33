"""Quorum arithmetic against slow definitions: sets of voters, and every way the rest may answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.membership.quorum import (
    INFINITY,
    VoteResult,
    committed_index,
    describe,
    majority,
    majority_reached,
    vote_result,
)

PENDING, WON, LOST = VoteResult.PENDING, VoteResult.WON, VoteResult.LOST

FIVE = ("n1", "n2", "n3", "n4", "n5")


def halves(servers: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every set of voters, the empty one too."""
    return [half for size in range(len(servers) + 1) for half in combinations(servers, size)]


@cache
def quorums(half: tuple[str, ...]) -> list[frozenset[str]]:
    """Return every majority of one half; of the empty one, the empty set."""
    if not half:
        return [frozenset()]
    needed = majority(len(half))
    return [
        frozenset(quorum)
        for size in range(needed, len(half) + 1)
        for quorum in combinations(half, size)
    ]


def slow_committed(match: Mapping[str, int], *both: tuple[str, ...]) -> int:
    """Return the largest index that all of some quorum of each half have stored."""
    candidates = {0, *match.values()}
    return max(
        index
        for index in candidates
        if all(
            any(all(match.get(voter, 0) >= index for voter in quorum) for quorum in quorums(half))
            for half in both
        )
    )


def slow_vote(votes: Mapping[str, bool], *both: tuple[str, ...]) -> VoteResult:
    """Return what the election comes to over all the ways in which the rest may answer."""
    missing = sorted({*both[0], *both[1]} - votes.keys())
    outcomes = set()
    for answers in product((True, False), repeat=len(missing)):
        granted = {
            voter
            for voter, answer in [*votes.items(), *zip(missing, answers, strict=True)]
            if answer
        }
        outcomes.add(all(any(quorum <= granted for quorum in quorums(half)) for half in both))
    return PENDING if len(outcomes) == 2 else WON if outcomes == {True} else LOST


# --- brute force


def joint_configurations() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield every pair of halves of up to five voters in all, up to renaming.

    Which voter bears which name does not matter to the definitions, so it is enough to tell how
    many are only in the first half, only in the second, and in both.
    """
    for first, second, shared in product(range(6), repeat=3):
        if first + second + shared <= 5:
            names = FIVE[: first + second + shared]
            yield names[: first + shared], names[first:]


JOINT = list(joint_configurations())


@pytest.mark.parametrize(("voters", "outgoing"), JOINT)
def test_a_vote_is_what_every_completion_of_it_comes_to(
    voters: tuple[str, ...], outgoing: tuple[str, ...]
) -> None:
    servers = sorted({*voters, *outgoing})

    for answers in product((True, False, None), repeat=len(servers)):
        votes = {
            server: answer
            for server, answer in zip(servers, answers, strict=True)
            if answer is not None
        }

        assert vote_result(votes, voters, outgoing) is slow_vote(votes, voters, outgoing)
        assert vote_result(votes, outgoing, voters) is vote_result(votes, voters, outgoing)


@pytest.mark.parametrize(("voters", "outgoing"), [pair for pair in JOINT if any(pair)])
def test_the_committed_index_is_the_largest_that_a_quorum_of_each_half_has(
    voters: tuple[str, ...], outgoing: tuple[str, ...]
) -> None:
    servers = sorted({*voters, *outgoing})

    for indexes in product(range(4), repeat=len(servers)):
        match = dict(zip(servers, indexes, strict=True))

        assert committed_index(match, voters, outgoing) == slow_committed(match, voters, outgoing)
        assert committed_index(match, outgoing, voters) == committed_index(match, voters, outgoing)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_a_majority_of_any_size_has_reached_what_is_returned_and_nothing_higher(
    values: list[int],
) -> None:
    reached = majority_reached(values)

    def count(value: int) -> int:
        return sum(one >= value for one in values)

    assert count(reached) >= majority(len(values)) > count(reached + 1)


@given(
    st.dictionaries(st.sampled_from(FIVE), st.booleans()),
    st.sampled_from(JOINT),
    st.sampled_from(FIVE),
    st.booleans(),
)
def test_one_more_answer_never_takes_back_a_result(
    votes: dict[str, bool],
    pair: tuple[tuple[str, ...], tuple[str, ...]],
    server: str,
    answer: bool,
) -> None:
    before = vote_result(votes, *pair)
    after = vote_result({server: answer} | votes, *pair)

    assert before is PENDING or after is before


def test_two_majorities_of_one_half_always_meet() -> None:
    for half in halves(FIVE)[1:]:
        assert all(one & other for one in quorums(half) for other in quorums(half))


# --- the rules in words


def test_a_majority_is_more_than_half() -> None:
    assert [majority(size) for size in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


def test_no_voters_at_all_have_won_every_vote_and_reached_every_index() -> None:
    assert vote_result({}, ()) is WON
    assert committed_index({}, ()) == INFINITY


def test_an_empty_half_leaves_the_decision_to_the_other() -> None:
    match = {"n1": 3, "n2": 2}

    assert committed_index(match, (), ("n1", "n2")) == 2
    assert vote_result({"n1": False}, (), ("n1",)) is LOST


def test_a_server_without_an_answer_has_stored_nothing() -> None:
    assert committed_index({"n1": 7}, ("n1", "n2")) == 0


def test_answers_of_strangers_and_learners_do_not_count() -> None:
    votes = {"n1": True, "n8": True, "n9": True}

    assert vote_result(votes, ("n1", "n2", "n3")) is PENDING
    assert committed_index({"n1": 5, "n8": 9, "n9": 9}, ("n1", "n2", "n3")) == 0


def test_times_are_compared_like_indexes() -> None:
    assert majority_reached([0.5, 2.25, 1.0]) == 1.0


def test_voters_of_equal_index_have_equal_bars() -> None:
    drawn = describe({"a": 4, "b": 4, "c": 9}, ("a", "b"), ("b", "c", "d"))

    assert drawn.splitlines() == [
        "        idx",
        "x>        4    (id=a)",
        "x>        4    (id=b)",
        "xxx>      9    (id=c)",
        "?         0    (id=d)",
    ]


def test_nothing_is_drawn_of_no_voters() -> None:
    assert describe({}, ()) == "<empty majority quorum>"
