"""Three of theirs and two of ours in one pool: who runs which must not be noticeable.

Each test that starts something does so from both sides, plain and encrypted.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.interop.agents import SERF, Agent, free_address, text, until
from tests.interop.conftest import required
from tests.interop.mixed import KINDS, OurAgent, lines, output, recorder
from tests.interop.rpc_client import Listener, RpcClient

pytestmark = pytest.mark.interop

KEY = bytes(range(32))
NEW_KEY = bytes(range(1, 33))

THEIRS = ("them-1", "them-2", "them-3")
OURS = ("us-1", "us-2")
EVERYBODY = THEIRS + OURS

#: One of each side, to start things from.
STARTERS = ("them-1", "us-1")

#: The settings of a pool under each of its names.
ENCRYPTION: dict[str, dict[str, Any]] = {"plain": {}, "encrypted": {"key": KEY, "keyring": True}}

Start = Callable[..., Agent]


class Pool:
    """Agents by their names."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.agents: dict[str, Agent] = {}
        self.settings: dict[str, Any] = {}
        self._listeners: list[Listener] = []

    def __getitem__(self, name: str) -> Agent:
        return self.agents[name]

    def start(
        self, name: str, *options: str, kind: type[Agent] | None = None, **more: Any
    ) -> Agent:
        """Start an agent; it is of ours if its name says so."""
        kind = kind or (OurAgent if name.startswith("us") else Agent)
        # The local profile sends each piece of news so seldom that members miss some.
        agent = kind(name, self.directory, "-profile=lan", *options, **(self.settings | more))
        self.agents[name] = agent
        return agent

    def fill(self, *options: str, **settings: Any) -> None:
        """Start everybody; each but the first joins through one of the other side."""
        self.settings |= settings
        for name in ("them-1", "us-1", "them-2", "us-2", "them-3"):
            side, other = ("us", "them-1") if name in OURS else ("them", "us-1")
            join = [f"-join={text(self[other].address)}"] if self.agents else []
            self.start(name, f"-tag=side={side}", *join, *options)
        self.agree()

    def agree(self, *names: str, status: str = "alive") -> None:
        """Wait until everybody who runs holds these (or all who run) for alive."""
        running = [name for name, agent in self.agents.items() if agent.process.poll() is None]
        expected = dict.fromkeys(names or running, status)
        for name in running:
            until(partial(self.seen_by, name, expected), 60.0)

    def seen_by(self, observer: str, expected: dict[str, str]) -> bool:
        """Return whether an agent holds members for what is expected."""
        members = self[observer].members()
        return all(members.get(n, {}).get("status", "unknown") == s for n, s in expected.items())

    def listen(self, filters: str) -> dict[str, Listener]:
        """Listen to the events of everybody."""
        found = {name: Listener(agent.rpc, filters) for name, agent in self.agents.items()}
        self._listeners += found.values()
        return found

    def close(self) -> None:
        """End everything."""
        for listener in self._listeners:
            listener.close()
        for agent in self.agents.values():
            agent.kill()


@pytest.fixture
def bare(serf: str, tmp_path: Path) -> Iterator[Pool]:
    """Nobody, yet, and no encryption unless a test asks for it."""
    pool = Pool(tmp_path)
    yield pool
    pool.close()


@pytest.fixture(params=ENCRYPTION)
def empty(request: pytest.FixtureRequest, bare: Pool) -> Pool:
    """Nobody, yet, plain and encrypted."""
    bare.settings = dict(ENCRYPTION[request.param])
    return bare


@pytest.fixture(scope="module", params=ENCRYPTION)
def pool(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pool]:
    """Everybody, for tests that leave them as they are."""
    required(SERF, "serf", "serf")
    pool = Pool(tmp_path_factory.mktemp(str(request.param)))
    settings = ENCRYPTION[request.param]
    try:
        pool.fill("-event-handler=query:load=echo $SERF_SELF_NAME $(cat)", **settings)
        yield pool
    finally:
        pool.close()


def heard(listener: Listener, expected: list[tuple[str, bytes]]) -> bool:
    """Return whether just these events were heard, in whatever order."""
    return sorted(listener.events()) == expected


def works(command: Callable[[], subprocess.CompletedProcess[str]]) -> bool:
    """Return whether a command exits without an error."""
    return command().returncode == 0


# --- members, tags, coordinates ---------------------------------------------------------------


def test_all_see_the_same_members(pool: Pool) -> None:
    views = [pool[name].members() for name in EVERYBODY]

    assert all(view == views[0] for view in views)
    assert {name: member["tags"]["side"] for name, member in views[0].items()} == {
        **dict.fromkeys(THEIRS, "them"),
        **dict.fromkeys(OURS, "us"),
    }


def test_tags_that_change_are_seen_by_all(pool: Pool) -> None:
    for name in STARTERS:
        output(pool[name].cli("tags", f"-set=by={name}"))

    def changed(observer: str) -> bool:
        members = pool[observer].members()
        return all(members[name]["tags"].get("by") == name for name in STARTERS)

    for observer in EVERYBODY:
        until(partial(changed, observer))
    for name in STARTERS:
        output(pool[name].cli("tags", "-delete=by"))


