"""Sequential models: what a system does when operations come one at a time.

Owns the base class `Model` and the models that most users want: registers (of one key or many),
locks, queues and sets, with their inputs. Knows no history and no search.

Source: the models of Knossos (knossos/model.clj: register, cas-register, mutex, fifo-queue, set)
and of Porcupine's tests (register, key-value with append).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, Literal, TypeAlias, TypeVar, assert_never

import attrs

from kvstore.testing.histories import UNKNOWN, Unknown

__all__ = [
    "Acquire",
    "Add",
    "Append",
    "CompareAndSet",
    "Contains",
    "Dequeue",
    "Enqueue",
    "Locks",
    "Members",
    "Model",
    "Queues",
    "Read",
    "Registers",
    "Release",
    "Remove",
    "Sets",
    "Write",
]

StateT = TypeVar("StateT", bound=Hashable)
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class Model(Generic[StateT, InputT, OutputT]):
    """A sequential specification. Subclass it: `initial` and `step` are enough.

    States are hashable and never changed in place. All methods are pure: the search calls them
    in any order, any number of times.
    """

    def initial(self) -> StateT:
        """Return the state before the first operation, of each part alike."""
        raise NotImplementedError

    def step(
        self, state: StateT, request: InputT, output: OutputT | Literal[Unknown.UNKNOWN]
    ) -> tuple[bool, StateT]:
        """Return whether `request` may answer `output` in `state`, and the state after it.

        With `UNKNOWN` any answer will do. The state is ignored where the answer is not legal.
        """
        raise NotImplementedError

    def key(self, request: InputT) -> Hashable:  # noqa: ARG002 - a model of one object has one part
        """Return which part of the system a request concerns.

        Operations on different keys must not influence each other: each key is checked alone,
        which is what makes long histories feasible (Horn and Kroening 2015, P-compositionality).
        """
        return None

    def is_pure(
        self,
        request: InputT,  # noqa: ARG002 - what nothing is known of may change anything
        output: OutputT | Literal[Unknown.UNKNOWN],  # noqa: ARG002
    ) -> bool:
        """Return whether the operation, wherever it is legal, leaves the state as it is.

        Reads are pure, and so are refusals. An honest answer makes a search much shorter; False
        is always correct.
        """
        return False

    def describe_operation(
        self, request: InputT, output: OutputT | Literal[Unknown.UNKNOWN]
    ) -> str:
        """Return a short text for the picture."""
        return f"{request!r} → {'?' if output is UNKNOWN else repr(output)}"

    def describe_state(self, state: StateT) -> str:
        """Return a short text for the picture."""
        return repr(state)


# --- registers


@attrs.frozen
class Read:
    """Answers the value; None if nothing was written yet."""

    key: Hashable = None


@attrs.frozen
class Write:
    """Sets the value; the answer is not looked at. Writing None deletes."""

    value: Hashable
    key: Hashable = None


@attrs.frozen
class CompareAndSet:
    """Answers True and sets `new` if the value is `old`, otherwise answers False."""

    old: Hashable
    new: Hashable
    key: Hashable = None


@attrs.frozen
class Append:
    """Adds `suffix` to a text (or bytes), or sets it where there is none; no answer."""

    suffix: Any
    key: Hashable = None


RegisterInput: TypeAlias = Read | Write | CompareAndSet | Append


class Registers(Model[Any, RegisterInput, Any]):
    """A register for each key: read, write, compare-and-set, append.

    One register is the case of one key; a key-value store without transactions that span keys is
    the case of many.

    >>> model = Registers()
    >>> model.step("a", CompareAndSet("a", "b"), output=True)
    (True, 'b')
    >>> model.step("a", Read(), output="b")
    (False, 'a')
    """

    def __init__(self, initial: Hashable = None) -> None:
        self._initial = initial

    def initial(self) -> Any:
        """Return what a register holds before the first write."""
        return self._initial

    def key(self, request: RegisterInput) -> Hashable:
        """Return the key of the register."""
        return request.key

    def is_pure(self, request: RegisterInput, output: Any) -> bool:
        """Return True for reads and for compare-and-sets that were refused."""
        return isinstance(request, Read) or (isinstance(request, CompareAndSet) and output is False)

    def step(self, state: Any, request: RegisterInput, output: Any) -> tuple[bool, Any]:
        """See `Model.step`."""
        match request:
            case Read():
                return output is UNKNOWN or output == state, state
            case Write(value):
                return True, value
            case CompareAndSet(old, new):
                matched = state == old
                return output is UNKNOWN or output == matched, new if matched else state
            case Append(suffix):
                return True, suffix if state is None else state + suffix
            case _:
                assert_never(request)

    def describe_operation(self, request: RegisterInput, output: Any) -> str:
        """Return such as `write(3)`, `read → 3`, `cas(3, 4) → ok`."""
        match request:
            case Read():
                return f"read → {'?' if output is UNKNOWN else repr(output)}"
            case Write(value):
                return f"write({value!r}){_open(output)}"
            case CompareAndSet(old, new):
                return f"cas({old!r}, {new!r}){_said(output)}"
            case Append(suffix):
                return f"append({suffix!r}){_open(output)}"
            case _:
                assert_never(request)


# --- locks


@attrs.frozen
class Acquire:
    """Answers True if the lock was free and is now the owner's, otherwise False."""

    owner: Hashable
    key: Hashable = None


