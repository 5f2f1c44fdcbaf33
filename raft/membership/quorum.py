"""Quorum arithmetic: what a majority, or both majorities of a joint configuration, agree on.

Owns the three questions that votes and acknowledgements answer: is an election decided, which
index is committed, and what does the picture look like. Knows nothing of terms, logs or changes;
the same functions answer for elections, the commit index, read rounds and lease times.

An empty half decides nothing and so never stands in the way: it has won every vote and reached
every index. That is what makes a configuration that is not joint a joint one with nobody leaving.

Source: Raft dissertation 3.4 and 4.3; etcd-io/raft quorum/majority.go and quorum/joint.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TypeVar

INFINITY = 2**64 - 1
"""What an empty half has reached: beyond every index, so the other half decides alone."""

Value = TypeVar("Value", int, float)


class VoteResult(Enum):
    """How an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


_PENDING, _WON, _LOST = VoteResult.PENDING, VoteResult.WON, VoteResult.LOST


def majority(size: int) -> int:
    """Return how many of `size` voters make a quorum.

    >>> [majority(size) for size in (1, 2, 3, 4, 5)]
    [1, 2, 2, 3, 3]
    """
    return size // 2 + 1


def majority_reached(values: Sequence[Value]) -> Value:
    """Return the largest value that a majority of `values` has reached.

    Args:
        values: One for each voter, at least one: match indexes, read positions, or times.

    >>> majority_reached([5, 9, 7])
    7
    >>> majority_reached([5, 9, 7, 8])
    7
    """
    # A majority is at or above the element with majority(size) - 1 others above it.
    return sorted(values)[(len(values) - 1) // 2]


def committed_index(
    match: Mapping[str, int], voters: Iterable[str], outgoing: Iterable[str] = ()
) -> int:
    """Return the largest index that a quorum has stored.

    Args:
        match: Index that each server is known to have stored; a missing one has stored nothing.
        voters: The configuration's voters, in a joint one those of the new configuration.
        outgoing: Voters of the old configuration; empty unless joint.

    Returns:
        The smaller of what either half has reached; `INFINITY` if there are no voters at all.

    >>> committed_index({"n1": 9, "n2": 5, "n3": 7}, ("n1", "n2", "n3"))
    7
    >>> committed_index({"n1": 9, "n2": 5, "n3": 7}, ("n1", "n3"), ("n2",))
    5
    """
    incoming_indexes = [match.get(voter, 0) for voter in voters]
    outgoing_indexes = [match.get(voter, 0) for voter in outgoing]
    committed = majority_reached(incoming_indexes) if incoming_indexes else INFINITY
    if outgoing_indexes:
        return min(committed, majority_reached(outgoing_indexes))
    return committed


def vote_result(
    votes: Mapping[str, bool], voters: Iterable[str], outgoing: Iterable[str] = ()
) -> VoteResult:
    """Return how an election stands.

    Args:
        votes: The answer of each server that gave one; those of non-voters don't count.
        voters: The configuration's voters, in a joint one those of the new configuration.
        outgoing: Voters of the old configuration; empty unless joint.

    Returns:
        Won if both halves have a majority of grants, lost if one of them can't have it any more.

    >>> vote_result({"n1": True, "n2": False}, ("n1", "n2", "n3")).name
    'PENDING'
    """
    incoming_result = _majority_vote(votes, voters)
    outgoing_result = _majority_vote(votes, outgoing)
    if incoming_result is outgoing_result:
        return incoming_result
    # One refused half decides; otherwise one has won, and waits for the other.
    return _LOST if _LOST in (incoming_result, outgoing_result) else _PENDING


def _majority_vote(votes: Mapping[str, bool], voters: Iterable[str]) -> VoteResult:
    """Return how the election stands in one half."""
    answers = list(map(votes.get, voters))
    if not answers:
        return _WON
    needed = majority(len(answers))
    granted = answers.count(True)
    if granted >= needed:
        return _WON
    return _PENDING if granted + answers.count(None) >= needed else _LOST


def describe(match: Mapping[str, int], voters: Iterable[str], outgoing: Iterable[str] = ()) -> str:
    """Draw how far each voter is: a table with a bar as long as the number of voters behind it.

    Voters of both halves stand in order of their ids; `?` marks one that never answered.

    >>> print(describe({"n1": 100, "n2": 101}, ("n1", "n2", "n3")), end="")
           idx
    x>     100    (id=n1)
    xx>    101    (id=n2)
    ?        0    (id=n3)
    """
    ids = sorted({*voters, *outgoing})
    if not ids:
        return "<empty majority quorum>"
    size = len(ids)
    indexes = sorted(match.get(voter, 0) for voter in ids)
    lines = [" " * size + "    idx"]
    for voter in ids:
        index = match.get(voter, 0)
        # Where an index stands first among the sorted is how many are smaller.
        bar = "x" * indexes.index(index) + ">" if voter in match else "?"
        lines.append(f"{bar:<{size + 1}} {index:>5}    (id={voter})")
    return "\n".join(lines) + "\n"
