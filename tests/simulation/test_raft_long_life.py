"""A cluster that lives long: nothing in it grows with its age."""

from __future__ import annotations

import pickle
from contextlib import suppress
from random import Random

import pytest

from raft import Config, Raft
from raft.errors import RaftError
from raft.sessions import Execute, Session, SessionFull, Sessions, encode_request
from raft.sessions import Register as Registration
from raft.testing import Cluster

pytestmark = pytest.mark.simulation

NAMES = ("n1", "n2", "n3")
SLICE = 200.0


class Life:
    """Three servers under a light load; unless calm, with crashes, transfers and losses."""

    def __init__(self, seed: int, *, calm: bool) -> None:
        self._calm = calm
        self._rng = Random(seed)
        self.cluster = Cluster(seed=seed, config=Config(trailing_entries=20))
        self.cluster.start(3)
        self.cluster.elect()
        self._down: str | None = None

    def machines(self) -> list[Raft]:
        """Return the servers that are up."""
        return [self.cluster.machine(name) for name in NAMES if name != self._down]

    def live(self, seconds: float) -> None:
        """Let time pass."""
        cluster, rng = self.cluster, self._rng
        end = cluster.now + seconds
        while cluster.now < end:
            cluster.run(rng.uniform(0.5, 5.0))
            if self._down is not None and rng.random() < 0.5:
                cluster.restart(self._down)
                self._down = None
            with suppress(RaftError):
                self._act(rng.uniform(0.09 * self._calm, 1.0))
            for machine in self.machines():
                if machine.last_index - machine.first_index > 100:
                    with suppress(RaftError):
                        cluster.compact(machine.id)

    def _act(self, chance: float) -> None:
        """Do what is done now and then."""
        cluster, rng = self.cluster, self._rng
        if chance < 0.03 and self._down is None:
            self._down = rng.choice(NAMES)
            cluster.crash(self._down)
        elif chance < 0.06:
            cluster.conditions(loss=rng.choice((0.0, 0.0, 0.1)))
        elif cluster.leader is None:
            return
        elif chance < 0.09:
            cluster.call(cluster.leader, "transfer", rng.choice(NAMES))
        elif chance < 0.4:
            cluster.call(rng.choice(self.machines()).id, "read")
        else:
            cluster.propose(*[b"%d" % number for number in range(rng.randint(1, 9))])

    def settle(self) -> None:
        """Let all servers be up, and fall silent but for heartbeats."""
        cluster = self.cluster
        cluster.conditions(loss=0.0)
        if self._down is not None:
            cluster.restart(self._down)
            self._down = None
        cluster.run(20.0)
        for name in NAMES:
            with suppress(RaftError):
                cluster.compact(name)
        cluster.run(20.0)


@pytest.mark.parametrize("calm", [True, False])
def test_a_server_takes_no_more_room_the_longer_it_lives(seed: int, calm: bool) -> None:
    life = Life(seed, calm=calm)
    sizes = []
    for _ in range(4):
        life.live(SLICE)
        life.settle()
        sizes.append(max(len(pickle.dumps(machine)) for machine in life.machines()))

    machines = life.machines()
    assert max(machine.last_index for machine in machines) > 500
    assert max(machine.last_index - machine.first_index for machine in machines) <= 100
    assert sizes[-1] < 1.1 * sizes[0], sizes
    assert max(machine.term for machine in machines) < 200


def test_sessions_take_no_more_room_the_longer_clients_come_and_go(seed: int) -> None:
    rng = Random(seed)
    sessions = Sessions(sessions_max=50, outstanding_max=8, retained_bytes_max=100_000)
    clients: list[Session] = []
    sizes = []
    for index in range(1, 40_001):
        if len(clients) < 10 or rng.random() < 0.05:
            sessions.apply(index, encode_request(Registration()))
            clients.append(Session(index, outstanding_max=8))
            continue
        client = rng.choice(clients[-60:])
        with suppress(SessionFull):
            serial, data = client.command(b"x")
            if isinstance(sessions.apply(index, data), Execute):
                sessions.executed(rng.randbytes(rng.randint(0, 100)))
            if rng.random() < 0.8:
                client.answered(serial)
        if index % 10_000 == 0:
            sizes.append(len(sessions.export()))

    assert len(sessions) <= 50
    assert max(sizes) < 50 * (24 + 8 * (100 + 12)) + 200
