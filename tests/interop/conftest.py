"""Fixtures that start real agents and members of ours, and end all of them after the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.agents import SERF, Agent, Member, Process, config
from tests.interop.servers import ETCD, JAVA, Etcd, ZooKeeper

StartAgent = Callable[..., Agent]
StartMember = Callable[..., Member]
StartProcess = Callable[..., Process]


def required(peer: str | None, name: str, package: str) -> str:
    """Require a peer: skip with a reason, or fail where `SHOAL_REQUIRE_PEERS=1` says so."""
    if peer is not None:
        return peer
    reason = f"the peer `{name}` is not installed (Debian: apt-get install {package})"
    if os.environ.get("SHOAL_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def serf() -> str:
    """Require Serf's agent; return its path."""
    return required(SERF, "serf", "serf")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """Start one etcd for a module of tests, each of which takes keys of its own."""
    required(ETCD, "etcd", "etcd-server")
    server = Etcd(tmp_path_factory.mktemp("etcd"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """Start one ZooKeeper for a module of tests, each of which takes a root of its own."""
    required(JAVA, "zookeeper", "zookeeper")
    server = ZooKeeper(tmp_path_factory.mktemp("zookeeper"))
    yield server
    server.kill()


@pytest.fixture
def agent(serf: str, tmp_path: Path) -> Iterator[StartAgent]:
    """Start agents: `agent("them", key=...)`."""
    started: list[Agent] = []

    def start(name: str, *options: str, **settings: Any) -> Agent:
        started.append(Agent(name, tmp_path, *options, **settings))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def member() -> Iterator[StartMember]:
    """Start members of ours in this process: `member("us", key=..., protocol_version=1)`."""
    started: list[Member] = []

    def start(
        name: str,
        *,
        key: bytes | None = None,
        meta: bytes = b"",
        host: str = "127.0.0.1",
        **changes: Any,
    ) -> Member:
        started.append(Member(name, config(**changes), key=key, meta=meta, host=host))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def process() -> Iterator[StartProcess]:
    """Start members of ours as processes: `process("us", seed)`."""
    started: list[Process] = []

    def start(name: str, seed: tuple[str, int], key: bytes | None = None) -> Process:
        started.append(Process(name, seed, key))
        return started[-1]

    yield start
    for one in started:
        one.kill()
