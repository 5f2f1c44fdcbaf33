"""ZooKeeper's watches over the store, without a server."""

from __future__ import annotations

import pytest

from kvstore.commands import Delete, Put, Txn
from kvstore.dialects.zookeeper import Session, Zookeeper
from kvstore.dialects.zookeeper_values import (
    AddWatchMode,
    CreateMode,
    CreateRequest,
    DeleteRequest,
    EventType,
    SetDataRequest,
    WatcherType,
    ZookeeperError,
)

PERSISTENT = AddWatchMode.PERSISTENT
RECURSIVE = AddWatchMode.PERSISTENT_RECURSIVE

Told = list[tuple[str, str]]


@pytest.fixture
def zookeeper() -> Zookeeper:
    return Zookeeper()


@pytest.fixture
def session(zookeeper: Zookeeper) -> Session:
    return zookeeper.open_session()


@pytest.fixture
def writer(zookeeper: Zookeeper) -> Session:
    return zookeeper.open_session()


def told(session: Session) -> Told:
    """Return what a session is told, and take it."""
    short = {
        EventType.CREATED: "created",
        EventType.DELETED: "deleted",
        EventType.DATA_CHANGED: "data",
        EventType.CHILDREN_CHANGED: "children",
    }
    return [(short[event.type], event.path) for event in iter(session.poll, None)]


def test_a_watch_of_data_is_told_one_change(session: Session, writer: Session) -> None:
    writer.create("/a")
    session.get("/a", watch=True)
    writer.create("/a/b")
    writer.set("/a", b"1")
    writer.set("/a", b"2")

    assert told(session) == [("data", "/a")]


def test_a_watch_may_wait_for_a_node_to_be_created(session: Session, writer: Session) -> None:
    session.exists("/a", watch=True)
    writer.create("/a")
    writer.delete("/a")

    assert told(session) == [("created", "/a")]
    assert told(writer) == []


def test_a_watch_of_children_is_told_of_one_more_or_less(session: Session, writer: Session) -> None:
    writer.create("/a")
    session.get_children("/a", watch=True)
    session.get_children("/", watch=True)
    writer.set("/a", b"")
    writer.create("/a/b")
    writer.delete("/a/b")
    writer.delete("/a")

    assert told(session) == [("children", "/a"), ("children", "/")]


def test_a_session_is_told_a_deletion_once(session: Session, writer: Session) -> None:
    writer.create("/a")
    session.get("/a", watch=True)
    session.get_children("/a", watch=True)
    writer.get_children("/a", watch=True)
    writer.delete("/a")

    assert told(session) == told(writer) == [("deleted", "/a")]
    writer.create("/a")
    writer.delete("/a")
    assert told(session) == []


def test_reading_what_is_not_there_leaves_no_watch(session: Session, writer: Session) -> None:
    for read in (session.get, session.get_children):
        with pytest.raises(ZookeeperError, match="NoNode"):
            read("/a", watch=True)
    writer.create("/a")

    assert told(session) == []


def test_a_persistent_watch_is_told_of_a_node_and_its_children_for_ever(
    session: Session, writer: Session
) -> None:
    session.add_watch("/a", PERSISTENT)
    for _ in range(2):
        writer.create("/a")
        writer.set("/a", b"")
        writer.create("/a/b")
        writer.set("/a/b", b"")
        writer.delete("/a/b")
        writer.delete("/a")

        assert told(session) == [
            ("created", "/a"),
            ("data", "/a"),
            ("children", "/a"),
            ("children", "/a"),
            ("deleted", "/a"),
        ]


def test_a_recursive_watch_is_told_of_all_below_but_no_lists(
    session: Session, writer: Session
) -> None:
    session.add_watch("/a", RECURSIVE)
    writer.create("/a")
    writer.create("/ab")
    writer.create("/a/b")
    writer.create("/a/b/c", mode=CreateMode.EPHEMERAL)
    writer.set("/a/b", b"")
    writer.close()

    assert told(session) == [
        ("created", "/a"),
        ("created", "/a/b"),
        ("created", "/a/b/c"),
        ("data", "/a/b"),
        ("deleted", "/a/b/c"),
    ]


