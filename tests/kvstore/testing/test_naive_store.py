"""What a store does, command by command, of the naive model and of the store alike."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from kvstore.acl.access import AclMode, Level, Policy, Role, Rule, Token
from kvstore.change import Cause
from kvstore.commands import (
    KEEP,
    Check,
    Command,
    Compact,
    Configure,
    Count,
    Create,
    Delete,
    DeleteRange,
    DropPolicy,
    DropQuota,
    DropRole,
    DropToken,
    Get,
    Invalidate,
    Keys,
    Lock,
    Noop,
    Put,
    Range,
    Rebase,
    SessionClose,
    SessionOpen,
    SessionRenew,
    SetPolicy,
    SetQuota,
    SetRole,
    SetToken,
    Tick,
    Touch,
    Txn,
    Unknown,
    Unlock,
)
from kvstore.config import Config
from kvstore.entry import Entry
from kvstore.errors import StaleIndex
from kvstore.refusals import (
    BadTtl,
    CasMismatch,
    CheckFailed,
    Compacted,
    Delayed,
    Denied,
    Exists,
    Future,
    Held,
    Malformed,
    NoSession,
    NotFound,
    NotHeld,
    OverAlready,
    QuotaExceeded,
    SessionExists,
    TooDeep,
    TooLarge,
    TooManyOperations,
    TxnError,
    TxnFailed,
    Unsupported,
    VersionMismatch,
)
from kvstore.results import CloseOk, CompactOk, DeleteOk, Ok, RebaseOk, TickOk, TouchOk
from kvstore.store import Store
from kvstore.testing import NaiveStore


@pytest.fixture(params=[NaiveStore, Store], ids=["naive", "store"])
def store(request: pytest.FixtureRequest) -> Any:
    return request.param()


def do(store: Any, *commands: Command, now: int | None = None) -> Any:
    """Apply commands and return the answer to the last."""
    applied = None
    for command in commands:
        applied = store.apply(command, now=now)
    assert applied is not None
    return applied.result


def entry(store: Any, key: str) -> Entry | None:
    found: Entry | None = do(store, Get(key)).entry
    return found


def keys(store: Any, **selection: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = do(store, Range(**selection)).keys
    return found


# --- indexes


def test_the_index_of_a_change_is_its_revision(store: Any) -> None:
    applied = store.apply(Put("a", b"1"), index=7)

    assert (applied.index, applied.changed, applied.ok) == (7, True, True)
    assert (store.applied_index, store.revision) == (7, 7)
    assert applied.result.entry == Entry("a", b"1", 0, 7, 7, 1)


def test_what_changes_nothing_moves_no_revision(store: Any) -> None:
    store.apply(Put("a", b"1"))

    applied = store.apply(Noop())

    assert (applied.index, applied.changed, applied.events) == (2, False, ())
    assert (store.applied_index, store.revision) == (2, 1)


@pytest.mark.parametrize("index", [5, 4, 0, -1])
def test_an_index_must_rise(store: Any, index: int) -> None:
    store.apply(Noop(), index=5)

    with pytest.raises(StaleIndex):
        store.apply(Noop(), index=index)

    assert store.applied_index == 5


def test_the_state_can_be_looked_at(store: Any) -> None:
    do(store, Rebase(), now=5_000)
    do(store, SessionOpen("s", 2_000, lock_delay=700), Lock("a", "s"), SessionOpen("t"), now=5_100)
    do(store, SessionClose("s"), Put("b"), Compact(3))

    assert (store.clock, store.clock_offset) == (100, -5_000)
    assert (store.revision, store.floor, store.applied_index) == (6, 3, 7)
    assert [session.id for session in store.sessions()] == ["t"]
    assert (store.session_deadline("t"), store.session_deadline("s")) == (None, None)
    assert (store.lock_delay("a"), store.lock_delay("b")) == (800, None)
    do(store, SessionOpen("s", 2_000))
    assert store.session_deadline("s") == 2_100
    do(store, Noop(), now=5_800)
    assert store.lock_delay("a") is None


def test_the_model_shows_its_entries_and_lets_nobody_change_them() -> None:
    model = NaiveStore()
    do(model, Put("a", b"1"))

    model.entries.clear()

    assert model.entries == {"a": Entry("a", b"1", 0, 1, 1, 1)}


# --- put


def test_a_second_put_keeps_the_creation_and_counts_the_version(store: Any) -> None:
    do(store, Put("a", b"1"), Noop(), Put("a", b"2", flags=9))

    assert entry(store, "a") == Entry("a", b"2", 9, 1, 3, 2)


def test_an_identical_put_changes_nothing_unless_it_is_forced(store: Any) -> None:
    do(store, Put("a", b"1"))

    assert not store.apply(Put("a", b"1")).changed
    forced = store.apply(Put("a", b"1", force=True))

    assert forced.changed
    assert forced.result.entry == Entry("a", b"1", 0, 1, 3, 2)


def test_a_put_tells_what_it_replaced_if_asked(store: Any) -> None:
    first = do(store, Put("a", b"1", want_previous=True))
    second = do(store, Put("a", b"2", want_previous=True))

    assert (first.created, first.previous) == (True, None)
    assert (second.created, second.previous) == (False, first.entry)
    assert do(store, Put("a", b"3")).previous is None


def test_a_put_can_keep_the_value_and_the_flags(store: Any) -> None:
    do(store, Put("a", b"1", flags=5))

    assert do(store, Put("a", b"2", flags=KEEP)).entry.flags == 5
    assert do(store, Put("a", flags=6, keep_value=True)).entry == Entry("a", b"2", 6, 1, 3, 3)
    assert do(store, Put("b", flags=KEEP)).entry.flags == 0
    assert do(store, Put("c", keep_value=True)) == NotFound("c")


def test_a_put_compares_the_revision(store: Any) -> None:
    assert do(store, Put("a", b"1", cas=1)) == CasMismatch("a", 1, None)
    first = do(store, Put("a", b"1", cas=0)).entry
    assert do(store, Put("a", b"2", cas=0)) == CasMismatch("a", 0, first)
    assert do(store, Put("a", b"2", cas=1)) == CasMismatch("a", 1, first)
    assert do(store, Put("a", b"2", cas=2)).entry.version == 2


def test_a_put_compares_the_version(store: Any) -> None:
    assert do(store, Put("a", b"1", if_version=1)) == VersionMismatch("a", 1, None)
    first = do(store, Put("a", b"1", if_version=0)).entry
    assert do(store, Put("a", b"2", if_version=0)) == VersionMismatch("a", 0, first)
    assert do(store, Put("a", b"2", if_version=1)).entry.version == 2


def test_keys_and_values_have_a_size(store: Any) -> None:
    config = Config(key_size_max=3, value_size_max=2)
    do(store, Put("long", b"long"), Configure(config))

    assert do(store, Put("éé", b"")) == TooLarge("key", 4, 3)
    assert do(store, Put("a", b"123")) == TooLarge("value", 3, 2)
    assert do(store, Create("long")) == TooLarge("key", 4, 3)
    assert do(store, SetQuota("long", 1)) == TooLarge("prefix", 4, 3)


def test_longer_keys_that_are_there_are_used_as_any_other(store: Any) -> None:
    do(store, SessionOpen("s"), Put("long", b"", ttl=9), Configure(Config(key_size_max=3)))

    assert do(store, Lock("other", "s")) == TooLarge("key", 5, 3)
    assert do(store, Get("long")).entry.key == "long"
    assert do(store, Range(prefix="long")).count == 1
    assert do(store, Keys("long", after="lon")).names == ("long",)
    assert do(store, Touch(("long",))).count == 1
    assert do(store, Lock("long", "s")).fresh
    assert do(store, Unlock("long", "s")).entry.version == 3
    assert do(store, Put("long", b"1")).entry.version == 4
    assert do(store, Count(start="longer")).count == 0
    assert do(store, Delete("longer")).count == 0
    assert do(store, DeleteRange("long")).count == 1


# --- create


def test_a_create_needs_the_key_to_be_absent(store: Any) -> None:
    first = do(store, Create("a", b"1", 7)).entry

    assert first == Entry("a", b"1", 7, 1, 1, 1)
    assert do(store, Create("a", b"2")) == Exists(first)


def test_a_directory_counts_the_names_it_gave(store: Any) -> None:
    create = Create("queue/job-", sequence="counter", width=3)

    names = [do(store, create).key for _ in range(2)]
    do(store, Put("queue/other"), Delete("queue/job-001"))
    names += [do(store, create).key, do(store, Create("job", sequence="counter", width=1)).key]
    do(store, Put("queue/job-003"))
    names += [do(store, create).key]

    assert names == ["queue/job-000", "queue/job-001", "queue/job-002", "job0", "queue/job-004"]


def test_a_directory_that_is_deleted_as_a_whole_counts_anew(store: Any) -> None:
    create = Create("q/", sequence="counter", width=1)
    do(store, create, create)

    do(store, DeleteRange(start="q/", end="q/1"))
    assert do(store, create).key == "q/2"
    do(store, DeleteRange(prefix="q/"))
    assert do(store, create).key == "q/0"
    do(store, DeleteRange(start="a"))
    assert do(store, create).key == "q/0"


def test_a_name_can_end_in_the_index(store: Any) -> None:
    applied = store.apply(Create("a-", sequence="revision"), index=12)

    assert applied.result.key == "a-00000000000000000012"


# --- delete


def test_a_delete_takes_the_key_away(store: Any) -> None:
    first = do(store, Put("a", b"1")).entry

    assert do(store, Delete("a", want_previous=True)).previous == (first,)
    assert do(store, Delete("a")) == DeleteOk(0)
    assert entry(store, "a") is None
    assert do(store, Put("a", b"2")).entry == Entry("a", b"2", 0, 5, 5, 1)


def test_a_delete_compares_what_is_there(store: Any) -> None:
    first = do(store, Put("a", b"1")).entry

    assert do(store, Delete("a", cas=9)) == CasMismatch("a", 9, first)
    assert do(store, Delete("a", if_version=9)) == VersionMismatch("a", 9, first)
    assert do(store, Delete("b", cas=9, if_version=9)) == DeleteOk(0)
    assert do(store, Delete("a", cas=1, if_version=1)).count == 1


def test_a_range_is_deleted_in_the_order_of_keys_as_one_revision(store: Any) -> None:
    do(store, *(Put(key) for key in ("b", "a/2", "a/1", "a")))

    applied = store.apply(DeleteRange(prefix="a/", want_previous=True))

    assert [each.key for each in applied.result.previous] == ["a/1", "a/2"]
    assert [(each.key, each.cause) for each in applied.events] == [
        ("a/1", Cause.RANGE),
        ("a/2", Cause.RANGE),
    ]
    assert keys(store, prefix="") == ("a", "b")


def test_a_limited_deletion_tells_where_to_go_on(store: Any) -> None:
    do(store, *(Put(key) for key in "abc"))

    first = do(store, DeleteRange(start="a", limit=2))
    second = do(store, DeleteRange(start=first.next, limit=2))

    assert (first.count, first.next) == (2, "c")
    assert (second.count, second.next) == (1, None)


# --- ttl


def test_a_key_with_a_ttl_is_deleted_by_the_first_tick_after_it(store: Any) -> None:
    written = store.apply(Put("a", ttl=100), now=1_000).result
    do(store, Put("b"))

    assert (written.expires, written.entry.ttl, store.next_deadline) == (1_100, 100, 1_100)
    assert do(store, Tick(), now=1_099) == TickOk((), 0, False)
    applied = store.apply(Tick(), now=1_100)
    assert applied.result == TickOk((), 1, False)
    assert [(each.key, each.kind, each.cause) for each in applied.events] == [
        ("a", "delete", Cause.TTL)
    ]
    assert store.next_deadline is None


def test_a_write_or_a_touch_begins_the_ttl_anew(store: Any) -> None:
    do(store, Put("a", ttl=100), now=1_000)

    assert not store.apply(Put("a"), now=1_050).changed
    assert do(store, Get("a")).expires == 1_150
    assert do(store, Touch(("a", "missing")), now=1_100) == TouchOk(1)
    assert do(store, Get("a")).entry.expires == 1_200
    assert do(store, Put("a", ttl=None)).expires is None
    assert do(store, Touch(("a",))) == TouchOk(0)
    assert store.revision == 6


def test_a_tick_ends_no_more_than_its_limit_the_earliest_first(store: Any) -> None:
    for key, ttl in (("a", 300), ("b", 200), ("c", 100)):
        do(store, Put(key, ttl=ttl), now=0)

    assert do(store, Tick(2), now=1_000) == TickOk((), 2, True)
    assert keys(store, prefix="") == ("a",)
    assert do(store, Tick(2)) == TickOk((), 1, False)


def test_time_never_goes_back(store: Any) -> None:
    do(store, Put("a", ttl=100), now=1_000)

    assert do(store, Put("a", ttl=100), now=500).expires == 1_100
    assert do(store, Get("a")).entry.expires == 1_100
    assert store.clock == 1_000


def test_a_new_proposer_lets_time_go_on_from_where_it_is(store: Any) -> None:
    do(store, Put("a", ttl=100), now=1_000)

    assert do(store, Rebase(), now=50) == RebaseOk(950)
    assert do(store, Tick(), now=149) == TickOk((), 0, False)
    assert do(store, Tick(), now=150) == TickOk((), 1, False)
    refused = do(store, Rebase())
    assert isinstance(refused, Malformed)
    assert refused.field == "now"


# --- sessions


def test_a_session_is_opened_once(store: Any) -> None:
    command = SessionOpen("s", 5_000, "delete", 9, ("node:n",), "me", (("a", "b"),))
    opened = do(store, command, now=7)

    assert opened.deadline == 5_007
    assert attrs.astuple(opened.session) == (
        ("s", 5_000, "delete", 9, ("node:n",), "me", (("a", "b"),), 1)
    )
    assert do(store, SessionOpen("s")) == SessionExists("s")
    assert do(store, SessionOpen()).deadline is None
    assert do(store, SessionOpen(ttl=999)) == BadTtl(999, 1_000, 86_400_000)


def test_a_session_lasts_its_ttl_times_the_grace_unless_it_is_renewed(store: Any) -> None:
    do(store, Configure(Config(session_grace=2)), SessionOpen("s", 1_000), SessionOpen("t"), now=0)

    renewed = do(store, SessionRenew(("s", "t", "u")), now=1_500)

    assert renewed.deadlines == (("s", 3_500), ("t", None))
    assert renewed.missing == ("u",)
    assert do(store, Tick(), now=3_499) == TickOk((), 0, False)
    assert do(store, Tick(), now=3_500) == TickOk(("s",), 0, False)
    assert store.revision == 0


def test_the_end_of_a_session_deletes_what_it_owns_and_frees_what_it_holds(store: Any) -> None:
    do(store, SessionOpen("s"), Put("b/own", owner="s"), Put("a/held", b"v"), Lock("a/held", "s"))

    applied = store.apply(SessionClose("s"))

    assert applied.result == CloseOk(("s",), 1, 1)
    assert [(each.key, each.kind, each.cause) for each in applied.events] == [
        ("a/held", "put", Cause.SESSION),
        ("b/own", "delete", Cause.SESSION),
    ]
    assert entry(store, "a/held") == Entry("a/held", b"v", 0, 3, 5, 3, 1)
    assert do(store, SessionClose("s")) == CloseOk((), 0, 0)


def test_a_session_that_deletes_deletes_what_it_holds(store: Any) -> None:
    do(store, SessionOpen("s", on_end="delete"), Lock("a", "s"), Put("a", owner="s"))

    assert do(store, SessionClose("s")) == CloseOk(("s",), 0, 1)
    assert keys(store, prefix="") == ()


def test_sessions_end_with_what_they_are_bound_to(store: Any) -> None:
    do(store, SessionOpen("t", bindings=("node:n", "check:c")))
    do(store, SessionOpen("s", bindings=("node:n",)))
    do(store, SessionOpen("u", bindings=("node:m",)), Put("k", owner="t"))

    assert do(store, Invalidate(("node:n", "check:c"))) == CloseOk(("s", "t"), 0, 1)
    assert do(store, Invalidate(("node:n",))) == CloseOk((), 0, 0)
    assert [session.id for session in store.sessions()] == ["u"]


def test_an_owner_must_be_a_session_and_can_be_taken_away(store: Any) -> None:
    assert do(store, Put("a", owner="s")) == NoSession("s")
    assert do(store, Create("a", owner="s")) == NoSession("s")
    do(store, SessionOpen("s"), Put("a", owner="s"))
    assert do(store, Put("a", b"new")).entry.owner == "s"
    assert do(store, Put("a", owner=None)).entry.owner == ""


def test_a_session_has_so_many_keys_and_no_more(store: Any) -> None:
    do(store, Configure(Config(session_keys_max=1)), SessionOpen("s"), Lock("a", "s"))

    assert do(store, Put("a", owner="s")).entry.owner == "s"
    assert do(store, Put("b", owner="s")) == TooLarge("session", 2, 1)
    assert do(store, Lock("b", "s")) == TooLarge("session", 2, 1)


def test_a_tick_ends_sessions_before_keys_and_counts_both(store: Any) -> None:
    do(store, SessionOpen("t", 1_000), SessionOpen("s", 1_500), Put("k", ttl=10), now=0)
    do(store, SessionOpen("u", 2_000), Lock("held", "u"), Lock("too", "u"))

    assert do(store, Tick(3), now=9_000) == TickOk(("s", "t"), 0, True)
    assert do(store, Tick(1), now=9_000) == TickOk(("u",), 0, True)
    assert do(store, Tick(1), now=9_000) == TickOk((), 1, False)


# --- locks


def test_a_lock_has_one_holder_and_counts_how_often_it_was_taken(store: Any) -> None:
    do(store, SessionOpen("s"), SessionOpen("t"))

    first = do(store, Lock("a", "s", b"v", 5))

    assert (first.fresh, first.fencing.lock_count) == (True, 1)
    assert first.entry == Entry("a", b"v", 5, 3, 3, 1, 1, "s", 3)
    assert do(store, Lock("a", "t")) == Held("a", "s", 3)
    again = do(store, Lock("a", "s", b"w"))
    assert (again.fresh, again.entry) == (False, Entry("a", b"w", 5, 3, 5, 2, 1, "s", 3))
    assert not store.apply(Lock("a", "s")).changed
    assert do(store, Unlock("a", "s")).entry == Entry("a", b"w", 5, 3, 7, 3, 1)
    assert do(store, Lock("a", "t")).fencing.lock_count == 2


def test_locks_are_advisory_and_writes_keep_them(store: Any) -> None:
    do(store, SessionOpen("s"), Lock("a", "s"))

    assert do(store, Put("a", b"new")).entry.lock_session == "s"


def test_only_the_holder_unlocks(store: Any) -> None:
    do(store, SessionOpen("s"), Lock("a", "s"))

    assert do(store, Unlock("a", "t")) == NotHeld("a", "s")
    assert do(store, Unlock("b", "s")) == NotHeld("b", "")
    unlocked = do(store, Unlock("a", "s", b"v", 3))
    assert (unlocked.deleted, unlocked.entry.value, unlocked.entry.flags) == (False, b"v", 3)
    assert do(store, Unlock("a", "s")) == NotHeld("a", "")


def test_an_unlock_can_delete_the_key(store: Any) -> None:
    do(store, SessionOpen("s"), Put("a", ttl=1_000), Lock("a", "s", b"v"))

    unlocked = do(store, Unlock("a", "s", delete=True))

    assert (unlocked.deleted, unlocked.entry.value, unlocked.expires) == (True, b"v", None)
    assert keys(store, prefix="") == ()


def test_a_lock_needs_a_session(store: Any) -> None:
    assert do(store, Lock("a", "s")) == NoSession("s")


def test_the_end_of_a_holder_delays_the_next(store: Any) -> None:
    do(store, Configure(Config(lock_delay_max=500)))
    do(store, SessionOpen("s", lock_delay=900), SessionOpen("t", on_end="delete"), now=1_000)
    do(store, Lock("a", "s"), SessionClose("s"))

    assert do(store, Lock("a", "t"), now=1_400) == Delayed("a", 1_500, 1_400)
    assert do(store, Lock("a", "t"), now=1_500).fresh
    do(store, SessionClose("t"), SessionOpen("u", lock_delay=0))
    assert do(store, Lock("a", "u")) == Delayed("a", 2_000, 1_500)


def test_giving_back_a_lock_delays_nobody(store: Any) -> None:
    do(store, SessionOpen("s"), SessionOpen("t", lock_delay=0), Lock("a", "s"), Unlock("a", "s"))

    assert do(store, Lock("a", "t"), SessionClose("t"), SessionOpen("t"), Lock("a", "t")).fresh


def test_values_of_locks_have_a_size_too(store: Any) -> None:
    do(store, SessionOpen("s"), Lock("a", "s"), Configure(Config(value_size_max=1)))

    assert do(store, Lock("a", "s", b"12")) == TooLarge("value", 2, 1)
    assert do(store, Unlock("a", "s", b"12")) == TooLarge("value", 2, 1)


# --- reads


def test_the_past_can_be_read_until_it_is_compacted(store: Any) -> None:
    do(store, Put("a", b"1"), Put("b", b"1"), Put("a", b"2"), Delete("a"))

    values = [do(store, Get("a", revision)).entry for revision in range(5)]
    assert [value and value.value for value in values] == [None, b"1", b"1", b"2", None]
    assert do(store, Count(prefix="", revision=3)).count == 2
    assert do(store, Keys(revision=3)).names == ("a", "b")
    assert do(store, Compact(3)) == CompactOk(3, 3)
    assert do(store, Get("a", 3)).entry.value == b"2"
    for read in (Get("a", 2), Range(prefix="", revision=2), Count(prefix="", revision=2)):
        assert do(store, read) == Compacted(2, 3)
    assert do(store, Compact(2)) == Compacted(2, 3)


def test_the_future_cannot_be_read(store: Any) -> None:
    do(store, Put("a"))

    assert do(store, Get("a", 2)).entry.version == 1
    assert do(store, Get("a", 9)) == Future(9, 3)
    assert do(store, Compact(9)) == Future(9, 4)
    assert do(store, Range(prefix="", include_deleted_since=9)) == Future(9, 5)


def test_a_range_is_prefix_or_half_open(store: Any) -> None:
    do(store, *(Put(key) for key in ("a", "a/b", "ab", "b")))

    assert keys(store, prefix="a") == ("a", "a/b", "ab")
    assert keys(store, start="a/", end="b") == ("a/b", "ab")
    assert keys(store, start="ab") == ("ab", "b")
    assert keys(store, start="b", end="a") == ()


def test_a_range_filters_sorts_and_limits_in_this_order(store: Any) -> None:
    do(store, Put("a", b"3"), Put("b", b"2"), Put("c", b"1"), Put("a", b"4"), Put("c", b"0"))

    assert keys(store, prefix="", sort="value") == ("c", "b", "a")
    assert keys(store, prefix="", sort="mod", descending=True, limit=2) == ("c", "a")
    assert keys(store, prefix="", sort="version", descending=True) == ("a", "c", "b")
    assert keys(store, prefix="", sort="create", descending=True) == ("c", "b", "a")
    assert keys(store, prefix="", min_mod_revision=3) == ("a", "c")
    assert keys(store, prefix="", max_mod_revision=4) == ("a", "b")
    assert keys(store, prefix="", min_create_revision=2, max_create_revision=2) == ("b",)
    assert do(store, Range(prefix="", limit=1, min_mod_revision=5)).count == 3


def test_a_range_that_was_cut_tells_where_to_go_on(store: Any) -> None:
    do(store, Put("a", b"1"), Put("b", b"12345"), Put("c", b"1"))

    first = do(store, Range(prefix="", limit=2))
    assert (first.keys, first.next, first.more) == (("a", "b"), "b", True)
    rest = do(store, Range(prefix="", after=first.next))
    assert (rest.keys, rest.next, rest.more) == (("c",), None, False)
    assert keys(store, prefix="", descending=True, after="c") == ("b", "a")
    assert keys(store, prefix="", max_bytes=8) == ("a", "b")
    assert keys(store, prefix="", max_bytes=7) == ("a",)
    assert keys(store, start="b", max_bytes=1) == ("b",)
    by_value = do(store, Range(prefix="", limit=1, sort="value"))
    assert (by_value.next, by_value.more) == (None, True)


def test_a_range_of_keys_only_leaves_the_values_out(store: Any) -> None:
    do(store, Put("a", b"1", flags=3))

    assert do(store, Range(prefix="", keys_only=True)).entries == (Entry("a", b"", 3, 1, 1, 1),)


def test_a_range_tells_what_was_deleted_since(store: Any) -> None:
    do(store, *(Put(key) for key in "abc"), Delete("a"), Delete("b"), Put("a"), Delete("c"))

    assert do(store, Range(prefix="", include_deleted_since=3)).deleted == (("b", 5), ("c", 7))
    assert do(store, Range(prefix="", include_deleted_since=5)).deleted == (("c", 7),)
    do(store, Compact(5))
    assert do(store, Range(prefix="", include_deleted_since=4)) == Compacted(4, 5)


def test_a_range_tells_when_keys_expire(store: Any) -> None:
    do(store, Put("a", ttl=5), Put("b"), now=10)

    assert [each.expires for each in do(store, Range(prefix="")).entries] == [15, None]
    assert do(store, Range(prefix="", revision=1)).expiries == ()


def test_names_are_folded_behind_the_separator(store: Any) -> None:
    do(store, *(Put(f"foo/bar/{key}") for key in ("baz", "zip", "zip/zam", "zip/zom")))

    names = do(store, Keys("foo/bar/"))
    assert names.names == ("foo/bar/baz", "foo/bar/zip", "foo/bar/zip/")
    assert do(store, Keys("foo/bar/z", "i")).names == ("foo/bar/zi",)
    assert len(do(store, Keys("foo/", "")).names) == 4
    first = do(store, Keys("foo/bar/", limit=2))
    assert (first.names, first.next) == (names.names[:2], "foo/bar/zip")
    rest = do(store, Keys("foo/bar/", after="foo/bar/zip"))
    assert (rest.names, rest.next) == (("foo/bar/zip/",), None)


# --- transactions


def test_a_transaction_takes_the_branch_that_its_checks_choose(store: Any) -> None:
    do(store, Put("a", b"1"))
    txn = Txn((Check("a", "value", "=", b"1"),), (Put("a", b"2"),), (Get("a"),))

    first, second = store.apply(txn), store.apply(txn)

    assert (first.result.branch, first.changed) == (True, True)
    assert (second.result.branch, second.changed) == (False, False)
    assert second.result.results[0].entry.value == b"2"


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (Check("a"), True),
        (Check("x"), False),
        (Check("x", "exists", "=", operand=False), True),
        (Check("a", "version", ">", 1), True),
        (Check("a", "version", "<", 2), False),
        (Check("a", "mod", ">=", 3), True),
        (Check("a", "create", "<=", 1), False),
        (Check("a", "flags", "!=", 0), True),
        (Check("x", "mod", "=", 0), True),
        (Check("x", "value", "!=", b"1"), False),
        (Check("a", "lock", "=", "s"), True),
        (Check("x", "owner", "=", ""), True),
        (Check(prefix="", target="version", operator=">=", operand=1), True),
        (Check(prefix="", target="version", operator=">=", operand=2), False),
        (Check(start="x", target="version", operator="=", operand=0), True),
        (Check(start="x", end="y"), False),
    ],
)
def test_a_check_compares_what_a_key_is(store: Any, check: Check, passes: bool) -> None:
    do(store, SessionOpen("s"), Put("a", flags=7), Lock("a", "s"), Put("b"))

    assert do(store, Txn((check,))).branch is passes


def test_branches_are_chosen_before_anything_is_done(store: Any) -> None:
    inner = Txn((Check("a"),), (Put("seen"),), (Put("unseen"),))

    result = do(store, Txn((), (Put("a"), inner)))

    assert [each.branch for each in (result, result.results[1])] == [True, False]
    assert keys(store, prefix="") == ("a", "unseen")


def test_operations_see_what_came_before_them(store: Any) -> None:
    result = do(store, Txn((), (Put("a", b"1"), Get("a"), Delete("a"), Get("a"))))

    assert result.results[1].entry.value == b"1"
    assert result.results[3].entry is None


def test_a_transaction_does_all_or_nothing_and_tells_every_refusal(store: Any) -> None:
    operations = (
        Put("a"),
        Put("b", cas=5),
        Txn((), (), (Put("not taken", cas=5),)),
        Txn((Check("x"),), (), (Put("c"), Lock("d", "s"), Check("e"))),
    )

    applied = store.apply(Txn((), operations))

    assert not applied.changed
    assert applied.result == TxnFailed(
        (
            TxnError(("then", 1), CasMismatch("b", 5, None)),
            TxnError(("then", 3, "otherwise", 1), NoSession("s")),
            TxnError(("then", 3, "otherwise", 2), CheckFailed("e", None)),
        )
    )
    assert keys(store, prefix="") == ()
    first = do(store, Txn((), operations, stop_at_first=True))
    assert first == TxnFailed(applied.result.errors[:1])


def test_a_check_that_must_pass_tells_what_it_met(store: Any) -> None:
    checks = (Check("a"), Check(prefix=""), Check(start="x", target="mod", operand=0))
    found = do(store, Put("a", b"1"), Txn((), checks))
    assert [each.entry and each.entry.key for each in found.results] == ["a", None, None]

    refused = do(store, Txn((), (Check(prefix="", target="version", operator=">", operand=1),)))
    assert refused.errors[0].refusal == CheckFailed("a", entry(store, "a"))
    refused = do(store, Txn((), (Check(start="x"),)))
    assert refused.errors[0].refusal == CheckFailed("x", None)


def test_a_key_changes_once_in_a_transaction_however_often_it_is_written(store: Any) -> None:
    do(store, Put("a", b"0"))

    applied = store.apply(Txn((), (Put("a", b"1"), Put("b"), Put("a", b"2"), Put("b", b"1"))))

    assert [(each.key, each.entry and each.entry.value) for each in applied.events] == [
        ("a", b"2"),
        ("b", b"1"),
    ]
    assert entry(store, "a") == Entry("a", b"2", 0, 1, 2, 2)
    assert entry(store, "b") == Entry("b", b"1", 0, 2, 2, 1)


def test_what_a_transaction_undoes_itself_did_not_happen(store: Any) -> None:
    do(store, Put("a", b"0"))

    applied = store.apply(Txn((), (Put("a", b"1"), Put("b"), Delete("b"), Put("a", b"0"))))

    assert (applied.changed, applied.events) == (False, ())
    assert entry(store, "a") == Entry("a", b"0", 0, 1, 1, 1)


def test_a_key_that_comes_and_goes_in_one_transaction_was_never_there(store: Any) -> None:
    applied = store.apply(Txn((), (Put("a", force=True), Delete("a"))))

    assert (applied.changed, applied.events) == (False, ())


def test_a_key_that_is_deleted_and_put_back_in_one_transaction_is_a_new_one(store: Any) -> None:
    do(store, Put("a", b"0"))

    applied = store.apply(Txn((), (Delete("a"), Put("a", b"0"))))

    assert [each.kind for each in applied.events] == ["put"]
    assert entry(store, "a") == Entry("a", b"0", 0, 2, 2, 1)


def test_a_transaction_has_so_many_operations_and_levels_and_no_more(store: Any) -> None:
    do(store, Configure(Config(operations_max=3, depth_max=2)))
    inner = Txn((), (Get("a"),), ())

    assert do(store, Txn((Check("a"),), (inner,))).branch is False
    assert do(store, Txn((Check("a"),), (inner,), (Get("a"),))) == TooManyOperations(3, 4)
    assert do(store, Txn((), (Txn((), (inner,)),))) == TooDeep(2)


def test_limits_of_what_a_store_holds_are_looked_at_when_a_transaction_is_done(store: Any) -> None:
    do(store, Put("a"), SetQuota("", max_keys=1))

    assert do(store, Txn((), (Put("b"), Delete("a")))).branch
    refused = do(store, Txn((), (Put("c"),)))
    assert refused == TxnFailed((TxnError((), QuotaExceeded("", "keys", 1, 2)),))


def test_reads_in_a_transaction_see_the_past_and_what_was_done(store: Any) -> None:
    do(store, Put("a", b"0"), Put("b", b"0"), Delete("b"))

    result = do(
        store,
        Txn(
            (),
            (
                Put("a", b"1"),
                Get("a", 3),
                Get("a", 4),
                Delete("a"),
                Range(prefix="", include_deleted_since=1),
                Count(prefix="", revision=2),
            ),
        ),
    )

    now, past = result.results[2], result.results[1]
    assert (past.entry.value, now.entry.value) == (b"0", b"1")
    assert result.results[4].deleted == (("a", 4), ("b", 3))
    assert result.results[5].count == 2


# --- quotas


def test_every_quota_above_a_key_applies(store: Any) -> None:
    do(store, Put("a/b", b"12"), SetQuota("a", max_keys=2), SetQuota("a/", max_bytes=6))

    assert do(store, Put("a/b", b"1234")) == QuotaExceeded("a/", "bytes", 6, 7)
    assert do(store, Put("a/b", b"123")).entry.version == 2
    do(store, Put("ab"))
    assert do(store, Put("ac")) == QuotaExceeded("a", "keys", 2, 3)
    assert do(store, SetQuota("a", max_keys=1)) == OverAlready("a", "keys", 1, 2)
    assert do(store, DropQuota("a")) == Ok()
    assert do(store, Put("ac")).created


# --- upkeep


def test_a_configuration_is_replaced_as_a_whole(store: Any) -> None:
    old = store.config

    assert do(store, Configure(Config(depth_max=3))).old == old
    assert store.config == Config(depth_max=3)


def test_the_separator_changes_only_while_the_store_is_empty(store: Any) -> None:
    do(store, Configure(Config(separator=".")), Create("a.b", sequence="counter", width=1))

    assert isinstance(do(store, Configure(Config())), Malformed)


def test_what_cannot_be_read_is_not_supported(store: Any) -> None:
    assert isinstance(do(store, Unknown("warp", "version 9")), Unsupported)


# --- access


def test_access_is_decided_when_a_command_is_applied(store: Any) -> None:
    rules = (
        Rule("key", "a/", Level.WRITE, prefix=True),
        Rule("key", "a/secret", Level.DENY),
        Rule("acl", "", Level.WRITE),
        Rule("operator", "", Level.WRITE),
    )
    do(store, Put("a/secret"), Put("b"), SetPolicy(Policy("p", rules)), SetRole(Role("r", ("p",))))
    do(store, SetToken(Token("alice", roles=("r",))), Configure(Config(acl=AclMode.DENY)))

    def as_alice(command: Command) -> Any:
        return store.apply(command, actor="alice").result

    assert as_alice(Put("a/1")).created
    denied = as_alice(Put("b"))
    assert isinstance(denied, Denied)
    assert (denied.operation, denied.label) == ("put", "b")
    assert as_alice(Range(prefix="")).keys == ("a/1",)
    assert as_alice(Range(prefix="")).filtered
    assert as_alice(Count(prefix="")).count == 1
    assert as_alice(Keys()).filtered
    as_alice(Delete("a/1"))
    assert as_alice(Range(prefix="", include_deleted_since=1)).deleted == (("a/1", 13),)
    for command in (Get("a/secret"), DeleteRange(prefix="a/"), SessionOpen("s")):
        assert isinstance(as_alice(command), Denied)
    assert as_alice(SessionClose("s")) == CloseOk((), 0, 0)
    assert isinstance(store.apply(Range(prefix=""), actor="nobody").result, Denied)
    assert isinstance(do(store, Put("a/1")), Denied)
    for check in (Check("b"), Check(prefix="")):
        for actor in ("alice", "nobody"):
            txn = store.apply(Txn((check,), (check,)), actor=actor).result
            assert [each.path for each in txn.errors] == [("when", 0)]
    assert as_alice(DropRole("r")) == Ok()
    assert isinstance(as_alice(Put("a/1")), Denied)


def test_links_of_access_lead_somewhere_when_they_are_made(store: Any) -> None:
    for command in (SetRole(Role("r", ("p",))), SetToken(Token("t", roles=("r",)))):
        assert isinstance(do(store, command), Malformed)
    assert do(store, DropPolicy("p"), DropToken("t")) == Ok()


def test_a_list_can_need_a_right_of_its_own(store: Any) -> None:
    rules = (Rule("key", "", Level.READ, prefix=True),)
    do(store, SetPolicy(Policy("p", rules)), SetToken(Token("alice", policies=("p",))), Put("a"))
    do(store, Configure(Config(acl=AclMode.DENY, list_needs_right=True)))

    denied = store.apply(Range(prefix=""), actor="alice").result

    assert isinstance(denied, Denied)
    assert denied.operation == "list"
    assert store.apply(Get("a"), actor="alice").result.entry is not None
