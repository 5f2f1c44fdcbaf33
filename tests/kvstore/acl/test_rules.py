"""What well-formed rules, policies, roles and tokens are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvstore.acl.language import parse_rules
from kvstore.acl.rules import (
    DESCRIPTION_LENGTH_MAX,
    LABEL_SIZE_MAX,
    LABELLED,
    LINKS_MAX,
    NAME_SIZE_MAX,
    RULES_MAX,
    UNLABELLED,
    Level,
    Policy,
    Role,
    Rule,
    Token,
)

EVERY_RULE = [
    *[Rule(resource, "a", Level.READ) for resource in LABELLED],
    *[Rule(resource, "", Level.WRITE, prefix=True) for resource in LABELLED],
    *[Rule(resource, level=Level.WRITE) for resource in UNLABELLED],
    Rule("key", "a", Level.LIST),
    Rule("key", 'quotes " \\ \n \U0001f41f \U000e0001', Level.DENY, prefix=True),
    Rule("service", "a", Level.WRITE, intentions=Level.DENY),
]


@pytest.mark.parametrize("rule", EVERY_RULE, ids=str)
def test_a_rule_is_written_as_the_language_reads_it(rule: Rule) -> None:
    assert parse_rules(str(rule)) == (rule,)


def test_a_level_includes_the_lower_ones() -> None:
    assert Level.DENY < Level.READ < Level.LIST < Level.WRITE


def test_the_number_of_a_level_will_do() -> None:
    rule = Rule("service", "a", 1, intentions=3)

    assert rule.level is Level.READ
    assert rule.intentions is Level.WRITE


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Rule("kye", "a"), "no resource is called 'kye'"),
        (lambda: Rule("acl", "a"), "acl has no labels"),
        (lambda: Rule("operator", prefix=True), "operator has no labels"),
        (lambda: Rule("session", "a", Level.LIST), "list is a level of keys"),
        (lambda: Rule("key", "a", intentions=Level.READ), "belong to services"),
        (lambda: Rule("service", "a", intentions=Level.LIST), "intentions are"),
        (lambda: Rule("key", "a", 4), "4 is not a valid Level"),
        (lambda: Rule("key", "x" * (LABEL_SIZE_MAX + 1)), "label has a size of 4097"),
        (lambda: Rule("key", "ä" * LABEL_SIZE_MAX), "label has a size of 8192"),
        (lambda: Rule("key", "\ud800"), "surrogates not allowed"),
        (lambda: Policy(""), "name is empty"),
        (lambda: Policy("x" * (NAME_SIZE_MAX + 1)), "name has a size of 257"),
        (lambda: Policy("a", (Rule("key"),) * (RULES_MAX + 1)), "rules has 10001 rules"),
        (lambda: Policy("a", (), "x" * (DESCRIPTION_LENGTH_MAX + 1)), "description has a size"),
        (lambda: Role("a", ("",)), "policies is empty"),
        (lambda: Role("a", ("b",) * (LINKS_MAX + 1)), "policies has 1001 names"),
        (lambda: Token(""), "accessor is empty"),
        (lambda: Token("a", "x" * (NAME_SIZE_MAX + 1)), "secret has a size of 257"),
        (lambda: Token("a", expires=-1), "expires is -1"),
        (lambda: Token("a", expires=1 << 63), "expires is 9223372036854775808"),
    ],
)
def test_what_breaks_a_limit_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Rule("key", b"a"), "label is bytes, it must be str"),  # type: ignore[arg-type]
        (lambda: Policy("a", [Rule("key")]), "rules is list"),  # type: ignore[arg-type]
        (lambda: Policy("a", ("key",)), "rules holds str"),  # type: ignore[arg-type]
        (lambda: Role("a", "name"), "policies is str"),  # type: ignore[arg-type]
        (lambda: Token("a", roles=(1,)), "roles is int"),  # type: ignore[arg-type]
        (lambda: Token("a", management=1), "management is int"),  # type: ignore[arg-type]
        (lambda: Token("a", expires=1.5), "expires is float"),  # type: ignore[arg-type]
        (lambda: Rule("key", "a", prefix=1), "prefix is int"),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type_is_refused(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        make()


def test_limits_can_be_reached() -> None:
    Rule("key", "ä" * (LABEL_SIZE_MAX // 2))
    Policy("x" * NAME_SIZE_MAX, (Rule("key"),) * RULES_MAX, "x" * DESCRIPTION_LENGTH_MAX)
    Token("a", expires=(1 << 63) - 1, roles=("b",) * LINKS_MAX)
