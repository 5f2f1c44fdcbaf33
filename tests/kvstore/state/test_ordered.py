"""Keys in order: what a sorted list gives, whatever was added and removed before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.state.ordered import CHUNK, TAIL, OrderedKeys

WORDS = st.text("ab/", min_size=1, max_size=4)


def numbered(count: int) -> list[str]:
    return [f"{number:06}" for number in range(count)]


def test_keys_that_were_added_come_in_order() -> None:
    keys = OrderedKeys()

    for key in ("c", "a", "b"):
        keys.add(key)

    assert (list(keys), len(keys)) == (["a", "b", "c"], 3)


def test_a_range_has_its_low_end_and_not_its_high_one() -> None:
    keys = OrderedKeys(["a", "b", "c", "d"])

    assert keys.between("b", "d") == ["b", "c"]
    assert keys.between("bb", None) == ["c", "d"]
    assert keys.between("", "a") == []
    assert keys.between("d", "b") == []


def test_a_limit_takes_the_first_and_in_reverse_the_last() -> None:
    keys = OrderedKeys(["a", "b", "c", "d"])

    assert keys.between("a", None, 2) == ["a", "b"]
    assert keys.between("a", None, 2, reverse=True) == ["d", "c"]
    assert keys.between("a", "d", reverse=True) == ["c", "b", "a"]
    assert keys.between("a", None, 0) == []


def test_ranges_go_across_chunks_either_way() -> None:
    everything = numbered(5 * CHUNK)
    keys = OrderedKeys(everything)

    assert keys.between("", None) == everything
    assert keys.between("", None, 2 * CHUNK + 1) == everything[: 2 * CHUNK + 1]
    assert keys.between("", None, reverse=True) == everything[::-1]
    assert keys.between("", None, CHUNK + 7, reverse=True) == everything[::-1][: CHUNK + 7]
    low, high = everything[CHUNK // 2], everything[3 * CHUNK]
    assert keys.between(low, high) == everything[CHUNK // 2 : 3 * CHUNK]


def test_the_count_of_a_range_is_exact_before_and_after_changes() -> None:
    keys = OrderedKeys(numbered(4 * CHUNK))

    assert keys.count("", None) == 4 * CHUNK
    keys.add("000000a")
    keys.remove("002500")

    assert keys.count("000000", "000002") == 3
    assert keys.count("002000", "003000") == 999
    assert keys.count("", None) == len(keys) == 4 * CHUNK
    assert keys.count("b", "a") == 0
    keys.check_invariants()


def test_a_short_tail_and_a_long_one_are_put_in_order_alike() -> None:
    for length in (1, TAIL, TAIL + 1):
        keys = OrderedKeys(numbered(100))
        for number in reversed(range(length)):
            keys.add(f"000050{number:03}")

        assert len(keys.between("000050", "000051")) == 1 + length
        assert list(keys) == sorted(keys)


def test_chunks_split_when_they_have_doubled_and_go_when_they_are_empty() -> None:
    keys = OrderedKeys()
    everything = numbered(3 * CHUNK)
    for key in everything:
        keys.add(key)
    assert keys.count("", None) == 3 * CHUNK

    for key in everything:
        keys.check_invariants() if key.endswith("000") else None
        keys.remove(key)

    assert (list(keys), len(keys), keys.count("", None)) == ([], 0, 0)
    keys.add("again")
    assert list(keys) == ["again"]


def test_any_chunk_may_become_empty() -> None:
    everything = numbered(4 * CHUNK)
    for gone in range(4):
        keys = OrderedKeys(everything)
        part = everything[gone * CHUNK : (gone + 1) * CHUNK]
        for key in part:
            keys.remove(key)

        keys.check_invariants()
        assert list(keys) == [key for key in everything if key not in set(part)]


def test_it_is_a_sorted_list_over_many_random_changes(seed: int) -> None:
    rng = Random(seed)
    keys, model = OrderedKeys(), set[str]()
    for step in range(20_000):
        key = f"{rng.randrange(6000):04}"
        if key in model and rng.random() < 0.45:
            keys.remove(key)
            model.discard(key)
        elif key not in model:
            keys.add(key)
            model.add(key)
        if step % 500 == 0:
            low, high = sorted(f"{rng.randrange(6000):04}" for _ in range(2))
            expected = [one for one in sorted(model) if low <= one < high]
            assert keys.between(low, high) == expected
            assert keys.count(low, high) == len(expected)
            keys.check_invariants()

    assert list(keys) == sorted(model)


@given(st.lists(WORDS, unique=True), WORDS, st.none() | WORDS, st.none() | st.integers(0, 5))
def test_it_agrees_with_a_scan(
    words: list[str], low: str, high: str | None, limit: int | None
) -> None:
    keys = OrderedKeys()
    for word in words:
        keys.add(word)
    expected = [word for word in sorted(words) if word >= low and (high is None or word < high)]

    assert keys.count(low, high) == len(expected)
    assert keys.between(low, high, limit) == expected[:limit]
    assert keys.between(low, high, limit, reverse=True) == expected[::-1][:limit]


def test_removing_what_is_not_there_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        OrderedKeys(["a", "c"]).remove("b")
