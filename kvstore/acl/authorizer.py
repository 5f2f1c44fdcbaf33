"""What the rules of some policies add up to, compiled for fast answers.

Owns precedence: an exact rule beats any prefix, of prefixes the longest wins whatever its level,
and of rules for one label deny beats write beats list beats read; the order of policies and of
rules never matters. Knows no tokens (access.py) and no time.

Rules are held in a dict by label with the lengths of the prefixes in it, longest first: a
decision slices the label a few times instead of walking a tree.

Source: Consul acl/policy_authorizer.go, acl/policy_merger.go, acl/static_authorizer.go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeAlias

from attrs import frozen

from kvstore.acl.rules import LABELLED, UNLABELLED, Level, Policy, Rule
from kvstore.keys import prefix_end

_DENY, _READ, _WRITE = Level.DENY, Level.READ, Level.WRITE
_LEVELS: Final = tuple(Level)
#: Keys whose level an authorizer remembers, and their characters at most; it forgets them all when
#: they become more. Whoever asks chooses the keys: what is remembered is no more than a megabyte.
_MEMO_SIZE: Final = 4096
_MEMO_LENGTH: Final = 128

#: What may be asked about: what rules are about, and what they imply on a service's intentions.
RESOURCES: Final = frozenset((*LABELLED, *UNLABELLED, "intention"))


class Cause(Enum):
    """What decided."""

    RULE = "a rule"
    DEFAULT = "the default, as no rule covers it"
    MANAGEMENT = "the token's type, which is granted everything"
    ACL_OFF = "access control being switched off"
    TOKEN_UNKNOWN = "there being no such token"  # noqa: S105 (no secret, an explanation)
    TOKEN_EXPIRED = "the token having expired"  # noqa: S105
    NOT_ASKED = "the operation, which needs no right"


@frozen
class Decision:
    """Whether something is granted, and what decided.

    Attributes:
        allowed: Whether it is.
        resource: What the right is on, such as `key`.
        label: Of it: a key, the first key of a range, a node's name.
        needed: The level that was asked for.
        cause: What kind of thing decided.
        rule: The rule that decided, if one did.
        policy: The name of its policy; of a token's own rule, the token's accessor id.
    """

    allowed: bool
    resource: str
    label: str
    needed: Level
    cause: Cause
    rule: Rule | None = None
    policy: str | None = None

    def __str__(self) -> str:
        """The decision in a sentence."""
        verb = "granted" if self.allowed else "denied"
        what = f"{self.resource} {self.needed.name.lower()}"
        if self.label:
            what += f" on {self.label!r}"
        if self.rule is not None:
            return f"{what} is {verb} by {self.rule} of {self.policy!r}"
        return f"{what} is {verb} by {self.cause.value}"


#: A merged rule: its level, the rule and the name of its policy.
_Grant: TypeAlias = tuple[int, Rule, str]


def _rank(level: int) -> int:
    """Return the precedence of a level among rules for one label: deny beats all."""
    return level or len(_LEVELS)


class _Table:
    """The merged rules of one resource."""

    __slots__ = ("_exact", "_lengths", "_prefixes", "_weak", "_weak_grants")

    def __init__(self, exact: dict[str, _Grant], prefixes: dict[str, _Grant]) -> None:
        self._exact = exact
        self._prefixes = prefixes
        self._lengths = tuple(sorted({len(label) for label in prefixes}, reverse=True))
        both = [*exact.items(), *prefixes.items()]
        # By level: what grants less than it, by label, so that a range finds it by bisection.
        weak = [sorted((i for i in both if i[1][0] < level), key=_label) for level in _LEVELS]
        self._weak = [[label for label, _ in items] for items in weak]
        self._weak_grants = [[grant for _, grant in items] for items in weak]

    def find(self, label: str) -> _Grant | None:
        """Return what holds for a label: its own rule, or that of the longest prefix."""
        found = self._exact.get(label)
        if found is None:
            prefixes, size = self._prefixes, len(label)
            for length in self._lengths:
                if length <= size:
                    found = prefixes.get(label[:length])
                    if found is not None:
                        return found
        return found

    def find_range(self, start: str, end: str | None, level: int) -> _Grant | None:
        """Return what decides on all labels from `start` to below `end`, the end if None.

        A rule that covers only a part of them and grants less than `level` decides; if there is
        none, that of the longest prefix which covers them all; if there is none either, nothing.
        """
        size = len(start)
        covering = None
        for length in self._lengths:
            found = self._prefixes.get(start[:length]) if length <= size else None
            if found is None:
                continue
            above = prefix_end(start[:length])
            if above is None or (end is not None and end <= above):
                covering = found
                break
            if found[0] < level:
                return found
        weak = self._weak[level]
        at = bisect_left(weak, start)
        if at < len(weak) and (end is None or weak[at] < end):
            # Of a prefix rule and an exact one for one label either may be named.
            return self._weak_grants[level][at]
        return covering

    def reach(self) -> list[tuple[str, str | None]]:
        """Return ranges, in order and apart, outside of which nothing is granted."""
        found: list[tuple[str, str | None]] = []
        readable = [(label, prefix_end(label)) for label in self._granting(self._prefixes)]
        # No label that is asked about holds a NUL, so that this is the first text above it.
        readable += [(label, label + "\0") for label in self._granting(self._exact)]
        for low, high in sorted(readable, key=_start):
            # Of two labels one holds the other, and comes before it, or they are apart.
            if not found or (found[-1][1] is not None and found[-1][1] <= low):
                found.append((low, high))
        return found

    def _granting(self, grants: dict[str, _Grant]) -> list[str]:
        return [label for label, grant in grants.items() if grant[0] >= _READ]


def _start(part: tuple[str, str | None]) -> str:
    return part[0]


def _label(item: tuple[str, _Grant]) -> str:
    return item[0]


class Authorizer:
    """Answers what some policies grant, and why.

    Args:
        policies: What is granted, in any order.
        allow: Whether what no rule covers is granted. Managing access itself never is by
            default: that takes a rule for `acl`.
        management: Whether everything is granted, whatever the policies.

    >>> rules = (Rule("key", "a/", Level.READ, prefix=True), Rule("key", "a/b", Level.WRITE))
    >>> authorizer = Authorizer([Policy("web", rules)], allow=False)
    >>> authorizer.allows_key("a/b", Level.WRITE), authorizer.allows_key("a/bc", Level.WRITE)
    (True, False)
    >>> print(authorizer.decide("key", "a/bc", Level.WRITE))
    key write on 'a/bc' is denied by key_prefix "a/" { policy = "read" } of 'web'
    """

    __slots__ = ("_default", "_keys", "_levels", "_reach", "_tables", "management")

    def __init__(
        self, policies: Iterable[Policy], *, allow: bool, management: bool = False
    ) -> None:
        self.management = management
        self._default = _WRITE if allow or management else _DENY
        merged: dict[tuple[str, bool], dict[str, _Grant]] = {}
        if not management:
            merged = _merge(policies)
        names = sorted({resource for resource, _ in merged} | {"key"})
        self._tables = {
            name: _Table(merged.get((name, False), {}), merged.get((name, True), {}))
            for name in names
        }
        self._keys = self._tables["key"]
        self._levels: dict[str, int] = {}
        self._reach: list[tuple[str, str | None]] | None = None

    def allows_key(self, key: str, level: int) -> bool:
        """Return whether a level is granted on a key; what `decide` says, in less time."""
        granted = self._levels.get(key)
        if granted is None:
            found = self._keys.find(key)
            granted = self._default if found is None else found[0]
            if len(key) <= _MEMO_LENGTH:
                if len(self._levels) >= _MEMO_SIZE:
                    self._levels.clear()
                self._levels[key] = granted
        return granted >= level

    def reach(self, start: str, end: str | None) -> list[tuple[str, str | None]]:
        """Return the parts of a range, in order, outside of which no key may be read.

        Within them some keys may not be read either. What a reader costs who may read little is
        then a matter of that, and not of what there is.

        Complexity: O(rules) the first time, then O(parts + log rules).
        """
        if self._default >= _READ:
            return [(start, end)]
        if self._reach is None:
            self._reach = self._keys.reach()
        found = []
        first = max(0, bisect_right(self._reach, start, key=_start) - 1)
        for place in range(first, len(self._reach)):
            low, high = self._reach[place]
            if end is not None and low >= end:
                break
            part = max(low, start), end if high is None or (end and end < high) else high
            if part[1] is None or part[0] < part[1]:
                found.append(part)
        return found

    def allows_range(self, start: str, end: str | None, level: int) -> bool:
        """Return whether a level is granted on every key of a range; as `decide_range`."""
        found = self._keys.find_range(start, end, level)
        return (self._default if found is None else found[0]) >= level

    def filter_keys(self, keys: Iterable[str], level: int = _READ) -> list[str]:
        """Return those of some keys on which a level is granted, in their order."""
        allows = self.allows_key
        return [key for key in keys if allows(key, level)]

    def decide(self, resource: str, label: str, level: Level) -> Decision:
        """Return whether a level is granted on one label, and what decided.

        Args:
            resource: One of `RESOURCES`.
            label: Of the resource; empty for those without.
            level: What is asked for; at least `READ`.

        Raises:
            ValueError: There is no such resource.
        """
        if resource not in RESOURCES:
            raise ValueError(f"no resource is called {resource!r}")
        found = self._find(resource, label)
        if found is None and resource in {"mesh", "peering"}:
            found = self._find("operator", label)
        return self._decision(found, resource, label, level)

    def decide_range(self, start: str, end: str | None, level: Level) -> Decision:
        """Return whether a level is granted on every key of a range, and what decided.

        The longest prefix rule that covers the whole range must grant it, and no rule within
        the range may grant less; exact rules on their own cover no range. Whether the keys
        that those rules are about exist does not matter.

        Args:
            start: The first key.
            end: The first key after it, None for no end.
            level: What is asked for; at least `READ`.

        Source: Consul acl/policy_authorizer.go KeyWritePrefix.
        """
        return self._decision(self._keys.find_range(start, end, level), "key", start, level)

    def decide_prefix(self, prefix: str, level: Level) -> Decision:
        """Return `decide_range` of all keys that begin with `prefix`."""
        return self.decide_range(prefix, prefix_end(prefix), level)

    def _find(self, resource: str, label: str) -> _Grant | None:
        table = self._tables.get(resource)
        return None if table is None else table.find(label)

    def _decision(self, found: _Grant | None, resource: str, label: str, level: Level) -> Decision:
        if found is not None:
            granted, rule, policy = found
            return Decision(granted >= level, resource, label, level, Cause.RULE, rule, policy)
        if self.management:
            return Decision(True, resource, label, level, Cause.MANAGEMENT)
        default = _DENY if resource == "acl" else self._default
        return Decision(default >= level, resource, label, level, Cause.DEFAULT)


def _merge(policies: Iterable[Policy]) -> dict[tuple[str, bool], dict[str, _Grant]]:
    """Return, by resource and form, what holds for each label."""
    merged: dict[tuple[str, bool], dict[str, _Grant]] = {}

    def add(resource: str, level: Level, rule: Rule, policy: str) -> None:
        grants = merged.setdefault((resource, rule.prefix), {})
        known = grants.get(rule.label)
        # Of equals the least name is told, so that the order of policies shows nowhere.
        if known is None or (-_rank(level), policy) < (-_rank(known[0]), known[2]):
            grants[rule.label] = (level, rule, policy)

    for policy in policies:
        for rule in policy.rules:
            add(rule.resource, rule.level, rule, policy.name)
            if rule.intentions is not None:
                add("intention", rule.intentions, rule, policy.name)
    for form in (False, True):
        told = merged.get(("intention", form), {})
        for label, (level, rule, name) in merged.get(("service", form), {}).items():
            # A service that may be seen may be asked for its intentions; no more than that.
            if label not in told:
                add("intention", _READ if level >= _READ else _DENY, rule, name)
    return merged
