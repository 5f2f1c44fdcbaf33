"""Raft and kvstore together under faults: what clients are told is linearizable.

`--seeds N` runs more, `--seed S` repeats one. Planted bugs show that the check can fail.
"""

from __future__ import annotations

import pytest

from examples.replicated.machine import ReplicatedOutput, ReplicatedStore
from examples.replicated.replica import Replica
from examples.replicated.wire import Answer
from kvstore.testing import Verdict
from raft import Persist
from raft.testing import Birth, InvariantBroken
from tests.simulation.replicated_kv import COMPACT_EVERY, Make, Run, make_store

pytestmark = pytest.mark.simulation

#: Seeds within which a planted bug has to be found.
SEEDS = 12


@pytest.mark.parametrize("is_torn", [False, True], ids=["records", "torn bytes"])
def test_clients_of_a_troubled_cluster_see_one_store(seed: int, is_torn: bool) -> None:
    run = Run(seed, is_torn=is_torn)

    report = run.play()

    assert report.verdict is Verdict.LEGAL, "\n".join(run.faults)
    assert run.answered > 100
    assert run.repeated > 10


def test_a_run_compacts_and_changes_its_leader() -> None:
    run = Run(1)
    run.play()

    invariants = run.cluster.invariants
    assert invariants is not None
    assert len(invariants.leaders) >= 3
    for host in run.cluster.machines.values():
        assert host.machine.raft.snapshot.index >= COMPACT_EVERY


def test_the_same_seed_is_the_same_run() -> None:
    first, second = Run(7), Run(7)
    first.play()
    second.play()

    assert first.faults == second.faults
    assert first.recorder.operations == second.recorder.operations


# --- planted bugs: each must be found, or the check checks nothing


def verdicts(make: Make) -> set[Verdict]:
    """Return what is found with some seeds, until one run is illegal."""
    found = set()
    for seed in range(SEEDS):
        found.add(Run(seed, make=make, check=False).play().verdict)
        if Verdict.ILLEGAL in found:
            break
    return found


class AskingNobody(ReplicatedStore):
    """Answers reads from its own state at once."""

    def query(self, command: bytes, now: float) -> int:
        number = self._number()
        self._answer(number, self.replica.query(command))
        self._look_after(now)
        return number


class Forgetful(Replica):
    """Does not keep what it answered: a command that stands in the log twice is executed twice."""

    def apply(self, index: int, payload: bytes) -> Answer | None:
        for record in self.sessions._records.values():
            record.responses.clear()
        self.sessions._retained_bytes = 0
        return super().apply(index, payload)


def make_asking_nobody(birth: Birth) -> ReplicatedStore:
    return make_store(birth, AskingNobody)


def make_forgetful(birth: Birth) -> ReplicatedStore:
    machine = make_store(birth)
    machine.replica = Forgetful()
    if birth.stored.snapshot is not None:
        machine.replica.restore(bytes(birth.stored.snapshot.data))
    return machine


@pytest.mark.parametrize("make", [make_asking_nobody, make_forgetful])
def test_a_store_with_a_bug_is_found_out(make: Make) -> None:
    assert Verdict.ILLEGAL in verdicts(make)


class Hasty(ReplicatedStore):
    """Says that everything is durable at once."""

    def poll(self) -> ReplicatedOutput | None:
        output = super().poll()
        if isinstance(output, Persist):
            self.raft.persisted(output.seq, 0.0)
        return output


def play_hastily() -> None:
    for seed in range(SEEDS):
        Run(seed, make=lambda birth: make_store(birth, Hasty)).play()


def test_a_driver_that_does_not_wait_for_its_disk_is_found_out() -> None:
    with pytest.raises(InvariantBroken):
        play_hastily()
