"""Who watches a key, against asking every watch."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kvstore.state.directories import LEVELS_MAX, Directories, directory_of
from kvstore.watches.index import CHANGES_MIN, TOGETHER_MAX, UNKNOWN, WatchIndex

WORDS = st.text("ab/", max_size=5)
DEEP = "d/" * (LEVELS_MAX + 2)


def found(index: WatchIndex[int], key: str) -> list[int]:
    return sorted(index.find(key))


def found_by_number(index: WatchIndex[int], directories: Directories, key: str) -> list[int]:
    number = directories.number(key)
    index.make_room(len(directories.names))
    watches = index.remember(number, directories)
    assert index.remembered[number + 1] is watches
    if watches is None:
        return found(index, key)
    name = directories.names[number] if number >= 0 else ""
    return sorted([*watches, *(index.more(name, key) if index.has_more else ())])


@given(st.lists(st.tuples(st.sampled_from("kpr"), WORDS, st.none() | WORDS)), st.lists(WORDS))
def test_watches_are_found_as_if_each_was_asked(
    specs: list[tuple[str, str, str | None]], keys: list[str]
) -> None:
    index: WatchIndex[int] = WatchIndex("/")
    directories = Directories("/")

    def check() -> None:
        for key in keys:
            expected = []
            for id_, (kind, low, high) in live.items():
                if kind == "k":
                    matches = key == low
                elif kind == "p":
                    matches = key.startswith(low)
                else:
                    matches = low <= key and (high is None or key < high)
                if matches:
                    expected.append(id_)
            assert found(index, key) == expected
            assert found_by_number(index, directories, key) == expected

    live: dict[int, tuple[str, str, str | None]] = {}
    for id_, (kind, low, high) in enumerate(specs):
        if kind == "k":
            index.add_key(id_, id_, low)
        elif kind == "p":
            index.add_prefix(id_, id_, low)
        else:
            index.add_range(id_, id_, low, high)
        live[id_] = (kind, low, high)
    check()
    for id_, (kind, low, _) in list(enumerate(specs))[::2]:
        if kind == "k":
            index.remove_key(id_, low)
        elif kind == "p":
            index.remove_prefix(id_, low)
        else:
            index.remove_range(id_)
        del live[id_]
    check()


def test_directories_are_remembered_from_above_and_forgotten_when_watches_change() -> None:
    index: WatchIndex[int] = WatchIndex("/")
    directories = Directories("/")
    index.add_prefix(1, 1, "a/")
    number = directories.number("a/b/c/x")
    index.make_room(3)

    assert index.remember(number, directories) == (1,)
    assert index.remembered == [(), (1,), (1,), (1,)]
    assert index.has_more is False
    index.add_prefix(2, 2, "a/b")
    assert index.remembered[0] == ()
    assert all(one is UNKNOWN for one in index.remembered[1:])
    assert index.has_more is True
    index.make_room(3)
    assert index.remember(number, directories) == (1, 2)
    other = directories.number("z/x")
    index.make_room(4)
    index.make_room(4)
    assert index.remember(other, directories) == ()


def test_keys_deeper_than_directories_are_asked_one_by_one() -> None:
    index: WatchIndex[int] = WatchIndex("/")
    directories = Directories("/")
    index.add_prefix(1, 1, DEEP)
    index.add_prefix(2, 2, "d/d/")

    number = directories.number(DEEP + "x")
    index.make_room(LEVELS_MAX)

    assert index.remember(number, directories) is None
    assert found(index, DEEP + "x") == [1, 2]
    assert found(index, "d/d/x") == [2]


def test_watches_of_all_are_not_remembered_again_for_each_directory_that_has_more() -> None:
    index: WatchIndex[int] = WatchIndex("/")
    directories = Directories("/")
    for id_ in range(TOGETHER_MAX):
        index.add_prefix(id_, id_, "")
    index.add_prefix(1000, 1000, "a/")
    number, plain = directories.number("a/x"), directories.number("b/x")
    index.make_room(2)

    found = index.remember(number, directories)

    assert found == (*range(TOGETHER_MAX), 1000)
    assert index.remembered[number + 1] is UNKNOWN
    # One that has no more shares what the directory above has.
    assert index.remember(plain, directories) is index.remembered[0]
    assert index.remembered[plain + 1] is index.remembered[0]


def test_ranges_that_come_and_go_are_found_as_they_are(seed: int) -> None:
    rng = Random(seed)
    index: WatchIndex[int] = WatchIndex("/")
    ranges: dict[int, tuple[str, str | None]] = {}

    for step in range(3000):
        id_ = rng.randrange(20 * CHANGES_MIN)
        if ranges.pop(id_, None) is not None:
            index.remove_range(id_)
        else:
            low, high = sorted(f"{rng.randrange(100):02}" for _ in range(2))
            ranges[id_] = (low, high if rng.random() < 0.9 else None)
            index.add_range(id_, id_, *ranges[id_])
        if rng.random() < 0.3:
            key = f"{rng.randrange(100):02}"
            expected = [
                id_
                for id_, (low, high) in sorted(ranges.items())
                if low <= key and (high is None or key < high)
            ]
            assert found(index, key) == expected, step
    for id_ in ranges:
        index.remove_range(id_)

    assert found(index, "50") == []


def test_many_ranges_are_found_among_many(seed: int) -> None:
    rng = Random(seed)
    index: WatchIndex[int] = WatchIndex("/")
    ranges = {}
    for id_ in range(300):
        low, high = sorted(f"{rng.randrange(1000):03}" for _ in range(2))
        ranges[id_] = (low, high if rng.random() < 0.9 else None)
        index.add_range(id_, id_, *ranges[id_])

    for number in range(1000):
        key = f"{number:03}"
        expected = [
            id_
            for id_, (low, high) in ranges.items()
            if low <= key and (high is None or key < high)
        ]
        assert found(index, key) == expected
        assert directory_of(key, "/") == ""
