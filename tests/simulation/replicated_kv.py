"""Raft, sessions and the key-value store in the simulator, with clients that check what they hear.

Owns the simulated clients and the faults. Each seed draws its own; a run ends when all is healed,
every client has its answers, and one store that does one thing at a time could have given them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import frozen

from examples.replicated.machine import Answered, ReplicatedStore
from examples.replicated.replica import Replica
from examples.replicated.wire import Answer, Done, Gone, Opened, Retry
from kvstore import testing
from kvstore.codec.codec import decode_result, encode_command
from kvstore.commands import Check, Command, Get, Put, Txn
from kvstore.results import GetOk, PutOk, Result, TxnOk
from kvstore.testing import CompareAndSet, Read, Recorder, Registers, Report, Write
from raft import Config
from raft.errors import RaftError
from raft.sessions import Register, Session, encode_request
from raft.testing import Birth, Cluster, Disk, WalDisk

CONFIG = Config(
    election_timeout=0.2,
    heartbeat_interval=0.03,
    snapshot_chunk_size=600,
    trailing_entries=5,
)
SERVERS = 3
CLIENTS = 5
KEYS = 3
COMPACT_EVERY = 25

#: Virtual seconds of faults, and within which a healed cluster has answered everybody.
TROUBLE = 30.0
HEALED = 30.0

#: Virtual seconds that a client waits for an answer before it asks again.
ATTEMPT = 0.4

Make = Callable[[Birth], ReplicatedStore]


def make_store(birth: Birth, kind: type[ReplicatedStore] = ReplicatedStore) -> ReplicatedStore:
    """Return one server of the composite."""
    return kind(
        birth.name,
        birth.config,
        rng=birth.rng,
        now=birth.now,
        stored=birth.stored,
        compact_every=COMPACT_EVERY,
    )


@frozen
class _Request:
    """What a client is about: sent again until it is answered."""

    method: str
    data: bytes
    operation: int


class SimulatedClient:
    """One client that does one thing after the other, and tells a recorder.

    Its session numbers commands; what it doesn't hear of in time it asks again, somewhere else.
    """

    def __init__(self, run: Run, number: int) -> None:
        self._run = run
        self.number = number
        self._rng = Random(run.rng.random())
        self._session: Session | None = None
        self._serial = 0
        self._count = 0
        self._seen: dict[str, str | None] = {}
        self._leader = "n1"
        self._key = ""
        self.request: _Request | None = None
        # Number of the attempt: an answer to an earlier one is as good, its time-out is not.
        self._attempt = 0

    def begin(self) -> None:
        """Begin the next thing, unless the run is over."""
        if self._run.is_over:
            self.request = None
            return
        if self._session is None:
            self.request = _Request("execute", encode_request(Register()), -1)
        else:
            self.request = self._draw(self._session)
        self._ask()

    def _draw(self, session: Session) -> _Request:
        rng, called = self._rng, self._run.recorder.called
        self._count += 1
        self._key = key = f"key-{rng.randrange(KEYS)}"
        value, old = f"{self.number}.{self._count}", self._seen.get(key)
        chance = rng.random()
        if chance < 0.4:
            return _Request("query", encode_command(Get(key)), called(self.number, Read(key)))
        command: Command = Put(key, value.encode())
        if chance < 0.6 or old is None:
            operation = called(self.number, Write(value, key))
        else:
            when = Check(key, target="value", operand=old.encode())
            command = Txn((when,), (Put(key, value.encode()),))
            operation = called(self.number, CompareAndSet(old, value, key))
        self._serial, data = session.command(encode_command(command))
        return _Request("execute", data, operation)

    def _ask(self) -> None:
        """Send the request, to whom it seems right."""
        request, run = self.request, self._run
        assert request is not None
        self._attempt += 1
        names = run.cluster.names
        reads = request.method == "query"
        target = self._rng.choice(names) if reads else self._leader
        run.ask(target, request, self)
        run.later(ATTEMPT, self._again, self._attempt)

    def _again(self, attempt: int) -> None:
        if attempt == self._attempt and self.request is not None:
            self._leader = self._rng.choice(self._run.cluster.names)
            self._run.repeated += 1
            self._ask()

    def hear(self, request: _Request, answer: Answer) -> None:
        """Take an answer, unless it is to something that is over."""
        if request is not self.request:
            return
        match answer:
            case Retry(_, leader):
                self._attempt += 1
                self._leader = leader or self._rng.choice(self._run.cluster.names)
                self._run.later(self._rng.uniform(0.01, 0.05), self._again, self._attempt)
                return
            case Opened(session):
                self._session = Session(session)
            case Done(result):
                self._finish(request, decode_result(result))
            case Gone():
                self._session = None  # whether it was executed is open for ever
            case other:
                raise AssertionError(f"{request} is answered {other}")
        self.request = None
        self._run.later(self._rng.expovariate(20), lambda _: self.begin(), 0)

    def _finish(self, request: _Request, result: Result) -> None:
        """Write down what was answered."""
        match result:
            case GetOk():
                entry = result.entry
                output: Any = None if entry is None else entry.value.decode()
                self._seen[self._key] = output
            case PutOk():
                output = None
            case TxnOk(branch, _):
                output = branch
            case other:
                raise AssertionError(f"{request} is answered {other}")
        if request.method == "execute" and self._session is not None:
            self._session.answered(self._serial)
        self._run.recorder.returned(request.operation, output)
        self._run.answered += 1


class Run:
    """One random run.

    Attributes:
        cluster: The servers.
        recorder: The history of all clients.
        answered: Operations that were answered.
        repeated: How often clients asked again.
        faults: What was done to the servers, for whoever has to find out.
    """

    def __init__(
        self,
        seed: int,
        *,
        make: Make = make_store,
        is_torn: bool | None = None,
        check: bool = True,
    ) -> None:
        self.rng = rng = Random(seed)
        self.recorder = Recorder()
        self.answered = self.repeated = 0
        self.is_over = False
        self.faults: list[str] = []
        torn = rng.random() < 0.4 if is_torn is None else is_torn
        self.cluster = Cluster(
            make,
            seed=rng.getrandbits(64),
            config=CONFIG,
            application=Replica,
            view=lambda machine: machine.raft,
            make_disk=(lambda rng: WalDisk(rng, 5)) if torn else (lambda _: Disk(5)),
            on_output=self._heard,
            poll_delay=rng.choice((0.0, 0.0, 0.005)),
            wire=True,
            trace=False,
            check=check,
        )
        # Who waits for what, by server, its life, and the number that the server gave it.
        self._waiting: dict[tuple[str, int, int], tuple[SimulatedClient, _Request]] = {}
        self._answers: dict[tuple[str, int, int], Answer] = {}

    def play(self) -> Report:
        """Run it, and return the verdict on the clients' history.

        Raises:
            raft.testing.InvariantBroken: Consensus itself went wrong.
            AssertionError: A healed cluster does not work, or its states differ.
        """
        cluster = self.cluster
        names = cluster.start(SERVERS)
        clients = [SimulatedClient(self, number) for number in range(CLIENTS)]
        for client in clients:
            client.begin()
        while cluster.now < TROUBLE:
            cluster.run(self.rng.expovariate(3))
            self._disturb(self.rng.choice(names))
        self._heal(names)
        self.is_over = True
        silent = cluster.run_until(lambda: all(each.request is None for each in clients), HEALED)
        assert silent, f"not everybody was answered within {HEALED} s"
        assert cluster.run_until(cluster.agreed, HEALED), "the servers don't agree"
        digests = {cluster.machines[name].machine.replica.digest for name in names}
        assert len(digests) == 1, "the states differ"
        return testing.check(Registers(), self.recorder.operations)

    # --- clients

    def ask(self, server: str, request: _Request, client: SimulatedClient) -> None:
        """Hand a request to a server, if it is there."""
        host = self.cluster.machines.get(server)
        if host is None:
            return
        number = self.cluster.call(server, request.method, request.data)
        if number is not None:
            self._waiting[server, host.life, number] = (client, request)

    def later(self, seconds: float, action: Callable[[int], None], argument: int) -> None:
        """Call `action(argument)` in virtual time."""
        self.cluster.at(self.cluster.now + seconds, lambda _, what, __: action(what), "", argument)

    def _heard(self, name: str, output: Any) -> None:
        """Let a client hear an answer, once the server is through with what it does."""
        if isinstance(output, Answered):
            key = (name, self.cluster.machines[name].life, output.request)
            lag = self.rng.uniform(0.0, 0.01)
            self.cluster.at(self.cluster.now + lag, self._deliver, name, key, output.answer)

    def _deliver(self, _: str, key: tuple[str, int, int], answer: Answer) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None and self.rng.random() > 0.05:  # some answers are lost
            client, request = waiting
            client.hear(request, answer)

    # --- faults

    def _disturb(self, name: str) -> None:
        """Do something to a server or to the network."""
        cluster, rng = self.cluster, self.rng
        leader = cluster.leader
        if leader is not None and rng.random() < 0.5:
            name = leader
        fault = rng.choice(
            ("crash", "crash", "restart", "partition", "heal", "pause", "weather", "transfer")
        )
        self.faults.append(f"{cluster.now:8.3f} {fault} {name}")
        others = [each for each in cluster.names if each != name]
        match fault:
            case "crash" if name in cluster.machines:
                if rng.random() < 0.5:
                    cluster.crash_after(name, rng.randint(1, 6))
                else:
                    cluster.crash(name)
            case "restart":
                for each in cluster.names:
                    if each not in cluster.machines:
                        cluster.restart(each)
            case "partition":
                if rng.random() < 0.5:
                    cluster.partition([name], others)
                else:
                    cluster.cut(*rng.sample(cluster.names, 2))
            case "pause" if name in cluster.machines:
                cluster.pause(name)
                cluster.run(rng.expovariate(2))
                if name in cluster.machines:
                    cluster.resume(name)
            case "weather":
                cluster.conditions(
                    loss=rng.choice((0.0, 0.02, 0.2)),
                    duplication=rng.choice((0.0, 0.1)),
                    reordering=rng.choice((0.0, 0.2)),
                )
            case "transfer" if leader is not None:
                try:
                    cluster.call(leader, "transfer", rng.choice(others))
                except RaftError:
                    return
            case _:
                cluster.heal()

    def _heal(self, names: list[str]) -> None:
        """End all faults."""
        cluster = self.cluster
        cluster.heal()
        cluster.conditions(loss=0.0, duplication=0.0, reordering=0.0)
        for name in names:
            if name not in cluster.machines:
                cluster.restart(name)
            else:
                cluster.machines[name].fuse = 0
