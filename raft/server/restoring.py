"""Beginning a new life with what the last one left on disk.

Owns the checks of `Stored` and what a machine's state is made of it. Knows nothing of formats.
"""

from __future__ import annotations

from raft.entries import Entries
from raft.errors import StoredInvalid
from raft.outputs import LogRegression
from raft.server.core import Core
from raft.stored import Snapshot, Stored


def restore(core: Core, stored: Stored) -> LogRegression | None:
    """Give a machine the state that was durable.

    Returns:
        What is missing, if the log ends before what must have been durable.

    Raises:
        StoredInvalid: It contradicts itself.
    """
    state, snapshot = stored.hard_state, stored.snapshot
    core.term, core.voted_for, core.regressed = state.term, state.voted_for, state.regressed
    core.snapshot = snapshot
    _restore_log(core, stored.entries, snapshot)
    if core.log.last_term > core.term:
        raise StoredInvalid(f"an entry of term {core.log.last_term} in term {core.term}")
    covered = snapshot.index if snapshot is not None else 0
    last = core.log.last_index
    core.applied = min(max(stored.applied, covered), last)
    core.commit = min(max(state.commit, core.applied), last)
    _restore_configuration(core, snapshot)
    expected = max(state.commit, stored.applied)
    return LogRegression(last, expected) if expected > last else None


def _restore_log(core: Core, entries: Entries, snapshot: Snapshot | None) -> None:
    """Take over the entries, behind the snapshot or overlapping it."""
    log = core.log
    covered, term = (snapshot.index, snapshot.term) if snapshot is not None else (0, 0)
    if not entries.payloads:
        log.restart(covered, term)
        return
    first, last = entries.first_index, entries.last_index
    if first > covered + 1:
        raise StoredInvalid(f"entries from {first} on do not follow what ends at {covered}")
    if first == covered + 1:
        log.restart(covered, term)
        log.extend(entries)
    elif last < covered:
        log.restart(covered, term)
    elif entries.term_at(covered) != term:
        # What was here before a leader's snapshot replaced it; only what came after is right.
        log.restart(covered, term)
        if last > covered and entries.term_at(covered + 1) >= term:
            log.extend(entries.between(covered + 1, last))
    else:
        # The term before the first entry is not known: the first serves as the base.
        log.restart(first, entries.term_at(first))
        if last > first:
            log.extend(entries.between(first + 1, last))


def _restore_configuration(core: Core, snapshot: Snapshot | None) -> None:
    """Bring the configuration into force that was so at the applied index."""
    found = core.log.configuration_at(core.applied)
    if found is not None:
        core.configuration_index, core.configuration = found
    elif snapshot is not None:
        core.configuration_index = snapshot.configuration_index
        core.configuration = snapshot.configuration
