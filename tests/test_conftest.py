"""The options that every test shares do what they say; each is tried on a suite of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REQUIRE_PEERS, SEEDS_DEFAULT

pytest_plugins = ["pytester"]

SEEDED = """
    def test_seeded(seed):
        assert seed != 2
"""

PEERLESS = """
    import pytest

    @pytest.mark.interop
    def test_with_a_peer():
        pytest.skip("no agent here")

    def test_without_peers():
        pytest.skip("not on this system")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return an empty suite that has our conftest."""
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers =\n    interop: drives a real peer process")
    monkeypatch.delenv(REQUIRE_PEERS, raising=False)
    return pytester


def test_a_seeded_test_runs_once_for_each_seed(suite: pytest.Pytester) -> None:
    suite.makepyfile(SEEDED)

    suite.runpytest_subprocess("--seeds", "2").assert_outcomes(passed=2)
    suite.runpytest_subprocess().assert_outcomes(passed=SEEDS_DEFAULT - 1, failed=1)


def test_a_failed_seed_is_printed_with_the_command_that_repeats_it(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SEEDED)

    result = suite.runpytest_subprocess("--seeds", "3")

    command = "python -m pytest test_it.py::test_seeded --seed 2"
    result.stdout.fnmatch_lines([f"seed 2; to repeat: {command}"])


def test_one_seed_can_be_repeated_alone(suite: pytest.Pytester) -> None:
    suite.makepyfile(SEEDED)

    suite.runpytest_subprocess("--seed", "2").assert_outcomes(failed=1)
    suite.runpytest_subprocess("--seed", "7").assert_outcomes(passed=1)


def test_no_seeds_at_all_is_a_wrong_use(suite: pytest.Pytester) -> None:
    suite.makepyfile(SEEDED)

    assert suite.runpytest_subprocess("--seeds", "0").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(("options", "told"), [((), "False"), (("--rewrite",), "True")])
def test_a_test_is_told_whether_to_rewrite(
    suite: pytest.Pytester, options: tuple[str, ...], told: str
) -> None:
    suite.makepyfile(f"def test_it(rewrite):\n    assert rewrite is {told}\n")

    suite.runpytest_subprocess(*options).assert_outcomes(passed=1)


def test_a_skipped_peer_is_a_failure_where_peers_are_required(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(PEERLESS)
    suite.runpytest_subprocess().assert_outcomes(skipped=2)

    monkeypatch.setenv(REQUIRE_PEERS, "1")
    result = suite.runpytest_subprocess()

    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines([f"*{REQUIRE_PEERS} is set, but: *no agent here*"])