@attrs.frozen
class Release:
    """Answers True if the lock was the owner's and is now free, otherwise False."""

    owner: Hashable
    key: Hashable = None


LockInput: TypeAlias = Acquire | Release


class Locks(Model[Hashable, LockInput, bool]):
    """A lock for each key, held by one owner at a time.

    Args of the constructor:
        reentrant: Whether an owner that holds the lock acquires it again with True. Nothing is
            counted: one release frees it, as in Consul.

    >>> Locks().step("alice", Acquire("bob"), output=True)
    (False, 'alice')
    """

    def __init__(self, *, reentrant: bool = False) -> None:
        self._reentrant = reentrant

    def initial(self) -> Hashable:
        """Return None: nobody holds the lock."""
        return None

    def key(self, request: LockInput) -> Hashable:
        """Return the key of the lock."""
        return request.key

    def is_pure(self, request: LockInput, output: Any) -> bool:  # noqa: ARG002 - the model's
        """Return True for what was refused."""
        return output is False

    def step(self, state: Hashable, request: LockInput, output: Any) -> tuple[bool, Hashable]:
        """See `Model.step`."""
        match request:
            case Acquire(owner):
                granted = state is None or (self._reentrant and state == owner)
                return output is UNKNOWN or output == granted, owner if granted else state
            case Release(owner):
                granted = state is not None and state == owner
                return output is UNKNOWN or output == granted, None if granted else state
            case _:
                assert_never(request)

    def describe_operation(self, request: LockInput, output: Any) -> str:
        """Return such as `acquire('alice') → ok`."""
        verb = "acquire" if isinstance(request, Acquire) else "release"
        return f"{verb}({request.owner!r}){_said(output)}"

    def describe_state(self, state: Hashable) -> str:
        """Return who holds the lock."""
        return "free" if state is None else f"held by {state!r}"


# --- queues


@attrs.frozen
class Enqueue:
    """Puts a value at the end; the answer is not looked at."""

    value: Hashable
    key: Hashable = None


@attrs.frozen
class Dequeue:
    """Takes the value at the head and answers it; None if the queue is empty."""

    key: Hashable = None


QueueInput: TypeAlias = Enqueue | Dequeue


