"""The language of rules: what HCL and JSON mean in both generations, and where they are wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.acl.language import DEPTH_MAX, TEXT_LENGTH_MAX, parse_rules
from kvstore.acl.rules import RULES_MAX, Level, Rule
from kvstore.errors import RulesError

READ, WRITE, DENY, LIST = Level.READ, Level.WRITE, Level.DENY, Level.LIST

DOCUMENT = """
# Rules of a web server.
key_prefix "" { policy = "read" }
key "web/secret" {
  policy = "deny"   // not even that
}
key_prefix "web/" { policy = "list" },
session_prefix "web-" { "policy" = "write" }
/* What follows
   is for services. */
service "web" { policy = "write" intentions = "deny" }
"node" "web-1" { policy = "read", }
operator = "read"
acl = "deny"
"""

RULES = (
    Rule("key", "", READ, prefix=True),
    Rule("key", "web/secret", DENY),
    Rule("key", "web/", LIST, prefix=True),
    Rule("session", "web-", WRITE, prefix=True),
    Rule("service", "web", WRITE, intentions=DENY),
    Rule("node", "web-1", READ),
    Rule("operator", level=READ),
    Rule("acl", level=DENY),
)

JSON = """
{
  "key_prefix": {"": {"policy": "read"}},
  "key": [{"web/secret": {"policy": "deny"}}, {}],
  "key_prefix": {"web/": {"policy": "list"}},
  "session_prefix": {"web-": [{"policy": "write"}]},
  "service": {"web": {"policy": "write", "intentions": "deny"}},
  "node": {"web-1": {"policy": "read"}},
  "operator": "read",
  "acl": "deny"
}
"""


@pytest.mark.parametrize("text", [DOCUMENT, JSON], ids=["HCL", "JSON"])
def test_a_document_holds_its_rules_in_order(text: str) -> None:
    assert parse_rules(text) == RULES


@pytest.mark.parametrize("text", ["", "  \n", "# nothing", "{}", " { } ", "key {}", "key = {}"])
def test_a_document_may_hold_no_rule(text: str) -> None:
    assert parse_rules(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        'key "a" { policy = "read" } key "b" { policy = "write" }',
        'key = { "a" = { policy = "read" }, "b" = { policy = "write" } }',
        'key { "a" { policy = "read" } b { policy = "write" } }',
        'key = [{ "a" { policy = "read" } }, { "b" { policy = "write" } },]',
        '{"key": {"a": {"policy": "read"}, "b": {"policy": "write"}}}',
        '{"key": [{"a": {"policy": "read"}}, {"b": [{"policy": "write"}]}]}',
    ],
)
def test_objects_may_be_written_in_several_ways(text: str) -> None:
    assert parse_rules(text) == (Rule("key", "a", READ), Rule("key", "b", WRITE))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a/b", "a/b"),
        (r"\"\\\/", '"\\/'),
        (r"\a\b\f\n\r\t\v", "\a\b\f\n\r\t\v"),
        (r"\u00e4\U0001f41f\x41\101", "ä🐟AA"),
        (r"\ud83d\udc1f", "🐟"),
        ("ä🐟${x}", "ä🐟${x}"),
    ],
)
def test_a_string_may_hold_escapes(written: str, meant: str) -> None:
    assert parse_rules(f'key "{written}" {{ policy = "read" }}') == (Rule("key", meant, READ),)


def test_rules_of_one_label_are_all_kept() -> None:
    text = 'key "a" { policy = "read" } key "a" { policy = "deny" }'

    assert parse_rules(text) == (Rule("key", "a", READ), Rule("key", "a", DENY))


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ('kye "a" { policy = "read" }', 1, 1, "no rule is called 'kye'"),
        ('\n\n  kye "a" { policy = "read" }', 3, 3, "no rule is called 'kye'"),
        ('operator_prefix "a" { policy = "read" }', 1, 1, "no rule is called 'operator_prefix'"),
        ('key "a" { policy = "sudo" }', 1, 11, "policy is not one of deny, read, list, write"),
        ('key "a" { policy = {} }', 1, 11, "policy is not one of deny, read, list, write"),
        ('operator = ""', 1, 1, "operator is not one of deny, read, list, write"),
        ('key "a" { polcy = "read" }', 1, 11, "a rule of key has no field 'polcy'"),
        ('key "a" { intentions = "read" }', 1, 11, "a rule of key has no field 'intentions'"),
        ('key "a" { policy = "read" policy = "deny" }', 1, 27, "policy is given twice"),
        ('key "a" { }', 1, 5, "the rule for 'a' has no policy"),
        ('node "a" { policy = "list" }', 1, 6, "list is a level of keys, not of node"),
        ('key "a" "b" { policy = "read" }', 1, 9, "a rule of key has no field 'b'"),
        ('key = "a"', 1, 1, "'key' is a string, it must be an object"),
        ('key { "a" = "read" }', 1, 7, "'a' is a string, it must be an object"),
        ('key "a" = { policy = "read" }', 1, 9, "'{' is missing"),
        ('key "a" { policy = "read"', 1, 26, "'}' is missing"),
        ('key "a" { policy = read }', 1, 20, "neither a string nor an object"),
        ('key "a" { policy = 1 }', 1, 20, "neither a string nor an object"),
        ('key "a" { = "read" }', 1, 11, "a name is missing"),
        ('key "a', 1, 5, "a string is missing, or does not end in its line"),
        ('key "a\n" { policy = "read" }', 1, 5, "a string is missing, or does not end in its line"),
        (r'key "\q" {}', 1, 5, r"the string has no such escape as \q"),
        (r'key "\ud800" {}', 1, 5, r"the string has no such escape as \ud800"),
        (r'key "\U00110000" {}', 1, 5, r"the string has no such escape as \U00110000"),
        (r'key "\u00" {}', 1, 5, r"the string has no such escape as \u"),
        ("key = [{} {}]", 1, 11, "']' is missing"),
        ('key = ["a"]', 1, 8, "'{' is missing"),
        ("/* no end", 1, 1, "a name is missing"),
        ("}", 1, 1, "a name is missing"),
        ('{"key": {}} x', 1, 13, "text after its end"),
        ('{"key" = {}}', 1, 8, "':' is missing"),
        ('{"key": {},}', 1, 12, "a string is missing, or does not end in its line"),
        ('{"key": {} "acl": "read"}', 1, 12, "'}' is missing"),
        ("{key: {}}", 1, 2, "a string is missing, or does not end in its line"),
        ('{"key": null}', 1, 9, "neither a string nor an object"),
        ('{"key": {} /* none here */ }', 1, 12, "'}' is missing"),
        ('{"key": ' + "[" * 3 + "]" * 3 + "}", 1, 10, "'{' is missing"),
        ("key " + "{ a " * DEPTH_MAX + "{", 1, 5 + 4 * DEPTH_MAX, "more than 8 objects within"),
        ('{"key": ' + '{"a": ' * DEPTH_MAX, 1, 9 + 6 * (DEPTH_MAX - 1), "more than 8 objects"),
        ("key " + '"a" ' * DEPTH_MAX + "{", 1, 5 + 4 * DEPTH_MAX, "more than 8 objects within"),
        ('key "\udead" { policy = "read" }', 1, 5, "surrogates not allowed"),
        (" " * (TEXT_LENGTH_MAX + 1), 1, 1, "1048577 characters exceed the limit of 1048576"),
        ('key "a" { policy = "read" }' * (RULES_MAX + 1), 1, 270_001, "more than 10000 rules"),
    ],
)  # fmt: skip
def test_a_refusal_tells_what_is_wrong_and_where(
    text: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(RulesError) as caught:
        parse_rules(text)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason
    assert str(caught.value) == f"line {line}, column {column}: {caught.value.reason}"


def test_as_many_objects_as_allowed_are_read() -> None:
    with pytest.raises(RulesError, match="a rule of key has no field"):
        parse_rules("key " + "{ a " * (DEPTH_MAX - 1) + "{" + "}" * DEPTH_MAX)


# --- the generation before Consul 1.4


def test_a_legacy_rule_covers_a_prefix() -> None:
    text = 'key "web/" { policy = "write" } service "" { policy = "read" } keyring = "deny"'

    assert parse_rules(text, legacy=True) == (
        Rule("key", "web/", WRITE, prefix=True),
        Rule("service", "", READ, prefix=True),
        Rule("keyring", level=DENY),
    )


def test_of_legacy_rules_for_one_label_the_last_one_holds() -> None:
    text = """
        {"key": {"a": {"policy": "deny"}, "b": {"policy": "read"}, "a": {"policy": "write"}}}
    """

    assert parse_rules(text, legacy=True) == (
        Rule("key", "a", WRITE, prefix=True),
        Rule("key", "b", READ, prefix=True),
    )


@pytest.mark.parametrize("name", ["key_prefix", "acl", "mesh", "peering", "identity"])
def test_what_came_later_is_no_legacy_rule(name: str) -> None:
    with pytest.raises(RulesError, match=f"no rule is called '{name}'"):
        parse_rules(f'{name} = "read"', legacy=True)


# --- any text


@given(st.text() | st.text(alphabet='{}[]=:," \n\\#/*aku_prefix', max_size=60), st.booleans())
def test_any_text_is_read_or_refused(text: str, legacy: bool) -> None:
    try:
        rules = parse_rules(text, legacy=legacy)
    except RulesError as error:
        place = (error.line, error.column)
    else:
        assert all(type(rule) is Rule for rule in rules)
        return

    assert 1 <= place[0] <= text.count("\n") + 1
    assert 1 <= place[1] <= len(text) + 1


LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.builds(Rule, st.just("key"), LABELS, st.sampled_from(Level), st.booleans())))
def test_what_is_written_is_read(rules: list[Rule]) -> None:
    assert parse_rules("\n".join(map(str, rules))) == tuple(rules)
