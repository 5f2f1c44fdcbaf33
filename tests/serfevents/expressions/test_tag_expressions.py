"""The search: what matches, as Go and RE2 say, at a cost that no expression can raise."""

# ruff: noqa: RUF001 - letters that look alike are the point here

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import serfevents.expressions.tag_expressions
from serfevents.errors import InvalidExpression
from serfevents.expressions.program import SIZE_MAX
from serfevents.expressions.tag_expressions import REMEMBERED_MAX, TagExpression, compile_expression

VECTORS = Path(__file__).parents[1] / "vectors" / "expressions.json"


def matching_vectors() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]
    return [case for case in cases if "texts" in case]


@pytest.mark.parametrize("case", matching_vectors(), ids=lambda case: ascii(case["expression"]))
def test_what_matches_in_go_matches(case: dict[str, Any]) -> None:
    expression = compile_expression(case["expression"])

    assert {text: expression.search(text) for text in case["texts"]} == case["texts"]


@pytest.mark.parametrize(
    ("expression", "matching", "others"),
    [
        ("", ["", "a"], []),
        ("web", ["web", "a web server"], ["", "we", "Web"]),
        ("^web", ["web-1"], ["a web"]),
        ("aws$", ["x.aws"], ["aws.x", "aws\n"]),
        ("^$", [""], ["a", "\n"]),
        ("^(?:a|bc)*d?$", ["", "a", "bcad", "d"], ["b", "dd", "ab"]),
        ("a.c", ["abc", "aéc", "a\ud83dc"], ["a\nc", "ac"]),
        ("(?s)a.c", ["a\nc"], []),
        ("(?m)^b$", ["a\nb\nc", "b"], ["ab", "a\nbc"]),
        ("(?i)STRASSE", ["strasse", "ſtraſſe"], ["straße"]),
        ("(?i:a)b", ["Ab", "ab"], ["aB"]),
        ("(?i)a(?-i)b", ["Ab"], ["AB"]),
        ("((?i)a)b", ["Ab"], ["AB"]),
        ("x{2,3}$", ["xx", "xxxxx"], ["x", "xxa"]),
        ("^x{2,3}$", ["xx", "xxx"], ["x", "xxxx"]),
        ("a{,2}", ["a{,2}"], ["aa"]),
        (r"\bcat\b", ["a cat.", "cat"], ["cats", "_cat"]),
        (r"\Bat", ["cat"], ["at"]),
        (r"^\B$", [""], ["a"]),
        (r"é\b", ["éa"], ["é", "éé"]),
        (r"\Aa\z", ["a"], ["a\n", "\na"]),
        (r"\Qa.b\E+", ["a.bbb"], ["axb"]),
        (r"^\d+\s\w\S$", ["12 _é"], ["12\v_é", "١ a."]),
        (r"[^a]", ["b", "\n"], ["a", ""]),
        (r"\p{Greek}\PL", ["α1"], ["αα", "a1"]),
        (r"[[:upper:]][[:^digit:]]", ["Aé", "AB"], ["A1", "a."]),
        (r"\x41\x{3b1}\102", ["AαB"], ["Aα"]),
        ("(?U)a+b", ["aab"], ["b"]),
        ("(a*)*(b|)+c", ["c", "aabbc"], ["ab"]),
    ],
)
def test_a_search_finds_a_match_anywhere(
    expression: str, matching: list[str], others: list[str]
) -> None:
    compiled = compile_expression(expression)

    assert [text for text in matching + others if compiled.search(text)] == matching


def test_bytes_that_were_no_text_are_read_as_replacement_characters() -> None:
    text = b"a\xff\xfeb".decode("utf-8", "surrogateescape")

    assert compile_expression("^a\ufffd{2}b$").search(text)
    assert compile_expression("a..b").search(text)
    assert compile_expression(r"\p{So}").search(text)
    assert not compile_expression(r"[\x{dc00}-\x{dfff}]").search(text)


def test_a_search_leaves_nothing_behind_that_changes_the_next() -> None:
    expression = compile_expression(r"^(?:a|ab)(?:c|bcd)(?:d*)$|\bx")
    texts = ["abcd", "", "acd", "x", "abd", "yx", "y x", "abcd"]

    first = [expression.search(text) for text in texts]

    assert first == [compile_expression(expression.expression).search(text) for text in texts]
    assert first == [expression.search(text) for text in texts]


def test_an_expression_shows_itself() -> None:
    expression = compile_expression("^a")

    assert expression.expression == "^a"
    assert expression.size == 2
    assert repr(expression) == "TagExpression('^a')"


