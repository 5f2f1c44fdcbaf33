"""What rules add up to: precedence, ranges, merging, defaults, and the rule that is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.acl import authorizer as authorizer_module
from kvstore.acl.authorizer import Authorizer, Cause, Decision
from kvstore.acl.language import parse_rules
from kvstore.acl.rules import Level, Policy, Rule
from kvstore.keys import prefix_end

DENY, READ, LIST, WRITE = Level.DENY, Level.READ, Level.LIST, Level.WRITE


def authorizer(*texts: str, allow: bool = False) -> Authorizer:
    """Return what some policies, named a, b, ..., add up to."""
    policies = [Policy("abcdef"[i], parse_rules(text)) for i, text in enumerate(texts)]
    return Authorizer(policies, allow=allow)


# --- one label


@pytest.mark.parametrize(
    ("granted", "needed", "allowed"),
    [
        ("deny", READ, False),
        ("deny", LIST, False),
        ("deny", WRITE, False),
        ("read", READ, True),
        ("read", LIST, False),
        ("read", WRITE, False),
        ("list", READ, True),
        ("list", LIST, True),
        ("list", WRITE, False),
        ("write", READ, True),
        ("write", LIST, True),
        ("write", WRITE, True),
    ],
)
def test_a_level_grants_itself_and_the_lower_ones(
    granted: str, needed: Level, allowed: bool
) -> None:
    acl = authorizer(f'key "a" {{ policy = "{granted}" }}', allow=not allowed)

    assert acl.decide("key", "a", needed).allowed is allowed
    assert acl.allows_key("a", needed) is allowed


def test_an_exact_rule_beats_every_prefix() -> None:
    acl = authorizer("""
        key_prefix "web/a" { policy = "write" }
        key "web/a" { policy = "read" }
        key_prefix "web/" { policy = "deny" }
    """)

    assert acl.decide("key", "web/a", WRITE) == Decision(
        False, "key", "web/a", WRITE, Cause.RULE, Rule("key", "web/a", READ), "a"
    )
    assert acl.allows_key("web/a", READ)
    assert acl.allows_key("web/ab", WRITE)


@pytest.mark.parametrize("order", [1, -1])
def test_the_longest_prefix_wins_whatever_its_level(order: int) -> None:
    texts = [
        'key_prefix "" { policy = "deny" }',
        'key_prefix "web/" { policy = "write" }',
        'key_prefix "web/secret/" { policy = "deny" }',
        'key_prefix "web/secret/mine" { policy = "read" }',
    ]
    acl = authorizer(*texts[::order])

    assert not acl.allows_key("a", READ)
    assert acl.allows_key("web/a", WRITE)
    assert not acl.allows_key("web/secret/a", READ)
    assert acl.allows_key("web/secret/mine/a", READ)
    assert not acl.allows_key("web/secret/mine/a", WRITE)


@pytest.mark.parametrize("allow", [True, False])
def test_what_no_rule_covers_is_up_to_the_default(allow: bool) -> None:
    acl = authorizer('key_prefix "web/" { policy = "read" }', allow=allow)

    assert acl.allows_key("a", WRITE) is allow
    assert acl.decide("key", "a", WRITE) == Decision(
        allow, "key", "a", WRITE, Cause.DEFAULT, None, None
    )
    assert acl.decide("session", "web-1", WRITE).allowed is allow


@pytest.mark.parametrize("allow", [True, False])
def test_managing_access_takes_a_rule(allow: bool) -> None:
    assert not authorizer(allow=allow).decide("acl", "", READ).allowed
    assert authorizer('acl = "read"', allow=allow).decide("acl", "", READ).allowed
    assert not authorizer('acl = "read"', allow=allow).decide("acl", "", WRITE).allowed


def test_management_is_granted_everything() -> None:
    policies = [Policy("a", parse_rules('key_prefix "" { policy = "deny" } acl = "deny"'))]
    acl = Authorizer(policies, allow=False, management=True)

    assert acl.allows_key("a", WRITE)
    assert acl.allows_range("", None, WRITE)
    assert acl.decide("acl", "", WRITE).cause is Cause.MANAGEMENT
    assert acl.decide("acl", "", WRITE).allowed
    assert acl.filter_keys(["a", "b"], WRITE) == ["a", "b"]


# --- several policies


@pytest.mark.parametrize(
    ("levels", "merged"),
    [
        (("read", "write"), "write"),
        (("read", "list"), "list"),
        (("list", "write"), "write"),
        (("read", "deny"), "deny"),
        (("list", "deny"), "deny"),
        (("write", "deny"), "deny"),
        (("read", "write", "deny"), "deny"),
    ],
)
def test_of_rules_for_one_label_deny_beats_write_beats_list_beats_read(
    levels: tuple[str, ...], merged: str
) -> None:
    texts = [f'key "a" {{ policy = "{level}" }}' for level in levels]

    for acl in (authorizer(*texts), authorizer(*texts[::-1]), authorizer("\n".join(texts))):
        rule = acl.decide("key", "a", READ).rule
        assert rule is not None
        assert rule.level is Level[merged.upper()]


def test_an_exact_rule_and_a_prefix_rule_of_one_label_are_two() -> None:
    acl = authorizer('key "a" { policy = "read" }', 'key_prefix "a" { policy = "deny" }')

    assert acl.allows_key("a", READ)
    assert not acl.allows_key("ab", READ)


def test_of_equal_rules_the_policy_of_the_least_name_is_told() -> None:
    rules = parse_rules('key "a" { policy = "read" }')

    for names in (("x", "y"), ("y", "x")):
        acl = Authorizer([Policy(name, rules) for name in names], allow=False)
        assert acl.decide("key", "a", READ).policy == "x"


def test_intentions_follow_the_service_unless_told() -> None:
    acl = authorizer("""
        service "open" { policy = "write" }
        service "closed" { policy = "deny" }
        service "told" { policy = "read" intentions = "write" }
        service_prefix "api-" { policy = "read" }
    """)

    def granted(service: str, level: Level) -> bool:
        return acl.decide("intention", service, level).allowed

    assert granted("open", READ)
    assert not granted("open", WRITE)
    assert not granted("closed", READ)
    assert granted("told", WRITE)
    assert granted("api-1", READ)
    assert not granted("api-1", WRITE)


def test_intentions_merge_on_their_own() -> None:
    acl = authorizer(
        'service "a" { policy = "write" intentions = "read" }',
        'service "a" { policy = "deny" intentions = "write" }',
        'service "a" { policy = "deny" }',
    )

    assert not acl.decide("service", "a", READ).allowed
    assert acl.decide("intention", "a", WRITE).allowed


def test_mesh_and_peering_fall_back_to_operator() -> None:
    acl = authorizer('operator = "read" mesh = "write"')

    assert acl.decide("mesh", "", WRITE).allowed
    assert acl.decide("peering", "", READ).allowed
    assert not acl.decide("peering", "", WRITE).allowed
    assert not authorizer().decide("peering", "", READ).allowed


def test_an_unknown_resource_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no resource is called 'kye'"):
        authorizer().decide("kye", "a", READ)


# --- ranges, and above all: may a prefix be deleted


@pytest.mark.parametrize(
    ("rules", "prefix", "rule"),
    [
        # The table of TestPolicyAuthorizer's KeyWritePrefix cases, in our words.
        ('key_prefix "" { policy = "write" }', "", 'key_prefix ""'),
        ('key_prefix "foo/" { policy = "write" }', "foo/", 'key_prefix "foo/"'),
        ('key_prefix "foo/" { policy = "write" }', "foo/bar", 'key_prefix "foo/"'),
        ('key_prefix "foo/" { policy = "read" }', "foo/", 'key_prefix "foo/"'),
        ('key_prefix "foo/" { policy = "list" }', "foo/", 'key_prefix "foo/"'),
        ('key_prefix "foo/" { policy = "write" } key "foo/a" { policy = "read" }',
         "foo/", 'key "foo/a"'),
        ('key_prefix "foo/" { policy = "write" } key_prefix "foo/a/" { policy = "deny" }',
         "foo/", 'key_prefix "foo/a/"'),
        ('key_prefix "foo/" { policy = "write" } key_prefix "foo/a/" { policy = "write" }',
         "foo/", 'key_prefix "foo/"'),
        ('key_prefix "foo/" { policy = "write" } key_prefix "fop" { policy = "deny" }',
         "foo/", 'key_prefix "foo/"'),
        ('key_prefix "foo/" { policy = "deny" } key_prefix "foo/a/" { policy = "write" }',
         "foo/a/b", 'key_prefix "foo/a/"'),
        ('key "foo/" { policy = "write" }', "foo/", None),
        ('key "foo/" { policy = "read" }', "foo/", 'key "foo/"'),
        ('key_prefix "foo/a" { policy = "write" }', "foo/", None),
        ('key_prefix "foo/a" { policy = "read" }', "foo/", 'key_prefix "foo/a"'),
        ("", "foo/", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("allow", [True, False])
def test_a_prefix_may_be_written_if_all_below_may(
    rules: str, prefix: str, rule: str | None, allow: bool
) -> None:
    acl = authorizer(rules, allow=allow)

    decision = acl.decide_prefix(prefix, WRITE)

    if rule is None:
        assert decision == Decision(allow, "key", prefix, WRITE, Cause.DEFAULT)
    else:
        assert decision.rule is not None
        assert str(decision.rule).startswith(rule + " {")
        assert decision.allowed is (decision.rule.level is WRITE)
    assert acl.allows_range(prefix, prefix_end(prefix), WRITE) is decision.allowed


@pytest.mark.parametrize(
    ("start", "end", "allowed"),
    [
        ("b", "c", False),
        ("b/x", "b/y", True),
        ("b/x", "c", True),
        ("b/x", "c\0", False),
        ("b", None, False),
        ("a", "c", False),
        ("b/denied", "b/denied\0", False),
        ("b/a", "b/denied", True),
        ("b/a", "b/deniee", False),
        ("b/denied/x", "b/e", False),
        ("b/denied\0", "b/denied/", True),
        ("b/part/x", "b/q", False),
        ("b/part0", "b/q", True),
    ],
)
def test_a_range_is_covered_by_a_prefix_and_broken_by_any_rule_in_it(
    start: str, end: str | None, allowed: bool
) -> None:
    acl = authorizer("""
        key_prefix "b" { policy = "read" }
        key "b/denied" { policy = "deny" }
        key_prefix "b/denied/" { policy = "deny" }
        key_prefix "b/part/" { policy = "deny" }
    """)

    assert acl.decide_range(start, end, READ).allowed is allowed
    assert acl.allows_range(start, end, READ) is allowed


# --- lists and explanations


def test_keys_are_filtered_in_their_order() -> None:
    acl = authorizer("""
        key_prefix "web/" { policy = "read" }
        key_prefix "web/secret/" { policy = "deny" }
        key "web/own" { policy = "write" }
    """)
    keys = ["web/own", "web/a", "x", "web/secret/a", "web/b"]

    assert acl.filter_keys(keys) == ["web/own", "web/a", "web/b"]
    assert acl.filter_keys(iter(keys), WRITE) == ["web/own"]


@pytest.mark.parametrize(
    ("resource", "label", "level", "sentence"),
    [
        (
            "key",
            "web/a",
            WRITE,
            "key write on 'web/a' is denied by key_prefix \"web/\" { policy = \"read\" } of 'a'",
        ),
        ("operator", "", READ, "operator read is granted by operator = \"read\" of 'a'"),
        ("key", "b", READ, "key read on 'b' is denied by the default, as no rule covers it"),
    ],
)
def test_a_decision_reads_as_a_sentence(
    resource: str, label: str, level: Level, sentence: str
) -> None:
    acl = authorizer('key_prefix "web/" { policy = "read" } operator = "read"')

    assert str(acl.decide(resource, label, level)) == sentence


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer_module, "_MEMO_SIZE", 3)
    acl = authorizer('key_prefix "a" { policy = "read" }')

    granted = [acl.allows_key(key, READ) for key in ["a", "b", "ab", "c", "a", "b", "ab"]]

    assert granted == [True, False, True, False, True, False, True]
    assert len(acl._levels) <= 3


def test_long_keys_are_not_remembered() -> None:
    acl = authorizer('key_prefix "a" { policy = "read" }')

    assert acl.allows_key("a" * 1000, READ)
    assert acl.allows_key("b" * 1000, READ) is False
    assert acl._levels == {}


# --- against the rules as the manual tells them

LABELS = st.text("ab\U0010ffff", max_size=3)
KEY_RULES = st.builds(
    Rule, st.just("key"), LABELS, st.sampled_from([DENY, READ, LIST, WRITE]), st.booleans()
)
POLICIES = st.lists(st.lists(KEY_RULES, max_size=4).map(tuple), max_size=3)


def named(rules: list[tuple[Rule, ...]]) -> list[Policy]:
    return [Policy(f"p{i}", each) for i, each in enumerate(rules)]


@given(POLICIES, LABELS, st.none() | LABELS, LABELS)
def test_nothing_can_be_read_out_of_reach(
    rules: list[list[Rule]], start: str, end: str | None, key: str
) -> None:
    acl = Authorizer(named([tuple(one) for one in rules]), allow=False)

    parts = acl.reach(start, end)

    def within(low: str, high: str | None) -> bool:
        return low <= key and (high is None or key < high)

    if within(start, end) and acl.allows_key(key, READ):
        assert any(within(*part) for part in parts)
    if any(within(*part) for part in parts):
        assert within(start, end)
        assert sum(within(*part) for part in parts) == 1
    assert parts == sorted(parts, key=lambda part: part[0])
    if not any(rule.level for one in rules for rule in one):
        assert parts == []


def test_everything_is_within_reach_where_the_default_grants_it() -> None:
    assert Authorizer((), allow=True).reach("a", "b") == [("a", "b")]


def test_what_is_within_reach_is_cut_to_what_is_asked() -> None:
    acl = authorizer(
        'key_prefix "a/" { policy = "read" } key "b" { policy = "write" }'
        'key_prefix "a/x" { policy = "read" } key_prefix "c" { policy = "deny" }'
    )

    assert acl.reach("", None) == [("a/", "a0"), ("b", "b\0")]
    assert acl.reach("a/c", "a/d") == [("a/c", "a/d")]
    assert acl.reach("b", None) == [("b", "b\0")]
    assert acl.reach("c", None) == []


def strictest(rules: list[Rule]) -> Level | None:
    levels = {rule.level for rule in rules}
    return DENY if DENY in levels else max(levels, default=None)


def granted_level(rules: list[Rule], key: str) -> Level | None:
    """Return what is granted on a key, from the sentences of the manual."""
    exact = strictest([r for r in rules if not r.prefix and r.label == key])
    if exact is not None:
        return exact
    covering = [r for r in rules if r.prefix and key.startswith(r.label)]
    longest = max((r.label for r in covering), key=len, default=None)
    return strictest([r for r in covering if r.label == longest])


@given(POLICIES, LABELS, st.sampled_from([READ, LIST, WRITE]), st.booleans())
def test_a_decision_is_what_the_manual_says(
    policies: list[tuple[Rule, ...]], key: str, needed: Level, allow: bool
) -> None:
    acl = Authorizer(named(policies), allow=allow)
    granted = granted_level([rule for rules in policies for rule in rules], key)

    decision = acl.decide("key", key, needed)

    assert decision.allowed is (allow if granted is None else granted >= needed)
    assert (decision.rule is None) is (granted is None)
    assert decision.rule is None or decision.rule.level is granted
    assert acl.allows_key(key, needed) is acl.allows_key(key, needed) is decision.allowed


@given(POLICIES, LABELS, st.booleans())
def test_the_order_of_policies_shows_nowhere(
    policies: list[tuple[Rule, ...]], key: str, allow: bool
) -> None:
    forwards = Authorizer(named(policies), allow=allow)
    backwards = Authorizer(named(policies)[::-1], allow=allow)

    assert forwards.decide("key", key, READ) == backwards.decide("key", key, READ)
    assert forwards.decide_prefix(key, WRITE) == backwards.decide_prefix(key, WRITE)


@given(POLICIES, LABELS, LABELS | st.none(), LABELS, st.sampled_from([READ, WRITE]), st.booleans())
def test_what_is_granted_on_a_range_is_granted_on_each_key_in_it(
    policies: list[tuple[Rule, ...]],
    start: str,
    end: str | None,
    key: str,
    needed: Level,
    allow: bool,
) -> None:
    acl = Authorizer(named(policies), allow=allow)

    if acl.allows_range(start, end, needed) and start <= key and (end is None or key < end):
        assert acl.allows_key(key, needed)


@given(POLICIES, LABELS, st.sampled_from([READ, WRITE]))
def test_a_prefix_is_decided_as_consul_does(
    policies: list[tuple[Rule, ...]], prefix: str, needed: Level
) -> None:
    acl = Authorizer(named(policies), allow=False)
    rules = [rule for rules in policies for rule in rules]
    base = granted_level([rule for rule in rules if rule.prefix], prefix)
    below = [
        strictest([r for r in rules if (r.prefix, r.label) == (rule.prefix, rule.label)])
        for rule in rules
        if rule.label.startswith(prefix)
    ]

    allowed = base is not None and base >= needed and all(e is None or e >= needed for e in below)

    assert acl.decide_prefix(prefix, needed).allowed is allowed
