"""The language in which access rules are written: text to rules, in HCL or JSON.

Read are both generations of it: that of Consul 1.4 and later, and that of 2014 to 1.11, whose
every rule covers a prefix. Only the part of HCL that rules use is known: names, strings, blocks,
objects and comments. A text is bounded in size and depth, and every refusal tells its line.

Deviation: unknown names and fields are refused. Consul ignores them, so that a misspelt rule
silently grants too much or too little.

Source: Consul acl/policy.go (parseCurrent, parseLegacy), acl/policy.go of 0.4; HCL 1
hcl/scanner, json/scanner.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import frozen

from kvstore.acl.rules import LABELLED, RULES_MAX, UNLABELLED, Level, Rule
from kvstore.errors import RulesError

#: Characters of a text, and objects within objects.
TEXT_LENGTH_MAX: Final = 1 << 20
DEPTH_MAX: Final = 8

#: The resources that had rules before Consul 1.4.
_LEGACY: Final = frozenset(
    {"key", "service", "session", "event", "node", "agent", "query", "operator", "keyring"}
)
_CURRENT: Final = frozenset(LABELLED) | frozenset(UNLABELLED)
_LEVELS: Final = {level.name.lower(): level for level in Level}

_SPACE: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*(?s:.*?)\*/)*")
_JSON_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\[^\n])*)"')
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|.)",
    re.DOTALL,
)
_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "/": "/",
}


def parse_rules(text: str, *, legacy: bool = False) -> tuple[Rule, ...]:
    r"""Return the rules that a text holds, in its order.

    Args:
        text: HCL, or JSON if it begins with a brace; at most `TEXT_LENGTH_MAX` characters.
        legacy: Whether it is of the generation before Consul 1.4: `key "web/"` then means the
            prefix, and the last of several rules for one label holds.

    Raises:
        RulesError: It is neither, or names what no rule has.

    >>> [str(rule) for rule in parse_rules('key_prefix "web/" { policy = "read" }')]
    ['key_prefix "web/" { policy = "read" }']
    >>> parse_rules('key "web/" { policy = "read" }', legacy=True)[0].prefix
    True
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise RulesError(f"{len(text)} characters exceed the limit of {TEXT_LENGTH_MAX}", 1, 1)
    reader = _Reader(text)
    rules = list(_rules(reader, reader.document(), legacy=legacy))
    if legacy:
        # Insertion order is that of the first, the rule that of the last of a label.
        rules = list({(rule.resource, rule.label): rule for rule in rules}.values())
    return tuple(rules)


@frozen
class _Item:
    """A name with what it stands for, and where in the text it began."""

    name: str
    value: _Value
    offset: int


_Value: TypeAlias = "str | tuple[_Item, ...]"


