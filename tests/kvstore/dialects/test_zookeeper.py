"""ZooKeeper over the store, without a server: nodes, transactions, sessions, and how it keeps.

That the answers are those of a real ZooKeeper, tests/interop/test_zookeeper_differential.py holds.
"""

from __future__ import annotations

import attrs
import pytest

from kvstore.commands import Compact, Put, SessionOpen, SetQuota
from kvstore.config import Config
from kvstore.dialects.zookeeper import CONFIG, Session, Zookeeper
from kvstore.dialects.zookeeper_nodes import TTL_MAX
from kvstore.dialects.zookeeper_values import (
    CheckResult,
    CheckVersionRequest,
    Code,
    CreateMode,
    CreateRequest,
    CreateResult,
    DeleteRequest,
    DeleteResult,
    ErrorResult,
    GetChildrenRequest,
    GetChildrenResult,
    GetDataRequest,
    GetDataResult,
    Request,
    SetDataRequest,
    SetDataResult,
    Stat,
    ZookeeperError,
)
from kvstore.snapshots.snapshot import SnapshotReader, SnapshotWriter
from kvstore.store import Store


@pytest.fixture
def zookeeper() -> Zookeeper:
    return Zookeeper()


@pytest.fixture
def session(zookeeper: Zookeeper) -> Session:
    return zookeeper.open_session()


def stat_of(session: Session, path: str) -> Stat:
    stat = session.exists(path)
    assert stat is not None
    return stat


def code_of(session: Session, *requests: Request) -> Code:
    """Return the number that a transaction, or one request, is refused by."""
    (refused,) = [one for one in session.multi(requests) if isinstance(one, ErrorResult)]
    return refused.code


# --- nodes


def test_a_node_holds_its_data_and_all_its_stamps(session: Session) -> None:
    session.create("/a", b"one", now=7)
    session.set("/a", b"three", now=9)

    # "/" was transaction 1, the session 2.
    expected = Stat(3, 4, 7, 9, 1, 0, 0, 0, 5, 0, 3)
    assert session.get("/a") == (b"three", expected)


def test_data_may_be_null(session: Session) -> None:
    session.create("/a", None)

    data, stat = session.get("/a")

    assert (data, stat.dataLength) == (None, 0)


def test_children_move_their_parents_stamps_and_nobody_elses(session: Session) -> None:
    session.create("/a")
    before = stat_of(session, "/")
    session.create("/a/b")
    session.create("/a/c")
    session.delete("/a/b")
    zxid = session.create("/z").stat.czxid
    session.set("/a/c", b"1")
    session.create("/a/c/d")

    stat = stat_of(session, "/a")

    assert (stat.cversion, stat.numChildren, stat.pzxid) == (3, 1, zxid - 1)
    assert (stat.mzxid, stat.version) == (stat.czxid, 0)
    root = stat_of(session, "/")
    assert (root.cversion, root.numChildren, root.pzxid) == (before.cversion + 1, 2, zxid)
    assert session.get_children("/a") == (("c",), stat)
    assert session.get_children("/")[0] == ("a", "z")


