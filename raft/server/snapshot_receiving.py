"""Receiving a snapshot: collect its chunks, check it, put it in place of the log.

Owns the part that has come so far; a crash loses it, another snapshot replaces it. Knows nothing
of what is in one.

Source: Raft paper section 7 and figure 13 (InstallSnapshot); etcd-io/raft raft.go restore.
Deviation: a server takes a snapshot whose configuration lacks it: it may be about to be added.
"""

from __future__ import annotations

from zlib import crc32

from raft.entries import INDEX_MAX
from raft.messages import InstallSnapshot, InstallSnapshotResponse
from raft.server.applying import Applying
from raft.server.core import Core
from raft.server.durability import Durability
from raft.server.elections import Elections
from raft.server.open_proposals import OpenProposals
from raft.stored import Snapshot


class SnapshotReceiving:
    """The snapshot that a leader is sending, if it is.

    Attributes:
        offset: How many bytes of it have come.
    """

    __slots__ = (
        "_applying",
        "_core",
        "_data",
        "_durability",
        "_elections",
        "_identity",
        "_proposals",
        "offset",
    )

    def __init__(
        self,
        core: Core,
        durability: Durability,
        applying: Applying,
        elections: Elections,
        proposals: OpenProposals,
    ) -> None:
        self._core = core
        self._durability = durability
        self._applying = applying
        self._elections = elections
        self._proposals = proposals
        self._forget()

    def _forget(self) -> None:
        """Drop what has come so far."""
        # Two snapshots of the same index can differ as bytes: the checksum tells.
        self._identity = (0, 0, 0, 0)
        # One buffer: many small chunks cost no more than their bytes.
        self._data = bytearray()
        self.offset = 0

    def on_chunk(self, message: InstallSnapshot) -> None:
        """Take a part, and tell how much is here; at the end put the snapshot in place."""
        core = self._core
        self._elections.heard(message.source)
        if message.index <= core.commit:
            self._durability.acknowledge(message.source, core.commit)
            return
        if core.log.term_at(message.index) == message.index_term:
            # Our log has it all: the only news is that it is committed.
            self._applying.commit(message.index)
            self._durability.acknowledge(message.source, message.index)
            return
        if not self._is_sound(message):
            core.reject(message, "unsound snapshot")
            self._answer(message, 0, refused=True)
            return
        if self._durability.snapshot_due is not None and self._durability.is_behind:
            core.reject(message, "disk behind")
            return
        identity = (message.index, message.index_term, message.size, message.checksum)
        if identity != self._identity:
            self._forget()
            self._identity = identity
        if message.offset == self.offset:
            self._data += message.chunk
            self.offset += len(message.chunk)
        if self.offset == message.size:
            self._complete(message)
        else:
            self._answer(message, self.offset)

    def on_applied(self) -> None:
        """Drop a part that is no longer needed, as entries came another way."""
        if self._identity[0] <= self._core.applied:
            self._forget()

    def _is_sound(self, message: InstallSnapshot) -> bool:
        """Return whether the chunk can be a part of a snapshot that we take."""
        return (
            0 <= message.size <= self._core.config.snapshot_size_max
            and 0 <= message.offset <= message.size
            and len(message.chunk) <= message.size - message.offset
            and self._core.commit_term <= message.index_term <= message.term
            and message.index_term > 0
            and 0 <= message.configuration_index <= message.index < INDEX_MAX
            and message.configuration.voters != ()
        )

    def _complete(self, message: InstallSnapshot) -> None:
        """Check the whole snapshot and put it in place of the log."""
        data = bytes(self._data)
        self._forget()
        if crc32(data) != message.checksum:
            self._core.reject(message, "damaged snapshot")
            self._answer(message, 0, refused=True)
            return
        self._restore(
            Snapshot(
                message.index,
                message.index_term,
                message.configuration,
                message.configuration_index,
                data,
            )
        )
        self._durability.acknowledge(message.source, message.index)

    def _restore(self, snapshot: Snapshot) -> None:
        """Replace the log, which is not the leader's where the snapshot ends."""
        core = self._core
        self._applying.settle(core.applied)
        self._proposals.replaced(snapshot.index, snapshot.term)
        core.log.restart(snapshot.index, snapshot.term)
        self._durability.replaced(snapshot, core.applied)
        core.snapshot = snapshot
        core.commit = snapshot.index

    def _answer(self, message: InstallSnapshot, offset: int, *, refused: bool = False) -> None:
        """Tell how much is here."""
        core = self._core
        core.send(
            InstallSnapshotResponse(
                message.source, core.id, core.term, message.index, offset, refused
            )
        )
