"""Our ZooKeeper beside a real one: the same requests, the same answers, zxids and events included.

What may differ stands in kvstore/dialects/zookeeper.py and in the README's table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from kazoo.client import KazooClient

from kvstore.dialects.zookeeper import Session, Zookeeper
from kvstore.dialects.zookeeper_values import (
    ANY_VERSION,
    AddWatchMode,
    CheckVersionRequest,
    Code,
    CreateMode,
    CreateRequest,
    CreateResult,
    DeleteRequest,
    ErrorResult,
    GetChildrenRequest,
    GetDataRequest,
    GetDataResult,
    SetDataRequest,
    SetDataResult,
    Stat,
    WatchedEvent,
    WatcherType,
    ZookeeperError,
)
from tests.interop.agents import until
from tests.interop.conftest import required
from tests.interop.real_zookeeper import NO_STAT, RealSession, RealZooKeeper
from tests.interop.servers import JAVA, ZooKeeper

pytestmark = pytest.mark.interop

NODES = ("/a", "/a/b", "/a/b/c", "/e", "/a/e")
NAMED = ("/s-0000000000", "/a/s-0000000001", "/a/0000000002", "/a/b/s-0000000000")
WRONG = ("x", "/a/", "/a//b", "/a/.", "/a/../e", "/a/\x7f", "/no/parent")

nodes = st.sampled_from((*NODES, *NODES, *NODES, "/", *NAMED))
watched = st.sampled_from(("/", "/a", "/a", "/a/b", "/a/b", "/e"))
# "/" of a corner is no real one.
children = st.sampled_from((*NODES, *NODES, *NODES, *NAMED))
wrong = st.sampled_from((*NODES, *NODES, *NODES, *NODES, *WRONG))
data = st.sampled_from((b"", b"1", b"22", None))
versions = st.sampled_from((*[ANY_VERSION] * 6, 0, 0, 1, 2))
flag = st.booleans()

PLAIN = (CreateMode.PERSISTENT, CreateMode.PERSISTENT, CreateMode.EPHEMERAL)
SEQUENTIAL = (CreateMode.PERSISTENT_SEQUENTIAL, CreateMode.EPHEMERAL_SEQUENTIAL)

creates = st.one_of(
    st.builds(CreateRequest, children, data, st.sampled_from(PLAIN)),
    st.builds(CreateRequest, st.one_of(wrong, st.just("/")), data, st.sampled_from(PLAIN)),
    st.builds(
        CreateRequest,
        st.sampled_from(("/s-", "/s-", "/a/s-", "/a/s-", "/a/", "/a/b/s-", "/e/", "/a//", "x")),
        data,
        st.sampled_from(SEQUENTIAL),
    ),
)
deletes = st.builds(DeleteRequest, st.one_of(children, wrong), versions)
set_datas = st.builds(SetDataRequest, st.one_of(nodes, wrong), data, versions)
checks = st.builds(CheckVersionRequest, st.one_of(nodes, wrong), versions)
# Their time is longer than any test.
lasting = st.builds(
    CreateRequest,
    st.sampled_from((*NODES, "/a/s-")),
    data,
    st.sampled_from((CreateMode.PERSISTENT_WITH_TTL, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL)),
    ttl=st.sampled_from((2**40 - 1, 2**40, 10_000_000, 0, -1)),
)

Step = tuple[str, Any]

steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("create"), creates),
    st.tuples(st.just("create"), creates),
    st.tuples(st.just("create"), lasting),
    st.tuples(st.just("delete"), deletes),
    st.tuples(st.just("delete"), deletes),
    st.tuples(st.just("set"), set_datas),
    st.tuples(st.just("set"), set_datas),
    st.tuples(
        st.just("multi"),
        st.lists(st.one_of(creates, deletes, set_datas, checks), min_size=1, max_size=2),
    ),
    st.tuples(
        st.just("multi"),
        st.lists(st.one_of(creates, creates, deletes, set_datas, checks), max_size=5),
    ),
    st.tuples(st.just("exists"), st.tuples(watched, flag)),
    st.tuples(st.just("get"), st.tuples(watched, flag)),
    st.tuples(st.just("get children"), st.tuples(watched, flag)),
    st.tuples(
        st.just("add watch"),
        st.tuples(watched, st.sampled_from(AddWatchMode)),
    ),
    st.tuples(st.just("remove watches"), st.tuples(watched, st.sampled_from(WatcherType))),
    st.tuples(st.just("get"), st.tuples(nodes, st.just(False))),
    st.tuples(
        st.just("multi read"),
        st.lists(
            st.one_of(st.builds(GetDataRequest, nodes), st.builds(GetChildrenRequest, nodes)),
            max_size=4,
        ),
    ),
    st.tuples(st.sampled_from(("get all children number", "get ephemerals", "sync")), nodes),
    st.tuples(st.sampled_from(("open", "close")), st.none()),
)

#: What most logs go on from.
PRELUDE: tuple[Step, ...] = (
    ("create", CreateRequest("/a")),
    ("create", CreateRequest("/a/b", b"1")),
    ("create", CreateRequest("/a/b/c")),
    ("create", CreateRequest("/e", b"", CreateMode.EPHEMERAL)),
    ("create", CreateRequest("/a/e", b"", CreateMode.EPHEMERAL)),
)

#: Sessions at once.
SESSIONS_MAX = 3


def does(session: Session | RealSession, step: Step) -> object:
    """Return what a session answers."""
    match step:
        case "create", CreateRequest(path, content, mode, ttl):
            return session.create(path, content, mode, ttl)
        case "delete", DeleteRequest(path, version):
            return session.delete(path, version)
        case "set", SetDataRequest(path, content, version):
            return session.set(path, content, version)
        case "multi", requests:
            return session.multi(requests)
        case "exists", (path, watch):
            return session.exists(path, watch=watch)
        case "get", (path, watch):
            return session.get(path, watch=watch)
        case "get children", (path, watch):
            return session.get_children(path, watch=watch)
        case "multi read", requests:
            return session.multi_read(requests)
        case "get all children number", path:
            return session.get_all_children_number(path)
        case "get ephemerals", path:
            return session.get_ephemerals(path)
        case "sync", path:
            return session.sync(path)
        case "add watch", (path, mode):
            return session.add_watch(path, mode)
        case "remove watches", (path, kind):
            return session.remove_watches(path, kind)
    raise AssertionError(step)


def comparable(answer: Any, step: Step) -> Any:
    """Leave out times, which are the server's own, and the stats that no multi tells."""
    match answer:
        case Stat():
            return attrs.evolve(answer, ctime=0, mtime=0)
        case CreateResult() if step[0] == "multi":
            return attrs.evolve(answer, stat=NO_STAT)
        case CreateResult() | SetDataResult() | GetDataResult():
            return attrs.evolve(answer, stat=comparable(answer.stat, step))
        case tuple():
            return tuple(comparable(one, step) for one in answer)
    return answer


