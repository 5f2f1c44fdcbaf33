"""Access control: who may do what; the replicated policies, roles and tokens, and decisions.

Owns the three tables and what each operation of the store needs. Decisions are made when a
command is applied, from the tables as they then are: a token that was revoked before a command
in the log cannot have that command done, which checks before proposing allow (Consul's).

A token that is not known, or has expired, is refused whatever the default. Commands without an
actor act as the anonymous token, which is empty unless set.

Source: Consul agent/consul/acl.go (resolveTokenToIdentityAndAuthorizer); what needs which right:
agent/consul/kvs_endpoint.go, session_endpoint.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from attrs import frozen

from kvstore.acl.authorizer import Authorizer, Cause, Decision
from kvstore.acl.rules import (
    ANONYMOUS,
    GLOBAL_MANAGEMENT,
    LABELLED,
    UNLABELLED,
    Level,
    Policy,
    Role,
    Rule,
    Token,
)
from kvstore.keys import prefix_end
from kvstore.state.tables import Table

# The values come from here as well, so that most need no more than this module.
__all__ = [
    "OPERATIONS",
    "Acl",
    "AclMode",
    "Authorizer",
    "Cause",
    "Decision",
    "Level",
    "Policy",
    "Right",
    "Role",
    "Rule",
    "Token",
]


class AclMode(IntEnum):
    """What happens to what no rule covers, or that nobody asks at all; Consul's default policy."""

    OFF = 0
    ALLOW = 1
    DENY = 2


@frozen
class Right:
    """What an operation needs.

    Attributes:
        resource: What the right is on.
        level: How much of it.
        whole: Whether on every key of a range, and not on the label alone.
    """

    resource: str
    level: Level
    whole: bool = False


_KEY_READ: Final = Right("key", Level.READ)
_KEY_WRITE: Final = Right("key", Level.WRITE)
_SESSION_WRITE: Final = Right("session", Level.WRITE)
_ACL_WRITE: Final = Right("acl", Level.WRITE)
_OPERATOR_WRITE: Final = Right("operator", Level.WRITE)

#: The right that each operation needs, None where it needs none: time passes for everybody.
#: `range`, `count` and `keys` show what may be read and leave out the rest; `list` is the right
#: on the prefix that they need besides where that is configured.
OPERATIONS: Final[Mapping[str, Right | None]] = MappingProxyType(
    {
        "get": _KEY_READ,
        "check": _KEY_READ,
        "watch": _KEY_READ,
        "range": _KEY_READ,
        "count": _KEY_READ,
        "keys": _KEY_READ,
        "list": Right("key", Level.LIST),
        "put": _KEY_WRITE,
        "create": _KEY_WRITE,
        "delete": _KEY_WRITE,
        "touch": _KEY_WRITE,
        "lock": _KEY_WRITE,
        "unlock": _KEY_WRITE,
        "delete_range": Right("key", Level.WRITE, whole=True),
        "delete_prefix": Right("key", Level.WRITE, whole=True),
        "session_info": Right("session", Level.READ),
        "session_open": _SESSION_WRITE,
        "session_renew": _SESSION_WRITE,
        "session_close": _SESSION_WRITE,
        "set_policy": _ACL_WRITE,
        "drop_policy": _ACL_WRITE,
        "set_role": _ACL_WRITE,
        "drop_role": _ACL_WRITE,
        "set_token": _ACL_WRITE,
        "drop_token": _ACL_WRITE,
        "snapshot": _ACL_WRITE,
        "invalidate": _OPERATOR_WRITE,
        "set_quota": _OPERATOR_WRITE,
        "drop_quota": _OPERATOR_WRITE,
        "compact": _OPERATOR_WRITE,
        "configure": _OPERATOR_WRITE,
        "tick": None,
        "rebase": None,
        "noop": None,
    }
)

#: Grants everything, as rules: unlike a token's `management`, other policies may forbid more.
MANAGEMENT_POLICY: Final = Policy(
    GLOBAL_MANAGEMENT,
    tuple(
        [Rule(resource, "", Level.WRITE, prefix=True) for resource in LABELLED]
        + [Rule(resource, "", Level.WRITE) for resource in UNLABELLED]
    ),
    "may do everything, and always exists",
)

#: Tokens whose rules are kept compiled; the one compiled first goes when they become more.
_AUTHORIZERS_MAX: Final = 1024

