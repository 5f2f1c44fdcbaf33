"""Keys change while the pool runs, and nobody is lost."""

from __future__ import annotations

import base64
from functools import partial

import pytest

from tests.interop.agents import until
from tests.interop.conftest import StartAgent, StartMember

pytestmark = pytest.mark.interop

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_keys_are_rotated_while_the_pool_runs(agent: StartAgent, member: StartMember) -> None:
    """Install everywhere, use everywhere, remove everywhere: `serf keys` there, a keyring here.

    `serf keys` ends with an error because we do not answer Serf's queries (that is another
    layer's work); the agents have carried it out all the same, as their files show.
    """
    them = agent("them", key=OLD, keyring=True)
    other = agent("other", key=OLD, keyring=True)
    us = member("us", key=OLD)
    us.join(them.address)
    assert other.join(us.address)
    assert us.keyring is not None
    # We pass no queries of Serf on, so they must know each other before one is sent.
    until(lambda: them.status("other") == other.status("them") == "alive")

    def carried_out(order: str, expected: list[bytes]) -> bool:
        # Repeated, as an agent may miss a query: its local profile sends each one but twice, and
        # both may have gone to us.
        them.cli("keys", order)
        return them.keys() == other.keys() == expected

    until(partial(carried_out, f"-install={text(NEW)}", [OLD, NEW]))
    us.keyring.add(NEW)
    us.join(them.address, other.address)
    until(partial(carried_out, f"-use={text(NEW)}", [NEW, OLD]))
    us.join(them.address, other.address)  # they seal with the new key, we with the old one
    us.keyring.use(NEW)
    us.join(them.address, other.address)
    until(partial(carried_out, f"-remove={text(OLD)}", [NEW]))
    us.keyring.remove(OLD)

    us.join(them.address, other.address)
    probes = us.ask(lambda machine: machine.stats.probes)
    until(lambda: us.ask(lambda machine: machine.stats.probes) > probes + 2)
    assert us.keyring.keys == (NEW,)
    assert us.of("MemberSuspected") == []
    assert us.of("PacketRejected") == []
    assert us.health() == 0
    assert them.status("us") == other.status("us") == "alive"
