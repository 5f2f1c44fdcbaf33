"""The real servers answer: what every comparison with them stands on."""

from __future__ import annotations

import pytest

from tests.interop.servers import Etcd, EtcdError, ZooKeeper, encoded

pytestmark = pytest.mark.interop


def test_etcd_keeps_a_key_and_shows_its_revisions(etcd: Etcd) -> None:
    put = etcd.call("kv/put", key=encoded(b"servers/a"), value=encoded(b"1"))
    answer = etcd.call("kv/range", key=encoded(b"servers/a"))

    (entry,) = answer["kvs"]
    assert entry["value"] == encoded(b"1")
    assert entry["mod_revision"] == put["header"]["revision"]


def test_a_refusal_of_etcds_tells_its_code(etcd: Etcd) -> None:
    with pytest.raises(EtcdError) as refused:
        etcd.call("kv/range", key=encoded(b"servers/a"), revision=1_000_000)

    assert refused.value.code == 11


def test_etcds_watch_goes_on_answering(etcd: Etcd) -> None:
    put = etcd.call("kv/put", key=encoded(b"servers/w"), value=encoded(b"1"))
    start = put["header"]["revision"]
    request = {"key": encoded(b"servers/w"), "start_revision": start}

    with etcd.stream("watch", create_request=request) as answers:
        assert next(answers)["created"]
        (event,) = next(answers)["events"]

    assert event["kv"]["mod_revision"] == start


def test_zookeeper_keeps_a_node_and_shows_its_version(zookeeper: ZooKeeper) -> None:
    with zookeeper.client() as client:
        client.create("/servers", b"1")
        data, stat = client.get("/servers")

    assert (data, stat.version) == (b"1", 0)
