"""Seeds of chaos against Raft. `--seeds N` runs more, `--seed S` one; the command runs millions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from raft import Raft
from raft.testing import Birth, Chaos, InvariantBroken
from raft.testing.mixes import THEMES
from tests.simulation.raft_chaos import explain, main, play, repeating

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("theme", sorted(THEMES))
def test_whatever_happens_raft_is_safe_and_lives_on(theme: str, seed: int) -> None:
    play(seed, theme=theme)


def test_runs_have_many_leaders_and_many_commits() -> None:
    found = [play(number, theme="leaders").cluster.invariants for number in range(6)]

    assert sum(len(each.leaders) for each in found if each is not None) >= 6 * 4
    assert sum(each.commit for each in found if each is not None) >= 6 * 10


def chaos_digest() -> str:
    """Return the fingerprint of a run of every theme, with its last outputs."""
    digest = sha256()
    for number, theme in enumerate(sorted(THEMES)):
        run = Chaos(number, theme=theme, steps=600, tell=True)
        run.play()
        digest.update(f"{run.cluster.digest()} {run.scenario()}".encode())
    return digest.hexdigest()


def test_chaos_is_the_same_chaos_under_any_hash_seed() -> None:
    code = "from tests.simulation.test_raft_chaos import chaos_digest; print(chaos_digest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("0", "1")
    }

    assert digests == {chaos_digest()}


class Forgetful(Raft):
    """A server that forgets, in each crash, what it voted."""

    def __init__(self, birth: Birth) -> None:
        stored = birth.stored
        stored.hard_state.voted_for = None
        super().__init__(birth.name, birth.config, rng=birth.rng, now=birth.now, stored=stored)


def test_a_server_that_forgets_its_vote_is_found() -> None:
    with pytest.raises(InvariantBroken) as broken:
        play_many(200, make=Forgetful)

    assert broken.value.rule in ("one-vote", "election-safety")


def play_many(number: int, *, make: Callable[[Birth], Any]) -> None:
    """Run some seeds in a small world."""
    for seed in range(number):
        play(seed, theme="tiny", make=make)


def test_the_command_runs_as_many_seeds_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--steps-per-seed", "100"]) == 0
    assert capsys.readouterr().out.startswith("2 seeds, ")
    assert main(["--steps", "150", "--steps-per-seed", "100"]) == 0
    assert main(["--seed", "1", "--steps-per-seed", "100"]) == 0
    assert "nothing was wrong" in capsys.readouterr().out


def test_a_failing_seed_is_told_and_can_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "200", "--theme", "tiny"], make=Forgetful) == 1

    told = capsys.readouterr().out
    assert "theme='tiny'" in told
    failed = int(told.split("--seed ")[1].split()[0])
    assert f"repeat: {repeating(failed, theme='tiny')}" in told
    failure = explain(failed, theme="tiny", make=Forgetful)
    assert failure is not None
    assert failure.why in told
    assert main(["--seed", str(failed), "--theme", "tiny"], make=Forgetful) == 1
    assert capsys.readouterr().out.strip() == f"{failure.scenario}\n{failure.why}"
