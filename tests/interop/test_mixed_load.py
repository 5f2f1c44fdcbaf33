"""Two hundred events a second in a mixed pool whose members of ours lose packets."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest

from tests.interop.agents import REPOSITORY, Agent, text, until
from tests.interop.mixed import OurAgent
from tests.interop.rpc_client import Listener, RpcClient

pytestmark = pytest.mark.interop

KEY = bytes(range(32))

LOSS = 0.05
RATE = 200.0
SECONDS = 30.0

#: Gossip alone misses some of thousands of events, whoever runs it. What it missed is in the next
#: full exchange, if that comes while the event's Lamport time is among the newest 512: within some
#: five seconds at this rate.
SETTINGS = {"push_pull_interval": "1s"}


class LossyAgent(OurAgent):
    """Ours, on a network that loses packets."""

    program: ClassVar[tuple[str, ...]] = (
        sys.executable,
        str(REPOSITORY / "tests" / "interop" / "lossy_agent.py"),
        str(LOSS),
    )


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_each_live_member_has_each_event_exactly_once(
    key: bytes | None, serf: str, tmp_path: Path
) -> None:
    agents: list[Agent] = []
    listeners: list[Listener] = []
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    try:
        for index, kind in enumerate((Agent, LossyAgent, Agent, LossyAgent, Agent)):
            options = ["-log-level=warn"]
            options += [f"-join={text(agents[0].address)}"] if agents else []
            options += [f"-config-file={settings}"] if kind is LossyAgent else []
            agents.append(kind(f"n{index}", tmp_path, *options, key=key))
        until(lambda: all(len(agent.members()) == 5 for agent in agents))
        listeners += [Listener(agent.rpc, "user") for agent in agents]

        fired = fire(agents)

        until(lambda: all(len(each.records) >= len(fired) for each in listeners), 30.0)
        for listener in listeners:
            assert Counter(listener.names()) == Counter(fired)
    finally:
        for listener in listeners:
            listener.close()
        for agent in agents:
            agent.kill()


def fire(agents: list[Agent]) -> list[str]:
    """Fire events through these agents in turn, at the rate; return their names."""
    clients = [RpcClient(agent.rpc) for agent in agents]
    names = [f"e{number}" for number in range(int(RATE * SECONDS))]
    start = time.monotonic()
    for number, name in enumerate(names):
        wait = start + number / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        clients[number % len(clients)].fire(name)
    for client in clients:
        client.close()
    return names
