"""What commands on single keys do, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.change import Cause
from kvstore.commands import (
    KEEP,
    Command,
    Create,
    Delete,
    DeleteRange,
    Get,
    Lock,
    Put,
    SessionClose,
    SessionOpen,
    Touch,
    Txn,
    Unlock,
)
from kvstore.config import Config
from kvstore.entry import Entry
from kvstore.refusals import (
    CasMismatch,
    Delayed,
    Exists,
    Held,
    Malformed,
    NoSession,
    NotFound,
    NotHeld,
    Refusal,
    TooLarge,
    VersionMismatch,
)
from kvstore.results import DeleteOk, Fencing, LockOk, PutOk, TouchOk, UnlockOk
from kvstore.store import Store
from tests.kvstore.driving import done, keys, made, refused

# --- put


def test_a_new_key_has_its_index_as_every_stamp() -> None:
    store = made(Put("other"))

    result = done(store, Put("a", b"1", 7), PutOk)

    assert result.entry == Entry("a", b"1", 7, 2, 2, 1)
    assert (result.created, result.previous, result.key) == (True, None, "a")
    assert store.get("a") == result.entry


def test_a_write_moves_the_stamps_of_change_and_keeps_that_of_creation() -> None:
    store = made(Put("a", b"1", 7), Put("other"))

    result = done(store, Put("a", b"2"), PutOk)

    assert result.entry == Entry("a", b"2", 0, 1, 3, 2)
    assert (result.created, result.previous) == (False, None)


def test_a_write_that_changes_nothing_moves_no_revision_and_tells_nobody() -> None:
    store = made(Put("a", b"1", 7))

    applied = store.apply(Put("a", b"1", 7))

    assert (applied.ok, applied.changed, applied.changes) == (True, False, ())
    assert (store.revision, store.applied_index) == (1, 2)
    assert isinstance(applied.result, PutOk)
    assert applied.result.entry == store.get("a")


def test_a_forced_write_always_makes_a_revision() -> None:
    store = made(Put("a", b"1"))

    assert done(store, Put("a", b"1", force=True), PutOk).entry.version == 2
    assert store.revision == 2


def test_the_previous_entry_is_told_when_it_is_asked_for() -> None:
    store = made(Put("a", b"1"))

    result = done(store, Put("a", b"2", want_previous=True), PutOk)

    assert result.previous == Entry("a", b"1", 0, 1, 1, 1)
    assert done(store, Put("b", want_previous=True), PutOk).previous is None


def test_flags_and_value_can_be_kept() -> None:
    store = made(Put("a", b"1", 7))

    assert done(store, Put("a", b"2", KEEP), PutOk).entry.flags == 7
    kept = done(store, Put("a", b"ignored", 8, keep_value=True), PutOk).entry
    assert (kept.value, kept.flags) == (b"2", 8)
    assert done(store, Put("new", b"2", KEEP), PutOk).entry.flags == 0
    assert refused(store, Put("x", keep_value=True), NotFound).key == "x"


def test_compare_and_set_on_the_revision() -> None:
    store = made(Put("a", b"1"))

    refusal = refused(store, Put("a", b"2", cas=5), CasMismatch)
    assert (refusal.expected, refusal.current) == (5, store.get("a"))
    assert refused(store, Put("a", b"2", cas=0), CasMismatch).current == store.get("a")
    assert refused(store, Put("b", b"2", cas=1), CasMismatch).current is None
    made(Put("a", b"2", cas=1), Put("b", cas=0), store=store)


def test_compare_and_set_with_what_is_there_already_moves_nothing() -> None:
    store = made(Put("a", b"1"))

    assert done(store, Put("a", b"1", cas=1), PutOk).entry.mod_revision == 1


def test_compare_and_set_on_the_version() -> None:
    store = made(Put("a", b"1"), Put("a", b"2"))

    assert refused(store, Put("a", b"3", if_version=1), VersionMismatch).current is not None
    assert refused(store, Put("b", if_version=1), VersionMismatch).current is None
    made(Put("a", b"3", if_version=2), Put("b", if_version=0), store=store)


def test_a_key_that_was_deleted_begins_a_new_life() -> None:
    store = made(Put("a", b"1"), Put("a", b"2"), Delete("a"))

    assert done(store, Put("a", b"3"), PutOk).entry == Entry("a", b"3", 0, 4, 4, 1)


# --- owner and ttl


def test_an_owner_must_be_there() -> None:
    assert refused(Store(), Put("a", owner="s"), NoSession).session == "s"


def test_a_key_keeps_its_owner_until_a_write_names_another() -> None:
    store = made(SessionOpen("s"), SessionOpen("t"), Put("a", owner="s"))

    assert done(store, Put("a", b"1"), PutOk).entry.owner == "s"
    assert store.session_keys("s") == ("a",)
    assert done(store, Put("a", b"1", owner="t"), PutOk).entry.owner == "t"
    assert done(store, Put("a", b"1", owner=None), PutOk).entry.owner == ""
    assert (store.session_keys("s"), store.session_keys("t")) == ((), ())


def test_naming_the_same_owner_and_ttl_changes_nothing() -> None:
    store = made(SessionOpen("s"), Put("a", owner="s", ttl=9))

    assert store.apply(Put("a", owner="s", ttl=9)).changed is False


def test_a_ttl_counts_from_the_last_write() -> None:
    store = made(Put("a", ttl=100), now=1000)

    assert done(store, Put("a", b"1"), PutOk, now=1050).entry.expires == 1150
    assert done(store, Put("a", b"1"), PutOk, now=1060).expires == 1160
    entry = store.get("a")
    assert entry is not None
    assert (entry.ttl, entry.expires) == (100, 1160)
    assert done(store, Put("a", ttl=None), PutOk).entry.expires is None
    assert store.next_deadline is None


def test_a_session_holds_a_bounded_number_of_keys() -> None:
    store = made(SessionOpen("s"), store=Store(Config(session_keys_max=2)))
    made(Put("a", owner="s"), Lock("b", "s"), Put("b", owner="s"), store=store)

    refusal = refused(store, Put("c", owner="s"), TooLarge)

    assert (refusal.what, refusal.size, refusal.limit) == ("session", 3, 2)
    refused(store, Lock("c", "s"), TooLarge)
    made(Unlock("b", "s"), Delete("b"), Put("c", owner="s"), store=store)


# --- create


def test_creating_needs_an_absent_key() -> None:
    store = made(SessionOpen("s"), Create("a", b"1", 7, owner="s", ttl=50), now=1000)

    result = refused(store, Create("a", b"2"), Exists)

    assert result.current == store.get("a")
    assert result.current == Entry("a", b"1", 7, 2, 2, 1, 0, "", 0, "s", 50, 1050)


# --- delete


def test_deleting_tells_how_many_were_there() -> None:
    store = made(Put("a", b"1"))

    result = done(store, Delete("a", want_previous=True), DeleteOk)

    assert (result.count, result.previous) == (1, (Entry("a", b"1", 0, 1, 1, 1),))
    assert done(store, Delete("a"), DeleteOk) == DeleteOk(0)
    assert store.revision == 2


def test_deleting_can_compare_and_an_absent_key_is_deleted_whatever_is_expected() -> None:
    store = made(Put("a", b"1"))

    refused(store, Delete("a", cas=0), CasMismatch)
    refused(store, Delete("a", cas=2), CasMismatch)
    refused(store, Delete("a", if_version=2), VersionMismatch)
    assert done(store, Delete("a", cas=1, if_version=1), DeleteOk).count == 1
    assert done(store, Delete("a", cas=1), DeleteOk).count == 0
    assert refused(store, Delete("a", cas=-1), Malformed).field == "cas"


def test_a_range_goes_as_one_revision_in_the_order_of_keys() -> None:
    store = made(Put("b/2"), Put("a"), Put("b/1"), Put("b"), Put("c"))

    applied = store.apply(DeleteRange("b/", want_previous=True))

    assert applied.result == DeleteOk(2, applied.result.previous_records)  # type: ignore[union-attr]
    assert [(event.kind, event.key, event.revision) for event in applied.events] == [
        ("delete", "b/1", 6),
        ("delete", "b/2", 6),
    ]
    assert {event.cause for event in applied.events} == {Cause.RANGE}
    assert keys(store) == ["a", "b", "c"]


def test_a_prefix_is_plain_text_and_no_path() -> None:
    store = made(Put("foo"), Put("foobar"), Put("fop"))

    assert done(store, DeleteRange("foo"), DeleteOk).count == 2
    assert done(store, DeleteRange(start="f", end="fop"), DeleteOk).count == 0
    assert done(store, DeleteRange(start="f"), DeleteOk).count == 1


def test_a_range_can_be_deleted_piece_by_piece() -> None:
    store = made(*(Put(f"k{number}") for number in range(5)))

    first = done(store, DeleteRange("k", limit=2), DeleteOk)
    second = done(store, DeleteRange(start=first.next, end="l", limit=3), DeleteOk)

    assert (first.count, first.next) == (2, "k2")
    assert (second.count, second.next) == (3, None)


def test_a_range_of_nothing_moves_nothing() -> None:
    store = made(Put("a"))

    assert store.apply(DeleteRange("b")).changed is False
    assert done(store, DeleteRange(start="b", end="a"), DeleteOk).count == 0


# --- touch


def test_touching_begins_a_ttl_anew_without_a_revision() -> None:
    store = made(Put("a", ttl=100), Put("b"), now=1000)

    applied = store.apply(Touch(("a", "a", "b", "absent")), now=1030)

    assert (applied.result, applied.changed) == (TouchOk(1), False)
    assert store.next_deadline == 1130
    assert store.revision == 2


# --- lock and unlock


def test_a_lock_is_taken_by_one_session_and_refused_to_others() -> None:
    store = made(SessionOpen("s"), SessionOpen("t"))

    result = done(store, Lock("a", "s", b"mine", 5), LockOk)

    assert result.fresh
    assert result.entry == Entry("a", b"mine", 5, 3, 3, 1, 1, "s", 3)
    assert result.fencing == Fencing("a", 1, "s")
    refusal = refused(store, Lock("a", "t"), Held)
    assert (refusal.by, refusal.since) == ("s", 3)


def test_taking_a_held_lock_again_renews_its_value_only() -> None:
    store = made(SessionOpen("s"), Lock("a", "s", b"1", 5))

    again = done(store, Lock("a", "s", b"2"), LockOk)

    assert not again.fresh
    assert (again.entry.value, again.entry.flags, again.entry.lock_count) == (b"2", 5, 1)
    assert again.entry.lock_revision == 2
    assert store.apply(Lock("a", "s")).changed is False


def test_an_existing_key_is_locked_as_it_is() -> None:
    store = made(SessionOpen("s"), Put("a", b"1", 7))

    entry = done(store, Lock("a", "s"), LockOk).entry

    assert (entry.value, entry.flags, entry.create_revision) == (b"1", 7, 2)


def test_writes_by_others_go_through_and_leave_the_lock() -> None:
    store = made(SessionOpen("s"), Lock("a", "s"))

    entry = done(store, Put("a", b"1"), PutOk).entry

    assert (entry.lock_session, entry.lock_count) == ("s", 1)


def test_every_new_holder_gets_a_greater_token() -> None:
    store = made(SessionOpen("s"), SessionOpen("t"))

    counts = []
    for session in ("s", "t", "s"):
        counts.append(done(store, Lock("a", session), LockOk).fencing.lock_count)
        made(Unlock("a", session), store=store)

    assert counts == [1, 2, 3]


def test_unlocking_frees_the_key_and_keeps_the_count() -> None:
    store = made(SessionOpen("s"), Lock("a", "s", b"1", 5))

    applied = store.apply(Unlock("a", "s"))

    assert isinstance(applied.result, UnlockOk)
    assert applied.result.entry == Entry("a", b"1", 5, 2, 3, 2, 1)
    assert applied.events[0].cause == Cause.UNLOCK
    assert store.session_keys("s") == ()
    assert store.lock_delay("a") is None


def test_unlocking_can_write_or_delete_in_the_same_step() -> None:
    store = made(SessionOpen("s"), Lock("a", "s", b"1"))

    assert done(store, Unlock("a", "s", b"2", 9), UnlockOk).entry.value == b"2"
    made(Lock("a", "s"), store=store)
    result = done(store, Unlock("a", "s", delete=True), UnlockOk)

    assert (result.deleted, result.entry.value) == (True, b"2")
    assert store.get("a") is None
    store.check_invariants()


def test_only_the_holder_can_unlock() -> None:
    store = made(SessionOpen("s"), Lock("a", "s"), Put("b"))

    assert refused(store, Unlock("a", "t"), NotHeld).by == "s"
    assert refused(store, Unlock("b", "s"), NotHeld).by == ""
    assert refused(store, Unlock("absent", "s"), NotHeld).by == ""
    assert refused(store, Unlock("b", ""), NotHeld).by == ""
    assert refused(store, Lock("a", "unknown"), NoSession).session == "unknown"


def test_a_lock_whose_holder_ended_waits_for_its_delay() -> None:
    store = made(SessionOpen("s", lock_delay=500), SessionOpen("t"), Lock("a", "s"), now=1000)
    made(SessionClose("s"), store=store, now=1100)

    refusal = refused(store, Lock("a", "t"), Delayed, now=1300)

    assert (refusal.until, refusal.now) == (1600, 1300)
    assert store.lock_delay("a") == 1600
    assert done(store, Lock("a", "t"), LockOk, now=1600).fencing.lock_count == 2


def test_a_locked_key_that_is_deleted_is_free() -> None:
    store = made(SessionOpen("s"), SessionOpen("t"), Lock("a", "s"), Delete("a"))

    assert done(store, Lock("a", "t"), LockOk).fencing.lock_count == 1
    assert store.session_keys("s") == ()


def test_a_ttl_goes_on_through_locking_and_unlocking() -> None:
    store = made(SessionOpen("s"), Put("a", ttl=100), now=1000)

    assert done(store, Lock("a", "s"), LockOk, now=1010).entry.expires == 1110
    assert done(store, Unlock("a", "s"), UnlockOk, now=1020).entry.expires == 1120


# --- what is refused as malformed

WRONG: Any = object()


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (Put(WRONG), "key"),
        (Put(""), "key"),
        (Put("a\0"), "key"),
        (Put("a\ud800"), "key"),
        (Put("ä\0"), "key"),
        (Put(["unhashable"]), "key"),  # type: ignore[arg-type]
        (Put("a", "text"), "value"),  # type: ignore[arg-type]
        (Put("a", bytearray(b"1")), "value"),  # type: ignore[arg-type]
        (Put("a", flags=-1), "flags"),
        (Put("a", flags=2**64), "flags"),
        (Put("a", flags=True), "flags"),
        (Put("a", cas=-1), "cas"),
        (Put("a", cas=2**63), "cas"),
        (Put("a", if_version="1"), "if_version"),  # type: ignore[arg-type]
        (Put("a", ttl=0), "ttl"),
        (Put("a", ttl=1.5), "ttl"),  # type: ignore[arg-type]
        (Put("a", owner=5), "owner"),  # type: ignore[arg-type]
        (Create("a", b"", "f"), "flags"),  # type: ignore[arg-type]
        (Create("a", None), "value"),  # type: ignore[arg-type]
        (Create(""), "key"),
        (Delete(WRONG), "key"),
        (Delete(""), "key"),
        (Delete("a", want_previous=1), "want_previous"),  # type: ignore[arg-type]
        (DeleteRange(), "start"),
        (DeleteRange("a", start="b"), "prefix"),
        (DeleteRange("a", end="b"), "prefix"),
        (DeleteRange(end="b"), "start"),
        (DeleteRange(start=5), "start"),  # type: ignore[arg-type]
        (DeleteRange(start="a", end=5), "end"),  # type: ignore[arg-type]
        (DeleteRange("a\udfff"), "prefix"),
        (DeleteRange("a", limit=0), "limit"),
        (DeleteRange("a", want_previous=None), "want_previous"),  # type: ignore[arg-type]
        (Touch(["a"]), "keys"),  # type: ignore[arg-type]
        (Touch((1,)), "keys"),  # type: ignore[arg-type]
        (Lock("a", 5), "session"),  # type: ignore[arg-type]
        (Lock("a", "s", None), "value"),  # type: ignore[arg-type]
        (Lock("a", "s", flags=-1), "flags"),
        (Lock("", "s"), "key"),
        (Unlock("a", "s", "text"), "value"),  # type: ignore[arg-type]
        (Unlock("a", "s", flags=-1), "flags"),
        (Unlock("a", "s", delete=0), "delete"),  # type: ignore[arg-type]
        (Get(WRONG), "key"),
    ],
)
def test_a_malformed_field_is_refused_and_named(command: Command, field: str) -> None:
    store = made(SessionOpen("s"), Put("a", b"1"))

    assert refused(store, command, Malformed).field == field


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (Put("k" * 1025), "key"),
        (Put("ä" * 600), "key"),
        (Put("ä" * 2000), "key"),
        (Put("a", b"x" * 11), "value"),
        (Put("new", b"x" * 11), "value"),
        (Create("b", b"x" * 11), "value"),
        (Lock("a", "s", b"x" * 11), "value"),
        (Lock("k" * 1025, "s"), "key"),
        (Unlock("a", "s", b"x" * 11), "value"),
        (DeleteRange("k" * 65_537), "prefix"),
        (Touch(("a",) * 100_001), "keys"),
        (Touch(("k" * 65_537,)), "keys"),
        (Put("a", owner="s" * 5000), "owner"),
    ],
)
def test_what_is_too_large_is_refused_with_its_limit(command: Command, what: str) -> None:
    store = made(SessionOpen("s"), Put("a", b"1"), store=Store(Config(value_size_max=10)))

    refusal = refused(store, command, TooLarge)

    assert refusal.what == what
    assert refusal.size > refusal.limit > 0


def test_a_malformed_operation_in_a_transaction_is_refused_with_its_place() -> None:
    store = Store()

    result = store.apply(Txn((), (Put("a"), Put("a", ttl=0)))).result

    assert isinstance(result, Refusal)
    assert str(result).startswith("then.1: ttl must be 1")


def test_the_longest_key_and_the_largest_numbers_fit() -> None:
    made(Put("k" * 1024, flags=2**64 - 1), Put("ä" * 512, ttl=2**63 - 1))
