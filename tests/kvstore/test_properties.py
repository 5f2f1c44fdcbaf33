"""Properties of the store over random logs: whatever is in them, it is the naive model."""

from __future__ import annotations

from hypothesis import given, note

from kvstore.commands import Get, Put, SessionOpen, Txn
from kvstore.results import TxnOk
from kvstore.store import Store
from kvstore.testing import NaiveStore
from kvstore.testing import strategies as kv
from kvstore.testing.strategies import LogEntry
from tests.kvstore.comparing import plain_applied, waiting_indexes

WORLD = kv.World()


def assert_same_state(store: Store, model: NaiveStore) -> None:
    """What can be asked without a command."""
    assert store.applied_index == model.applied_index
    assert store.revision == model.revision
    assert store.floor == model.floor
    assert (store.clock, store.clock_offset) == (model.clock, model.clock_offset)
    assert store.next_deadline == model.next_deadline
    assert store.config == model.config
    assert store.sessions() == model.sessions()
    for session in store.sessions():
        assert store.session_deadline(session.id) == model.session_deadline(session.id)
    assert {entry.key: entry for entry in store.range("").entries} == model.entries
    for key in WORLD.keys:
        assert store.get(key) == model.entries.get(key)
        assert store.lock_delay(key) == model.lock_delay(key)


def assert_same_log(log: list[LogEntry]) -> None:
    """Give a log to both, and compare whatever can be seen after each command."""
    store, model = Store(), NaiveStore()
    waiting, changed = dict.fromkeys(WORLD.keys, 0), dict.fromkeys(WORLD.keys, 0)
    for command, now, actor in log:
        note(f"{store.applied_index + 1}: {command} now={now} actor={actor}")
        ours = store.apply(command, now=now, actor=actor)
        theirs = model.apply(command, now=now, actor=actor)

        assert plain_applied(ours) == plain_applied(theirs)
        indexes = waiting_indexes(ours.result), waiting_indexes(theirs.result)
        for index, least in zip(*indexes, strict=True):
            assert least <= index <= store.applied_index
        assert_same_state(store, model)
        store.check_invariants()
        changed |= {event.key: event.revision for event in theirs.events}
        for key, before in waiting.items():
            waiting[key] = store.index_of(key)
            assert waiting[key] >= before
            if key in model.entries or changed[key] > store.floor:
                assert waiting[key] == changed[key]
            else:
                # Of a key that is long gone, or never was, the past is forgotten up to the floor.
                assert min(1, store.applied_index) <= waiting[key] <= max(1, store.floor)


@given(kv.logs(min_size=15))
def test_the_store_is_the_naive_model(log: list[LogEntry]) -> None:
    assert_same_log(log)


@given(kv.logs(min_size=15, access=True))
def test_the_store_is_the_naive_model_under_access_control(log: list[LogEntry]) -> None:
    assert_same_log(log)


def test_reads_in_a_transaction_tell_the_deadlines_that_it_set() -> None:
    store = Store()
    store.apply(SessionOpen("s"), now=1_000)
    store.apply(Put("a", ttl=100))

    first, second = (Put("a", ttl=500), Get("a")), (Put("b", ttl=7), Get("b"))
    third = (Put("a", owner="s", ttl=None), Get("a"))
    result = store.apply(Txn((), (*first, *second, *third))).result

    assert isinstance(result, TxnOk)
    reads = [result.results[place] for place in (1, 3, 5)]
    assert [getattr(read, "expires", None) for read in reads] == [1_500, 1_007, None]
