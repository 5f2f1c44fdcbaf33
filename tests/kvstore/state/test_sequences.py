"""Sequence counters: names that are never given twice."""

from __future__ import annotations

from kvstore.commands import Create, Delete, DeleteRange, Put, Txn
from kvstore.config import Config
from kvstore.refusals import Malformed, TooLarge, TxnFailed
from kvstore.results import PutOk
from kvstore.state.sequences import Sequences
from kvstore.store import Store
from tests.kvstore.driving import done, keys, made, refused


def name(store: Store, key: str, width: int = 10) -> str:
    return done(store, Create(key, sequence="counter", width=width), PutOk).key


def test_names_count_from_zero_in_ten_digits() -> None:
    store = Store()

    assert [name(store, "q/job-") for _ in range(3)] == [
        "q/job-0000000000",
        "q/job-0000000001",
        "q/job-0000000002",
    ]


def test_a_directory_counts_all_its_names_and_only_those_that_it_gave() -> None:
    store = made(Put("q/by-hand"))

    assert name(store, "q/a", 2) == "q/a00"
    assert name(store, "q/b", 2) == "q/b01"
    assert name(store, "q/x/", 2) == "q/x/00"
    assert name(store, "top", 2) == "top00"


def test_a_number_is_not_given_again_when_its_key_is_gone() -> None:
    store = Store()
    gone = name(store, "q/")

    made(Delete(gone), store=store)

    assert name(store, "q/") == "q/0000000001"


def test_numbers_grow_beyond_their_width() -> None:
    store = Store()

    names = [name(store, "q/", 1) for _ in range(11)]

    assert names[-1] == "q/10"


def test_names_that_are_there_already_are_passed_over() -> None:
    store = made(Put("q/00"), Put("q/01"))

    assert name(store, "q/", 2) == "q/02"
    assert name(store, "q/", 2) == "q/03"


def test_deleting_the_whole_directory_begins_anew() -> None:
    store = Store()
    name(store, "q/")
    name(store, "q/deeper/")

    made(DeleteRange("q/"), store=store)

    assert name(store, "q/") == "q/0000000000"
    assert name(store, "q/deeper/") == "q/deeper/0000000000"


def test_deleting_a_part_of_a_directory_does_not_begin_anew() -> None:
    store = Store()
    for _ in range(3):
        name(store, "q/")

    made(DeleteRange("q/0"), DeleteRange(start="q/", end="q/z"), store=store)
    made(Put("q/x"), Put("q/y"), DeleteRange("q/", limit=1), store=store)

    assert name(store, "q/") == "q/0000000003"


def test_deleting_everything_forgets_the_counter_without_directory_too() -> None:
    store = Store()
    name(store, "n")

    made(DeleteRange("n"), store=store)
    assert name(store, "n") == "n0000000001"
    made(DeleteRange(""), store=store)

    assert name(store, "n") == "n0000000000"


def test_the_index_makes_names_that_need_no_counter() -> None:
    store = made(Put("x"), Put("y"))

    result = done(store, Create("q/", sequence="revision"), PutOk)

    assert result.key == "q/00000000000000000003"
    assert result.entry.create_revision == 3


def test_a_transaction_that_fails_gives_no_numbers() -> None:
    store = Store()
    counting = Create("q/", sequence="counter")

    refused(store, Txn((), (counting, counting, Create("q/0000000001"))), TxnFailed)

    assert name(store, "q/") == "q/0000000000"


def test_one_transaction_may_give_several_names() -> None:
    store = Store()
    counting = Create("q/", sequence="counter", width=1)

    made(
        Txn((), (counting, counting)), Txn((), (counting, DeleteRange("q/"), counting)), store=store
    )

    assert keys(store) == ["q/0"]


def test_malformed_names_are_refused() -> None:
    store = Store()

    assert refused(store, Create("q/", sequence="other"), Malformed).field == "sequence"  # type: ignore[arg-type]
    assert refused(store, Create("q/", sequence="counter", width=0), Malformed).field == "width"
    assert refused(store, Create("q/", sequence="counter", width=21), Malformed).field == "width"
    assert refused(store, Create("q" * 1020, sequence="counter"), TooLarge).what == "key"
    assert refused(store, Create("q\0", sequence="counter"), Malformed).field == "key"


def test_a_name_that_is_too_long_is_refused_with_its_own_size() -> None:
    store = Store(Config(key_size_max=4))

    refusal = refused(store, Create("é/🐋", sequence="counter", width=1), TooLarge)

    assert (refusal.what, refusal.size, refusal.limit) == ("key", 8, 4)
    assert refused(store, Create("é/🐋", sequence="counter", width=9), TooLarge).size == 16


def test_the_stem_may_be_empty() -> None:
    assert name(Store(), "", 1) == "0"


def test_numbers_that_are_put_are_told_and_zero_forgets() -> None:
    sequences = Sequences()

    sequences.put("a/", 0)
    sequences.put("a/", 3)
    sequences.put("a/b/", 1)
    sequences.put("a/", 4)

    assert (sequences.next("a/"), sequences.next("b/")) == (4, 0)
    assert sequences.covered("a/", "a0") == ["a/", "a/b/"]
    assert sequences.covered("a/b", "a/c") == ["a/b/"]
    sequences.put("a/", 0)
    assert sequences.covered("", None) == ["a/b/"]
    assert dict(sequences.table) == {"a/b/": 1}
