"""Planting a bug: a function of the package gets the code of its own source, one place changed.

Owns the exchange of code and its undoing. The function object stays what it is, so whoever holds
it (tables of handlers, bound methods, live machines) runs the changed code from then on.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from itertools import groupby
from types import CodeType, FunctionType
from typing import Any

from attrs import frozen


class NotThere(Exception):
    """The place that an edit changes is not in the source, or more than once: see to the bug."""


@frozen
class Edit:
    """One change of one function.

    Attributes:
        where: The function, as `module:Class.name`.
        before: A piece of its source, which occurs once.
        after: What stands there instead.
    """

    where: str
    before: str
    after: str

    def function(self) -> FunctionType:
        """Return the function that is changed."""
        module, _, path = self.where.partition(":")
        found: Any = import_module(module)
        for name in path.split("."):
            found = inspect.getattr_static(found, name)
        return _function(found)

    def apply(self, source: str) -> str:
        """Return the changed source.

        Raises:
            NotThere: It is not what the edit expects.
        """
        if (times := source.count(self.before)) != 1:
            raise NotThere(f"{self.where} has {times} times:\n{self.before}")
        return source.replace(self.before, self.after)


def _changed(edits: Iterable[Edit]) -> CodeType:
    """Return the code of a function with some edits."""
    edits = list(edits)
    function = edits[0].function()
    source = textwrap.dedent(inspect.getsource(function))
    for edit in edits:
        source = edit.apply(source)
    flags = __future__.annotations.compiler_flag
    namespace = dict(function.__globals__)
    exec(compile(source, f"<planted in {edits[0].where}>", "exec", flags), namespace)
    return _function(namespace[function.__name__]).__code__


def _function(found: Any) -> FunctionType:
    """Return the function itself, without what decorators made of it."""
    found = getattr(found, "fget", found)
    found = getattr(found, "__func__", found)
    assert isinstance(found, FunctionType), found
    return found


@frozen
class Bug:
    """A bug that can be planted.

    Attributes:
        name: A short one, for the command line.
        what: What is wrong, and what comes of it.
        edits: Where it is.
        killers: Tests that fail because of it, as `module::name` within tests/raft.
    """

    name: str
    what: str
    edits: tuple[Edit, ...]
    killers: tuple[str, ...]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the bug in the package for a while.

        Raises:
            NotThere: The source is not what an edit expects.
        """
        with ExitStack() as undo:
            # By function: the edits of one are made together, or the last would undo the others.
            for _, group in groupby(self.edits, key=lambda edit: edit.where):
                edits = list(group)
                function, code = edits[0].function(), _changed(edits)
                undo.callback(setattr, function, "__code__", function.__code__)
                function.__code__ = code
            yield
