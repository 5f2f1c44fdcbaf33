"""What access rules are made of: levels, rules, policies, roles and tokens, as plain values.

Owns what a well-formed one looks like, and nothing else: how rules are written as text is
language.py's, what they add up to authorizer.py's.

Source: Consul 1.4 and later (acl/policy.go, agent/structs/acl.go). Its names are kept, with the
resources that a key-value store alone does not have, so that policies of a running Consul can
be taken over unchanged.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from attrs import Attribute, converters, field, frozen

#: Bytes of UTF-8 in a label, a name or an id, and characters of a description.
LABEL_SIZE_MAX: Final = 4096
NAME_SIZE_MAX: Final = 256
DESCRIPTION_LENGTH_MAX: Final = 4096
#: Rules in one policy, links of one token or role.
RULES_MAX: Final = 10_000
LINKS_MAX: Final = 1000

#: The token of those who show none, and the policy that grants everything; ids as in Consul.
ANONYMOUS: Final = "00000000-0000-0000-0000-000000000002"
GLOBAL_MANAGEMENT: Final = "global-management"


class Level(IntEnum):
    """How much a rule grants. A higher level includes the lower ones; `DENY` grants nothing."""

    DENY = 0
    READ = 1
    LIST = 2
    WRITE = 3


#: Resources whose rules have a label, each in an exact form and in a `_prefix` form.
LABELLED: Final = ("key", "service", "session", "event", "node", "agent", "query", "identity")
#: Resources with one rule for each policy.
UNLABELLED: Final = ("acl", "operator", "keyring", "mesh", "peering")

_WORDS: Final = {level: level.name.lower() for level in Level}


def check_text(name: str, value: str, size_max: int, *, empty: bool = True) -> None:
    """Refuse a text that is too long, is not encodable or, unless `empty`, has nothing in it.

    Raises:
        TypeError: It is no text.
        ValueError: It breaks a limit; a lone surrogate is a `UnicodeEncodeError`.
    """
    # A text of a class of its own cannot be written to a snapshot.
    if type(value) is not str:
        raise TypeError(f"{name} is {type(value).__name__}, it must be str")
    if not (value or empty):
        raise ValueError(f"{name} is empty")
    if len(value) > size_max or (size := len(value.encode())) > size_max:
        size = len(value) if len(value) > size_max else size
        raise ValueError(f"{name} has a size of {size}, the limit is {size_max}")


def _check_tuple(name: str, value: tuple[object, ...]) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} is {type(value).__name__}, it must be tuple")


def _check_name(_: object, attribute: Attribute[str], value: str) -> None:
    check_text(attribute.name, value, NAME_SIZE_MAX, empty=False)


def _check_links(_: object, attribute: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    _check_tuple(attribute.name, value)
    if len(value) > LINKS_MAX:
        raise ValueError(f"{attribute.name} has {len(value)} names, the limit is {LINKS_MAX}")
    for name in value:
        check_text(attribute.name, name, NAME_SIZE_MAX, empty=False)


def _check_description(_: object, attribute: Attribute[str], value: str) -> None:
    check_text(attribute.name, value, DESCRIPTION_LENGTH_MAX)


def _check_rules(
    _: object, attribute: Attribute[tuple[Rule, ...]], value: tuple[Rule, ...]
) -> None:
    _check_tuple(attribute.name, value)
    if len(value) > RULES_MAX:
        raise ValueError(f"{attribute.name} has {len(value)} rules, the limit is {RULES_MAX}")
    for rule in value:
        if type(rule) is not Rule:
            raise TypeError(f"{attribute.name} holds {type(rule).__name__}, it must hold Rule")


def as_level(value: int) -> Level:
    """Return the level of a number.

    Raises:
        ValueError: It stands for none.
    """
    return Level(value)


@frozen
class Rule:
    """One rule: what is granted on a label, or on everything that begins with it.

    Attributes:
        resource: One of `LABELLED` or `UNLABELLED`.
        label: A key, a node's name, ...; at most `LABEL_SIZE_MAX` bytes; empty for resources
            without labels.
        level: What is granted; `LIST` is for keys only.
        prefix: Whether the rule covers every label that begins with `label`.
        intentions: For services: what is granted on intentions; None leaves it to `level`.

    Raises:
        TypeError: A field is of another type.
        ValueError: The fields don't go together.

    >>> str(Rule("key", "web/", Level.READ, prefix=True))
    'key_prefix "web/" { policy = "read" }'
    """

    resource: str
    label: str = ""
    level: Level = field(default=Level.DENY, converter=as_level)
    prefix: bool = False
    intentions: Level | None = field(default=None, converter=converters.optional(as_level))

    def __attrs_post_init__(self) -> None:
        check_text("resource", self.resource, NAME_SIZE_MAX)
        check_text("label", self.label, LABEL_SIZE_MAX)
        if type(self.prefix) is not bool:
            raise TypeError(f"prefix is {type(self.prefix).__name__}, it must be bool")
        if self.resource in UNLABELLED:
            if self.label or self.prefix:
                raise ValueError(f"{self.resource} has no labels")
        elif self.resource not in LABELLED:
            raise ValueError(f"no resource is called {self.resource!r}")
        if self.level is Level.LIST and self.resource != "key":
            raise ValueError(f"list is a level of keys, not of {self.resource}")
        if self.intentions is not None and (
            self.resource != "service" or self.intentions is Level.LIST
        ):
            raise ValueError("intentions are deny, read or write, and belong to services")

    @property
    def form(self) -> str:
        """What the rule is called in the language of rules: `key`, `key_prefix`, ..."""
        return f"{self.resource}_prefix" if self.prefix else self.resource

    def __str__(self) -> str:
        """The rule in the language of rules (HCL), as language.py reads it."""
        if self.resource in UNLABELLED:
            return f'{self.resource} = "{_WORDS[self.level]}"'
        fields = f'policy = "{_WORDS[self.level]}"'
        if self.intentions is not None:
            fields += f' intentions = "{_WORDS[self.intentions]}"'
        return f"{self.form} {quote(self.label)} {{ {fields} }}"


def quote(text: str) -> str:
    r"""Return a text as the language of rules writes it.

    >>> print(quote('a"b\n'))
    "a\"b\u000a"
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escape(c) for c in escaped) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@frozen
class Policy:
    """A named set of rules.

    Attributes:
        name: 1 to `NAME_SIZE_MAX` bytes; names the policy in links and explanations.
        rules: At most `RULES_MAX`; of two for one label the stricter one holds, as between
            policies (`Authorizer`).
        description: For people.
    """

    name: str = field(validator=_check_name)
    rules: tuple[Rule, ...] = field(default=(), validator=_check_rules)
    description: str = field(default="", validator=_check_description)


