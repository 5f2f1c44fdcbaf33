"""Plain counters of one machine: what a metrics exporter reads. They only grow.

Source: memberlist's metrics (`memberlist.udp.sent`, `msg.alive`, ...), under readable names.
"""

from __future__ import annotations

from attrs import Factory, define


@define
class Stats:
    """Counters since the machine was made; sizes in bytes.

    Attributes:
        packets_received: Datagrams in. `bytes_received` counts their size.
        packets_sent: Datagrams out. `bytes_sent` counts their size.
        streams_opened: Streams that we opened. `streams_accepted`: opened by others.
        probes: Probes begun. `probes_failed`: those without an answer by any way.
        probes_late: Probes whose end we slept through, so that they prove nothing.
        stream_pings_needed: Probes that only the stream ping saved: UDP is broken on that path.
        indirect_pings: Requests of others that we served as a helper.
        nacks_missed: Helpers that said nothing in time.
        suspicions: Members that came under suspicion here.
        suspicions_expired: Suspicion timers that ran out; `suspicions_degraded` of them before
            all confirmations wanted had come.
        refutations: Times that we had to correct what others believe of us.
        push_pulls: Full state exchanges merged.
        broadcasts_sent: User broadcasts sent often enough; `broadcasts_superseded` by a newer of
            their key; `broadcasts_dropped` as they still waited when we were gone.
        rejected: What was not taken or not sent, by reason: packets, parts and streams, claims
            that were not believed, news that fit no packet, a user state above its limit.
    """

    packets_received: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    streams_opened: int = 0
    streams_accepted: int = 0
    probes: int = 0
    probes_failed: int = 0
    probes_late: int = 0
    stream_pings_needed: int = 0
    indirect_pings: int = 0
    nacks_missed: int = 0
    suspicions: int = 0
    suspicions_expired: int = 0
    suspicions_degraded: int = 0
    refutations: int = 0
    push_pulls: int = 0
    broadcasts_sent: int = 0
    broadcasts_superseded: int = 0
    broadcasts_dropped: int = 0
    rejected: dict[str, int] = Factory(dict)

    def reject(self, reason: str) -> None:
        """Count one rejection."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
