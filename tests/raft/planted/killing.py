"""Running tests by their names, to see whether they fail; without pytest, so that it takes no time.

Owns the calls. A test is a function without fixtures; `parametrize` is understood.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import product
from typing import Any

import pytest

#: Seconds after which a test counts as failed: the bug keeps it from ending.
PATIENCE = 50.0


class Endless(AssertionError):
    """A test did not end in time."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Give what is done only so much time; in the main thread.

    Raises:
        Endless: It took longer.
    """

    def expired(*_: object) -> None:
        raise Endless(f"no end within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def find(killer: str) -> Callable[..., object]:
    """Return a test by its name, as `module::name` within tests/raft."""
    module, _, name = killer.partition("::")
    found: Callable[..., object] = getattr(import_module(f"tests.raft.{module}"), name)
    return found


def calls(test: Callable[..., object]) -> list[dict[str, Any]]:
    """Return the arguments of each call that pytest would make."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    choices: list[list[dict[str, Any]]] = []
    for mark in marks:
        names, rows = mark.args[:2]
        if isinstance(names, str):
            choices.append([{names: row} for row in rows])
        else:
            choices.append([dict(zip(names, row, strict=True)) for row in rows])
    return [
        {name: value for part in parts for name, value in part.items()}
        for parts in product(*choices)
    ]


def failure(killer: str) -> tuple[BaseException | None, float]:
    """Run a test; return what it raised, or None, and how many seconds it took."""
    test, begin = find(killer), time.perf_counter()
    raised: BaseException | None = None
    try:
        with patience(PATIENCE):
            for arguments in calls(test):
                test(**arguments)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # a bug may raise anything
        raised = error
    return raised, time.perf_counter() - begin
