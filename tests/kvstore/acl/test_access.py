"""Tokens, roles and policies: who may do what, as the tables are at that moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvstore.acl import access as access_module
from kvstore.acl.access import OPERATIONS, Acl, AclMode, Cause, Level, Policy, Role, Rule, Token
from kvstore.acl.language import parse_rules
from kvstore.acl.rules import ANONYMOUS, GLOBAL_MANAGEMENT

READ_ALL = Policy("read-all", parse_rules('key_prefix "" { policy = "read" }'))
WEB = Policy("web", parse_rules('key_prefix "web/" { policy = "write" } session "web-1" { policy = "write" }'))  # fmt: skip  # noqa: E501
SECRETIVE = Policy("secretive", parse_rules('key_prefix "web/secret/" { policy = "deny" }'))


@pytest.fixture
def acl() -> Acl:
    """Access control that denies by default, with three policies, a role and two tokens."""
    acl = Acl(AclMode.DENY)
    for policy in (READ_ALL, WEB, SECRETIVE):
        acl.set_policy(policy)
    acl.set_role(Role("operators", ("web", "secretive")))
    acl.set_token(Token("alice", "alices-secret", ("read-all",), ("operators",)))
    acl.set_token(Token("root", "roots-secret", (GLOBAL_MANAGEMENT,)))
    return acl


# --- who acts


def test_a_secret_leads_to_the_accessor_that_commands_name(acl: Acl) -> None:
    assert acl.resolve("alices-secret") == "alice"
    assert acl.resolve("alice") is None
    assert acl.resolve("") == ANONYMOUS


def test_a_token_has_what_its_policies_and_its_roles_grant(acl: Acl) -> None:
    alice = acl.authorizer("alice")

    assert alice is not None
    assert alice.allows_key("db/a", Level.READ)
    assert not alice.allows_key("db/a", Level.WRITE)
    assert alice.allows_key("web/a", Level.WRITE)
    assert not alice.allows_key("web/secret/a", Level.READ)


def test_a_token_may_have_rules_of_its_own(acl: Acl) -> None:
    rules = parse_rules('key "web/secret/key" { policy = "read" }')
    acl.set_token(Token("bob", policies=("secretive",), rules=rules))

    assert acl.explain("bob", "get", "web/secret/key").allowed
    assert acl.explain("bob", "get", "web/secret/key").policy == "bob"
    assert not acl.explain("bob", "get", "web/secret/other").allowed


def test_no_actor_is_the_anonymous_token(acl: Acl) -> None:
    assert not acl.explain(None, "get", "a").allowed
    assert acl.explain(None, "get", "a").cause is Cause.DEFAULT

    acl.set_token(Token(ANONYMOUS, policies=("read-all",)))

    assert acl.explain(None, "get", "a").allowed
    assert acl.explain(ANONYMOUS, "get", "a").allowed


@pytest.mark.parametrize("mode", [AclMode.ALLOW, AclMode.DENY])
def test_an_unknown_token_is_refused_whatever_the_default(acl: Acl, mode: AclMode) -> None:
    acl.set_mode(mode)

    assert acl.authorizer("mallory") is None
    assert str(acl.explain("mallory", "get", "a")) == (
        "key read on 'a' is denied by there being no such token"
    )


def test_a_token_expires_on_the_dot(acl: Acl) -> None:
    acl.set_token(Token("guest", policies=("read-all",), expires=1000))
    acl.set_token(Token(ANONYMOUS, policies=("read-all",), expires=1000))

    assert acl.authorizer("guest", 999) is not None
    assert acl.authorizer("guest", 1000) is None
    assert acl.explain("guest", "get", "a", now=999).allowed
    assert acl.explain("guest", "get", "a", now=1000).cause is Cause.TOKEN_EXPIRED
    assert acl.explain(None, "get", "a", now=1000).cause is Cause.TOKEN_EXPIRED


def test_an_authorizer_is_compiled_once_for_each_state_of_the_tables(acl: Acl) -> None:
    first = acl.authorizer("alice")

    assert acl.authorizer("alice") is first

    acl.set_token(Token("bob"))

    assert acl.authorizer("alice") is not first


# --- what an operation needs


@pytest.mark.parametrize(
    ("operation", "label", "allowed"),
    [
        ("get", "db/a", True),
        ("range", "db/", True),
        ("list", "db/", False),
        ("list", "web/", True),
        ("put", "db/a", False),
        ("put", "web/a", True),
        ("lock", "web/a", True),
        ("delete_prefix", "web/", False),
        ("delete_prefix", "web/a", True),
        ("delete_prefix", "web/secret/", False),
        ("session_open", "web-1", True),
        ("session_open", "web-2", False),
        ("set_policy", "", False),
        ("compact", "", False),
        ("tick", "", True),
        ("noop", "", True),
    ],
)
def test_an_operation_needs_its_right(acl: Acl, operation: str, label: str, allowed: bool) -> None:
    assert acl.explain("alice", operation, label).allowed is allowed
    assert acl.explain("root", operation, label).allowed


def test_time_passes_for_everybody(acl: Acl) -> None:
    assert acl.explain("mallory", "tick").cause is Cause.NOT_ASKED
    assert str(acl.explain("mallory", "tick")) == (
        "operator deny is granted by the operation, which needs no right"
    )


def test_a_range_is_deleted_only_if_all_of_it_may_be_written(acl: Acl) -> None:
    assert acl.explain("alice", "delete_range", "web/a", end="web/b").allowed
    assert not acl.explain("alice", "delete_range", "web/a", end="web/t").allowed
    assert not acl.explain("alice", "delete_range", "web/a", end="xeb").allowed
    assert not acl.explain("alice", "delete_range", "web/a").allowed
    assert acl.explain("root", "delete_range", "web/a").allowed


def test_the_explanation_names_the_rule_and_the_policy(acl: Acl) -> None:
    assert str(acl.explain("alice", "delete_prefix", "web/")) == (
        "key write on 'web/' is denied by"
        ' key_prefix "web/secret/" { policy = "deny" } of \'secretive\''
    )
    assert str(acl.explain("alice", "set_quota", "web/")) == (
        "operator write is denied by the default, as no rule covers it"
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_everything_is_granted_while_access_control_is_off(operation: str) -> None:
    acl = Acl()

    assert acl.mode is AclMode.OFF
    assert acl.explain("mallory", operation, "a").allowed
    authorizer = acl.authorizer("mallory")
    assert authorizer is not None
    assert authorizer.allows_range("", None, Level.WRITE)


def test_the_reason_is_then_that_it_is_off() -> None:
    assert str(Acl().explain(None, "put", "a")) == (
        "key write on 'a' is granted by access control being switched off"
    )


@pytest.mark.parametrize("mode", [AclMode.ALLOW, AclMode.DENY])
def test_the_mode_decides_where_no_rule_does(acl: Acl, mode: AclMode) -> None:
    acl.authorizer("alice")

    acl.set_mode(mode)

    assert acl.explain("alice", "put", "x").allowed is False
    assert acl.explain("alice", "session_open", "x").allowed is (mode is AclMode.ALLOW)


def test_an_unknown_operation_is_a_mistake(acl: Acl) -> None:
    with pytest.raises(ValueError, match="no operation is called 'sudo'"):
        acl.explain("alice", "sudo")


def test_every_right_is_on_something_that_rules_are_about(acl: Acl) -> None:
    for operation in OPERATIONS:
        assert acl.explain("root", operation, "a").allowed


# --- changes


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (lambda acl: acl.set_policy(Policy("web")), True, False),
        (lambda acl: acl.drop_policy("web"), True, False),
        (lambda acl: acl.drop_role("operators"), True, False),
        (lambda acl: acl.set_role(Role("operators")), True, False),
        (lambda acl: acl.set_token(Token("alice", policies=("web",))), True, True),
        (lambda acl: acl.drop_token("alice"), True, False),
    ],
)
def test_a_change_holds_from_the_next_decision_on(
    acl: Acl, change: Callable[[Acl], object], before: bool, after: bool
) -> None:
    assert acl.explain("alice", "put", "web/a").allowed is before

    change(acl)

    assert acl.explain("alice", "put", "web/a").allowed is after


def test_a_policy_that_comes_back_counts_again(acl: Acl) -> None:
    acl.drop_policy("web")
    acl.set_policy(WEB)

    assert acl.explain("alice", "put", "web/a").allowed


def test_dropping_tells_whether_there_was_something(acl: Acl) -> None:
    assert acl.drop_policy("web")
    assert not acl.drop_policy("web")
    assert acl.drop_role("operators")
    assert not acl.drop_role("operators")
    assert acl.drop_token("alice")
    assert not acl.drop_token("alice")
    assert acl.resolve("alices-secret") is None


def test_the_policy_that_grants_everything_is_always_there(acl: Acl) -> None:
    assert not acl.drop_policy(GLOBAL_MANAGEMENT)
    assert acl.explain("root", "set_token").policy == GLOBAL_MANAGEMENT


def test_another_policy_may_take_from_the_one_that_grants_everything(acl: Acl) -> None:
    acl.set_token(Token("admin", policies=(GLOBAL_MANAGEMENT, "secretive")))

    assert acl.explain("admin", "put", "db/a").allowed
    assert not acl.explain("admin", "put", "web/secret/a").allowed


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Policy(GLOBAL_MANAGEMENT), "the policy 'global-management' is reserved"),
        (Role("a", ("web", "gone")), "there is no policy 'gone'"),
        (Token("a", policies=("gone",)), "there is no policy 'gone'"),
        (Token("a", roles=("operators", "gone")), "there is no role 'gone'"),
        (Token("a", "alices-secret"), "another token has this secret"),
        (Token("alice", "alices-secret"), None),
        (Token("a"), None),
        (Policy("web"), None),
        (Role("a", ("web",)), None),
    ],
)
def test_what_cannot_be_set_has_a_problem(
    acl: Acl, value: Policy | Role | Token, problem: str | None
) -> None:
    assert acl.problem(value) == problem


@pytest.mark.parametrize(
    "set_it",
    [
        lambda acl: acl.set_policy(Policy(GLOBAL_MANAGEMENT)),
        lambda acl: acl.set_role(Role("a", ("gone",))),
        lambda acl: acl.set_token(Token("a", "alices-secret")),
    ],
)
def test_what_has_a_problem_is_never_set(acl: Acl, set_it: Callable[[Acl], None]) -> None:
    with pytest.raises(AssertionError):
        set_it(acl)


def test_a_new_secret_replaces_the_old_one(acl: Acl) -> None:
    acl.set_token(Token("alice", "new-secret"))

    assert acl.resolve("alices-secret") is None
    assert acl.resolve("new-secret") == "alice"


# --- taken from a snapshot


def test_tables_are_loaded_whole_with_links_that_lead_nowhere(acl: Acl) -> None:
    acl.drop_policy("read-all")
    loaded = Acl(AclMode.DENY)
    loaded.set_token(Token("mallory", "m"))

    loaded.load(list(acl.policies.values()), list(acl.roles.values()), list(acl.tokens.values()))

    assert (loaded.policies, loaded.roles, loaded.tokens) == (acl.policies, acl.roles, acl.tokens)
    assert loaded.resolve("alices-secret") == "alice"
    assert loaded.resolve("m") is None
    assert loaded.mode is AclMode.DENY
    assert loaded.explain("alice", "get", "web/a").allowed


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        (([WEB, WEB], [], []), "the policy 'web' is there twice"),
        (([Policy(GLOBAL_MANAGEMENT)], [], []), "the policy 'global-management' is there twice"),
        (([], [Role("a"), Role("a")], []), "a role or a token is there twice"),
        (([], [], [Token("a"), Token("a")]), "a role or a token is there twice"),
        (([], [], [Token("a", "s"), Token("b", "s")]), "two tokens have one secret"),
    ],
)
def test_tables_that_cannot_be_are_refused(
    acl: Acl, tables: tuple[list[Policy], list[Role], list[Token]], reason: str
) -> None:
    before = dict(acl.tokens)

    with pytest.raises(ValueError, match=reason):
        acl.load(*tables)

    assert acl.tokens == before


def test_own_rules_name_the_token(acl: Acl) -> None:
    acl.set_token(Token("bob", rules=(Rule("key", "x", Level.READ),)))

    assert str(acl.explain("bob", "get", "x")) == (
        "key read on 'x' is granted by key \"x\" { policy = \"read\" } of 'bob'"
    )


def test_tokens_whose_rules_are_kept_compiled_are_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "_AUTHORIZERS_MAX", 2)
    acl = Acl(AclMode.DENY)
    for name in "abc":
        acl.set_token(Token(name, management=True))

    first = [acl.authorizer(name) for name in "ab"]
    third = acl.authorizer("c")

    assert acl.authorizer("b") is first[1]
    assert acl.authorizer("c") is third
    assert acl.authorizer("a") is not first[0]