def outcome(session: Session | RealSession, step: Step) -> object:
    try:
        return comparable(does(session, step), step)
    except ZookeeperError as refused:
        return refused.code


def is_refusal(answer: object) -> bool:
    """Return whether an answer is a refusal, or that of a transaction with one."""
    if isinstance(answer, tuple):
        return any(isinstance(one, ErrorResult) for one in answer)
    return isinstance(answer, Code)


def polled(session: Session) -> list[WatchedEvent]:
    return list(iter(session.poll, None))


class Pair:
    """Our ZooKeeper and a real one, with the same sessions."""

    def __init__(self, server: ZooKeeper, client: KazooClient) -> None:
        self.ours = Zookeeper()
        self.real = RealZooKeeper(server, client)
        self.sessions: list[tuple[Session, RealSession]] = []
        self.open()
        self.open()

    def close(self) -> None:
        self.real.close()

    def open(self) -> None:
        ours = self.ours.open_session()
        self.sessions.append((ours, self.real.open_session(ours.id)))

    def end(self, turn: int) -> None:
        ours, real = self.sessions.pop(turn)
        ours.close()
        real.close()

    def events(self) -> Iterator[tuple[list[WatchedEvent], list[WatchedEvent]]]:
        """Yield what each session is told, by ours and by the real one."""
        for ours, real in self.sessions:
            yield polled(ours), real.events()


