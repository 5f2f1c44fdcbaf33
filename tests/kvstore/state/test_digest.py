"""Digests: equal where states are equal, different where anything differs."""

from __future__ import annotations

from random import Random

import pytest

from kvstore.acl.rules import Policy
from kvstore.commands import (
    Command,
    Compact,
    Configure,
    Create,
    Delete,
    DeleteRange,
    Lock,
    Noop,
    Put,
    SessionClose,
    SessionOpen,
    SetPolicy,
    SetQuota,
    Touch,
)
from kvstore.config import Config
from kvstore.store import Store
from tests.kvstore.driving import made


def test_two_replicas_have_one_digest() -> None:
    assert made(Put("a"), Put("b")).digest() == made(Put("a"), Put("b")).digest()


def test_a_digest_is_the_same_whenever_it_was_asked_for_before(seed: int) -> None:
    rng = Random(seed)
    often, late = (Store(Config(history_changes=20)) for _ in range(2))
    for _ in range(4000):
        key = f"{rng.randrange(50)}"
        choices: list[Command] = [Put(key, bytes([rng.randrange(9)])), Delete(key), Noop()]
        command = rng.choice(choices)
        often.apply(command)
        late.apply(command)
        if rng.random() < 0.01:
            often.digest()

    assert often.digest() == late.digest()


@pytest.mark.parametrize(
    "command",
    [
        Put("a", b"2"),
        Put("a", flags=1),
        Put("a", ttl=5),
        Delete("a"),
        DeleteRange(""),
        Lock("a", "s"),
        Touch(("t",)),
        SessionOpen("u"),
        SessionClose("s"),
        SetQuota("a", 9),
        SetPolicy(Policy("p")),
        Configure(Config(depth_max=2)),
        Create("q", sequence="counter"),
        Compact(1),
    ],
)
def test_whatever_differs_shows(command: Command) -> None:
    one = made(SessionOpen("s"), Put("a", b"1"), Put("t", ttl=50), now=0)
    other = made(SessionOpen("s"), Put("a", b"1"), Put("t", ttl=50), now=0)

    one.apply(command, now=10)
    other.apply(Noop(), now=10)

    assert one.digest() != other.digest()