class _Reader:
    """Reads a text into items; knows nothing of rules."""

    __slots__ = ("_json", "_offset", "_space", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._json = text.lstrip(" \t\r\n").startswith("{")
        self._space = _JSON_SPACE if self._json else _SPACE
        self._offset = 0

    def document(self) -> tuple[_Item, ...]:
        """Return the items of the whole text."""
        self._skip()
        items = self._object(1) if self._json else tuple(self._items(0, ""))
        if self._offset < len(self._text):
            raise self.error("text after its end")
        return items

    def error(self, what: str, offset: int | None = None) -> RulesError:
        """Return the refusal that names a place, by default where the reader is."""
        at = self._offset if offset is None else offset
        before = self._text[:at]
        return RulesError(what, before.count("\n") + 1, at - before.rfind("\n"))

    def _skip(self) -> None:
        match = self._space.match(self._text, self._offset)
        assert match is not None
        self._offset = match.end()

    def _at(self, mark: str) -> bool:
        return self._text.startswith(mark, self._offset)

    def _take(self, mark: str) -> bool:
        if not self._at(mark):
            return False
        self._offset += len(mark)
        self._skip()
        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise self.error(f"{mark!r} is missing")

    def _items(self, depth: int, end: str) -> Iterator[_Item]:
        """Yield HCL's items up to `end`, which is not taken; an empty one is the text's end."""
        while self._offset < len(self._text) and not (end and self._at(end)):
            yield self._item(depth)
            self._take(",")

    def _item(self, depth: int) -> _Item:
        """Read `name = value`, or `name "label" ... { ... }`, which is an object in an object."""
        offset, name = self._offset, self._name()
        labels = []
        while self._at('"'):
            begin = self._offset
            labels.append((self._string(), begin))
        value: _Value
        if not labels and self._take("="):
            value = self._value(depth)
        else:
            value = self._object(depth + len(labels) + 1)
        for label, at in reversed(labels):
            value = (_Item(label, value, at),)
        return _Item(name, value, offset)

    def _name(self) -> str:
        if self._at('"'):
            return self._string()
        match = _NAME.match(self._text, self._offset)
        if match is None:
            raise self.error("a name is missing")
        self._offset = match.end()
        self._skip()
        return match.group()

    def _value(self, depth: int) -> _Value:
        if self._at("{"):
            return self._object(depth + 1)
        if self._at("["):
            return self._array(depth + 1)
        if self._at('"'):
            return self._string()
        raise self.error("neither a string nor an object")

    def _object(self, depth: int) -> tuple[_Item, ...]:
        if depth > DEPTH_MAX:
            raise self.error(f"more than {DEPTH_MAX} objects within each other")
        self._expect("{")
        items = tuple(self._members(depth) if self._json else self._items(depth, "}"))
        self._expect("}")
        return items

    def _members(self, depth: int) -> Iterator[_Item]:
        """Yield the members of a JSON object up to its brace, which is not taken."""
        if self._at("}"):
            return
        while True:
            offset = self._offset
            name = self._string()
            self._expect(":")
            yield _Item(name, self._value(depth), offset)
            if not self._take(","):
                return

    def _array(self, depth: int) -> tuple[_Item, ...]:
        """Read a list of objects, which stands for all of their items."""
        self._expect("[")
        items: list[_Item] = []
        while not self._at("]"):
            items.extend(self._object(depth))
            if not self._take(","):
                break
        self._expect("]")
        return tuple(items)

    def _string(self) -> str:
        match = _STRING.match(self._text, self._offset)
        if match is None:
            raise self.error("a string is missing, or does not end in its line")
        begin, body = self._offset, match.group(1)
        if "\\" in body:
            body = _ESCAPE.sub(lambda found: self._unescape(found.group(), begin), body)
        self._offset = match.end()
        self._skip()
        return body

    def _unescape(self, escape: str, offset: int) -> str:
        kind, digits = escape[1], escape[2:]
        if len(escape) == 12:
            high, low = int(escape[2:6], 16), int(escape[8:], 16)
            return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        if kind in _ESCAPES:
            return _ESCAPES[kind]
        code = -1
        if digits:
            code = int(escape[1:], 8) if kind.isdigit() else int(digits, 16)
        if not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
            raise self.error(f"the string has no such escape as {escape}", offset)
        return chr(code)


def _rules(reader: _Reader, items: tuple[_Item, ...], *, legacy: bool) -> Iterator[Rule]:
    """Yield the rules of a document's items, counted."""
    known = _LEGACY if legacy else _CURRENT
    count = 0
    for item in items:
        resource = item.name
        prefix = resource.endswith("_prefix") and not legacy
        if prefix:
            resource = resource.removesuffix("_prefix")
        if resource not in known or (prefix and resource in UNLABELLED):
            raise reader.error(f"no rule is called {item.name!r}", item.offset)
        if resource in UNLABELLED:
            found = [Rule(resource, level=_level(reader, item))]
        else:
            found = [
                _labelled(reader, resource, label, prefix=prefix or legacy)
                for label in _object(reader, item)
            ]
        count += len(found)
        if count > RULES_MAX:
            raise reader.error(f"more than {RULES_MAX} rules", item.offset)
        yield from found


def _labelled(reader: _Reader, resource: str, label: _Item, *, prefix: bool) -> Rule:
    """Return the rule for one label."""
    levels: dict[str, Level] = {}
    for item in _object(reader, label):
        if item.name != "policy" and (item.name, resource) != ("intentions", "service"):
            raise reader.error(f"a rule of {resource} has no field {item.name!r}", item.offset)
        if item.name in levels:
            raise reader.error(f"{item.name} is given twice", item.offset)
        levels[item.name] = _level(reader, item)
    if "policy" not in levels:
        raise reader.error(f"the rule for {label.name!r} has no policy", label.offset)
    try:
        return Rule(resource, label.name, levels["policy"], prefix, levels.get("intentions"))
    except ValueError as error:
        raise reader.error(str(error), label.offset) from error


def _object(reader: _Reader, item: _Item) -> tuple[_Item, ...]:
    if isinstance(item.value, str):
        raise reader.error(f"{item.name!r} is a string, it must be an object", item.offset)
    return item.value


def _level(reader: _Reader, item: _Item) -> Level:
    level = _LEVELS.get(item.value) if isinstance(item.value, str) else None
    if level is None:
        raise reader.error(f"{item.name} is not one of {', '.join(_LEVELS)}", item.offset)
    return level
