"""Access control of 2014: entries whose id is the secret, clients and managers."""

from __future__ import annotations

import pytest

from kvstore.acl.access import Acl, AclMode, Level
from kvstore.acl.legacy import legacy_token
from kvstore.acl.rules import ANONYMOUS
from kvstore.errors import RulesError

RULES = """
key "" { policy = "read" }
key "private/" { policy = "deny" }
key "private/mine/" { policy = "write" }
"""


def test_a_client_has_its_rules_above_the_default() -> None:
    acl = Acl(AclMode.ALLOW)
    acl.set_token(legacy_token("s3cret", "for tests", "client", RULES))

    def allowed(operation: str, label: str) -> bool:
        return acl.explain(acl.resolve("s3cret"), operation, label).allowed

    assert acl.tokens["s3cret"].description == "for tests"
    assert allowed("get", "a")
    assert not allowed("put", "a")
    assert not allowed("get", "private/x")
    assert allowed("put", "private/mine/x")
    assert allowed("session_open", "node-1")
    assert not allowed("set_token", "")


def test_a_prefix_is_what_every_legacy_rule_covers() -> None:
    acl = Acl(AclMode.DENY)
    acl.set_token(legacy_token("s3cret", rules='key "foo" { policy = "write" }'))

    assert acl.explain("s3cret", "put", "foobar").allowed
    assert str(acl.explain("s3cret", "put", "foobar")) == (
        "key write on 'foobar' is granted by key_prefix \"foo\" { policy = \"write\" } of 's3cret'"
    )


def test_a_manager_may_do_everything() -> None:
    acl = Acl(AclMode.DENY)
    acl.set_token(legacy_token("root", type="management", rules='key "" { policy = "deny" }'))

    assert acl.explain("root", "put", "a").allowed
    assert acl.explain("root", "set_token").allowed
    assert acl.tokens["root"].rules == ()


def test_the_anonymous_entry_is_for_those_who_show_none() -> None:
    acl = Acl(AclMode.DENY)
    acl.set_token(legacy_token("anonymous", rules='key "open/" { policy = "read" }'))

    assert acl.resolve("") == ANONYMOUS
    assert acl.resolve("anonymous") is None
    assert acl.explain(None, "get", "open/a").allowed
    assert not acl.explain(None, "put", "open/a").allowed


@pytest.mark.parametrize("name", ["allow", "deny", "manage"])
def test_a_built_in_policy_is_no_entry(name: str) -> None:
    with pytest.raises(ValueError, match="cannot resolve root ACL"):
        legacy_token(name)


def test_a_type_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="the type is 'admin'"):
        legacy_token("a", type="admin")


@pytest.mark.parametrize("type_", ["client", "management"])
def test_malformed_rules_are_refused(type_: str) -> None:
    with pytest.raises(RulesError):
        legacy_token("a", type=type_, rules='key_prefix "a" { policy = "read" }')


def test_an_entry_needs_an_id() -> None:
    with pytest.raises(ValueError, match="accessor is empty"):
        legacy_token("")


def test_levels_are_those_of_the_present() -> None:
    token = legacy_token("a", rules='key "" { policy = "list" }')

    assert token.rules[0].level is Level.LIST