_NOBODY: Final = Token(ANONYMOUS)


class Acl:
    """The policies, roles and tokens of a store, and the decisions that follow from them.

    Args:
        mode: Whether access is controlled, and what holds where no rule does.

    >>> acl = Acl(AclMode.DENY)
    >>> acl.set_policy(Policy("web", (Rule("key", "web/", Level.READ, prefix=True),)))
    >>> acl.set_token(Token("alice", policies=("web",)))
    >>> print(acl.explain("alice", "put", "web/port"))
    key write on 'web/port' is denied by key_prefix "web/" { policy = "read" } of 'web'
    """

    __slots__ = ("_authorizers", "_by_secret", "_mode", "_policies", "_roles", "_tokens")

    def __init__(self, mode: AclMode = AclMode.OFF) -> None:
        self._mode = mode
        self._policies = Table({GLOBAL_MANAGEMENT: MANAGEMENT_POLICY})
        self._roles: Table[Role] = Table()
        self._tokens: Table[Token] = Table()
        self._by_secret: dict[str, str] = {}
        # What was compiled since the tables changed last, by accessor id.
        self._authorizers: dict[str, Authorizer] = {}

    @property
    def mode(self) -> AclMode:
        """Whether access is controlled, and what holds where no rule does."""
        return self._mode

    @property
    def policies(self) -> Mapping[str, Policy]:
        """All policies by name; the one that grants everything is always there."""
        return MappingProxyType(self._policies)

    @property
    def roles(self) -> Mapping[str, Role]:
        """All roles by name."""
        return MappingProxyType(self._roles)

    @property
    def tokens(self) -> Mapping[str, Token]:
        """All tokens by accessor id."""
        return MappingProxyType(self._tokens)

    @property
    def tables(self) -> tuple[Table[Policy], Table[Role], Table[Token]]:
        """The tables themselves, to be frozen by a view."""
        return self._policies, self._roles, self._tokens

    # --- decisions

    def resolve(self, secret: str) -> str | None:
        """Return the accessor id of the token with a secret: the actor of its commands.

        An empty secret is the anonymous token's. None means that there is no such token, which
        is a refusal: acting without an actor would be acting as anonymous.
        """
        return self._by_secret.get(secret) if secret else ANONYMOUS

    def authorizer(self, actor: str | None, now: int = 0) -> Authorizer | None:
        """Return what answers for an actor; None if its token is unknown or has expired.

        Args:
            actor: An accessor id; None is the anonymous token.
            now: The logical clock, in milliseconds.
        """
        if self._mode is AclMode.OFF:
            return _EVERYTHING
        accessor = ANONYMOUS if actor is None else actor
        token = self._tokens.get(accessor)
        if token is None:
            if accessor != ANONYMOUS:
                return None
            token = _NOBODY
        if token.expires is not None and token.expires <= now:
            return None
        found = self._authorizers.get(accessor)
        if found is None:
            if len(self._authorizers) >= _AUTHORIZERS_MAX:
                del self._authorizers[next(iter(self._authorizers))]
            found = self._authorizers[accessor] = Authorizer(
                self._policies_of(token),
                allow=self._mode is AclMode.ALLOW,
                management=token.management,
            )
        return found

    def explain(
        self,
        actor: str | None,
        operation: str,
        label: str = "",
        *,
        end: str | None = None,
        now: int = 0,
    ) -> Decision:
        """Return whether an actor may do something, and which rule of which policy decides.

        Args:
            actor: An accessor id; None is the anonymous token.
            operation: One of `OPERATIONS`.
            label: What it is done to: a key, a prefix, the first key of a range, the node of a
                session; empty for operations on the store.
            end: For `delete_range`: the first key after the range, None if it has no end.
            now: The logical clock, in milliseconds.

        Raises:
            ValueError: There is no such operation.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"no operation is called {operation!r}")
        right = OPERATIONS[operation]
        if right is None:
            return Decision(True, "operator", "", Level.DENY, Cause.NOT_ASKED)
        label = label if right.resource in LABELLED else ""
        if self._mode is AclMode.OFF:
            return Decision(True, right.resource, label, right.level, Cause.ACL_OFF)
        authorizer = self.authorizer(actor, now)
        if authorizer is None:
            known = actor is None or actor in self._tokens
            cause = Cause.TOKEN_EXPIRED if known else Cause.TOKEN_UNKNOWN
            return Decision(False, right.resource, label, right.level, cause)
        if right.whole:
            until = prefix_end(label) if operation == "delete_prefix" else end
            return authorizer.decide_range(label, until, right.level)
        return authorizer.decide(right.resource, label, right.level)

    # --- changes

    def problem(self, value: Policy | Role | Token) -> str | None:
        """Return why a value cannot be set as things are, None if it can.

        A policy must not have the reserved name; links must lead somewhere when they are made;
        a secret belongs to one token.
        """
        if isinstance(value, Policy):
            reserved = value.name == GLOBAL_MANAGEMENT
            return f"the policy {value.name!r} is reserved" if reserved else None
        missing = [f"policy {name!r}" for name in value.policies if name not in self._policies]
        if isinstance(value, Token):
            missing += [f"role {name!r}" for name in value.roles if name not in self._roles]
            owner = self._by_secret.get(value.secret)
            if owner not in {None, value.accessor}:
                return "another token has this secret"
        return f"there is no {missing[0]}" if missing else None

    def set_mode(self, mode: AclMode) -> None:
        """Control access from now on, or no longer."""
        self._authorizers = {}
        self._mode = mode

    def set_policy(self, policy: Policy) -> None:
        """Add a policy or replace the one of its name; only without a `problem`."""
        assert self.problem(policy) is None, self.problem(policy)
        self._authorizers = {}
        self._policies.assign(policy.name, policy)

    def set_role(self, role: Role) -> None:
        """Add a role or replace the one of its name; only without a `problem`."""
        assert self.problem(role) is None, self.problem(role)
        self._authorizers = {}
        self._roles.assign(role.name, role)

    def set_token(self, token: Token) -> None:
        """Add a token or replace the one of its accessor id; only without a `problem`."""
        assert self.problem(token) is None, self.problem(token)
        self.drop_token(token.accessor)
        self._tokens.assign(token.accessor, token)
        if token.secret:
            self._by_secret[token.secret] = token.accessor

    def drop_policy(self, name: str) -> bool:
        """Remove a policy, and return whether there was one that could be. Links to it stay."""
        self._authorizers = {}
        return name != GLOBAL_MANAGEMENT and self._policies.discard(name) is not None

    def drop_role(self, name: str) -> bool:
        """Remove a role, and return whether there was one. Links to it stay."""
        self._authorizers = {}
        return self._roles.discard(name) is not None

    def drop_token(self, accessor: str) -> bool:
        """Remove a token, and return whether there was one."""
        self._authorizers = {}
        token = self._tokens.discard(accessor)
        if token is None:
            return False
        self._by_secret.pop(token.secret, None)
        return True

    def load(self, policies: list[Policy], roles: list[Role], tokens: list[Token]) -> None:
        """Replace all three tables, as a snapshot has them: links may lead nowhere.

        Raises:
            ValueError: Two have one name, or one secret, or a policy has the reserved name.
        """
        loaded = Acl(self._mode)
        for policy in policies:
            if policy == MANAGEMENT_POLICY:
                continue
            if policy.name in loaded._policies:
                raise ValueError(f"the policy {policy.name!r} is there twice")
            loaded._policies[policy.name] = policy
        loaded._roles = Table({role.name: role for role in roles})
        loaded._tokens = Table({token.accessor: token for token in tokens})
        loaded._by_secret = {token.secret: token.accessor for token in tokens if token.secret}
        with_secret = sum(bool(token.secret) for token in tokens)
        if (len(loaded._roles), len(loaded._tokens)) != (len(roles), len(tokens)):
            raise ValueError("a role or a token is there twice")
        if len(loaded._by_secret) != with_secret:
            raise ValueError("two tokens have one secret")
        for name in Acl.__slots__:
            setattr(self, name, getattr(loaded, name))

    def _policies_of(self, token: Token) -> list[Policy]:
        """Return what a token links to, directly and by its roles, and its own rules."""
        names = list(token.policies)
        for role in token.roles:
            if role in self._roles:
                names += self._roles[role].policies
        found = [self._policies[name] for name in dict.fromkeys(names) if name in self._policies]
        return [*found, Policy(token.accessor, token.rules)] if token.rules else found


_EVERYTHING: Final = Authorizer((), allow=True, management=True)
