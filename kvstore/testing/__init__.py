"""Test what is built with a store: histories, a linearizability checker, a model of the store.

Record what clients asked and were answered (`Recorder`), or read it from a Jepsen log, and
`check` it against a sequential model. A report that is not legal shows the shortest illegal
window; `picture` draws it as one page of HTML.

>>> recorder = Recorder()
>>> write = recorder.called("alice", Write(1))
>>> recorder.returned(write, None)
>>> read = recorder.called("bob", Read())
>>> recorder.returned(read, None)  # bob reads nothing, though alice's write was acknowledged
>>> report = check(Registers(), recorder.operations)
>>> report.verdict, report.illegal[0].window.states
(<Verdict.ILLEGAL: 'illegal'>, (1,))
"""

from __future__ import annotations

from kvstore.testing.histories import UNKNOWN, Operation, Recorder, Unknown
from kvstore.testing.jepsen import LogError, read_jepsen_log
from kvstore.testing.linearizability import STEPS_MAX, Part, Report, Verdict, check
from kvstore.testing.models import (
    Acquire,
    Add,
    Append,
    CompareAndSet,
    Contains,
    Dequeue,
    Enqueue,
    Locks,
    Members,
    Model,
    Queues,
    Read,
    Registers,
    Release,
    Remove,
    Sets,
    Write,
)
from kvstore.testing.naive_store import NaiveStore
from kvstore.testing.picture import picture
from kvstore.testing.windows import Window

__all__ = [
    "STEPS_MAX",
    "UNKNOWN",
    "Acquire",
    "Add",
    "Append",
    "CompareAndSet",
    "Contains",
    "Dequeue",
    "Enqueue",
    "Locks",
    "LogError",
    "Members",
    "Model",
    "NaiveStore",
    "Operation",
    "Part",
    "Queues",
    "Read",
    "Recorder",
    "Registers",
    "Release",
    "Remove",
    "Report",
    "Sets",
    "Unknown",
    "Verdict",
    "Window",
    "Write",
    "check",
    "picture",
    "read_jepsen_log",
]
