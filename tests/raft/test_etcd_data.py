"""etcd-raft's own cases for quorums and configuration changes, byte for byte.

Their files are read where they are kept beside the repository; where they are not, these tests
skip and say so. The cross-checks are those of etcd's runner, which prints a line only where two
ways to compute one answer differ, so that no file shows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from raft.membership.changes import AddLearner, AddVoter, ChangeRefused, RemoveMember, SingleChange
from raft.membership.configuration import Configuration
from raft.membership.quorum import INFINITY, committed_index, describe, majority, vote_result
from tests.raft.etcd_data import Case, cases

QUORUM_FILES = {
    "majority_commit": 16,
    "majority_vote": 22,
    "joint_commit": 50,
    "joint_vote": 39,
}
CHANGE_FILES = {
    "joint_autoleave": 4,
    "joint_idempotency": 3,
    "joint_learners_next": 3,
    "joint_safety": 15,
    "simple_idempotency": 11,
    "simple_promote_demote": 7,
    "simple_safety": 11,
    "update": 3,
    "zero": 1,
}

VOTES = {"y": True, "n": False}


def server(number: str) -> str:
    """Return the id for a number: one that sorts as the number does."""
    return f"{int(number):08}"


def as_numbers(text: str) -> str:
    """Return a text with ids as etcd prints them."""
    return re.sub(r"\b0+(\d+)\b", r"\1", text)


# --- quorums


def answers(case: Case, key: str) -> dict[str, str | None]:
    """Return each voter's answer, in the order of the case: first half first, None if unknown."""
    voters = [server(number) for number in case.arguments.get("cfg", [])]
    other = case.arguments.get("cfgj", [])
    outgoing = [] if other == ["zero"] else [server(number) for number in other]
    values = case.arguments.get(key, [])
    union = list(dict.fromkeys([*voters, *outgoing]))
    if not values:
        values = ["_"] * len(union)
    assert len(values) == len(union)
    return {
        voter: None if value == "_" else value for voter, value in zip(union, values, strict=True)
    }


def two_halves(case: Case) -> tuple[list[str], list[str]]:
    """Return the two sets of voters, the second one empty if there is none."""
    other = case.arguments.get("cfgj", [])
    return (
        [server(number) for number in case.arguments.get("cfg", [])],
        [] if other == ["zero"] else [server(number) for number in other],
    )


def other_way(match: Mapping[str, int], voters: list[str]) -> int:
    """Return the committed index by counting, for each index, who has reached it."""
    reached = [
        index
        for index in match.values()
        if sum(match.get(voter, 0) >= index for voter in voters) >= majority(len(voters))
    ]
    return max(reached, default=0) if voters else INFINITY


def run_committed(case: Case) -> str:
    """Return what etcd's runner prints for a committed index, after its cross-checks."""
    known = {voter: int(value) for voter, value in answers(case, "idx").items() if value}
    voters, outgoing = two_halves(case)
    index = committed_index(known, voters, outgoing)
    if "cfgj" in case.arguments:
        assert committed_index(known, outgoing, voters) == index  # via symmetry
        assert min(other_way(known, voters), other_way(known, outgoing)) == index
    else:
        assert other_way(known, voters) == index  # via alternative computation
        assert committed_index(known, voters, []) == index  # via zero-joint quorum
        assert committed_index(known, [], voters) == index
        assert committed_index(known, voters, voters) == index  # via self-joint quorum
        for voter in voters:
            if 0 < known.get(voter, 0) < index:  # overlaying: who is behind decides nothing
                for lowered in (known[voter] - 1, 0):
                    assert committed_index(known | {voter: lowered}, voters) == index
    shown = "∞" if index == INFINITY else str(index)
    return as_numbers(describe(known, voters, outgoing)) + f"{shown}\n"


def run_vote(case: Case) -> str:
    """Return what etcd's runner prints for a vote, after its cross-check."""
    votes = {voter: VOTES[value] for voter, value in answers(case, "votes").items() if value}
    voters, outgoing = two_halves(case)
    result = vote_result(votes, voters, outgoing)
    assert vote_result(votes, outgoing, voters) is result  # via symmetry
    return f"Vote{result.name.capitalize()}\n"


@pytest.mark.parametrize("name", QUORUM_FILES)
def test_quorum_case(name: str) -> None:
    found = cases("quorum", name)
    runners = {"committed": run_committed, "vote": run_vote}

    assert len(found) == QUORUM_FILES[name]
    for case in found:
        assert runners[case.command](case) == case.expected, f"{name}.txt:{case.line}"


# --- configuration changes

SINGLE: dict[str, type[AddVoter | AddLearner | RemoveMember]] = {
    "v": AddVoter,
    "l": AddLearner,
    "r": RemoveMember,
}


def singles(case: Case) -> list[SingleChange]:
    """Return the changes of a case: without id 0, which is none, and without updates."""
    tokens = " ".join(case.input).split()
    kept = [token for token in tokens if int(token[1:]) and token[0] != "u"]
    return [SINGLE[token[0]](server(token[1:])) for token in kept]


def changed(configuration: Configuration, case: Case) -> Configuration:
    """Return the configuration after the change of a case."""
    match case.command:
        case "simple":
            return configuration.simple(singles(case))
        case "enter-joint":
            auto_leave = case.arguments.get("autoleave") == ["true"]
            return configuration.enter_joint(singles(case), auto_leave=auto_leave)
        case "leave-joint":
            return configuration.leave_joint()
        case command:
            raise AssertionError(command)


@pytest.mark.parametrize("name", CHANGE_FILES)
def test_configuration_change_case(name: str) -> None:
    configuration = Configuration()
    next_index: dict[str, int] = {}
    found = cases("confchange", name)

    assert len(found) == CHANGE_FILES[name]
    for last_index, case in enumerate(found):
        try:
            configuration = changed(configuration, case)
        except ChangeRefused as refused:
            output = f"{refused}\n"
        else:
            # A leader keeps what it knows of a member for as long as it is one.
            next_index = {
                member: next_index.get(member, max(last_index, 1))
                for member in configuration.members
            }
            lines = [str(configuration)]
            for member, index in next_index.items():
                learner = " learner" if member in configuration.learners else ""
                lines.append(f"{member}: StateProbe match=0 next={index}{learner}")
            output = as_numbers("\n".join(lines)) + "\n"

        assert output == case.expected, f"{name}.txt:{case.line}"
