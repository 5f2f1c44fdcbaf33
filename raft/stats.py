"""Plain counters of one machine: what a metrics exporter reads. They only grow."""

from __future__ import annotations

from attrs import Factory, define


@define
class Stats:
    """Counters since the machine was made.

    Attributes:
        elections: Campaigns for a term; `pre_votes`: those that only asked.
        elections_won: Terms led.
        proposed: Entries appended as leader.
        appends_rejected: Appends of the leader that did not follow this log.
        truncated: Entries removed because a leader had others.
        snapshots_sent: Snapshots that followers were begun to be sent.
        snapshots_installed: Snapshots received and installed.
        reads: Reads that were answered; `reads_failed`: those that were not.
        gated_dropped: Messages that were not sent, as too many waited for the disk.
        rejected: Messages that were not taken, by reason.
    """

    elections: int = 0
    pre_votes: int = 0
    elections_won: int = 0
    proposed: int = 0
    appends_rejected: int = 0
    truncated: int = 0
    snapshots_sent: int = 0
    snapshots_installed: int = 0
    reads: int = 0
    reads_failed: int = 0
    gated_dropped: int = 0
    rejected: dict[str, int] = Factory(dict)

    def reject(self, reason: str) -> None:
        """Count one rejection."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
