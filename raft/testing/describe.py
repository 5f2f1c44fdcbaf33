"""How an output or a message reads in one line: for transcripts, digests and failures.

Part of the simulator; no machine uses it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from attrs import fields, has

from raft.entries import Entries, EntryKind, LogId, LogIds
from raft.membership.configuration import Configuration
from raft.messages import Message
from raft.outputs import EntriesCommitted, Persist, SendMessage
from raft.stored import HardState, Snapshot

#: Bytes of a payload that are shown as they are, and entries that are shown one by one.
_BYTES_SHOWN = 24
_ENTRIES_SHOWN = 6

#: What is not worth a word when it is what it mostly is.
_DEFAULTS: dict[str, object] = {
    "hint_index": 0,
    "hint_term": 0,
    "regressed": False,
    "quiesce": False,
    "priority": 0,
    "transfer": False,
    "refused": False,
    "rejected": False,
}


def describe(value: Any) -> str:
    """Return a stable line for an output or a message.

    >>> from raft.messages import RequestVote
    >>> describe(SendMessage(RequestVote("n2", "n1", 3, 7, 2)))
    'SendMessage n1->n2 RequestVote term=3 last_index=7 last_term=2 commit=0 commit_term=0'
    """
    if isinstance(value, SendMessage):
        return f"SendMessage {describe(value.message)}"
    if isinstance(value, Message):
        return _message(value)
    if isinstance(value, Persist):
        return _persist(value)
    if isinstance(value, EntriesCommitted):
        return f"EntriesCommitted {_entries(value.entries)}"
    if has(type(value)) and not isinstance(value, (Configuration, LogId)):
        return _words(value)
    return _value(value)


def _message(message: Message) -> str:
    """Return who says what to whom."""
    shown = [f"{message.source}->{message.to}", type(message).__name__, f"term={message.term}"]
    for name in message.fields[3:]:
        value = getattr(message, name)
        if value != _DEFAULTS.get(name, _DEFAULTS):
            shown.append(f"{name}={_value(value)}")
    return " ".join(shown)


def _persist(persist: Persist) -> str:
    """Return what is to be written."""
    shown = [f"Persist {persist.seq} {_value(persist.hard_state)}"]
    if persist.snapshot is not None:
        shown.append(f"snapshot={_value(persist.snapshot)}")
    if persist.truncate_from:
        shown.append(f"truncate_from={persist.truncate_from}")
    if persist.entries.payloads:
        shown.append(_entries(persist.entries))
    return " ".join(shown)


def _entries(entries: Entries) -> str:
    """Return entries as term/index and payload; of many the first and the last."""
    shown = []
    for entry in entries[:_ENTRIES_SHOWN]:
        place = f"{entry.term}/{entry.index}"
        if entry.kind is EntryKind.EMPTY:
            shown.append(f"{place} empty")
        elif entry.kind is EntryKind.CONFIGURATION:
            shown.append(f"{place} {entry.configuration}")
        else:
            shown.append(f"{place} {_value(entry.payload)}")
    if len(entries) > _ENTRIES_SHOWN:
        shown.append(f"... {entries.last_term}/{entries.last_index}")
    return f"[{', '.join(shown)}]"


def _words(value: Any) -> str:
    """Return an attrs object as its name and fields."""
    words = (f"{each.name}={_value(getattr(value, each.name))}" for each in fields(type(value)))
    return " ".join((type(value).__name__, *words))


def _value(value: Any) -> str:  # noqa: C901, PLR0911 - one line a type
    """Return one value in a form that says what counts and never changes by itself."""
    match value:
        case Entries():
            return _entries(value)
        case LogId():
            return f"{value.term}/{value.index}"
        case LogIds():
            return f"{value.term}/{value.first}..{value.last}"
        case HardState():
            barred = " regressed" if value.regressed else ""
            return f"<term={value.term} voted_for={value.voted_for} commit={value.commit}{barred}>"
        case Snapshot():
            return f"<{value.term}/{value.index} {value.configuration} {len(value.data)} bytes>"
        case Configuration():
            return f"<{value}>"
        case Enum():
            return str(value.value) or "none"
        case float():
            return f"{value:.6g}"
        case bytes() | memoryview():
            data = bytes(value)
            return repr(data)[1:] if len(data) <= _BYTES_SHOWN else f"{len(data)} bytes"
        case tuple() | list():
            return f"({' '.join(_value(item) for item in value)})"
        case _:
            return str(value)
