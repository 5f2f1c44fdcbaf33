"""What one seed draws: its configuration, its faults, and what is done how often.

Owns the draw. Every seed has a mix of its own, because with one mix many seeds look alike (swarm
testing, Groce et al. 2012). A mix has a theme, which makes what the theme is about frequent:
random faults alone hardly ever isolate a leader that somebody reads from, or fail between the two
halves of a joint configuration.
"""

from __future__ import annotations

from random import Random

from attrs import field, frozen

from raft.config import Config

#: What can be done to a cluster, and how often, relative to the rest.
WEIGHTS: dict[str, float] = {
    "propose": 30,
    "read": 8,
    "crash": 3,
    "crash_at_seam": 6,
    "restart": 12,
    "partition": 3,
    "cut": 3,
    "heal": 6,
    "slow": 1,
    "pause": 2,
    "resume": 5,
    "campaign": 3,
    "transfer": 2,
    "step_down": 1,
    "forget_leader": 1,
    "change": 3,
    "compact": 3,
    "checkpoint": 2,
    "unreachable": 1,
    "snapshot_failed": 1,
    "clock": 1,
    "disk": 2,
    "quiesce": 1,
    "reload": 1,
}

#: What each theme makes more frequent.
THEMES: dict[str, dict[str, float]] = {
    "plain": {},
    "leaders": {"campaign": 15, "partition": 10, "heal": 12, "crash_at_seam": 12, "restart": 25},
    "tiny": {"crash": 10, "crash_at_seam": 20, "restart": 40, "campaign": 8},
    "members": {"change": 20, "partition": 8, "heal": 10, "transfer": 5},
    "readers": {"read": 40, "partition": 10, "heal": 8, "pause": 6, "resume": 10, "transfer": 4},
    "disks": {"disk": 12, "campaign": 8, "crash_at_seam": 12, "restart": 25},
    "snapshots": {"compact": 20, "propose": 50, "partition": 6, "heal": 8, "snapshot_failed": 4},
    "calm": {"crash": 0.5, "crash_at_seam": 0.5, "partition": 0.5, "cut": 0.5, "propose": 80},
}


@frozen(kw_only=True)
class Mix:
    """What one run is made of.

    Attributes:
        theme: One of `THEMES`.
        config: For every server; priorities are each server's own.
        voters: Servers that found the cluster.
        spares: Servers that may be added to it.
        witness: Whether one of the founders keeps no payloads.
        latency: Least and greatest seconds that a message takes.
        sync: Least and greatest seconds that a sync takes.
        poll_delay: Most seconds for which outputs wait.
        fifo: Whether messages between two servers never overtake each other.
        loss: Probability that a message vanishes; `duplication`, `reordering`: likewise.
        aim: Probability that a fault hits the leader, if there is one.
        pace: Seconds between two things that are done, on average.
        rates: Least and greatest rate of clocks.
        trailing: Entries that disks keep behind snapshots.
        wire: Whether messages go through the codec.
        wal: Whether disks hold the bytes of `raft.wal`.
        weights: How often each thing is done, relative to the rest.
    """

    theme: str
    config: Config
    voters: int
    spares: int
    witness: bool
    latency: tuple[float, float]
    sync: tuple[float, float]
    poll_delay: float
    fifo: bool
    loss: float
    duplication: float
    reordering: float
    aim: float
    pace: float
    rates: tuple[float, float]
    trailing: int
    wire: bool
    wal: bool
    weights: dict[str, float] = field(repr=False)

    @classmethod
    def draw(cls, rng: Random, theme: str | None = None) -> Mix:
        """Draw a mix; of this theme, if one is given."""
        theme = theme or rng.choice(sorted(THEMES))
        tiny = theme == "tiny"
        config = draw_config(rng, tiny=tiny, leases=theme == "readers")
        scale = rng.choice((0.005, 0.02, 0.05, 0.2))
        slow_disks = theme == "disks" or rng.random() < 0.2
        voters = 3 if tiny else rng.choice((1, 2, 3, 3, 3, 4, 5, 5))
        # Leases are sound within the drift that is allowed for; all else at any rate.
        bound = config.clock_drift_bound
        slowest, fastest = (1.0, 1.0 + bound) if config.lease_reads else (0.7, 1.4)
        weights = dict(WEIGHTS | THEMES[theme])
        for name in sorted(weights):  # Some things never happen in a run: it goes elsewhere.
            if name not in THEMES[theme] and rng.random() < 0.15:
                weights[name] = 0.0
        weights["restart"] = max(weights["restart"], 5.0)
        weights["resume"] = max(weights["resume"], 2.0)
        weights["heal"] = max(weights["heal"], 2.0)
        return cls(
            theme=theme,
            config=config,
            voters=voters,
            spares=rng.choice((0, 1, 2)) if theme != "members" else rng.choice((2, 3)),
            witness=voters >= 3 and rng.random() < 0.15,
            latency=(0.1 * scale, scale),
            sync=(0.0, rng.choice((0.3, 1.0)) if slow_disks else rng.choice((0.0, 0.01, 0.1))),
            poll_delay=rng.choice((0.0, 0.0, 0.05, 0.3)),
            fifo=rng.random() < 0.4,
            loss=rng.choice((0.0, 0.02, 0.05, 0.2)),
            duplication=rng.choice((0.0, 0.05, 0.2)),
            reordering=rng.choice((0.0, 0.05, 0.3)),
            aim=0.9 if theme in ("leaders", "readers") else rng.choice((0.2, 0.5)),
            pace=0.2 if theme == "leaders" else rng.choice((0.03, 0.1, 0.3)),
            rates=(slowest, fastest),
            trailing=rng.choice((0, 2, 100)),
            wire=rng.random() < 0.1,
            wal=rng.random() < 0.1,
            weights=weights,
        )


def draw_config(rng: Random, *, tiny: bool, leases: bool) -> Config:
    """Draw how servers behave; an election timeout is one second."""
    lease_reads = rng.random() < (0.7 if leases else 0.15)
    pre_vote = lease_reads or rng.random() < 0.6
    check_quorum = lease_reads or rng.random() < 0.6
    size = 40 if tiny else rng.choice((1, 40, 1 << 20))
    return Config(
        election_timeout=1.0,
        election_timeout_max=rng.choice((0.0, 1.2, 4.0)),
        heartbeat_interval=rng.choice((0.1, 0.3)),
        pre_vote=pre_vote,
        check_quorum=check_quorum,
        lease_reads=lease_reads,
        append_size_max=size,
        append_entries_max=1 if tiny else rng.choice((1, 5, 8192)),
        inflight_messages_max=rng.choice((1, 3, 256)),
        inflight_size_max=max(size, rng.choice((1, 100, 1 << 20))),
        uncommitted_size_max=rng.choice((60, 1 << 20)),
        committed_entries_max=rng.choice((1, 65536)),
        forwarding=rng.random() < 0.5,
        persists_max=rng.choice((1, 2, 64)),
        trailing_entries=rng.choice((0, 2, 1024)),
        snapshot_chunk_size=rng.choice((1, 7, 256 << 10)),
        snapshot_chunks_max=rng.choice((1, 4)),
        quiescence=rng.random() < 0.2,
    )
