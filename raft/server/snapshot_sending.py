"""Sending a snapshot: chunk by chunk, a few under way, resumed where the receiver stands.

Owns the position in one snapshot on its way to one follower. Knows nothing of logs.

Source: Raft paper section 7 and figure 13 (chunks with offsets).
"""

from __future__ import annotations

from math import inf
from zlib import crc32

from raft.config import Config
from raft.messages import InstallSnapshot
from raft.stored import Snapshot


class SnapshotSending:
    """One snapshot on its way to one follower.

    Attributes:
        index: Last index that the snapshot covers.
        size: Its bytes.
        acked: How many of them the follower has, as far as is known.
        sent: How many are sent. Invariant: acked <= sent <= size.
    """

    __slots__ = (
        "_active_at",
        "_begun",
        "_checksum",
        "_config",
        "_data",
        "_rewound_at",
        "_snapshot",
        "acked",
        "index",
        "sent",
        "size",
    )

    def __init__(self, snapshot: Snapshot, config: Config, now: float, *, is_witness: bool) -> None:
        self._snapshot = snapshot
        self._config = config
        # A witness needs to know what the snapshot covers, and nothing of what is in it.
        self._data = b"" if is_witness else snapshot.data
        self._checksum = crc32(self._data)
        self._begun = False
        self._active_at = now
        self._rewound_at = -inf
        self.index = snapshot.index
        self.size = len(self._data)
        self.acked = 0
        self.sent = 0

    def next_chunk(self, to: str, source: str, term: int) -> InstallSnapshot | None:
        """Return the next chunk, or None if answers have to come first.

        The first goes alone: the receiver may have a part already, from us or another leader.
        """
        config, snapshot = self._config, self._snapshot
        chunks = config.snapshot_chunks_max if self.acked else 1
        if self._begun and (
            self.sent >= self.size or self.sent - self.acked >= chunks * config.snapshot_chunk_size
        ):
            return None
        offset = self.sent
        chunk = bytes(self._data[offset : offset + config.snapshot_chunk_size])
        self._begun = True
        self.sent = offset + len(chunk)
        return InstallSnapshot(
            to,
            source,
            term,
            snapshot.index,
            snapshot.term,
            snapshot.configuration,
            snapshot.configuration_index,
            self.size,
            self._checksum,
            offset,
            chunk,
        )

    def acknowledged(self, offset: int, now: float) -> bool:
        """Note what the receiver has; return whether there may be something to send.

        One that has less than it had lost it in a crash; one that says the same again lacks the
        chunk that came next. Answers that overtook each other look like either, and each chunk
        that is sent again is answered again: so that does not happen more often than heartbeats.
        """
        if not 0 <= offset <= self.size:
            return False
        self._active_at = now
        if offset > self.acked:
            self.acked = offset
            self.sent = max(self.sent, offset)
            return True
        if now - self._rewound_at < self._config.heartbeat_interval:
            return False
        self._rewound_at = now
        self._rewind(offset)
        return True

    def retry(self, now: float) -> bool:
        """Send again what is not acknowledged, if nothing was heard for an election timeout."""
        if now - self._active_at < self._config.election_timeout:
            return False
        self._active_at = now
        self._rewind(self.acked)
        return True

    def _rewind(self, offset: int) -> None:
        """Begin again at an offset."""
        self.acked = self.sent = offset
        self._begun = False
