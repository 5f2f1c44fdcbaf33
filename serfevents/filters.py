"""Whom a query concerns: filters by name and by tag expression, all of which must match.

Owns the matching, and its memory of compiled filters (a bounded memo keyed by their bytes is a
pure function). Knows nothing of queries.

Source: serf/query.go shouldProcessQuery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from serfevents.errors import DecodeError, InvalidExpression
from serfevents.expressions.program import SIZE_MAX
from serfevents.expressions.tag_expressions import compile_expression
from serfevents.wire.codec import decode_filter, encode_filter
from serfevents.wire.messages import NodeFilter, TagFilter

#: Larger filters are compiled each time.
MEMO_SIZE_MAX: Final = 4096

#: Instructions of all the expressions of one query: together they may cost what one may. A query
#: has room for a hundred filters, and each member would pay for all of them.
INSTRUCTIONS_MAX: Final = SIZE_MAX

#: Given a member's name and tags, whether it is concerned.
Matcher: TypeAlias = Callable[[str, Mapping[str, str]], bool]


def encode_filters(nodes: Iterable[str], tags: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return filters as a query carries them.

    Raises:
        InvalidExpression: One of the tags' expressions is none, or all together are too large.
    """
    nodes = tuple(nodes)
    filters = [encode_filter(NodeFilter(nodes))] if nodes else []
    filters += [encode_filter(TagFilter(tag, text)) for tag, text in tags.items()]
    _check_size(compile_expression(text).size for text in tags.values())
    return tuple(filters)


def compile_filters(filters: Iterable[bytes]) -> Matcher:
    """Return what tells whether a member is concerned.

    Raises:
        DecodeError: One is no filter, or of a type that isn't known: nobody is concerned.
        InvalidExpression: An expression is none, or all together are too large: nobody is
            concerned.
    """
    matchers: list[Matcher] = []

    def sizes() -> Iterator[int]:
        for blob in filters:
            matcher, size = _compile(blob) if len(blob) <= MEMO_SIZE_MAX else _compile_anew(blob)
            matchers.append(matcher)
            yield size

    _check_size(sizes())

    def matches(name: str, tags: Mapping[str, str]) -> bool:
        return all(matcher(name, tags) for matcher in matchers)

    return matches


def matches(filters: Iterable[bytes], name: str, tags: Mapping[str, str]) -> bool:
    """Whether a member is concerned; what can't be read concerns nobody.

    >>> web = encode_filters((), {"role": "^web"})
    >>> matches(web, "a", {"role": "web-1"}), matches(web, "b", {}), matches((b"",), "a", {})
    (True, False, False)
    """
    try:
        return compile_filters(filters)(name, tags)
    except (DecodeError, InvalidExpression):
        return False


def _check_size(sizes: Iterable[int]) -> None:
    """Refuse expressions that are too large together, at the first that is too much."""
    room = INSTRUCTIONS_MAX
    for size in sizes:
        room -= size
        if room < 0:
            raise InvalidExpression("too-large", f"more than {INSTRUCTIONS_MAX} instructions")


def _compile_anew(blob: bytes) -> tuple[Matcher, int]:
    """Return what one filter asks, and the size of its expression."""
    each = decode_filter(blob)
    if isinstance(each, NodeFilter):
        names = frozenset(each.names)

        def named(name: str, _: Mapping[str, str]) -> bool:
            return name in names

        return named, 0
    tag, expression = each.tag, compile_expression(each.expression)

    def tagged(_: str, tags: Mapping[str, str]) -> bool:
        # A missing tag is the empty text, which an expression may well match.
        return expression.search(tags.get(tag, ""))

    return tagged, expression.size


# A compiled expression may take a third of a megabyte.
_compile = lru_cache(maxsize=128)(_compile_anew)
