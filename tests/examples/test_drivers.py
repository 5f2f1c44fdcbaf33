"""The three drivers do the same with the same machine, over real sockets on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from examples.drivers import asyncio_driver, selectors_driver, threads_driver
from examples.drivers.shared import bind, local_address
from memberlist import (
    Address,
    CloseStream,
    Config,
    MemberLeft,
    Memberlist,
    MessageReceived,
    OpenStream,
    SendDatagram,
    SendStream,
)
from tests.examples.hosts import HOSTS, PATIENCE, Running, Told, Toy

Start = Callable[..., Running[Toy]]

MEGABYTE = 1 << 20


@pytest.fixture(params=list(HOSTS))
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    running: list[Running[Toy]] = []

    def begin(**options: Any) -> Running[Toy]:
        running.append(Running(request.param, Toy, **options))
        return running[-1]

    yield begin
    for one in running:
        one.close()


def tell(running: Running[Toy], *effects: object) -> None:
    running.call(lambda machine, now: machine.tell(list(effects), now))


def react(running: Running[Toy], reaction: Callable[[Told], list[object]]) -> None:
    running.ask(lambda machine: setattr(machine, "react", reaction))


def echo(told: Told) -> list[object]:
    return [SendStream(*told.args)] if told.what == "received" else []


def read_all(connection: socket.socket) -> bytes:
    chunks = []
    while chunk := connection.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- packets and time ------------------------------------------------------------------------


def test_a_packet_arrives_with_its_source(start: Start) -> None:
    one, two = start(), start()

    tell(one, SendDatagram(two.address, b"hello"))

    assert two.wait_for("datagram").args == (b"hello", one.address)


def test_ipv6_sources_are_pairs_of_host_and_port(start: Start) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    try:
        one, two = start(host="::1"), start(host="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")

    tell(one, SendDatagram(two.address, b"hello"), OpenStream(2, two.address, 5.0))

    assert two.wait_for("datagram").args == (b"hello", ("::1", one.address[1]))
    assert len(two.wait_for("accepted", 1).args[1]) == 2


def test_packets_that_cannot_be_sent_are_only_lost(start: Start) -> None:
    one, two = start(), start()
    udp, tcp = bind("127.0.0.1")
    nobody = local_address(udp)
    udp.close()
    tcp.close()

    refused = [SendDatagram(nobody, b"x") for _ in range(10)]
    tell(one, *refused, SendDatagram(two.address, bytes(70_000)), SendDatagram(("::1", 9), b"x"))
    tell(one, SendDatagram(two.address, b"still here"))

    assert two.wait_for("datagram").args[0] == b"still here"
    tell(two, SendDatagram(one.address, b"so am I"))
    assert one.wait_for("datagram").args[0] == b"so am I"


def test_timeouts_come_neither_early_nor_much_late(start: Start) -> None:
    one = start()

    one.call(lambda machine, now: machine.wake(0.2, now))

    (lateness,) = one.wait_for("timeout").args
    assert 0 <= lateness < 1


def test_a_timeout_that_moves_forward_is_obeyed(start: Start) -> None:
    one = start()

    one.call(lambda machine, now: machine.wake(3600.0, now))
    one.call(lambda machine, now: machine.wake(0.05, now))

    assert one.wait_for("timeout").args[0] < 1


# --- streams ---------------------------------------------------------------------------------


def test_a_stream_carries_megabytes_both_ways_in_order(start: Start) -> None:
    one, two = start(), start()
    sent = bytes(range(256)) * (4 * MEGABYTE // 256)
    react(two, echo)
    react(one, lambda told: [SendStream(2, sent)] if told.what == "opened" else [])

    tell(one, OpenStream(2, two.address, 5.0))
    until(lambda: one.ask(lambda machine: machine.received.get(2)) == len(sent))
    tell(one, CloseStream(2))

    two.wait_for("closed", 1)
    parts = [told.args[1] for told in one.events if told.what == "received"]
    assert b"".join(parts) == sent


def test_after_half_closing_the_answer_is_still_read(start: Start) -> None:
    one, two = start(), start()

    def request(told: Told) -> list[object]:
        return [SendStream(2, b"question", eof=True)] if told.what == "opened" else []

    def answer(told: Told) -> list[object]:
        answers = [SendStream(1, b"answer"), CloseStream(1)]
        return answers if told.what == "received" else []

    react(one, request)
    react(two, answer)
    tell(one, OpenStream(2, two.address, 5.0))

    one.wait_for("closed", 2)
    assert [told.what for told in one.events] == ["opened", "received", "closed"]
    assert one.events[1].args == (2, b"answer")


def test_what_was_written_goes_out_before_the_close(start: Start) -> None:
    one = start()
    react(
        one,
        lambda told: (
            [SendStream(1, bytes(4 * MEGABYTE)), CloseStream(1)] if told.what == "accepted" else []
        ),
    )

    with socket.create_connection(one.address, PATIENCE) as connection:
        assert len(read_all(connection)) == 4 * MEGABYTE


def test_what_was_written_goes_out_although_the_peer_ended(start: Start) -> None:
    one = start()
    react(one, echo)

    with socket.create_connection(one.address, PATIENCE) as connection:
        connection.sendall(b"question")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"question"

    one.wait_for("closed", 1)


def test_a_machine_may_refuse_a_stream_at_once(start: Start) -> None:
    one = start()
    react(one, lambda told: [CloseStream(1)] if told.what == "accepted" else [])

    with socket.create_connection(one.address, PATIENCE) as connection:
        assert read_all(connection) == b""


def test_a_machine_that_is_over_gets_no_streams(start: Start) -> None:
    one = start()
    one.ask(lambda machine: setattr(machine, "is_over", True))

    for _ in range(3):
        with socket.create_connection(one.address, PATIENCE) as connection:
            assert read_all(connection) == b""

    tell(one, SendDatagram(one.address, b"all is well"))
    one.wait_for("datagram")
    assert [told.what for told in one.events] == ["datagram"]


def test_a_peer_that_does_not_read_is_not_read_either(start: Start) -> None:
    one = start()
    react(one, echo)
    sent = 32 * MEGABYTE
    with socket.create_connection(one.address, PATIENCE) as connection:
        writer = threading.Thread(target=connection.sendall, args=(bytes(sent),), daemon=True)
        writer.start()
        one.wait_for("received", 1)
        until(lambda: is_still(lambda: one.ask(lambda machine: machine.received[1])))

        taken = one.ask(lambda machine: machine.received[1])
        assert taken < sent / 2
        assert writer.is_alive()
        rest = sum(len(connection.recv(1 << 16)) for _ in iter(lambda: unread(one, sent), 0))

        assert rest <= sent
        writer.join(PATIENCE)
        assert not writer.is_alive()


def is_still(number: Callable[[], int]) -> bool:
    """Return whether a number did not move during a third of a second."""
    before = number()
    time.sleep(0.3)
    return number() == before


def unread(running: Running[Toy], sent: int) -> int:
    return sent - running.ask(lambda machine: machine.received[1])


def test_a_peer_that_never_reads_cannot_hold_a_closed_stream(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (asyncio_driver, selectors_driver, threads_driver):
        monkeypatch.setattr(module, "LINGER", 0.3)
    one = start()
    farewell = [SendStream(1, bytes(64 * MEGABYTE)), CloseStream(1)]
    react(one, lambda told: farewell if told.what == "accepted" else [])

    with socket.create_connection(one.address, PATIENCE) as connection:
        one.wait_for("closed", 1)
        connection.settimeout(PATIENCE)
        assert count_all(connection) < 64 * MEGABYTE


def test_a_peer_that_never_reads_does_not_delay_the_end(start: Start) -> None:
    one = start()
    react(
        one,
        lambda told: [SendStream(1, bytes(64 * MEGABYTE))] if told.what == "accepted" else [],
    )

    with socket.create_connection(one.address, PATIENCE):
        one.wait_for("accepted", 1)
        begin = time.monotonic()
        one.close()

    assert time.monotonic() - begin < 5


def count_all(connection: socket.socket) -> int:
    """Return how many bytes come until EOF or reset."""
    count = 0
    with suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 20):
            count += len(chunk)
    return count


def test_connections_that_fail_to_open_are_reported(start: Start) -> None:
    one = start()
    udp, tcp = bind("127.0.0.1")
    nobody = local_address(tcp)
    udp.close()
    tcp.close()

    tell(one, OpenStream(2, nobody, 5.0), OpenStream(4, ("no..name", 7946), 5.0))

    one.wait_for("closed", 2)
    one.wait_for("closed", 4)
    assert [told for told in one.events if told.what == "opened"] == []


def test_a_reset_is_reported_once(start: Start) -> None:
    one = start()
    connection = socket.create_connection(one.address, PATIENCE)
    one.wait_for("accepted", 1)

    reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    connection.close()

    one.wait_for("closed", 1)
    tell(one, SendStream(1, b"too late"), CloseStream(1))
    tell(one, SendDatagram(one.address, b"all is well"))
    one.wait_for("datagram")
    assert [told for told in one.events if told.what == "closed"] == [Told("closed", (1,))]


def test_giving_up_a_connection_that_is_not_open_yet_is_harmless(start: Start) -> None:
    one, two = start(), start()

    tell(one, OpenStream(2, two.address, 5.0), SendStream(2, b"x"), CloseStream(2))
    tell(one, CloseStream(2), CloseStream(4), SendStream(4, b"x"))
    tell(one, SendDatagram(one.address, b"all is well"))

    one.wait_for("datagram")


# --- beginning and end -----------------------------------------------------------------------


def test_a_closed_driver_leaves_its_port_free_and_no_thread(start: Start) -> None:
    threads = threading.active_count()
    one, two = start(), start()
    react(one, echo)
    tell(two, OpenStream(2, one.address, 5.0))
    one.wait_for("accepted", 1)
    tell(one, SendStream(1, bytes(MEGABYTE)))

    one.close()
    two.close()

    assert threading.active_count() == threads
    udp, tcp = bind(*one.address)
    udp.close()
    tcp.close()


def test_a_refused_command_raises_at_the_caller(start: Start) -> None:
    one = start()

    def refuse(machine: Toy, now: float) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        one.call(refuse)
    tell(one, SendDatagram(one.address, b"all is well"))

    one.wait_for("datagram")


def test_a_command_after_the_end_is_refused_not_forgotten() -> None:
    driver = threads_driver.Driver(Toy, lambda _: None)
    driver.close()

    with pytest.raises(RuntimeError, match="closed"):
        driver.call(driver.machine.wake, 1.0)


def test_a_command_from_within_an_event_is_carried_out() -> None:
    """Contract C3: any input is legal while an output is handled; here on the owning thread."""
    answers: list[int] = []
    driver: threads_driver.Driver[Toy]

    def on_event(told: Told) -> None:
        answers.append(driver.ask(lambda machine: machine.accepted))
        if told.what == "datagram":
            driver.call(driver.machine.wake, 0.01)

    driver = threads_driver.Driver(Toy, on_event)
    driver.call(driver.machine.tell, [SendDatagram(driver.address, b"x")])
    until(lambda: len(answers) == 2)
    driver.close()

    assert answers == [0, 0]


def test_a_taken_port_is_an_error_and_leaves_nothing_behind(start: Start) -> None:
    one = start()
    threads = threading.active_count()

    with pytest.raises(OSError, match="in use"):
        start(port=one.address[1])

    assert threading.active_count() == threads


def test_a_port_taken_for_tcp_alone_is_an_error_too() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(OSError, match="in use"):
            bind(*local_address(taken))


def test_a_port_taken_for_udp_alone_is_an_error_too() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))

        with pytest.raises(OSError, match="in use"):
            bind(*local_address(taken))


# --- the real machine ------------------------------------------------------------------------


def test_one_cluster_runs_on_three_runtimes() -> None:
    """The same machine on asyncio, selectors and threads: join, a message each, leave."""

    def make(name: str) -> Callable[[Address, float], Memberlist]:
        return lambda address, now: Memberlist(
            name, address, Config.local(), rng=Random(name), now=now
        )

    running = {kind: Running(kind, make(kind)) for kind in HOSTS}
    try:
        seed = running["asyncio"].address
        for kind in ("selectors", "threads"):
            running[kind].call(lambda machine, now: machine.join([seed], now))
        for one in running.values():
            until(lambda one=one: len(one.ask(lambda machine: machine.members)) == 3)  # type: ignore[misc]

        big = bytes(300_000)  # does not fit a packet
        running["threads"].call(
            lambda machine, now: machine.message("selectors", big, now, reliable=True)
        )
        received = running["selectors"].wait(
            lambda events: next((e for e in events if isinstance(e, MessageReceived)), None)
        )
        running["selectors"].call(lambda machine, now: machine.leave(now))
        left = running["asyncio"].wait(
            lambda events: next((e for e in events if isinstance(e, MemberLeft)), None)
        )

        assert received is not None
        assert received.payload == big
        assert left is not None
        assert left.node.name == "selectors"
    finally:
        for one in running.values():
            one.close()