def test_round_trip_times_are_plausible_both_ways(pool: Pool) -> None:
    for ours in OURS:
        for theirs in THEIRS:
            for asked in (ours, theirs):
                ask = partial(pool[asked].cli, "rtt", ours, theirs)
                until(partial(works, ask))
                said = output(ask())
                estimate = re.search(r"rtt: ([\d.]+) ms", said)
                assert estimate is not None
                assert 0 < float(estimate[1]) < 200


# --- events -----------------------------------------------------------------------------------


def test_events_of_both_sides_reach_everybody_once(pool: Pool) -> None:
    listeners = pool.listen("user")
    clients = {name: RpcClient(pool[name].rpc) for name in STARTERS}

    for number in range(10):
        for name, client in clients.items():
            client.fire(f"{name}:{number}", b"payload")
    expected = sorted((f"{name}:{n}", b"payload") for name in STARTERS for n in range(10))

    for listener in listeners.values():
        until(partial(heard, listener, expected))
    for client in clients.values():
        client.close()


def test_events_are_coalesced_everywhere(pool: Pool) -> None:
    """Only the newest of a name is told, if they come within a second of each other."""
    listeners = pool.listen("user")

    for name in STARTERS:
        client = RpcClient(pool[name].rpc)
        for number in range(20):
            client.fire(f"by {name}", str(number).encode(), coalesce=True)
        client.close()

    expected = [(f"by {name}", b"19") for name in STARTERS]
    for listener in listeners.values():
        until(partial(heard, listener, expected))


# --- queries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("asker", STARTERS)
def test_queries_are_filtered_acknowledged_answered_and_relayed(pool: Pool, asker: str) -> None:
    def ask(*flags: str) -> dict[str, Any]:
        line = ("query", "-format=json", "-timeout=2s", *flags, "load", "p")
        answer: dict[str, Any] = json.loads(output(pool[asker].cli(*line)))
        return answer

    expected = {
        (): EVERYBODY,
        ("-relay-factor=2",): EVERYBODY,
        ("-tag=side=^t",): THEIRS,
        ("-tag=side=^us$", "-relay-factor=2"): OURS,
        ("-node=us-2", "-node=them-2"): ("us-2", "them-2"),
        ("-node=us-2", "-tag=side=them"): (),
    }

    def is_answered(flags: tuple[str, ...], names: tuple[str, ...]) -> bool:
        answer = ask(*flags)
        assert sorted(answer["Acks"] or ()) == sorted(names), flags
        return bool(answer["Responses"] == {name: f"{name} p\n" for name in names})

    # Gossip among five misses one of them in half a percent of all queries, whoever asks.
    for flags, names in expected.items():
        until(partial(is_answered, flags, names), 8.0)


@pytest.mark.parametrize("asker", STARTERS)
def test_everybody_is_reachable(pool: Pool, asker: str) -> None:
    ask = partial(pool[asker].cli, "reachability")

    until(partial(works, ask))

    assert "Total members: 5, live members: 5" in ask().stdout


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("starter", STARTERS)
def test_keys_are_rotated_from_either_side(bare: Pool, starter: str) -> None:
    bare.fill(**ENCRYPTION["encrypted"])
    old, new = (base64.b64encode(key).decode() for key in (KEY, NEW_KEY))
    agent = bare[starter]

    # All of these may be repeated, and have to be when gossip misses somebody.
    until(partial(works, partial(agent.cli, "keys", f"-install={new}")))
    until(lambda: all(f"{key}  [5/5]" in agent.cli("keys", "-list").stdout for key in (old, new)))
    until(partial(works, partial(agent.cli, "keys", f"-use={new}")))
    until(partial(works, partial(agent.cli, "keys", f"-remove={old}")))

    until(lambda: f"{new}  [5/5]" in agent.cli("keys", "-list").stdout)
    assert old not in agent.cli("keys", "-list").stdout
    assert [bare[name].keys() for name in EVERYBODY] == [[NEW_KEY]] * 5
    output(agent.cli("event", "after", "rotation"))
    bare.agree()


# --- joining, leaving, failing ----------------------------------------------------------------


@pytest.mark.parametrize(("joiner", "host"), [("us-9", "them-1"), ("them-9", "us-1")])
def test_a_join_with_replay_hears_of_what_was(empty: Pool, joiner: str, host: str) -> None:
    empty.fill()
    client = RpcClient(empty[host].rpc)
    for number in range(5):
        client.fire(f"e{number}")
    client.close()
    script, out = recorder(empty.directory, joiner)
    handler = f"-event-handler=user={script}"

    seed = f"-join={text(empty[host].address)}"
    empty.start(joiner, seed, "-replay", handler)

    until(lambda: [line.split()[1] for line in lines(out)] == [f"e{n}" for n in range(5)])