def test_a_sequential_name_counts_all_children_that_ever_were(session: Session) -> None:
    session.create("/a")
    session.create("/a/plain")
    session.delete("/a/plain")

    first = session.create("/a/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL)
    second = session.create("/a/", mode=CreateMode.EPHEMERAL_SEQUENTIAL)

    assert [first.path, second.path] == ["/a/s-0000000001", "/a/0000000002"]


def test_the_count_of_a_parent_ends_with_it(session: Session) -> None:
    for _ in range(2):
        session.create("/a")
        child = session.create("/a/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL).path
        session.delete(child)
        session.delete("/a")

        assert child == "/a/s-0000000000"


def test_setting_the_same_data_is_a_new_version(session: Session) -> None:
    session.create("/a", b"1")

    assert session.set("/a", b"1").version == 1
    assert session.set("/a", b"1", 1).version == 2


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (CreateRequest("/a"), Code.NODE_EXISTS),
        (CreateRequest("/"), Code.NODE_EXISTS),
        (CreateRequest("/no/parent"), Code.NO_NODE),
        (CreateRequest("/a//b"), Code.NO_NODE),
        (CreateRequest("/e/child"), Code.NO_CHILDREN_FOR_EPHEMERALS),
        (CreateRequest("/a/"), Code.BAD_ARGUMENTS),
        (CreateRequest("//a"), Code.BAD_ARGUMENTS),
        (CreateRequest("a"), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/\0"), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/\x1f"), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/\ud800"), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/\U0001f600"), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/."), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/.."), Code.BAD_ARGUMENTS),
        (CreateRequest("/a/../b"), Code.NO_NODE),
        (CreateRequest("/t", ttl=1), Code.BAD_ARGUMENTS),
        (CreateRequest("/t", mode=CreateMode.PERSISTENT_WITH_TTL), Code.BAD_ARGUMENTS),
        (CreateRequest("/t", b"", CreateMode.PERSISTENT_WITH_TTL, 0), Code.BAD_ARGUMENTS),
        (CreateRequest("/t", b"", CreateMode.PERSISTENT_WITH_TTL, TTL_MAX + 1), Code.BAD_ARGUMENTS),
        (DeleteRequest("/"), Code.BAD_ARGUMENTS),
        (DeleteRequest("a"), Code.BAD_ARGUMENTS),
        (DeleteRequest("/\0"), Code.BAD_ARGUMENTS),
        (DeleteRequest("/no/parent"), Code.NO_NODE),
        (DeleteRequest("/no"), Code.NO_NODE),
        (DeleteRequest("/a", 1), Code.BAD_VERSION),
        (DeleteRequest("/a", 0), Code.NOT_EMPTY),
        (SetDataRequest("/no", b""), Code.NO_NODE),
        (SetDataRequest("/a", b"", 1), Code.BAD_VERSION),
        (SetDataRequest("/a/", b""), Code.BAD_ARGUMENTS),
        (CheckVersionRequest("/no"), Code.NO_NODE),
        (CheckVersionRequest("/a", 1), Code.BAD_VERSION),
        (CheckVersionRequest(""), Code.BAD_ARGUMENTS),
    ],
)
def test_a_refusal_has_zookeepers_number_takes_a_transaction_and_changes_nothing(
    zookeeper: Zookeeper, session: Session, request_: Request, code: Code
) -> None:
    session.create("/a")
    session.create("/a/b")
    session.create("/e", mode=CreateMode.EPHEMERAL)
    before, index = list(zookeeper.store.records()), zookeeper.store.applied_index

    assert code_of(session, request_) is code
    assert list(zookeeper.store.records()) == before
    assert zookeeper.store.applied_index == index + 1


def test_version_0_is_a_version_like_others(session: Session) -> None:
    session.create("/a")
    session.set("/a", b"")

    assert code_of(session, CheckVersionRequest("/a", 0)) is Code.BAD_VERSION


def test_an_error_reads_as_zookeepers(session: Session) -> None:
    with pytest.raises(ZookeeperError, match="KeeperErrorCode = NoNode for /a") as refused:
        session.delete("/a")

    assert (refused.value.code, refused.value.path) == (-101, "/a")
    assert str(Code.NOT_EMPTY) == "Directory not empty"


def test_reading_what_is_not_there(session: Session) -> None:
    assert session.exists("/a") is None
    for read in (session.get, session.get_children):
        with pytest.raises(ZookeeperError, match="NoNode for /a"):
            read("/a")
    for read_path in (session.exists, session.get, session.remove_watches):
        with pytest.raises(ZookeeperError, match="BadArguments for /a/"):
            read_path("/a/")


def test_any_character_that_is_no_mark_of_ours_may_stand_in_a_name(session: Session) -> None:
    names = ("...", ".a", "a.", " ", "é", "\uffef", "expiring")
    for name in names:
        session.create(f"/{name}", name.encode())

    assert session.get_children("/")[0] == tuple(sorted(names))
    for name in names:
        assert session.get(f"/{name}")[0] == name.encode()


def test_several_nodes_are_read_at_once_each_with_an_answer_of_its_own(session: Session) -> None:
    session.create("/a", b"1")
    session.create("/a/b")

    found = session.multi_read(
        [GetDataRequest("/a"), GetChildrenRequest("/no"), GetChildrenRequest("/a")]
    )

    assert found == (
        GetDataResult(b"1", stat_of(session, "/a")),
        ErrorResult(Code.NO_NODE),
        GetChildrenResult(("b",)),
    )
    assert session.multi_read([]) == ()
    with pytest.raises(ZookeeperError, match="BadArguments for /a/"):
        session.multi_read([GetDataRequest("/a"), GetDataRequest("/a/")])


