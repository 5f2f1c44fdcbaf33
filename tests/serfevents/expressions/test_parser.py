"""The syntax: what Go accepts, what it refuses, and why. Verdicts are Go 1.19.8's unless told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serfevents.errors import InvalidExpression
from serfevents.expressions.parser import parse_expression
from serfevents.expressions.program import HEIGHT_MAX, SIZE_MAX

VECTORS = Path(__file__).parents[1] / "vectors" / "expressions.json"

# Go's words for a refusal, and ours. A bad name of a group and a bad group are one to us.
REASONS = {
    "expression nests too deeply": {"nested-too-deeply"},
    "invalid character class range": {"invalid-class", "invalid-range"},
    "invalid escape sequence": {"invalid-escape"},
    "invalid named capture": {"invalid-group", "duplicate-name"},
    "invalid nested repetition operator": {"invalid-repeat"},
    "invalid or unsupported Perl syntax": {"invalid-group"},
    "invalid repeat count": {"invalid-repeat-size"},
    "missing argument to repetition operator": {"missing-argument"},
    "missing closing )": {"missing-parenthesis"},
    "missing closing ]": {"missing-bracket"},
    "trailing backslash at end of expression": {"trailing-backslash"},
    "unexpected )": {"unexpected-parenthesis"},
}


def refusal(expression: str) -> str:
    """Return the reason for which an expression is refused; empty if it is accepted."""
    try:
        parse_expression(expression)
    except InvalidExpression as refused:
        return refused.reason
    return ""


def refused_vectors() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]
    return [case for case in cases if "refused" in case]


@pytest.mark.parametrize("case", refused_vectors(), ids=lambda case: ascii(case["expression"]))
def test_what_go_refuses_is_refused_for_its_reason(case: dict[str, Any]) -> None:
    assert refusal(case["expression"]) in REASONS[case["refused"]]


def test_every_reason_of_go_is_among_the_vectors() -> None:
    assert {case["refused"] for case in refused_vectors()} == REASONS.keys() - {
        "expression nests too deeply"
    }


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "|",
        "()",
        "(|)",
        "(?:)",
        "(?)",
        "(?i)",
        "(?ii-i)",
        "(?i-s:a)",
        "(?U)a+?",
        "(?P<n>a)",
        "(?P<1>a)",
        # Go takes it from 1.22 on, RE2 from 2023.
        "(?<n>a)",
        "^*",
        "$+",
        r"\b?",
        "a(?i)*",
        "a*(?i)*",
        r"a*\Q\E*",
        "x{0}",
        "x{0,0}",
        "x{1000}",
        "x{2}?",
        "((x{10}){10}){10}",
        "x{,2}",
        "x{a}",
        "x{",
        "x{2",
        "x{2,",
        "x{2,3",
        "x{01}{2}",
        "{",
        "}",
        "]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[-a]",
        "[a-c-e]",
        r"[\d-z]",
        "[[:alpha:]-z]",
        "[[:^alpha:]]",
        "[[:x]",
        "[[:]",
        "[[]",
        "[[.a.]]",
        r"[\n\x41\x{3b1}\07\-\]]",
        r"[\pL\P{Greek}]",
        r"\pL\PN\p{^Greek}\P{^Lu}\p{Any}",
        r"\x41\x{0000000041}\x{10FFFF}\x{d800}",
        r"\0\07\012\123\12",
        r"\a\f\n\r\t\v\.\_\-\ ",
        r"\Qa.b\E+",
        r"\Qa",
        r"\Q\Q\E",
        r"\A\z\b\B",
        r"\d\D\s\S\w\W",
        "\x00\n\u212a\ufffd",
    ],
)
def test_what_go_accepts_is_accepted(expression: str) -> None:
    assert refusal(expression) == ""


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("*", "missing-argument"),
        ("a|*", "missing-argument"),
        ("(+)", "missing-argument"),
        ("(?i)?", "missing-argument"),
        (r"\Q\E*", "missing-argument"),
        ("{2}", "missing-argument"),
        ("a**", "invalid-repeat"),
        ("a*{2}", "invalid-repeat"),
        ("a+?*", "invalid-repeat"),
        ("a???", "invalid-repeat"),
        ("x{1001}", "invalid-repeat-size"),
        ("x{0,1001}", "invalid-repeat-size"),
        ("x{99999999999999999999}", "invalid-repeat-size"),
        ("x{2,1}", "invalid-repeat-size"),
        ("(x{501}){2}", "invalid-repeat-size"),
        ("(x{3,}){400}", "invalid-repeat-size"),
        ("((x{600})*){2}", "invalid-repeat-size"),
        ("(", "missing-parenthesis"),
        ("(a|b", "missing-parenthesis"),
        ("(?:a", "missing-parenthesis"),
        (")", "unexpected-parenthesis"),
        ("a)b(", "unexpected-parenthesis"),
        ("(?=a)", "invalid-group"),
        ("(?!a)", "invalid-group"),
        ("(?<=a)", "invalid-group"),
        ("(?>a)", "invalid-group"),
        ("(?#a)", "invalid-group"),
        ("(?P=n)", "invalid-group"),
        ("(?P<é>a)", "invalid-group"),
        ("(?P<>a)", "invalid-group"),
        ("(?P<n", "invalid-group"),
        ("(?x)", "invalid-group"),
        ("(?i-)", "invalid-group"),
        ("(?-)", "invalid-group"),
        ("(?i", "invalid-group"),
        ("(?", "invalid-group"),
        ("(?P<n>a)(?P<n>b)", "duplicate-name"),
        ("[", "missing-bracket"),
        ("[]", "missing-bracket"),
        ("[^", "missing-bracket"),
        ("[a-", "missing-bracket"),
        ("[[:alpha:]", "missing-bracket"),
        ("[b-a]", "invalid-range"),
        (r"[a-\d]", "invalid-escape"),
        (r"[\b]", "invalid-escape"),
        (r"[\Qa\E]", "invalid-escape"),
        ("[[:foo:]]", "invalid-class"),
        (r"\pX", "invalid-class"),
        (r"\p", "invalid-class"),
        (r"\p{Greek", "invalid-class"),
        (r"\p{}", "invalid-class"),
        (r"\p^", "invalid-class"),
        (r"\p{greek}", "invalid-class"),
        (r"\1", "invalid-escape"),
        (r"\8", "invalid-escape"),
        (r"\Z", "invalid-escape"),
        (r"\E", "invalid-escape"),
        (r"\h", "invalid-escape"),
        (r"\é", "invalid-escape"),
        # RE2 takes it for any byte, Go does not have it.
        (r"\C", "invalid-escape"),
        (r"\x", "invalid-escape"),
        (r"\x4", "invalid-escape"),
        (r"\x{}", "invalid-escape"),
        (r"\x{41", "invalid-escape"),
        (r"\x{110000}", "invalid-escape"),
        (r"\x{99999999999999999999}", "invalid-escape"),
        ("\\", "trailing-backslash"),
        ("[\\", "trailing-backslash"),
        ("a\udcff", "invalid-utf8"),
    ],
)
def test_what_go_refuses_has_a_reason(expression: str, reason: str) -> None:
    assert refusal(expression) == reason


def test_nesting_that_go_allows_is_allowed_and_no_deeper() -> None:
    deepest = HEIGHT_MAX - 1

    assert refusal("(" * deepest + "a" + ")" * deepest) == ""
    assert refusal("(" * (deepest + 1) + "a" + ")" * (deepest + 1)) == "nested-too-deeply"
    # A group that does not capture leaves nothing behind.
    assert refusal("(?:" * 5000 + "a" + ")" * 5000) == ""


@pytest.mark.parametrize(
    "expression",
    [
        "(?:abcde){1000}",
        "a" * (SIZE_MAX + 1),
        "x{1000}" * 5,
        "a|" * SIZE_MAX,
        "(?:a?b?){999}x{999}",
    ],
)
def test_a_program_beyond_its_limit_is_refused(expression: str) -> None:
    assert refusal(expression) == "too-large"


def test_a_refusal_shows_what_was_refused_but_not_all_of_it() -> None:
    with pytest.raises(InvalidExpression) as refused:
        parse_expression("(?" + "!" * 100_000)

    assert str(refused.value).startswith("invalid-group: '(?!!!")
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize("piece", ["[:", "[[:", "{1", "{1,2", "(?:", "(", "\\Q", "[a", "|", "a"])
def test_a_long_expression_is_read_in_one_pass(piece: str) -> None:
    assert refusal(piece * 50_000) != ""
    assert refusal("[" + piece * 50_000) != ""


@given(st.text(alphabet=st.sampled_from(r"ab[]^-\(){}?*+|.,:$PpQExdw0123<>isU&é" + "\udcff\n")))
@example("[[:alpha:]-")
@example("\\x{")
def test_any_text_is_read_or_refused(expression: str) -> None:
    assert isinstance(refusal(expression), str)