@pytest.mark.parametrize(("joiner", "host"), [("us-9", "them-1"), ("them-9", "us-1")])
def test_a_join_without_replay_hears_of_what_comes(empty: Pool, joiner: str, host: str) -> None:
    empty.fill()
    client = RpcClient(empty[host].rpc)
    client.fire("before")
    script, out = recorder(empty.directory, joiner)

    empty.start(joiner, f"-join={text(empty[host].address)}", f"-event-handler=user={script}")
    empty.agree()
    client.fire("after")
    client.close()

    until(lambda: [line.split()[1] for line in lines(out)] == ["after"])


@pytest.mark.parametrize(("leaver", "watcher"), [("us-2", "them-1"), ("them-2", "us-1")])
def test_a_leave_is_seen_as_one(empty: Pool, leaver: str, watcher: str) -> None:
    empty.fill()
    output(empty[leaver].cli("leave"))
    empty[leaver].process.wait(30.0)

    empty.agree(leaver, status="left")
    assert empty[watcher].info("failed") == "0"


@pytest.mark.parametrize(("victim", "starter"), [("us-2", "them-1"), ("them-2", "us-1")])
def test_a_failed_member_is_forced_to_leave_and_pruned(
    empty: Pool, victim: str, starter: str
) -> None:
    empty.fill()
    empty[victim].kill()
    empty.agree(victim, status="failed")

    output(empty[starter].cli("force-leave", victim))
    empty.agree(victim, status="left")

    def pruned() -> bool:
        output(empty[starter].cli("force-leave", "-prune", victim))
        return all(name == victim or empty.seen_by(name, {victim: "unknown"}) for name in EVERYBODY)

    until(pruned)


@pytest.mark.parametrize("victim", ["us-2", "them-2"])
def test_a_crash_is_noticed_and_a_restart_heals_it(empty: Pool, victim: str) -> None:
    empty.fill()
    agent = empty[victim]
    agent.kill()
    empty.agree(victim, status="failed")

    helper = "us-1" if victim.startswith("them") else "them-1"
    empty.start(victim, f"-join={text(empty[helper].address)}", address=agent.address)

    empty.agree()


@pytest.mark.parametrize("name", ["them-2", "us-2"])
@pytest.mark.parametrize("twin", KINDS)
def test_who_takes_a_name_that_is_taken_ends_by_the_vote(bare: Pool, name: str, twin: str) -> None:
    bare.fill()
    elsewhere = bare.directory / "elsewhere"
    elsewhere.mkdir()

    seed = f"-join={text(bare['them-1'].address)}"
    # The vote may be over, and the twin gone, before anybody could ask it anything.
    second = KINDS[twin](name, elsewhere, "-profile=lan", seed, stays=False)
    try:
        until(lambda: second.process.poll() is not None, 60.0)
    finally:
        second.kill()

    assert "minority in name conflict resolution" in second.written()
    assert bare[name].process.poll() is None
    bare.agree(*EVERYBODY)
    assert bare["us-1"].members()[name]["addr"] == text(bare[name].address)


# --- recovery ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("then", KINDS)
def test_a_crashed_agent_recovers_from_its_snapshot(empty: Pool, first: str, then: str) -> None:
    """Whoever wrote the file: ours recovers from theirs, and theirs from ours."""
    empty.fill()
    address, file = free_address(), empty.directory / "snapshot"
    script, out = recorder(empty.directory, "crasher")
    options = (f"-snapshot={file}", f"-event-handler=user={script}", "-replay")
    seed = f"-join={text(empty['us-1'].address)}"
    empty.start("crasher", *options, seed, kind=KINDS[first], address=address)
    empty.agree()
    client = RpcClient(empty["them-1"].rpc)
    client.fire("before")
    until(lambda: [line.split()[1] for line in lines(out)] == ["before"])
    # Theirs keeps what it has to write until there is more to be written.
    ping = ("query", "-node=crasher", "-timeout=500ms", "ping")
    until(lambda: empty["us-1"].cli(*ping) and "event-clock: 1\n" in file.read_text())
    empty["crasher"].kill()
    empty.agree("crasher", status="failed")
    client.fire("meanwhile")

    empty.start("crasher", *options, kind=KINDS[then], address=address)

    empty.agree()
    client.fire("after")
    client.close()
    expected = ["before", "meanwhile", "after"]
    until(lambda: [line.split()[1] for line in lines(out)] == expected)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("then", KINDS)
def test_who_left_does_not_come_back_by_itself(empty: Pool, first: str, then: str) -> None:
    one = empty.start("them-1")
    address, file = free_address(), empty.directory / "snapshot"
    flags = (f"-snapshot={file}",)
    seed = f"-join={text(one.address)}"
    leaver = empty.start("leaver", *flags, seed, kind=KINDS[first], address=address)
    empty.agree()
    output(leaver.cli("leave"))
    leaver.process.wait(30.0)

    again = empty.start("leaver", *flags, kind=KINDS[then], address=address)
    stayed = set(again.members())
    again.kill()
    back = empty.start("leaver", *flags, "-rejoin", kind=KINDS[then], address=address)

    assert stayed == {"leaver"}
    until(lambda: back.status("them-1") == "alive")