def test_the_number_of_all_children_is_that_of_every_depth(session: Session) -> None:
    for path in ("/a", "/a/b", "/a/b/c", "/a/d", "/ab"):
        session.create(path)
    session.create("/a/e", mode=CreateMode.CONTAINER)

    numbers = [session.get_all_children_number(path) for path in ("/", "/a", "/a/b", "/a/b/c")]

    assert numbers == [6, 4, 1, 0]
    with pytest.raises(ZookeeperError, match="NoNode for /no"):
        session.get_all_children_number("/no")


def test_a_session_has_its_ephemerals_by_what_their_paths_begin_with(zookeeper: Zookeeper) -> None:
    session, other = zookeeper.open_session(), zookeeper.open_session()
    session.create("/a")
    for path in ("/ab", "/a/b", "/c"):
        session.create(path, mode=CreateMode.EPHEMERAL)
    other.create("/a/other", mode=CreateMode.EPHEMERAL)

    assert session.get_ephemerals() == ("/a/b", "/ab", "/c")
    assert session.get_ephemerals("/a") == ("/a/b", "/ab")
    assert other.get_ephemerals("/c") == ()
    with pytest.raises(ZookeeperError, match="BadArguments"):
        session.get_ephemerals("/a/")


def test_nobody_is_behind_so_that_sync_has_nothing_to_do(
    zookeeper: Zookeeper, session: Session
) -> None:
    before = zookeeper.store.applied_index

    assert session.sync("/no/such/node") == "/no/such/node"
    assert zookeeper.store.applied_index == before
    with pytest.raises(ZookeeperError, match="BadArguments"):
        session.sync("no")


# --- transactions


