"""Many groups in one process: heartbeats share frames, and sleeping groups cost nothing."""

from __future__ import annotations

from random import Random

import pytest

from examples.replicated.many_groups import Groups
from raft import Config, Configuration, EntriesCommitted, Output, Persist, Raft, Role
from raft.codec import DecodeError, decode_batch

SERVERS = ("n1", "n2", "n3")
COUNT = 60
CONFIG = Config(quiescence=True)


class Machines:
    """Three servers with the same groups, frames between them, and a disk that is always fast."""

    def __init__(self, count: int = COUNT, grain: float = 0.025) -> None:
        self.now = 0.0
        self.frames = self.messages = self.wakes = 0
        self.committed: dict[str, list[bytes]] = {}
        self.names = [f"group-{number}" for number in range(count)]
        self.dead: set[str] = set()
        self.servers = {name: Groups(self._taker(name), grain=grain) for name in SERVERS}
        for name, groups in self.servers.items():
            for group in self.names:
                rng = Random(f"{name} {group}")
                machine = Raft(name, CONFIG, rng=rng, now=0.0)
                machine.bootstrap(Configuration(voters=SERVERS), 0.0)
                groups.add(group, machine)
        self.settle()

    def _taker(self, server: str):  # type: ignore[no-untyped-def]  # a closure for `Groups`
        def take(group: str, output: Output) -> None:
            match output:
                case Persist(seq=seq):
                    self.servers[server].machine(group).persisted(seq, self.now)
                case EntriesCommitted() if server == "n1":
                    payloads = [payload for _, payload in output.commands()]
                    self.committed.setdefault(group, []).extend(payloads)
                case _:
                    pass

        return take

    def settle(self) -> None:
        """Carry frames until nobody has any."""
        while sum(self._carry(name) for name in SERVERS if name not in self.dead):
            pass

    def _carry(self, name: str) -> bool:
        frames = self.servers[name].frames()
        for to, data in frames.items():
            self.frames += 1
            self.messages += len(decode_batch(data))
            if to not in self.dead:
                self.servers[to].receive(data, self.now)
        return bool(frames)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            alive = {name: self.servers[name] for name in SERVERS if name not in self.dead}
            due = [at for each in alive.values() if (at := each.next_timeout()) is not None]
            if not due or min(due) > end:
                self.now = end
                return
            self.now = max(self.now, min(due))
            for groups in alive.values():
                if (at := groups.next_timeout()) is not None and at <= self.now:
                    self.wakes += 1
                    groups.handle_timeout(self.now)
            self.settle()

    def leaders(self) -> dict[str, str]:
        """Return who leads each group, as far as the living say."""
        return {
            group: name
            for name in SERVERS
            if name not in self.dead
            for group in self.names
            if self.servers[name].machine(group).role is Role.LEADER
        }

    def sleep(self) -> None:
        for group, leader in self.leaders().items():
            assert self.servers[leader].machine(group).quiesce(self.now)
        self.settle()


@pytest.fixture
def led() -> Machines:
    """Return servers whose groups all have leaders, on all three."""
    machines = Machines()
    machines.run(5.0)
    assert set(machines.leaders().values()) == set(SERVERS)
    assert len(machines.leaders()) == COUNT
    return machines


def test_heartbeats_of_all_groups_share_frames(led: Machines) -> None:
    led.frames = led.messages = 0
    intervals = 20

    led.run(intervals * CONFIG.heartbeat_interval)

    # Each group's leader says something to two others in each interval, and is answered.
    assert led.messages >= 0.8 * intervals * COUNT * 4
    # At most one frame and one answer between two servers at each point of the grid.
    points = CONFIG.heartbeat_interval / 0.025 + 1
    assert led.frames <= intervals * points * len(SERVERS) * 2 * 2
    assert led.messages / led.frames > 5


def test_a_coarser_grid_makes_fewer_frames() -> None:
    fine, coarse = Machines(grain=0.001), Machines(grain=0.1)
    for machines in (fine, coarse):
        machines.run(5.0)
        machines.frames = 0
        machines.run(2.0)

    assert coarse.frames * 3 < fine.frames


def test_sleeping_groups_cost_nothing(led: Machines) -> None:
    led.sleep()
    led.frames = led.wakes = 0

    led.run(1000.0)

    assert (led.frames, led.wakes) == (0, 0)
    assert [each.next_timeout() for each in led.servers.values()] == [None] * 3


def test_one_group_wakes_for_a_proposal_and_the_others_sleep_on(led: Machines) -> None:
    led.sleep()
    group = led.names[7]
    leader = led.leaders()[group]
    led.messages = 0

    led.servers[leader].machine(group).propose(b"awake", led.now)
    led.settle()
    led.run(1.0)

    assert led.committed[group] == [b"awake"]
    assert led.messages <= 60


def test_groups_of_a_dead_server_wake_and_elect_another(led: Machines) -> None:
    led.sleep()
    led.dead.add("n1")
    for name in ("n2", "n3"):
        led.servers[name].unreachable("n1", led.now)
    led.settle()

    led.run(10.0)

    assert len(led.leaders()) == COUNT
    assert set(led.leaders().values()) == {"n2", "n3"}


def test_messages_for_unknown_groups_are_passed_over(led: Machines) -> None:
    groups = Groups(lambda _, __: None)
    led.now += CONFIG.heartbeat_interval
    led.servers["n1"].handle_timeout(led.now)
    heartbeats = led.servers["n1"].frames()["n2"]

    groups.receive(heartbeats, led.now)

    assert decode_batch(heartbeats)
    assert groups.frames() == {}


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(DecodeError):
        Groups(lambda _, __: None).receive(b"nonsense", 0.0)
