"""Whom a query concerns: filters by name and by tag expression, all of which must match.

Owns the matching, and its memory of compiled filters (a bounded memo keyed by their bytes is a
pure function). Knows nothing of queries.

Source: serf/query.go shouldProcessQuery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from serfevents.codec import decode_filter, encode_filter
from serfevents.errors import DecodeError, InvalidExpression
from serfevents.messages import NodeFilter, TagFilter
from serfevents.tag_expressions import compile_expression

#: Larger filters are compiled each time.
MEMO_SIZE_MAX: Final = 4096

#: Given a member's name and tags, whether it is concerned.
Matcher: TypeAlias = Callable[[str, Mapping[str, str]], bool]


def encode_filters(nodes: Iterable[str], tags: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return filters as a query carries them.

    Raises:
        InvalidExpression: One of the tags' expressions is none.
    """
    nodes = tuple(nodes)
    filters = [encode_filter(NodeFilter(nodes))] if nodes else []
    for tag, expression in tags.items():
        compile_expression(expression)
        filters.append(encode_filter(TagFilter(tag, expression)))
    return tuple(filters)


def compile_filters(filters: Iterable[bytes]) -> Matcher:
    """Return what tells whether a member is concerned.

    Raises:
        DecodeError: One is no filter, or of a type that isn't known: nobody is concerned.
        InvalidExpression: An expression is none: nobody is concerned.
    """
    matchers = [
        _compile(blob) if len(blob) <= MEMO_SIZE_MAX else _compile_anew(blob) for blob in filters
    ]

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


def _compile_anew(blob: bytes) -> Matcher:
    each = decode_filter(blob)
    if isinstance(each, NodeFilter):
        names = frozenset(each.names)

        def named(name: str, _: Mapping[str, str]) -> bool:
            return name in names

        return named
    tag, expression = each.tag, compile_expression(each.expression)

    def tagged(_: str, tags: Mapping[str, str]) -> bool:
        # A missing tag is the empty text, which an expression may well match.
        return expression.search(tags.get(tag, ""))

    return tagged


_compile = lru_cache(maxsize=1024)(_compile_anew)
