"""The prefix index: what changed last below a directory."""

from __future__ import annotations

from kvstore.state.directories import (
    LEVELS_MAX,
    NO_DIRECTORY,
    Directories,
    common_prefix,
    directory_of,
)

DEEP = "d/" * (LEVELS_MAX + 3)


def test_a_change_is_one_of_all_directories_above() -> None:
    directories = Directories("/")

    directories.touch(directories.number("a/b/c"), 7)
    directories.touch(directories.number("a/x"), 8)

    assert [directories.index(name) for name in ("a/", "a/b/", "c/")] == [8, 7, None]
    assert len(directories) == 2


def test_a_key_without_a_directory_has_no_number() -> None:
    directories = Directories("/")

    assert directories.number("top") == NO_DIRECTORY
    directories.touch(NO_DIRECTORY, 1)
    assert len(directories) == 0


def test_the_directories_above_a_key_come_lowest_first() -> None:
    directories = Directories("/")

    assert list(directories.above("a/b/c")) == ["a/b/", "a/"]
    assert list(directories.above("a//c")) == ["a//", "a/"]
    assert list(directories.above("top")) == []


def test_only_the_first_levels_are_directories_of_their_own() -> None:
    directories = Directories("/")

    number = directories.number(DEEP + "key")

    assert directories.indexed(DEEP) == "d/" * LEVELS_MAX
    assert directories.names[number] == "d/" * LEVELS_MAX
    assert directories.number(DEEP + "other") == number
    assert len(directories) == LEVELS_MAX


def test_the_directory_that_holds_a_range() -> None:
    directories = Directories("/")

    assert directories.enclosing("a/b/", "a/b0") == "a/b/"
    assert directories.enclosing("a/b", "a/c") == "a/"
    assert directories.enclosing("a/b/c", "a/b/x") == "a/b/"
    assert directories.enclosing("a/b", None) == ""
    assert directories.enclosing("a", "b/c") == ""


def test_what_texts_begin_with_alike() -> None:
    assert common_prefix("abc", "abd") == "ab"
    assert common_prefix("ab", "abd") == "ab"
    assert common_prefix("x", "y") == ""
    assert directory_of("a.b", ".") == "a."


def test_a_directory_is_forgotten_when_its_last_change_is_and_nothing_is_below() -> None:
    directories = Directories("/")
    directories.touch(directories.number("a/b/c"), 5)

    assert not directories.release("a/b/", 4)
    assert not directories.release("a/", 5)
    assert not directories.release("unknown/", 5)
    assert directories.release("a/b/", 5)
    assert directories.release("a/", 5)
    assert len(directories) == 0


def test_numbers_are_given_anew_and_that_is_told() -> None:
    directories = Directories("/")
    first = directories.number("a/x")
    directories.release("a/", 0)

    second = directories.number("b/c/x")

    assert directories.names[directories.number("b/x")] == "b/"
    assert first in {second, directories.parents[second]}
    assert directories.reused == 1
    assert directories.index("b/") == 0


def test_a_view_keeps_revisions_as_they_were() -> None:
    directories = Directories("/")
    number = directories.number("a/b/c")
    directories.touch(number, 5)
    saved = directories.freeze()

    directories.touch(number, 6)
    directories.touch(number, 7)

    assert [directories.index_in(saved, name) for name in ("a/", "a/b/")] == [5, 5]
    assert directories.index("a/") == 7
    directories.thaw(saved)
    directories.touch(directories.number("x/y"), 8)
    assert len(saved) == 2


def test_told_directories_fit_keys_or_do_not() -> None:
    directories = Directories("/")
    number = directories.number("a/b/c")
    directories.assign("a/", 9)
    directories.assign("a/b/", 7)

    assert directories.fits([(number, 7), (NO_DIRECTORY, 3)])
    assert not directories.fits([(number, 8)])
    assert not directories.fits([])
    directories.assign("a/", 6)
    assert not directories.fits([(number, 7)])