@frozen
class Role:
    """A named list of policies, to be linked by tokens.

    Attributes:
        name: 1 to `NAME_SIZE_MAX` bytes.
        policies: Names of policies, at most `LINKS_MAX`.
        description: For people.
    """

    name: str = field(validator=_check_name)
    policies: tuple[str, ...] = field(default=(), validator=_check_links)
    description: str = field(default="", validator=_check_description)


@frozen
class Token:
    """Who acts, and what it may do: policies, roles, and rules of its own.

    Attributes:
        accessor: The public id, which commands name as their actor; 1 to `NAME_SIZE_MAX` bytes.
        secret: What its owner shows to prove it is the one, or a digest of that; empty for
            none. It is part of the store's state and of its snapshots.
        policies: Names of policies, at most `LINKS_MAX`. Names that no policy has (any more)
            grant nothing and forbid nothing.
        roles: Names of roles, likewise.
        rules: Rules of its own, as tokens had before Consul 1.4.
        management: Whether everything is granted, whatever the rules: the `management` type of
            before 1.4.
        expires: Logical milliseconds from which on the token is as good as unknown, or None.
        description: For people.
    """

    accessor: str = field(validator=_check_name)
    secret: str = ""
    policies: tuple[str, ...] = field(default=(), validator=_check_links)
    roles: tuple[str, ...] = field(default=(), validator=_check_links)
    rules: tuple[Rule, ...] = field(default=(), validator=_check_rules)
    management: bool = False
    expires: int | None = None
    description: str = field(default="", validator=_check_description)

    def __attrs_post_init__(self) -> None:
        check_text("secret", self.secret, NAME_SIZE_MAX)
        if type(self.management) is not bool:
            raise TypeError(f"management is {type(self.management).__name__}, it must be bool")
        if self.expires is not None and type(self.expires) is not int:
            raise TypeError(f"expires is {type(self.expires).__name__}, it must be int")
        if self.expires is not None and not 0 <= self.expires < 1 << 63:
            raise ValueError(f"expires is {self.expires}, it must be from 0 to 2**63 - 1")
