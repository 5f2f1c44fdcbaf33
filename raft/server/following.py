"""The follower's side of replication: take what the leader sends, if it follows what is here.

Owns the consistency check, truncation and acknowledgements. Knows nothing of how a leader uses
the answers.

Source: Raft paper 5.3 and figure 2 (AppendEntries); etcd-io/raft log.go for hints.
"""

from __future__ import annotations

from raft.messages import AppendEntries, AppendEntriesResponse, Heartbeat, HeartbeatResponse
from raft.outputs import LogRegression, QuiescenceChanged
from raft.server.applying import Applying
from raft.server.core import Core
from raft.server.durability import Durability
from raft.server.elections import Elections


class Following:
    """Keeps the log equal to the leader's. All messages are of the present term and its leader."""

    __slots__ = ("_applying", "_core", "_durability", "_elections")

    def __init__(
        self,
        core: Core,
        durability: Durability,
        applying: Applying,
        elections: Elections,
    ) -> None:
        self._core = core
        self._durability = durability
        self._applying = applying
        self._elections = elections

    # --- entries

    def on_append(self, message: AppendEntries) -> None:
        """Append what follows our log, replace what conflicts, and acknowledge it."""
        core, entries = self._core, message.entries
        if entries.payloads and not self._is_sound(message):
            core.reject(message, "unsound entries")
            return
        if message.source == core.leader:
            core.leader_heard_at = core.now
        else:
            self._elections.heard(message.source)
        if entries.payloads and self._durability.is_behind:
            core.reject(message, "disk behind")
            return
        prev, log = message.prev_index, core.log
        if prev < core.commit:
            # What is committed is right, and may be compacted: never look below.
            self._durability.acknowledge(message.source, core.commit)
            return
        if (log.last_term if prev == log.last_index else log.term_at(prev)) != message.prev_term:
            self._refuse(message)
            return
        last_new = prev + len(entries.payloads)
        if entries.payloads:
            if prev == log.last_index:
                log.extend(entries)
                self._durability.changed(entries.size)
            else:
                self._merge(message)
        if message.commit > core.commit:
            # Not our last index: what we have behind the new entries may not be the leader's.
            commit = min(message.commit, last_new)
            if commit > core.commit:
                self._applying.commit(commit)
        self._durability.acknowledge(message.source, last_new)

    def _is_sound(self, message: AppendEntries) -> bool:
        """Return whether the entries are what a leader can have."""
        entries = message.entries
        return (
            entries.first_index == message.prev_index + 1
            and entries.runs[0][1] >= message.prev_term
            and entries.runs[-1][1] <= message.term
            and not (
                entries.marks and any(mark[1] and not mark[1].voters for mark in entries.marks)
            )
        )

    def _merge(self, message: AppendEntries) -> None:
        """Append what is missing; only a real conflict removes what is here (figure 2, rule 3).

        A late message without the newest entries must not take back what was acknowledged since.
        """
        core, log, entries = self._core, self._core.log, message.entries
        missing = log.first_missing(entries)
        if missing == 0:
            return
        # What is committed is before the new entries, so it is out of danger.
        if missing <= log.last_index:
            core.stats.truncated += log.last_index - missing + 1
            log.truncate(missing)
            self._durability.truncated(missing)
        new = entries.between(missing, entries.last_index)
        log.extend(new)
        self._durability.changed(new.size)

    def _refuse(self, message: AppendEntries) -> None:
        """Tell the leader where the logs may agree at best."""
        core = self._core
        core.stats.appends_rejected += 1
        hint, hint_term = core.log.last_not_above(message.prev_index, message.prev_term)
        self._durability.send_when_durable(
            AppendEntriesResponse(
                message.source, core.id, core.term, True, message.prev_index, hint, hint_term
            )
        )

    # --- heartbeats

    def on_heartbeat(self, message: Heartbeat) -> None:
        """Stay a follower, and commit what the leader knows that we have."""
        core = self._core
        if message.commit > message.match:
            core.reject(message, "unsound heartbeat")
            return
        if message.source == core.leader:
            core.leader_heard_at = core.now
        else:
            self._elections.heard(message.source)
        last = core.log.last_index
        if message.match > last:
            self._regress(message)
            return
        if message.commit > core.commit:
            self._applying.commit(message.commit)
        if message.round:
            core.send(HeartbeatResponse(message.source, core.id, core.term, message.round))
        silent = message.quiesce and core.config.quiescence and not core.quiescent
        if silent and message.commit == last:
            core.quiescent = True
            core.emit(QuiescenceChanged(quiescent=True))

    def _regress(self, message: Heartbeat) -> None:
        """Tell that we lost what we had acknowledged, and no longer vote (see `LogRegression`).

        What we voted for may be lost as well, and a vote for a candidate without the entries
        that we lost could undo what was committed.
        """
        core = self._core
        if not core.regressed:
            core.regressed = True
            self._durability.changed()
            core.emit(LogRegression(core.log.last_index, message.match))
        self._durability.send_when_durable(
            AppendEntriesResponse(
                message.source, core.id, core.term, True, core.commit, regressed=True
            )
        )
