"""The rules of the contract that apply to a cell: it has neither time nor a queue.

Numbers are those of tests/contract.py, whose battery is about timers and outputs: a cell has
neither.
"""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vivaldi.conftest import at, client, listen
from vivaldi import Client, Config, Coordinate, SampleRejected

PROFILES = [Config(), Config.serf()]

SCRIPT = """
from random import Random
from vivaldi import Client, Config
from vivaldi.testing import Jittered, Simulation, internet
for config in (Config(), Config.serf()):
    model = Jittered(internet(20, Random(1)))
    simulation = Simulation(model, lambda i: Client(config, rng=Random(i)), rng=Random(2))
    simulation.run(50)
    print([c.vector + (c.error, c.adjustment, c.height) for c in simulation.coordinates])
"""


def test_c8_the_same_run_gives_the_same_bits_under_any_hash_seed() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }

    assert len(digests) == 1
    assert digests != {b""}


@pytest.mark.parametrize("config", PROFILES)
def test_c1_queries_change_nothing_and_draw_nothing(config: Config) -> None:
    rng = Random(1)
    node = Client(config, rng=rng)
    listen(node, at(0.05), 0.06, 5)
    before, state = node.export(), rng.getstate()

    node.distance_to(at(0.05))
    node.interval_to(at(0.05))
    node.check_invariants()
    assert (node.coordinate, node.peers_known) == (node.coordinate, 1)

    assert (node.export(), rng.getstate()) == (before, state)


@pytest.mark.parametrize("config", PROFILES)
def test_c14_a_refusal_draws_nothing(config: Config) -> None:
    # At the origin a sample would draw a direction.
    rng = Random(1)
    node = Client(config, rng=rng)
    state = rng.getstate()

    for other, rtt in ((Coordinate((0.0,) * 8), -1.0), (at(float("nan")), 0.1), (at(), 11.0)):
        with pytest.raises(SampleRejected):
            node.update("peer", other, rtt)

    assert rng.getstate() == state


@pytest.mark.parametrize("config", PROFILES, ids=["default", "serf"])
@given(log=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30))
def test_c14_a_refusal_leaves_no_trace(config: Config, log: list[tuple[int, bool]]) -> None:
    # Without the inputs that raised, everything is the same.
    def run(*, with_refusals: bool) -> Client:
        node = client(config)
        for i, bad in log:
            other = Coordinate((0.01 * i,) * 8, 0.3, 0.0, 0.001)
            if not bad:
                node.update(f"peer-{i}", other, 0.05)
            elif with_refusals:
                with pytest.raises(SampleRejected):
                    node.update(f"late-{i}", other, -1.0)
        return node

    one, other = run(with_refusals=True), run(with_refusals=False)
    assert (one.coordinate, one.working) == (other.coordinate, other.working)
    assert one.export() == other.export()


@pytest.mark.parametrize("config", PROFILES)
def test_c14_arguments_of_another_type_raise_before_anything_changed(config: Config) -> None:
    node = client(config, at=at(0.01))
    before = node.export()

    with pytest.raises(TypeError):
        node.update("peer", at(0.05), "0.1")  # type: ignore[arg-type]  # the misuse at hand
    with pytest.raises(TypeError):
        node.update(["peer"], at(0.05), 0.1)  # type: ignore[arg-type]  # the misuse at hand
    with pytest.raises(AttributeError):
        node.update("peer", None, 0.1)  # type: ignore[arg-type]  # the misuse at hand

    assert (node.export(), node.coordinate) == (before, at(0.01))
