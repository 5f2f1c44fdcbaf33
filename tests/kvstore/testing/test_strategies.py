from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import Phase, find, given, settings

from kvstore import commands
from kvstore.commands import Operation, Rebase, SessionOpen, Txn
from kvstore.refusals import Malformed, TxnFailed, Unsupported
from kvstore.testing import NaiveStore, strategies
from kvstore.testing.strategies import LogEntry, World

# The first that is found will do: it need not be the smallest.
FIND = settings(max_examples=5_000, database=None, phases=[Phase.generate])

# What no well-formed log has, and what stands in transactions only.
NOT_DRAWN = {commands.Unknown, commands.Check}

KINDS = sorted({*get_args(commands.Command)} - NOT_DRAWN, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_commands_of_every_kind_are_drawn(kind: type) -> None:
    found = find(strategies.commands(access=True), lambda c: isinstance(c, kind), settings=FIND)

    assert isinstance(found, kind)


@pytest.mark.parametrize("kind", get_args(Operation), ids=lambda kind: kind.__name__)
def test_operations_of_every_kind_stand_in_transactions(kind: type) -> None:
    def holds(command: Txn) -> bool:
        return any(isinstance(each, kind) for each in command.then)

    assert find(strategies.transactions(), holds, settings=FIND).then


def test_what_concerns_access_is_drawn_only_if_it_is_asked_for() -> None:
    access = ("Policy", "Role", "Token")

    @given(strategies.commands())
    def check(command: commands.Command) -> None:
        assert not type(command).__name__.endswith(access)

    check()


@given(strategies.transactions(World(depth=2)))
def test_transactions_are_as_deep_as_the_world_allows(command: Txn) -> None:
    inner = [each for each in (*command.then, *command.otherwise) if isinstance(each, Txn)]

    assert not any(isinstance(each, Txn) for txn in inner for each in (*txn.then, *txn.otherwise))


@given(strategies.logs(access=True))
def test_what_is_drawn_is_well_formed(log: list[LogEntry]) -> None:
    store = NaiveStore()
    for command, now, actor in log:
        result = store.apply(command, now=now, actor=actor).result
        refusals = result.errors if isinstance(result, TxnFailed) else (result,)
        about_links = type(command).__name__ in {"SetPolicy", "SetRole", "SetToken"}

        assert about_links or not any(
            isinstance(getattr(each, "refusal", each), Malformed | Unsupported) for each in refusals
        )


@given(strategies.logs(min_size=3, max_size=5))
def test_a_log_begins_with_sessions_or_not_and_has_a_bounded_rest(log: list[LogEntry]) -> None:
    sessions = World().sessions
    first = [c.id if isinstance(c, SessionOpen) else None for c, _, _ in log[: len(sessions)]]

    assert 3 <= len(log) <= 5 + len(sessions)
    if len(log) > 5:
        assert first == list(sessions)


@given(strategies.logs())
def test_a_new_proposer_always_tells_its_time(log: list[LogEntry]) -> None:
    assert all(now is not None for command, now, _ in log if isinstance(command, Rebase))
    assert all(now is None or now >= 0 for _, now, _ in log)


@given(strategies.operations())
def test_operations_may_stand_in_a_transaction(operation: Operation) -> None:
    assert isinstance(operation, get_args(Operation))