@pytest.fixture(scope="module")
def client(zookeeper: ZooKeeper) -> Iterator[KazooClient]:
    with zookeeper.client() as client:
        yield client


@settings(suppress_health_check=list(HealthCheck))
@given(
    log=st.lists(st.tuples(st.integers(0, SESSIONS_MAX - 1), steps), min_size=12, max_size=40),
    prelude=st.sampled_from((True, True, True, False)),
)
def test_every_answer_and_event_is_zookeepers(
    zookeeper: ZooKeeper, client: KazooClient, log: list[tuple[int, Step]], prelude: bool
) -> None:
    with closing(Pair(zookeeper, client)) as pair:
        for number, step in (*(enumerate(PRELUDE) if prelude else ()), *log):
            turn = number % len(pair.sessions)
            if step[0] == "open" and len(pair.sessions) < SESSIONS_MAX:
                pair.open()
            elif step[0] == "close" and len(pair.sessions) > 1:
                event("a session ended")
                pair.end(turn)
                # The nodes of a session end in the order of a hash table.
                for actual_events, expected_events in pair.events():
                    assert sorted(actual_events, key=repr) == sorted(expected_events, key=repr)
            elif step[0] not in ("open", "close"):
                ours, real = pair.sessions[turn]
                expected, actual = outcome(real, step), outcome(ours, step)

                event(f"{step[0]}: {'refused' if is_refusal(expected) else 'done'}")
                assert actual == expected, step
                assert pair.ours.store.applied_index == real.zxid
                for actual_events, expected_events in pair.events():
                    assert actual_events == expected_events, step
        ours, real = pair.sessions[0]
        for path in ("/", *NODES, *NAMED):
            for reading in ("get", "get children"):
                read = (reading, (path, False))
                assert outcome(ours, read) == outcome(real, read)


@pytest.fixture
def pair(zookeeper: ZooKeeper, client: KazooClient) -> Iterator[Pair]:
    with closing(Pair(zookeeper, client)) as pair:
        yield pair


@pytest.mark.parametrize("path", ["/", "//", "//a", "/."])
def test_what_cannot_be_done_with_the_root_is_refused_by_the_same_number(
    pair: Pair, path: str
) -> None:
    root, pair.real.root = pair.real.root, ""
    ours, real = pair.sessions[0]

    for step in (("delete", DeleteRequest(path)), ("create", CreateRequest(path))):
        assert outcome(ours, step) == outcome(real, step)
    pair.real.root = root


SETS = [SetDataRequest("/a", b"")] * 3
ANEW = [DeleteRequest("/a"), CreateRequest("/a"), SetDataRequest("/a", b"", 0)]
RECURSIVE = ("add watch", ("/", AddWatchMode.PERSISTENT_RECURSIVE))


@pytest.mark.parametrize(
    "steps",
    [
        # Every setting in a transaction is a version, also of a node that it creates anew.
        (("multi", [CreateRequest("/a"), *SETS, CheckVersionRequest("/a", 3)]), ("multi", SETS)),
        (("create", CreateRequest("/a")), ("multi", SETS), ("multi", ANEW), ("multi", SETS)),
        # A child that comes and goes in a transaction counts.
        (("multi", [CreateRequest("/a"), CreateRequest("/a/b"), DeleteRequest("/a/b")]),),
        # A session has one watch of a kind on a path, that goes on as the last was to.
        (("get children", ("/", True)), RECURSIVE, ("create", CreateRequest("/a"))),
        (RECURSIVE, ("get children", ("/", True)), ("create", CreateRequest("/a"))),
        (RECURSIVE, ("exists", ("/", True)), ("create", CreateRequest("/a"))),
    ],
)
def test_a_small_thing_is_zookeepers_too(pair: Pair, steps: tuple[Step, ...]) -> None:
    ours, real = pair.sessions[0]
    for step in (*steps, ("set", SetDataRequest("/a", b"1"))):
        assert outcome(ours, step) == outcome(real, step)
        assert polled(ours) == real.events()

    for path in ("/", "/a"):
        read = ("get", (path, False))
        assert outcome(ours, read) == outcome(real, read)
        assert not isinstance(outcome(real, read), Code)


