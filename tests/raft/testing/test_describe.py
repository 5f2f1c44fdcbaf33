"""How outputs read: one stable line each, with what counts in it."""

from __future__ import annotations

import pytest

from raft import (
    ConfigurationChanged,
    ElectionFailed,
    EntriesCommitted,
    Entry,
    ForwardFinished,
    HardState,
    LogIds,
    Outcome,
    Persist,
    ReadReady,
    Refusal,
    Role,
    SendMessage,
    Snapshot,
    SnapshotInstalled,
)
from raft.entries import NO_ENTRIES, Entries, EntryKind, LogId
from raft.messages import AppendEntries, AppendEntriesResponse, Propose
from raft.testing import describe
from tests.raft.vocabulary import entries, founding, voters

AB = voters("a", "b")


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            SendMessage(AppendEntries("b", "a", 3, 4, 2, entries(3, first=5), 4)),
            (
                "SendMessage a->b AppendEntries term=3 prev_index=4 prev_term=2"
                " entries=[3/5 '3/5'] commit=4"
            ),
        ),
        (
            AppendEntriesResponse("b", "a", 3, False, 4),
            "a->b AppendEntriesResponse term=3 index=4",
        ),
        (
            AppendEntriesResponse("b", "a", 3, True, 4, 2, 1),
            "a->b AppendEntriesResponse term=3 rejected=True index=4 hint_index=2 hint_term=1",
        ),
        (
            Propose("b", "a", 0, 7, (b"x", b"." * 30)),
            "a->b Propose term=0 request=7 payloads=('x' 30 bytes)",
        ),
        (
            Persist(3, HardState(2, "b", 1, regressed=True), NO_ENTRIES),
            "Persist 3 <term=2 voted_for=b commit=1 regressed>",
        ),
        (
            Persist(4, HardState(2), entries(2), Snapshot(5, 2, AB, 1, b"abc"), 6),
            (
                "Persist 4 <term=2 voted_for=None commit=0> snapshot=<2/5 voters=(a b) 3 bytes>"
                " truncate_from=6 [2/1 '2/1']"
            ),
        ),
        (
            EntriesCommitted(Entries.of([founding(AB), Entry(1, 2, kind=EntryKind.EMPTY)])),
            "EntriesCommitted [1/1 voters=(a b), 1/2 empty]",
        ),
        (
            EntriesCommitted(entries(*[1] * 9)),
            (
                "EntriesCommitted [1/1 '1/1', 1/2 '1/2', 1/3 '1/3', 1/4 '1/4', 1/5 '1/5',"
                " 1/6 '1/6', ... 1/9]"
            ),
        ),
        (ReadReady(4, 9), "ReadReady read=4 index=9"),
        (
            ElectionFailed(3, True, (("b", Refusal.LOG), ("c", Refusal.NONE))),
            (
                "ElectionFailed term=3 pre_vote=True"
                " refusals=((b the voter's log is more up to date) (c none))"
            ),
        ),
        (
            ForwardFinished(1, Outcome.COMMITTED, LogIds(2, 3, 4)),
            "ForwardFinished request=1 outcome=committed ids=2/3..4 reason=None leader=None",
        ),
        (
            ConfigurationChanged(AB, voters("a"), 3, b"address"),
            (
                "ConfigurationChanged configuration=<voters=(a b)> previous=<voters=(a)> index=3"
                " context='address'"
            ),
        ),
        (
            SnapshotInstalled(Snapshot(5, 2, AB, 1, memoryview(b"abc"))),
            "SnapshotInstalled snapshot=<2/5 voters=(a b) 3 bytes>",
        ),
        (LogId(2, 3), "2/3"),
        (AB, "<voters=(a b)>"),
        (entries(1), "[1/1 '1/1']"),
        (Role.PRE_CANDIDATE, "pre-candidate"),
        (1.5, "1.5"),
        (memoryview(b"abc"), "'abc'"),
        ([None, 7], "(None 7)"),
    ],
)
def test_each_reads_as_one_line(output: object, line: str) -> None:
    assert describe(output) == line