def test_what_go_refuses_is_no_expression() -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_expression(r"(a)\1")

    assert refused.value.reason == "invalid-escape"


# --- cost


def steps(expression: TagExpression, text: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many instructions each step of a search starts from."""
    counts = []
    step = TagExpression._step

    def counted(self: TagExpression, state: Any, *rest: Any) -> Any:
        counts.append(len(state.places))
        return step(self, state, *rest)

    monkeypatch.setattr(TagExpression, "_step", counted)
    expression.search(text)
    return counts


@pytest.mark.parametrize(
    "expression",
    [
        "(x+x+)+y",
        "(x*)*y",
        "(x|x)*y",
        "(x|xx)+y",
        "(x?){50}x{50}y",
        "((x{0,10}){0,10}){0,10}y",
        "(?:x?x?x?x?)*y",
        "x*x*x*x*x*x*x*y",
    ],
)
def test_what_makes_others_go_back_takes_one_step_a_character(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = compile_expression(expression)

    counts = steps(compiled, "x" * 2000, monkeypatch)

    assert len(counts) <= 2001
    assert max(counts) <= compiled.size + 1 <= SIZE_MAX + 1


def test_moves_that_were_made_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = compile_expression("^(?:web|db)-[0-9]+$")
    expression.search("web-12")

    assert steps(expression, "web-12", monkeypatch) == []


def test_what_an_expression_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serfevents.expressions.tag_expressions, "REMEMBERED_MAX", 500)
    expression = compile_expression("[ab]*a[ab]{12}c")
    # Every word of twelve letters is a state of its own.
    words = [f"{number:012b}".translate({48: "a", 49: "b"}) for number in range(256)]

    most = 0
    for word in words:
        assert not expression.search(word * 2)
        states = expression._states.values()
        held = sum(len(state.places) + len(state.moves) for state in states)
        # One more state may come before what is held is counted again.
        assert held <= 500 + expression.size + 1
        most = max(most, held)

    assert 400 < most < REMEMBERED_MAX
    assert expression.search(f"a{words[7]}c")


def test_forgetting_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serfevents.expressions.tag_expressions, "REMEMBERED_MAX", 3)

    for case in matching_vectors():
        expression = compile_expression(case["expression"])
        assert {text: expression.search(text) for text in case["texts"]} == case["texts"]


# --- RE2 itself

PIECES = [
    *"abkKsſ\u212aαΣςß019_ .^$",
    *("[a-c]", "[^a]", "[]a-]", "[[:alpha:]]", "[[:^digit:]k]", r"[^\p{Ll}]", r"[\PL\d]"),
    *(r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", r"\A", r"\z", r"\n", r"\."),
    *(r"\pL", r"\P{Lu}", r"\p{Greek}", r"\p{^Greek}", r"\x41", r"\x{3b1}", r"\07", r"\Qa.\E"),
]
REPEATS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{0}", "{3}?"]
OPENINGS = ["(", "(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?-i:", "(?im-s:"]
BROKEN = ["(", ")", "[", "]", "*", "{2,1}", "\\", "(?=", "(?i", r"\p{X}", "[b-a]", "[[:x:]]", r"\1"]

WELL_FORMED = st.recursive(
    st.sampled_from(PIECES),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(OPENINGS), inner, st.just(")")).map("".join),
        st.tuples(st.just("(?:"), inner, st.just(")"), st.sampled_from(REPEATS)).map("".join),
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.tuples(st.sampled_from(["(?i)", "(?m)", "(?s)"]), inner).map("".join),
    ),
    max_leaves=12,
)
SOUP = st.lists(st.sampled_from(PIECES + REPEATS + OPENINGS + BROKEN), max_size=8).map("".join)
TEXTS = st.lists(
    st.text(alphabet=st.sampled_from("abkKsSſ\u212aαΑΣσςßẞ019_ .-\nA\ufffd\x07"), max_size=8),
    min_size=1,
    max_size=6,
)


@given(WELL_FORMED | SOUP, TEXTS)
def test_re2_says_the_same(expression: str, texts: list[str]) -> None:
    re2 = pytest.importorskip("re2", reason="google-re2 is not installed")
    options = re2.Options()
    options.log_errors = False

    try:
        theirs = re2.compile(expression, options)
    except re2.error:
        with pytest.raises(InvalidExpression):
            compile_expression(expression)
        return
    ours = compile_expression(expression)

    for text in ["", *texts]:
        if r"\B" in expression and not text.isascii():
            # RE2 finds no word boundary between two bytes of one character; Go does not look there.
            continue
        assert ours.search(text) == (theirs.search(text) is not None), (expression, text)