def test_setting_a_node_moves_its_time_and_no_other(pair: Pair) -> None:
    ours, real = pair.sessions[0]
    real_before = real.create("/a", b"").stat
    before = ours.create("/a", b"", now=0).stat

    until(lambda: time.time() * 1000 > real_before.mtime + 1)
    real_after = real.set("/a", b"", ANY_VERSION)
    after = ours.set("/a", b"", now=1)

    for one, other in ((before, after), (real_before, real_after)):
        assert one.ctime == one.mtime == other.ctime < other.mtime


def test_a_session_that_falls_silent_ends_with_its_nodes(pair: Pair) -> None:
    ours = pair.ours.open_session(1, now=0)
    real = pair.real.open_session(ours.id, timeout=0.4)
    witness, real_witness = pair.sessions[0]
    for one in (ours, real):
        outcome(one, ("create", CreateRequest("/e", b"", CreateMode.EPHEMERAL)))
    for one in (witness, real_witness):
        outcome(one, ("add watch", ("/", AddWatchMode.PERSISTENT)))

    real.fall_silent()
    ours_ended = pair.ours.tick(ours.timeout)
    until(lambda: outcome(real_witness, ("exists", ("/e", False))) is None)

    assert ours_ended == (ours.id,)
    assert polled(witness) == real_witness.events() != []
    root = ("get", ("/", False))
    assert outcome(witness, root) == outcome(real_witness, root)


def test_more_data_than_a_packet_is_lost_with_the_connection(pair: Pair) -> None:
    ours, real = pair.sessions[0]
    large = ("set", SetDataRequest("/", b"1" * 1_048_576))

    assert outcome(ours, large) == outcome(real, large) == Code.CONNECTION_LOSS
    until(lambda: real.connected)
    assert real.get("/", watch=False)[0] == ours.get("/")[0] == b""


@pytest.fixture(scope="module")
def tidy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """Start a server that looks for what is to be deleted all the time, not once a minute."""
    required(JAVA, "zookeeper", "zookeeper")
    with pytest.MonkeyPatch.context() as patch:
        options = "-Dznode.container.checkIntervalMs=50 -Dznode.container.maxPerMinute=600000"
        patch.setenv("JDK_JAVA_OPTIONS", options)
        server = ZooKeeper(tmp_path_factory.mktemp("tidy"))
    yield server
    server.kill()


def test_containers_and_nodes_with_a_time_to_live_go_as_zookeepers(tidy: ZooKeeper) -> None:
    with tidy.client() as client, closing(Pair(tidy, client)) as pair:
        ours, real = pair.sessions[0]
        watch = ("add watch", ("/", AddWatchMode.PERSISTENT_RECURSIVE))
        steps = (
            watch,
            ("create", CreateRequest("/unused", b"", CreateMode.CONTAINER)),
            ("create", CreateRequest("/used", b"", CreateMode.CONTAINER)),
            ("create", CreateRequest("/used/a")),
            ("create", CreateRequest("/brief", b"", CreateMode.PERSISTENT_WITH_TTL, 400)),
            ("create", CreateRequest("/brief/a")),
            ("delete", DeleteRequest("/used/a")),
        )
        for step in steps:
            assert outcome(ours, step) == outcome(real, step)

        # First the container, long before the other's time, which its child holds up.
        until(lambda: outcome(real, ("exists", ("/used", False))) is None)
        pair.ours.tick(1)
        until(lambda: time.time() * 1000 > client.get(pair.real.root + "/brief")[1].mtime + 600)
        pair.ours.tick(600)
        last = ("delete", DeleteRequest("/brief/a"))
        assert outcome(ours, last) == outcome(real, last)
        until(lambda: outcome(real, ("exists", ("/brief", False))) is None)
        pair.ours.tick(601)

        assert polled(ours) == real.events()
        for path in ("/", "/unused", "/used", "/brief"):
            read = ("get", (path, False))
            assert outcome(ours, read) == outcome(real, read)