def test_a_later_watch_of_a_path_changes_how_it_goes_on(session: Session, writer: Session) -> None:
    writer.create("/a")
    session.add_watch("/a", PERSISTENT)
    session.get("/a", watch=True)
    writer.set("/a", b"1")
    writer.set("/a", b"2")
    writer.create("/a/b")
    writer.create("/a/c")

    assert told(session) == [("data", "/a"), ("children", "/a"), ("children", "/a")]


def test_a_recursive_watch_ends_that_of_the_children_of_its_path(
    session: Session, writer: Session
) -> None:
    session.get_children("/", watch=True)
    session.add_watch("/", RECURSIVE)
    writer.create("/a")

    assert told(session) == [("created", "/a")]


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (WatcherType.DATA, [("children", "/a"), ("deleted", "/a")]),
        (WatcherType.CHILDREN, [("data", "/a"), ("deleted", "/a")]),
        (WatcherType.ANY, []),
    ],
)
def test_watches_are_removed_by_kind(
    session: Session, writer: Session, kind: WatcherType, left: Told
) -> None:
    writer.create("/a")
    session.add_watch("/a", PERSISTENT)
    writer.add_watch("/a", PERSISTENT)

    session.remove_watches("/a", kind)

    writer.set("/a", b"")
    writer.create("/a/b")
    writer.delete("/a/b")
    writer.delete("/a")
    assert told(session) == [one for one in left for _ in range(1 + (one[0] == "children"))]
    assert len(told(writer)) == 4
    with pytest.raises(ZookeeperError, match="No such watcher for /b") as refused:
        session.remove_watches("/b", kind)
    assert refused.value.code == -121


def test_every_request_of_a_transaction_is_told_in_order(session: Session, writer: Session) -> None:
    session.add_watch("/", RECURSIVE)
    session.get_children("/", watch=True)
    writer.multi(
        (
            CreateRequest("/a"),
            SetDataRequest("/a", b"1"),
            DeleteRequest("/a"),
            CreateRequest("/a"),
        )
    )
    writer.multi((DeleteRequest("/a"), DeleteRequest("/a")))

    assert told(session) == [
        ("created", "/a"),
        ("children", "/"),
        ("data", "/a"),
        ("deleted", "/a"),
        ("created", "/a"),
    ]


def test_who_watches_is_told_of_the_end_of_others(zookeeper: Zookeeper, session: Session) -> None:
    ending = zookeeper.open_session(4_000, now=0)
    for name in ("b", "a"):
        ending.create(f"/{name}", mode=CreateMode.EPHEMERAL)
    session.add_watch("/", PERSISTENT)
    session.exists("/a", watch=True)
    ending.add_watch("/", PERSISTENT)
    ending.set("/a", b"")
    session.exists("/a", watch=True)

    zookeeper.tick(4_000)

    expected = [("data", "/a"), ("deleted", "/a"), ("children", "/"), ("children", "/")]
    assert told(session) == expected
    assert told(ending) == []


def test_what_others_did_to_the_store_is_told_by_its_net_effect(
    zookeeper: Zookeeper, session: Session, writer: Session
) -> None:
    writer.create("/a")
    writer.create("/b")
    session.add_watch("/", RECURSIVE)
    store = zookeeper.store
    birth = store.get("//a")
    assert birth is not None

    for command in (
        Put("/a", b"changed"),
        Put("//a", birth.value, force=True),
        Put("other", b"no node"),
        Put("other", b"still none"),
        Txn(then=(Delete("/a"), Delete("//a"), Put("/a"), Put("//a", birth.value))),
        Txn(then=(Delete("/b"), Delete("//b"))),
    ):
        zookeeper.publish(store.apply(command))

    assert told(session) == [
        ("data", "/a"),
        ("deleted", "/a"),
        ("created", "/a"),
        ("deleted", "/b"),
    ]
