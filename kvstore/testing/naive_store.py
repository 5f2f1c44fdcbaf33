"""The naive model of the store: what every command does, by copying and scanning.

Owns `NaiveStore`, which answers as `kvstore.Store` must. Nothing in it is fast, and nothing is
shared with the store but the commands, the results and the access control list: keys are in a
dict, the past is a list of copies of it, quotas are counted by looking at every key, deadlines
are found by looking at every session. Compare the two after every command of a random log, and
an error in either shows.

It takes well-formed commands: what refuses those that are not is tested by itself. It keeps all
history but what `Compact` forgets; the configured limits of the history are the store's.

>>> from kvstore.commands import Get, Put
>>> store = NaiveStore()
>>> store.apply(Put("key", b"value")).changed
True
>>> store.apply(Get("key")).result.entry.value
b'value'
"""

from __future__ import annotations

from typing import Any

from kvstore.acl.access import Acl
from kvstore.commands import Command, Rebase
from kvstore.config import Config
from kvstore.errors import StaleIndex
from kvstore.results import Applied, Result
from kvstore.state.sessions import Session
from kvstore.testing.naive_run import Refused, Run
from kvstore.testing.naive_state import Entries, Past, State, changes_between
from kvstore.testing.naive_transactions import OPERATIONS
from kvstore.testing.naive_upkeep import UPKEEP


class NaiveStore:
    """A store to compare a store with.

    Attributes:
        applied_index: The index of the last command.
        clock: Logical time in milliseconds.
    """

    def __init__(self, config: Config | None = None) -> None:
        config = Config() if config is None else config
        self.applied_index = 0
        self.clock = 0
        self._state = State(config)
        self._past = Past()
        self._acl = Acl(config.acl)

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._state.config

    @property
    def revision(self) -> int:
        """The index of the last change."""
        return self._past.revision

    @property
    def floor(self) -> int:
        """The oldest revision that can be read."""
        return self._past.floor

    @property
    def entries(self) -> Entries:
        """What every key is."""
        return dict(self._state.entries)

    @property
    def clock_offset(self) -> int:
        """What is added to a proposer's time to give logical time."""
        return self._state.offset

    def sessions(self) -> tuple[Session, ...]:
        """Return the sessions in the order of their ids."""
        return tuple(session for _, session in sorted(self._state.sessions.items()))

    def session_deadline(self, id: str) -> int | None:  # noqa: A002 - as the store has it
        """Return the logical time at which a session ends unless it is renewed, or None."""
        return self._state.deadlines.get(id)

    def lock_delay(self, key: str) -> int | None:
        """Return the logical time until which a key cannot be locked, None if it can be."""
        until = self._state.delays.get(key, 0)
        return until if until > self.clock else None

    @property
    def next_deadline(self) -> int | None:
        """The first logical time at which a session or a key is due, or None."""
        keys = [e.expires for e in self._state.entries.values() if e.expires is not None]
        return min([*keys, *self._state.deadlines.values()], default=None)

    def apply(
        self,
        command: Command,
        *,
        index: int | None = None,
        now: int | None = None,
        actor: str | None = None,
    ) -> Applied:
        """Carry out a command and return what it did.

        Args:
            command: A well-formed command.
            index: Above the last one; None for the next.
            now: The proposer's time in milliseconds, or None to leave the clock alone.
            actor: The accessor of who gave it, or None.

        Raises:
            StaleIndex: The index is not above the last one; nothing changed.
        """
        index = self.applied_index + 1 if index is None else index
        if index <= self.applied_index:
            raise StaleIndex(index, self.applied_index)
        self.applied_index = index
        if now is not None and not isinstance(command, Rebase):
            self.clock = max(self.clock, now + self._state.offset)
        state = self._state.copy()
        state.causes, state.forced = {}, set()
        run = Run(state, self._past, self._acl, index=index, clock=self.clock, now=now, actor=actor)
        try:
            result = _carry_out(run, command)
        except Refused as refused:
            return Applied(index, False, refused.refusal, ())
        return self._commit(run, index, result)

    def _commit(self, run: Run, index: int, result: Result) -> Applied:
        """Keep what a command did, and stamp what is different after it."""
        state, before = run.state, self._state.entries
        for key in list(state.causes):
            old, new = before.get(key), state.entries.get(key)
            is_forced = key in state.forced and new is not old
            if not is_forced and _same(old, new):
                del state.causes[key]
                if old is not None and new is not None:
                    state.entries[key] = old._replace(expires=new.expires)
        changes = tuple(changes_between(before, state.entries, state.causes, index))
        self._state = state
        if changes:
            self._past.revision = index
            self._past.states.append((index, dict(state.entries)))
            self._past.changes += [index] * len(changes)
            self._past.deletions += [(change[1], index) for change in changes if change[2] is None]
        return Applied(index, bool(changes), result, changes)


def _carry_out(run: Run, command: Command) -> Result:
    """Return the answer to a command, or raise `Refused`."""
    if type(command) not in OPERATIONS:
        return UPKEEP[type(command)](run, command)
    before = run.state.copy()
    result = OPERATIONS[type(command)](run, command)
    run.check_room(before)
    return result


def _same(old: Any, new: Any) -> bool:
    """Return whether a key is after a command what it was before, but for its stamps."""
    if old is None or new is None:
        return old is new
    stamps = {"mod_revision": 0, "version": 0, "expires": None}
    return bool(old._replace(**stamps) == new._replace(**stamps))
