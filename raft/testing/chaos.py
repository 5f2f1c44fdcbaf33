"""Random runs: draw a mix, disturb and use a cluster for some steps, then heal it and look.

Owns what is done, and when a healed cluster has to work again. A run is the same for the same
seed; one that fails can be told as a list of what was done.

>>> run = Chaos(1, steps=500)
>>> run.play()
>>> run.cluster.steps >= 500
True
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Any

from attrs import evolve

from raft.config import Config
from raft.errors import RaftError
from raft.membership.changes import (
    AddLearner,
    AddVoter,
    Change,
    DemoteVoter,
    PromoteLearner,
    RemoveMember,
    SingleChange,
    Transition,
)
from raft.outputs import ForwardFinished
from raft.testing.cluster import Cluster, make_raft
from raft.testing.describe import describe
from raft.testing.disk import Disk
from raft.testing.host import Birth
from raft.testing.invariants import InvariantBroken
from raft.testing.mixes import Mix, draw_config
from raft.testing.wal_disk import WalDisk

#: Election timeouts (upper ends) within which a healed cluster has one leader and one log, once
#: for each message that somebody has to catch up with a round trip and a sync have passed.
LIVENESS_TIMEOUTS = 20
#: Seconds that those take at most in a healed cluster.
ROUND_TRIP = 0.05
#: What a server may be told to do otherwise while it runs.
RELOADED = (
    "heartbeat_interval",
    "append_size_max",
    "append_entries_max",
    "inflight_messages_max",
    "inflight_size_max",
    "uncommitted_size_max",
    "committed_entries_max",
    "trailing_entries",
    "snapshot_chunk_size",
    "snapshot_chunks_max",
)
#: Lines of a failing run that are told.
TOLD = 60


class Chaos:
    """One random run.

    Attributes:
        seed: Decides everything.
        mix: What the seed has drawn.
        cluster: What it is done to.
        told: What was done, and what came of it; events only if `tell`.
    """

    def __init__(
        self,
        seed: int,
        *,
        steps: int = 2500,
        theme: str | None = None,
        make: Callable[[Birth], Any] = make_raft,
        tell: bool = False,
    ) -> None:
        """Draw everything.

        Args:
            seed: Decides it.
            steps: Inputs of machines after which faults end.
            theme: A theme of `raft.testing.mixes.THEMES`; any if None.
            make: Makes one server's machine.
            tell: Whether to keep events.
        """
        self.seed = seed
        self.steps = steps
        self._rng = rng = Random(seed)
        self.mix = mix = Mix.draw(rng, theme)
        self.told: deque[str] = deque(maxlen=TOLD)
        self.cluster = Cluster(
            make,
            seed=rng.getrandbits(64),
            config=mix.config,
            latency=mix.latency,
            sync=mix.sync,
            poll_delay=mix.poll_delay,
            fifo=mix.fifo,
            trace=False,
            wire=mix.wire,
            make_disk=lambda rng: WalDisk(rng, mix.trailing) if mix.wal else Disk(mix.trailing),
            on_output=self._saw if tell else self._watch,
        )
        self._verbs = [name for name, weight in mix.weights.items() if weight > 0]
        self._weights = list(accumulate(mix.weights[name] for name in self._verbs))
        self._proposed = 0
        self._forwards: set[tuple[str, int, int]] = set()
        self._reloaded: set[str] = set()

    def play(self) -> None:
        """Run it.

        Raises:
            InvariantBroken: Something happened that never may, or the healed cluster is stuck.
        """
        self._start()
        cluster, rng, pace = self.cluster, self._rng, 1 / self.mix.pace
        while cluster.steps < self.steps:
            cluster.run(rng.expovariate(pace))
            verb = rng.choices(self._verbs, cum_weights=self._weights)[0]
            self._do(verb)
        self._heal_all()
        self._check_liveness()

    def scenario(self) -> str:
        """Return the mix, and what was done and what happened last, as text."""
        return "\n".join((f"seed {self.seed}: {self.mix}", *self.told))

    # --- the beginning

    def _start(self) -> None:
        mix, rng, cluster = self.mix, self._rng, self.cluster
        cluster.conditions(loss=mix.loss, duplication=mix.duplication, reordering=mix.reordering)
        names = [f"n{number}" for number in range(1, mix.voters + mix.spares + 1)]
        for name in names:
            own = evolve(mix.config, priority=rng.choice((0, 0, 0, 1)))
            cluster.add(name, config=own, origin=rng.choice((0.0, 1000.0 * rng.random())))
            cluster.set_clock(name, rng.uniform(*mix.rates))
        voters = names[: mix.voters]
        witnesses = voters[-1:] if mix.witness else []
        cluster.found(voters, witnesses=witnesses)
        # A founder that crashes before that is durable is a server of no cluster.
        cluster.run_until(lambda: all(cluster.disks[each].last_index for each in voters), 10.0)

    # --- what is done

    def _do(self, verb: str) -> None:
        """Do one thing, if it can be done now; refusals are answers too."""
        try:
            done = getattr(self, f"_{verb}")()
        except RaftError as refusal:
            done = f"refused: {refusal}"
        if done is not None:
            self._tell(f"{verb} {done}")

    def _tell(self, line: str) -> None:
        self.told.append(f"{self.cluster.now:10.4f} {line}")

    def _saw(self, name: str, output: Any) -> None:
        self._tell(f"    {name}: {describe(output)}")
        self._watch(name, output)

    def _watch(self, name: str, output: Any) -> None:
        if type(output) is ForwardFinished:
            life = self.cluster.machines[name].life
            self._forwards.discard((name, life, output.request))

    def _any(self) -> str | None:
        """Return a server that runs and is not paused."""
        names = [name for name in self.cluster.machines if not self.cluster.is_paused(name)]
        return self._rng.choice(names) if names else None

    def _victim(self) -> str | None:
        """Return a server that runs: the leader as often as the mix wants."""
        cluster = self.cluster
        if self._rng.random() < self.mix.aim and cluster.leader is not None:
            return cluster.leader
        return self._rng.choice(list(cluster.machines)) if cluster.machines else None

    def _propose(self) -> str | None:
        name = self._any()
        if name is None:
            return None
        rng, cluster = self._rng, self.cluster
        count = rng.choice((1, 1, 1, 2, 5, 20))
        payloads = []
        for _ in range(count):
            self._proposed += 1
            payloads.append(b"%d" % self._proposed + b"." * rng.choice((0, 0, 10, 50)))
        leader = cluster.leader
        if leader is not None and not cluster.is_paused(leader) and rng.random() < 0.7:
            name = leader
        if self.mix.config.forwarding and rng.random() < 0.5:
            number = cluster.call(name, "forward", payloads)
            if name in cluster.machines:
                self._forwards.add((name, cluster.machines[name].life, number))
            return f"{count} forwarded by {name}"
        return f"{count} at {name}: {cluster.propose(*payloads, at=name)}"

    def _read(self) -> str | None:
        name = self._any()
        if name is None:
            return None
        lease = self.mix.config.lease_reads and self._rng.random() < 0.7
        leaders = [
            each
            for each in self.cluster.machines
            if self.cluster.machine(each).leader == each and not self.cluster.is_paused(each)
        ]
        if leaders and self._rng.random() < 0.5:  # Those of earlier terms too: they must not lie.
            name = self._rng.choice(leaders)
        return f"{self.cluster.read(name, lease=lease)} at {name}"

    def _crash(self) -> str | None:
        name = self._victim()
        if name is not None:
            self.cluster.crash(name)
        return name

    def _crash_at_seam(self) -> str | None:
        name = self._victim()
        if name is None:
            return None
        outputs = self._rng.randint(1, 8)
        self.cluster.crash_after(name, outputs)
        return f"{name} after {outputs} outputs"

    def _restart(self) -> str | None:
        down = [name for name in self.cluster.names if name not in self.cluster.machines]
        if not down:
            return None
        name = self._rng.choice(down)
        self.cluster.restart(name)
        return name

    def _partition(self) -> str | None:
        cluster, rng = self.cluster, self._rng
        names = cluster.names
        rng.shuffle(names)
        side = names[: rng.randint(1, len(names))]
        leader = cluster.leader
        if leader is not None and rng.random() < self.mix.aim:
            configuration = cluster.machine(leader).configuration
            if configuration.is_joint and rng.random() < 0.7:
                side = list(rng.choice((configuration.voters, configuration.voters_outgoing)))
            else:
                side = [leader, *side[: rng.choice((0, 0, 1))]]
        cluster.partition(side)
        return f"{' '.join(sorted(side))} from the rest"

    def _cut(self) -> str | None:
        name, names = self._victim(), self.cluster.names
        if name is None:
            return None
        pair = [name, self._rng.choice(names)]
        self._rng.shuffle(pair)
        self.cluster.cut(*pair)
        return f"{pair[0]} to {pair[1]}"

    def _heal(self) -> str:
        self.cluster.heal()
        return "all links"

    def _slow(self) -> str | None:
        name = self._victim()
        if name is not None:
            self.cluster.slow(name, self._rng.choice((0.0, 0.1, 0.5)))
        return name

    def _pause(self) -> str | None:
        name = self._victim()
        if name is not None:
            self.cluster.pause(name, timers=self._rng.random() < 0.3)
        return name

    def _resume(self) -> str | None:
        paused = [name for name in self.cluster.names if self.cluster.is_paused(name)]
        if not paused:
            return None
        name = self._rng.choice(paused)
        self.cluster.resume(name)
        return name

    def _campaign(self) -> str | None:
        return self._order(self._any(), "campaign")

    def _step_down(self) -> str | None:
        return self._order(self._awake_leader(), "step_down")

    def _forget_leader(self) -> str | None:
        return self._order(self._any(), "forget_leader")

    def _quiesce(self) -> str | None:
        return self._order(self._awake_leader(), "quiesce")

    def _reload(self) -> str | None:
        """Have a server go on with limits of another draw; in its next life it has the old ones."""
        name = self._any()
        if name is not None:
            self._load(name, draw_config(self._rng, tiny=False, leases=False))
            self._reloaded.add(name)
        return name

    def _load(self, name: str, config: Config) -> None:
        """Have a server go on with the limits of a configuration."""
        limits = {field: getattr(config, field) for field in RELOADED}
        self.cluster.call(name, "reload", evolve(self.cluster.machine(name).config, **limits))

    def _transfer(self) -> str | None:
        to = self._rng.choice(self.cluster.names)
        name = self._any() if self._rng.random() < 0.2 else self._awake_leader()
        return self._order(name, "transfer", to)

    def _unreachable(self) -> str | None:
        return self._order(self._any(), "unreachable", self._rng.choice(self.cluster.names))

    def _snapshot_failed(self) -> str | None:
        to = self._rng.choice(self.cluster.names)
        return self._order(self._awake_leader(), "snapshot_failed", to)

    def _order(self, name: str | None, method: str, *args: Any) -> str | None:
        if name is None:
            return None
        self.cluster.call(name, method, *args)
        return " ".join((name, *args))

    def _awake_leader(self) -> str | None:
        leader = self.cluster.leader
        return None if leader is None or self.cluster.is_paused(leader) else leader

    def _change(self) -> str | None:
        name = self._awake_leader()
        if name is None:
            return None
        change = self._draw_change(name)
        self.cluster.call(name, "change", change)
        return f"{change} at {name}"

    def _draw_change(self, leader: str) -> Change:
        """Draw a change that leaves enough voters to go on with."""
        rng, names = self._rng, self.cluster.names
        configuration = self.cluster.machine(leader).configuration
        if configuration.is_joint:
            return Change.leave_joint()
        singles: list[SingleChange] = []
        voters = [each for each in configuration.voters if each not in configuration.witnesses]
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choice(names)
            if name in configuration.witnesses:
                continue
            if name in voters:
                if len(voters) > 2:
                    voters.remove(name)
                    singles.append(rng.choice((RemoveMember, DemoteVoter, AddLearner))(name))
            elif name in configuration.learners and rng.random() < 0.5:
                singles.append(PromoteLearner(name))
            else:
                singles.append(rng.choice((AddVoter, AddVoter, AddLearner))(name))
        transition = rng.choice((Transition.AUTO, Transition.AUTO, *Transition))
        return Change(singles or [AddVoter(leader)], transition)

    def _compact(self) -> str | None:
        name = self._any()
        return None if name is None else f"{name} at {self.cluster.compact(name)}"

    def _checkpoint(self) -> str | None:
        name = self._any()
        if name is not None:
            self.cluster.checkpoint(name)
        return name

    def _clock(self) -> str | None:
        name = self._victim()
        if name is None:
            return None
        rate = self._rng.uniform(*self.mix.rates)
        self.cluster.set_clock(name, rate)
        return f"{name} at {rate:.4f}"

    def _disk(self) -> str | None:
        name = self._victim()
        if name is not None:
            slow = self._rng.choice((None, (0.5, 2.0), (0.0, 0.0)))
            self.cluster.set_sync(name, slow)
        return name

    # --- the end

    def _heal_all(self) -> None:
        """End all faults; but servers beyond a quorum may stay down."""
        cluster = self.cluster
        self._tell("heal everything")
        cluster.heal()
        cluster.fifo = True
        cluster.conditions(latency=(0.001, 0.01), loss=0.0, duplication=0.0, reordering=0.0)
        cluster.poll_delay, cluster.sync = 0.0, (0.0, 0.01)
        down = {*self._removed(), *self._dead()}
        for name in down & cluster.machines.keys():
            cluster.crash(name)
        for name in cluster.names:
            cluster.slow(name, 0.0)
            cluster.set_sync(name, None)
            if name in cluster.machines:
                cluster.machines[name].fuse = 0
            elif name not in down:
                cluster.restart(name)
            if cluster.is_paused(name):
                cluster.resume(name)
            cluster.set_clock(name, 1.0)

    def _removed(self) -> list[str]:
        """Return who has to be shut down because the cluster has removed it.

        Servers that were removed and did not hear of it campaign for ever; those that do not
        watch their leader's quorum believe them (dissertation 4.2.3).
        """
        if self.mix.config.check_quorum:
            return []
        assert self.cluster.invariants is not None
        configurations = self.cluster.invariants.configurations()
        members = {name for each in configurations for name in each.members}
        return [name for name in self.cluster.names if name not in members]

    def _dead(self) -> set[str]:
        """Return who of those that are down never comes back: a quorum and a leader must."""
        dead: set[str] = set()
        if self._rng.random() < 0.5:
            for name in self.cluster.names:
                if name not in self.cluster.machines and self._can_spare({*dead, name}):
                    dead.add(name)
        return dead

    def _can_spare(self, names: set[str]) -> bool:
        """Return whether every configuration that may be in force has a quorum without these."""
        invariants = self.cluster.invariants
        assert invariants is not None
        for configuration in invariants.configurations() + invariants.in_force():
            for half in (configuration.voters, configuration.voters_outgoing):
                rest = [each for each in half if each not in names]
                # A witness can have more than any voter that is left, and lets none lead then.
                if half and (2 * len(rest) <= len(half) or configuration.witnesses):
                    return False
        return True

    def _check_liveness(self) -> None:
        """Check that the healed cluster works, and everything that was asked has its outcome."""
        cluster, config = self.cluster, self.mix.config
        timeout = config.election_timeout_limit
        for name in cluster.machines:  # As a driver that saw connections break and come would.
            cluster.call(name, "wake")
            if name in self._reloaded:
                self._load(name, config)
        limit = LIVENESS_TIMEOUTS * timeout + ROUND_TRIP * self._missing()
        if not cluster.run_until(self._is_settled, limit, every=0.2):
            raise InvariantBroken("liveness", f"no agreement: {self._standing()}")
        proposed = cluster.propose(b"last")[0]
        for name in cluster.machines:
            cluster.read(name)
        before = cluster.messages
        patience = max(config.read_limit, config.forward_limit, 3 * timeout)
        cluster.run(patience)
        if not cluster.committed(proposed) or not cluster.agreed():
            raise InvariantBroken("liveness", f"a proposal is stuck: {self._standing()}")
        if stuck := self._without_outcome():
            raise InvariantBroken("liveness", f"no outcome: {stuck}")
        pairs = len(cluster.machines) ** 2
        most = pairs * (20 + 4 * patience / config.heartbeat_interval)
        if cluster.messages - before > most:
            raise InvariantBroken("liveness", f"{cluster.messages - before} messages when idle")

    def _is_settled(self) -> bool:
        """Return whether all agree, and their leader takes proposals."""
        cluster = self.cluster
        return cluster.agreed() and all(
            cluster.machine(name).status().transferee is None for name in cluster.machines
        )

    def _missing(self) -> int:
        """Return how many messages somebody has to be sent, one by one, to catch up."""
        indexes = [self.cluster.machine(name).last_index for name in self.cluster.machines]
        chunks = 512 // self.mix.config.snapshot_chunk_size  # A journal's snapshot is no larger.
        return int(max(indexes) - min(indexes) + chunks)

    def _without_outcome(self) -> list[str]:
        """Return the reads and forwarded proposals of present lives that wait for ever."""
        cluster = self.cluster
        assert cluster.invariants is not None
        lives = {(name, host.life) for name, host in cluster.machines.items()}
        forwards = [each for each in sorted(self._forwards) if each[:2] in lives]
        return [str(each) for each in (*forwards, *cluster.invariants.open_reads(cluster.machines))]

    def _standing(self) -> str:
        """Return how each server stands."""
        lines = []
        for name in self.cluster.machines:
            machine = self.cluster.machine(name)
            lines.append(
                f"{name} {machine.role.value} of {machine.leader} in term {machine.term},"
                f" log {machine.last_index}, commit {machine.commit_index}, {machine.configuration}"
            )
        return "; ".join(lines)
