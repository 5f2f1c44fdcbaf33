from typing import Any

import pytest

from memberlist.outputs import CloseStream, OpenStream, SendStream
from memberlist.testing import Cluster
from tests.memberlist.toy import toys


def streamed(cluster: Cluster, name: str) -> list[tuple[Any, ...]]:
    """Return what a member heard of its streams, without the times."""
    kinds = ("accepted", "opened", "received", "closed")
    return [entry[:-1] for entry in cluster.machine(name).heard if entry[0] in kinds]


def two(**options: Any) -> Cluster:
    return toys(2, idle=True, latency=(0.1, 0.1), **options)


def connect(
    cluster: Cluster, name: str = "n1", to: str = "n2", *, wait: float = 1.0, **options: Any
) -> Any:
    stream = cluster.call(name, "connect", cluster.address(to), **options)
    cluster.run(wait)
    return stream


def say(cluster: Cluster, name: str, output: Any, wait: float = 1.0) -> None:
    cluster.call(name, "say", output)
    cluster.run(wait)


def test_a_stream_opens_after_a_round_trip_and_carries_bytes_both_ways() -> None:
    cluster = two()

    stream = connect(cluster)
    say(cluster, "n1", SendStream(stream, b"hello"))
    say(cluster, "n1", CloseStream(stream))

    assert streamed(cluster, "n1") == [("opened", 2), ("received", 2, b"HELLO")]
    assert streamed(cluster, "n2") == [
        ("accepted", 3, "10.0.0.1"),
        ("received", 3, b"hello"),
        ("closed", 3),
    ]
    assert cluster.machine("n1").times("opened") == [0.2]
    assert (cluster.connections.opened, cluster.connections.bytes) == (1, 10)
    assert len(cluster.connections) == 0


def test_bytes_arrive_in_chunks_and_in_order_whatever_the_latency() -> None:
    cluster = toys(2, idle=True, latency=(0.01, 0.5), chunk=3)
    cluster.conditions(loss=0.3, reordering=0.5)
    stream = connect(cluster, wait=20.0)

    for word in (b"abcdefgh", b"ij", b"k" * 4):
        cluster.call("n1", "say", SendStream(stream, word))
    cluster.run(60.0)

    pieces = [entry[2] for entry in streamed(cluster, "n2") if entry[0] == "received"]
    assert b"".join(pieces) == b"abcdefghijkkkk"
    assert max(map(len, pieces)) == 3


def test_eof_closes_one_direction_only() -> None:
    cluster = two()
    stream = connect(cluster)
    toy = cluster.machine("n2")
    toy.stream_closed = lambda stream, now: toy.heard.append(("closed", stream, now))

    say(cluster, "n1", SendStream(stream, b"question", eof=True))
    say(cluster, "n1", SendStream(stream, b"too late"))
    say(cluster, "n2", SendStream(3, b"answer", eof=True))

    assert streamed(cluster, "n2")[1:] == [("received", 3, b"question"), ("closed", 3)]
    assert streamed(cluster, "n1")[1:] == [
        ("received", 2, b"QUESTION"),
        ("received", 2, b"answer"),
        ("closed", 2),
    ]


def test_nothing_is_read_from_a_closed_stream() -> None:
    cluster = two()
    stream = connect(cluster)
    cluster.call("n2", "say", SendStream(3, b"on its way"))

    say(cluster, "n1", CloseStream(stream))
    say(cluster, "n1", CloseStream(stream))
    say(cluster, "n2", SendStream(3, b"to nobody"))

    assert streamed(cluster, "n1") == [("opened", 2)]
    assert streamed(cluster, "n2") == [("accepted", 3, "10.0.0.1"), ("closed", 3)]


def test_a_stream_that_is_closed_while_it_opens_is_not_heard_of_again() -> None:
    cluster = two()
    stream = connect(cluster, wait=0.05)

    say(cluster, "n1", CloseStream(stream))

    assert streamed(cluster, "n1") == []


def test_nobody_hears_what_is_written_before_the_stream_is_open() -> None:
    cluster = two()
    stream = connect(cluster, wait=0.05)

    say(cluster, "n1", SendStream(stream, b"early"))

    assert ("received", 3, b"early") not in streamed(cluster, "n2")


def test_a_peer_that_is_down_refuses_after_a_round_trip() -> None:
    cluster = two()
    cluster.crash("n2")

    connect(cluster)

    assert streamed(cluster, "n1") == [("closed", 2)]
    assert cluster.machine("n1").times("closed") == [0.2]
    assert len(cluster.connections) == 0


def test_an_unknown_address_refuses_too() -> None:
    cluster = two()

    cluster.call("n1", "say", OpenStream(2, ("10.9.9.9", 1), 5.0))
    cluster.run(1.0)

    assert streamed(cluster, "n1") == [("closed", 2)]


@pytest.mark.parametrize("way", [("n1", "n2"), ("n2", "n1")])
def test_a_cut_peer_is_given_up_after_the_timeout(way: tuple[str, str]) -> None:
    cluster = two()
    cluster.cut(*way)

    connect(cluster, timeout=3.0, wait=5.0)

    assert cluster.machine("n1").times("closed") == [3.0]
    assert streamed(cluster, "n2") == []


def test_a_cut_stalls_a_stream_for_good() -> None:
    cluster = two()
    stream = connect(cluster)
    cluster.cut("n2", "n1")

    say(cluster, "n1", SendStream(stream, b"lost"))
    cluster.heal()
    say(cluster, "n1", SendStream(stream, b"behind it"), wait=60.0)

    assert streamed(cluster, "n2") == [("accepted", 3, "10.0.0.1")]


def test_a_crash_resets_the_streams_of_the_process() -> None:
    cluster = two()
    connect(cluster)
    connect(cluster, "n2", "n1")

    cluster.restart("n2")
    cluster.run(1.0)

    assert ("closed", 2) in streamed(cluster, "n1")
    assert ("closed", 5) in streamed(cluster, "n1")
    assert streamed(cluster, "n2") == []
    assert len(cluster.connections) == 0


def test_a_crash_on_the_way_resets_it_too() -> None:
    cluster = two()
    connect(cluster, wait=0.15)

    cluster.restart("n1")
    cluster.run(1.0)

    assert streamed(cluster, "n1") == []
    assert streamed(cluster, "n2") == [("accepted", 3, "10.0.0.1"), ("closed", 3)]


def test_a_paused_process_is_connected_by_its_kernel_and_hears_all_of_it_later() -> None:
    cluster = two(buffer=1)
    cluster.pause("n2")

    stream = connect(cluster)
    for letter in (b"a", b"b", b"c"):
        say(cluster, "n1", SendStream(stream, letter))
    say(cluster, "n1", SendStream(stream, b"", eof=True))
    assert streamed(cluster, "n1") == [("opened", 2)]
    assert streamed(cluster, "n2") == []
    cluster.resume("n2")
    cluster.run(1.0)

    assert streamed(cluster, "n2") == [
        ("accepted", 3, "10.0.0.1"),
        ("received", 3, b"a"),
        ("received", 3, b"b"),
        ("received", 3, b"c"),
        ("closed", 3),
    ]


def test_a_process_that_dies_in_its_pause_hears_nothing_of_it() -> None:
    cluster = two()
    cluster.pause("n2")
    connect(cluster)

    cluster.restart("n2")
    cluster.run(1.0)

    assert streamed(cluster, "n2") == []
