"""The README is true: its code runs, and its commands are the ones that CI runs.

The `>>>` examples are run by pytest itself (`--doctest-glob=README.md`).
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memberlist import Config, Memberlist, MemberlistLeft
from tests.test_layout import FIVE, PACKAGES

ROOT = Path(__file__).resolve().parent.parent

README = (ROOT / "README.md").read_text()

EXAMPLE_LINES_MAX = 15

# Seconds on a real clock: a bound for a broken driver, not a measurement.
PATIENCE = 20.0


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return the commands for a fresh machine."""
    (block,) = blocks("bash")
    return block.splitlines()


def section(title: str) -> str:
    """Return the text under one heading."""
    _, heading, rest = README.partition(f"\n## {title}\n")
    assert heading, f"README.md has no section {title}"
    return rest.partition("\n## ")[0]


# --- commands


def test_there_are_two_commands_the_main_job_and_the_tests() -> None:
    main_job, tests = commands()

    assert main_job.endswith("examples/cluster.py --members 5")
    assert tests.endswith("-m pytest")


def test_each_command_begins_with_a_new_virtual_environment() -> None:
    for command in commands():
        venv, install, run = command.split(" && ")

        assert venv == "python3 -m venv .venv"
        assert install.startswith(".venv/bin/pip install ")
        assert run.startswith(".venv/bin/python ")


def test_ci_runs_the_same_two_commands() -> None:
    shown = subprocess.run(
        ["bash", ROOT / ".ci" / "run", "--commands"], capture_output=True, text=True, check=True
    )

    assert shown.stdout.splitlines() == commands()


# --- examples


def test_the_contract_has_ten_rules() -> None:
    assert re.findall(r"^(\d+)\. ", section("The contract"), re.MULTILINE) == [
        str(number) for number in range(1, 11)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_has_a_short_example_that_is_run(package: str) -> None:
    (example, *_) = re.findall(r"^```pycon\n(.*?)^```$", section(package), re.MULTILINE | re.DOTALL)

    assert f"from {package}" in example
    assert example.count("\n") < EXAMPLE_LINES_MAX


def test_the_table_tells_which_packages_are_here() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\S[^|]*) \|$", section("Packages"), re.MULTILINE)

    assert sorted(name for name, _ in rows) == sorted(FIVE)
    assert {name for name, here in rows if here == "yes"} == set(PACKAGES)


# --- the driver


def load_driver() -> Callable[..., Any]:
    """Return the `Driver` of the README."""
    (source,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), names)
    driver: Callable[..., Any] = names["Driver"]
    return driver


def free_address() -> tuple[str, int]:
    """Return a loopback address whose port is free for TCP, and so most likely for UDP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    return host, port


def test_members_on_the_readmes_driver_find_each_other_and_leave() -> None:
    make_driver = load_driver()

    async def cluster() -> list[set[str]]:
        addresses = [free_address() for _ in range(3)]
        left: list[MemberlistLeft] = []
        changed = asyncio.Event()

        def on_event(event: object) -> None:
            if isinstance(event, MemberlistLeft):
                left.append(event)
            changed.set()

        async def until(condition: Callable[[], bool]) -> None:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    changed.clear()
                    await changed.wait()

        drivers = []
        for number, address in enumerate(addresses):
            now = asyncio.get_running_loop().time()
            machine = Memberlist(f"n{number}", address, Config.local(), rng=Random(number), now=now)
            driver = make_driver(machine, on_event)
            await driver.start(*address)
            drivers.append(driver)
        for driver in drivers[1:]:
            driver.call(driver.machine.join, addresses[:1])
        await until(lambda: all(len(driver.machine.members) == 3 for driver in drivers))
        seen = [{node.name for node in driver.machine.members} for driver in drivers]
        for driver in drivers:
            driver.call(driver.machine.leave, timeout=1.0)
        await until(lambda: len(left) == 3)
        for driver in drivers:
            driver.close()
        await asyncio.gather(
            *asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True
        )
        return seen

    assert asyncio.run(cluster()) == [{"n0", "n1", "n2"}] * 3