class Queues(Model[tuple[Hashable, ...], QueueInput, Any]):
    """A first-in-first-out queue for each key.

    >>> Queues().step(("a", "b"), Dequeue(), output="b")
    (False, ('b',))
    """

    def initial(self) -> tuple[Hashable, ...]:
        """Return the empty queue."""
        return ()

    def key(self, request: QueueInput) -> Hashable:
        """Return the key of the queue."""
        return request.key

    def is_pure(self, request: QueueInput, output: Any) -> bool:
        """Return True for a dequeue that found nothing."""
        return isinstance(request, Dequeue) and output is None

    def step(
        self, state: tuple[Hashable, ...], request: QueueInput, output: Any
    ) -> tuple[bool, tuple[Hashable, ...]]:
        """See `Model.step`."""
        match request:
            case Enqueue(value):
                return True, (*state, value)
            case Dequeue():
                head = state[0] if state else None
                return output is UNKNOWN or output == head, state[1:]
            case _:
                assert_never(request)

    def describe_operation(self, request: QueueInput, output: Any) -> str:
        """Return such as `enqueue(3)`, `dequeue → 3`."""
        match request:
            case Enqueue(value):
                return f"enqueue({value!r}){_open(output)}"
            case Dequeue():
                return f"dequeue → {'?' if output is UNKNOWN else repr(output)}"
            case _:
                assert_never(request)


# --- sets


@attrs.frozen
class Add:
    """Adds an element; answers whether it is new."""

    element: Hashable
    key: Hashable = None


@attrs.frozen
class Remove:
    """Removes an element; answers whether it was there."""

    element: Hashable
    key: Hashable = None


@attrs.frozen
class Contains:
    """Answers whether an element is there."""

    element: Hashable
    key: Hashable = None


@attrs.frozen
class Members:
    """Answers all elements, as a frozenset."""

    key: Hashable = None


SetInput: TypeAlias = Add | Remove | Contains | Members


class Sets(Model[frozenset[Hashable], SetInput, Any]):
    """A set for each key.

    >>> Sets().step(frozenset({1}), Add(1), output=True)
    (False, frozenset({1}))
    """

    def initial(self) -> frozenset[Hashable]:
        """Return the empty set."""
        return frozenset()

    def key(self, request: SetInput) -> Hashable:
        """Return the key of the set."""
        return request.key

    def is_pure(self, request: SetInput, output: Any) -> bool:
        """Return True for reads, and for additions and removals that did nothing."""
        return isinstance(request, Contains | Members) or output is False

    def step(
        self, state: frozenset[Hashable], request: SetInput, output: Any
    ) -> tuple[bool, frozenset[Hashable]]:
        """See `Model.step`."""
        answer: Any
        match request:
            case Add(element):
                answer, after = element not in state, state | {element}
            case Remove(element):
                answer, after = element in state, state - {element}
            case Contains(element):
                answer, after = element in state, state
            case Members():
                answer, after = state, state
            case _:
                assert_never(request)
        return output is UNKNOWN or output == answer, after

    def describe_operation(self, request: SetInput, output: Any) -> str:
        """Return such as `add(3) → ok`, `members → {1, 2}`."""
        match request:
            case Add(element):
                return f"add({element!r}){_said(output)}"
            case Remove(element):
                return f"remove({element!r}){_said(output)}"
            case Contains(element):
                return f"contains({element!r}){_said(output)}"
            case Members():
                return f"members → {'?' if output is UNKNOWN else self.describe_state(output)}"
            case _:
                assert_never(request)

    def describe_state(self, state: frozenset[Hashable]) -> str:
        """Return the elements, in the order of their texts."""
        return "{" + ", ".join(sorted(map(repr, state))) + "}"


def _said(output: Any) -> str:
    """Return how a yes or no reads in a picture."""
    if output is UNKNOWN:
        return " → ?"
    return " → ok" if output else " → refused"


def _open(output: Any) -> str:
    """Return a question mark where even the acknowledgement is missing."""
    return " → ?" if output is UNKNOWN else ""