def test_requests_of_a_transaction_see_those_before_and_share_a_zxid(
    zookeeper: Zookeeper, session: Session
) -> None:
    results = session.multi(
        (
            CreateRequest("/a", b"1"),
            CreateRequest("/a/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL),
            SetDataRequest("/a", b"2", 0),
            CheckVersionRequest("/a", 1),
            DeleteRequest("/a/s-0000000000"),
        )
    )

    zxid = zookeeper.store.revision
    assert [type(one) for one in results] == [
        CreateResult,
        CreateResult,
        SetDataResult,
        CheckResult,
        DeleteResult,
    ]
    assert isinstance(results[2], SetDataResult)
    assert results[2].stat == Stat(zxid, zxid, 0, 0, 1, 1, 0, 0, 1, 1, zxid)
    assert session.get("/a") == (b"2", Stat(zxid, zxid, 0, 0, 1, 2, 0, 0, 1, 0, zxid))
    assert session.get_children("/a")[0] == ()


def test_a_transaction_that_is_refused_tells_why_of_each(session: Session) -> None:
    results = session.multi(
        (CreateRequest("/a"), DeleteRequest("/b"), CreateRequest("/a"), CreateRequest("/c"))
    )

    assert [one.code for one in results if isinstance(one, ErrorResult)] == [0, -101, -2, -2]
    assert session.exists("/a") is None


def test_an_empty_transaction_takes_a_zxid(zookeeper: Zookeeper, session: Session) -> None:
    index = zookeeper.store.applied_index

    assert session.multi(()) == ()
    assert zookeeper.store.applied_index == index + 1


def test_every_setting_in_a_transaction_is_a_version(session: Session) -> None:
    session.create("/a")
    session.multi([SetDataRequest("/a", b"1")] * 3)
    session.set("/a", b"2")
    session.multi([SetDataRequest("/a", b"3")] * 2)

    assert stat_of(session, "/a").version == 6


def test_a_node_deleted_and_created_in_a_transaction_is_a_new_one(session: Session) -> None:
    session.create("/p")
    session.create("/p/a", b"1", now=1)
    session.create("/p/a/b")
    session.set("/p/a", b"2")
    again = (
        DeleteRequest("/p/a/b"),
        DeleteRequest("/p/a"),
        CreateRequest("/p/a", b"3"),
        CreateRequest("/p/a/c"),
    )

    result = session.multi(again, now=2)[2]

    assert isinstance(result, CreateResult)
    zxid = result.stat.czxid
    assert stat_of(session, "/p/a") == Stat(zxid, zxid, 2, 2, 0, 1, 0, 0, 1, 1, zxid)
    assert stat_of(session, "/p").cversion == 3
    assert session.get_children("/p/a")[0] == ("c",)


def test_a_node_created_and_deleted_in_a_transaction_leaves_its_count(session: Session) -> None:
    results = session.multi((CreateRequest("/a"), DeleteRequest("/a")))

    root = stat_of(session, "/")
    assert isinstance(results[0], CreateResult)
    assert (root.cversion, root.numChildren, root.pzxid) == (2, 0, results[0].stat.czxid)
    assert session.exists("/a") is None


# --- sessions


def test_an_ephemeral_tells_its_owner_and_ends_with_it(zookeeper: Zookeeper) -> None:
    one, other = zookeeper.open_session(), zookeeper.open_session()
    one.create("/a")
    one.create("/a/e", mode=CreateMode.EPHEMERAL)
    one.create("/f", mode=CreateMode.EPHEMERAL)
    assert stat_of(other, "/a/e").ephemeralOwner == one.id

    one.close()

    zxid = zookeeper.store.applied_index
    assert other.exists("/a/e") is other.exists("/f") is None
    parent = stat_of(other, "/a")
    assert (parent.cversion, parent.numChildren, parent.pzxid) == (2, 0, zxid)
    assert stat_of(other, "/").pzxid == zxid
    assert sorted(zookeeper.store.range("").keys) == ["/", "//", "//a", "/a", "/a//"]


def test_a_session_lasts_2_to_20_ticks(zookeeper: Zookeeper) -> None:
    assert zookeeper.open_session(1).timeout == 4_000
    assert zookeeper.open_session(30_000).timeout == 30_000
    assert zookeeper.open_session(10**9).timeout == 40_000
    with pytest.raises(ValueError, match="tick_time"):
        Zookeeper(tick_time=0)


def test_a_session_that_is_not_renewed_ends_in_a_transaction_of_its_own(
    zookeeper: Zookeeper,
) -> None:
    late, early, kept = (zookeeper.open_session(time, now=0) for time in (5_000, 4_000, 6_000))
    late.create("/late", mode=CreateMode.EPHEMERAL)
    early.create("/early", mode=CreateMode.EPHEMERAL)
    kept.ping(now=3_000)
    index = zookeeper.store.applied_index

    assert zookeeper.tick(3_999) == ()
    assert zookeeper.store.applied_index == index
    assert zookeeper.tick(8_999) == (early.id, late.id)
    assert zookeeper.store.applied_index == index + 2
    assert kept.get_children("/")[0] == ()
    assert zookeeper.tick(9_000) == (kept.id,)


def test_a_session_that_has_ended_can_do_nothing(zookeeper: Zookeeper) -> None:
    session = zookeeper.open_session()
    session.close()

    for act in (
        lambda: session.create("/a"),
        lambda: session.exists("/"),
        lambda: session.multi(()),
        lambda: session.ping(now=0),
        session.close,
        lambda: zookeeper.session(session.id),
    ):
        with pytest.raises(ZookeeperError, match="Session expired") as refused:
            act()
        assert refused.value.code == -112


# --- what ends by itself


def test_a_container_goes_once_it_had_children_and_has_none(
    zookeeper: Zookeeper, session: Session
) -> None:
    for path in ("/unused", "/used", "/full"):
        session.create(path, mode=CreateMode.CONTAINER)
    session.create("/used/a")
    session.delete("/used/a")
    session.create("/full/a")
    index = zookeeper.store.applied_index

    zookeeper.tick(1)

    assert session.get_children("/")[0] == ("full", "unused")
    assert zookeeper.store.applied_index == index + 1
    session.delete("/unused")
    session.delete("/full/a")
    zookeeper.tick(2)
    assert session.get_children("/")[0] == ()
    assert sorted(zookeeper.store.range("").keys) == ["/", "//"]


def test_a_node_with_a_time_to_live_goes_that_long_after_its_last_setting(
    zookeeper: Zookeeper, session: Session
) -> None:
    session.create("/a", b"", CreateMode.PERSISTENT_WITH_TTL, 100, now=0)
    session.set("/a", b"", now=50)
    path = session.create("/s", None, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, 200, now=50).path
    session.create(f"{path}/child")

    zookeeper.tick(150)
    assert session.exists("/a") is not None
    zookeeper.tick(151)
    assert session.exists("/a") is None
    zookeeper.tick(1_000)
    session.delete(f"{path}/child")
    assert session.exists(path) is not None
    zookeeper.tick(1_000)
    assert session.exists(path) is None


def test_time_never_goes_back(session: Session) -> None:
    session.create("/a", now=10)

    assert session.set("/a", b"", now=5).mtime == 10
    assert session.set("/a", b"").mtime == 10


def test_versions_and_times_beyond_what_is_kept_stand_still(
    zookeeper: Zookeeper, session: Session
) -> None:
    session.create("/a", now=2**45)
    # As if transactions had set it 2**19 - 3 times more than there were of them.
    zookeeper.store.apply(Put("/a", flags=(2**19 - 3) << 1))
    session.multi([SetDataRequest("/a", b"")] * 6)

    stat = stat_of(session, "/a")

    assert (stat.mtime, stat.version) == (2**44 - 1, 2 + 2**19 - 1)


# --- the store below


def test_data_stands_in_the_store_as_it_is(zookeeper: Zookeeper, session: Session) -> None:
    session.create("/a", b"plain")

    entry = zookeeper.store.get("/a")
    assert entry is not None
    assert entry.value == b"plain"


def test_what_others_wrote_is_read_as_well_as_can_be(
    zookeeper: Zookeeper, session: Session
) -> None:
    store = zookeeper.store
    store.apply(SessionOpen("b0f1-uuid", ttl=4_000), now=0)
    store.apply(Put("/theirs", b"1", owner="b0f1-uuid"))
    store.apply(Put("//odd", b"no birth"))
    store.apply(Put("/odd", b"2"))

    theirs, odd = stat_of(session, "/theirs"), stat_of(session, "/odd")

    assert (theirs.version, theirs.ctime, theirs.ephemeralOwner) == (0, 0, 0)
    assert (odd.ctime, odd.dataLength) == (0, 1)
    assert session.set("/theirs", b"3").version == 1
    for path in ("/odd", "/ghost"):
        store.apply(Put(f"expiring{path}"))
    assert zookeeper.tick(4_000) == ()
    assert session.exists("/theirs") is None
    assert session.exists("/odd") is not None


def test_all_of_it_outlives_a_snapshot(zookeeper: Zookeeper) -> None:
    session = zookeeper.open_session(now=0)
    session.create("/a", b"1", now=5)
    session.multi([SetDataRequest("/a", b"2")] * 3)
    session.create("/a/e", mode=CreateMode.EPHEMERAL)
    session.create("/a/c", mode=CreateMode.CONTAINER)
    session.delete("/a/c")
    session.create("/a/gone")
    session.delete("/a/gone")
    reader = SnapshotReader(Store.importer)
    reader.feed(b"".join(SnapshotWriter(zookeeper.store.view())))

    again = Zookeeper(reader.finish())

    same = again.session(session.id)
    for path in ("/", "/a", "/a/e"):
        assert same.get(path) == session.get(path)
    assert same.create("/a/s", mode=CreateMode.EPHEMERAL_SEQUENTIAL).path == "/a/s0000000003"
    assert again.tick(10_005) == (session.id,)
    assert same_children(again, "/a") == ()


def same_children(zookeeper: Zookeeper, path: str) -> tuple[str, ...]:
    return zookeeper.open_session().get_children(path)[0]


def test_stamps_outlive_the_history(zookeeper: Zookeeper, session: Session) -> None:
    session.create("/a")
    session.create("/a/b")
    session.delete("/a/b")
    session.create("/leaf")
    before = [stat_of(session, path) for path in ("/a", "/leaf")]
    for _ in range(10):
        session.set("/", b"")

    zookeeper.store.apply(Compact(zookeeper.store.revision))

    assert [stat_of(session, path) for path in ("/a", "/leaf")] == before


def test_a_store_with_less_room_says_so() -> None:
    zookeeper = Zookeeper(Store(attrs.evolve(CONFIG, operations_max=8, value_size_max=99)))
    session = zookeeper.open_session()
    session.create("/a")

    with pytest.raises(ZookeeperError, match="ConnectionLoss"):
        session.set("/a", b"1" * 100)
    with pytest.raises(ZookeeperError, match="ConnectionLoss"):
        session.multi([CreateRequest(f"/{name}") for name in "bcdef"])
    with pytest.raises(TypeError, match="value must be bytes"):
        session.set("/a", "text")  # type: ignore[arg-type]
    assert session.get("/a")[0] == b""


def test_quotas_of_the_store_are_told_in_zookeepers_words(
    zookeeper: Zookeeper, session: Session
) -> None:
    session.create("/a")
    zookeeper.store.apply(SetQuota("/a/", max_keys=1))

    with pytest.raises(ZookeeperError, match="Quota has exceeded for /a/") as refused:
        session.create("/a/b")

    assert refused.value.code == -125
    assert session.exists("/a/b") is None


def test_a_store_made_for_others_serves_too() -> None:
    store = Store(Config())
    store.apply(Put("web", b"80"))

    session = Zookeeper(store).open_session()
    session.create("/a", b"1")

    assert session.get_children("/")[0] == ("a",)
