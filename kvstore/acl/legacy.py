"""Access control as it was from 2014 to Consul 1.11: entries whose id is the secret.

Owns how such an entry becomes a token of the present model: each `key "web/"` is a rule for the
prefix, a `client` has rules of its own above the default, a `management` entry may do all.

Source: Consul agent/consul/acl_endpoint_legacy.go, acl/policy.go parseLegacy,
agent/structs/acl_legacy.go (Convert).
"""

from __future__ import annotations

from typing import Final

from kvstore.acl.language import parse_rules
from kvstore.acl.rules import ANONYMOUS, Token

#: Names of built-in policies, which no entry can have as its id.
ROOTS: Final = frozenset({"allow", "deny", "manage"})
CLIENT: Final = "client"
MANAGEMENT: Final = "management"
#: The id of the entry for those who show none.
ANONYMOUS_ID: Final = "anonymous"


def legacy_token(
    id: str,  # noqa: A002 (the entry's field)
    name: str = "",
    type: str = CLIENT,  # noqa: A002
    rules: str = "",
) -> Token:
    """Return the token that an entry of before Consul 1.4 stands for.

    Args:
        id: Its id, which is its secret as well; `anonymous` for those who show none.
        name: For people.
        type: `client` or `management`.
        rules: In the language of its time; what a management entry has is read and ignored.

    Raises:
        ValueError: The id is a built-in policy's or empty, or the type is unknown.
        RulesError: The rules are malformed.

    >>> legacy_token("s3cret", rules='key "web/" { policy = "write" }').rules[0].form
    'key_prefix'
    """
    if id in ROOTS:
        raise ValueError(f"cannot resolve root ACL: {id!r} is a built-in policy")
    if type not in {CLIENT, MANAGEMENT}:
        raise ValueError(f"the type is {type!r}, it must be {CLIENT!r} or {MANAGEMENT!r}")
    parsed = parse_rules(rules, legacy=True)
    management = type == MANAGEMENT
    anonymous = id == ANONYMOUS_ID
    return Token(
        accessor=ANONYMOUS if anonymous else id,
        secret="" if anonymous else id,
        rules=() if management else parsed,
        management=management,
        description=name,
    )
