"""What every test may ask for: hypothesis profiles, seeds, rewriting of transcripts.

Hypothesis loads a profile of its own named `ci` where `CI` is set; ours replaces it, because
this file is read later. `--hypothesis-profile` on the command line wins over both.
"""

import argparse
import os
import shlex
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Drawing a whole input log takes longer than hypothesis likes on two shared cores; slowness of
# the data is no fault of the machine under test.
PATIENCE = (HealthCheck.too_slow,)

settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=PATIENCE)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    print_blob=True,
    database=None,
    suppress_health_check=PATIENCE,
)
settings.register_profile(
    "nightly",
    max_examples=5000,
    stateful_step_count=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=PATIENCE,
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

SEEDS_DEFAULT = 5

# Set where the real peers must be there, as in CI: an interop test that skips is then a failure.
REQUIRE_PEERS = "SHOAL_REQUIRE_PEERS"


def at_least_one(text: str) -> int:
    """Return a count from the command line."""
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError("a run needs at least one seed")
    return count


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seeds`, `--seed` and `--rewrite`."""
    group = parser.getgroup("shoal")
    group.addoption(
        "--seeds",
        type=at_least_one,
        default=SEEDS_DEFAULT,
        metavar="N",
        help="run each seeded test with the seeds 0 to N-1 (default: %(default)s)",
    )
    group.addoption(
        "--seed",
        type=int,
        default=None,
        metavar="S",
        help="run each seeded test with this one seed: repeats a failure",
    )
    group.addoption(
        "--rewrite",
        action="store_true",
        help="write transcripts anew instead of comparing; review the difference",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `seed` one run for each seed of the command line."""
    if "seed" not in metafunc.fixturenames:
        return
    one = metafunc.config.getoption("--seed")
    count = metafunc.config.getoption("--seeds")
    metafunc.parametrize("seed", range(count) if one is None else [one], ids="seed{}".format)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show how to repeat a failed seeded test; where peers are required, refuse to skip them."""
    report: pytest.TestReport = yield  # type: ignore[assignment] # pytest sends the report
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if report.failed and "seed" in parameters:
        report.sections.append(("seed", repeat_command(item.nodeid, parameters["seed"])))
    if report.skipped and item.get_closest_marker("interop") and os.environ.get(REQUIRE_PEERS):
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_PEERS} is set, but: {call.excinfo and call.excinfo.value}"
    return report  # type: ignore[return-value] # a wrapper hands the report on


def repeat_command(nodeid: str, seed: int) -> str:
    """Return the command that runs one seeded test again with one seed."""
    test = nodeid.partition("[")[0]
    return f"seed {seed}; to repeat: python -m pytest {shlex.quote(test)} --seed {seed}"


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether transcripts are to be written anew (`--rewrite`)."""
    return bool(request.config.getoption("--rewrite"))
