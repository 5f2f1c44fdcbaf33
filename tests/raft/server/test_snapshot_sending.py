"""Sending a snapshot: chunks, windows, resumption."""

from __future__ import annotations

from raft import Config, Snapshot
from raft.server.snapshot_sending import SnapshotSending
from tests.raft.vocabulary import voters

CONFIG = Config(snapshot_chunk_size=10, snapshot_chunks_max=3)
SNAPSHOT = Snapshot(9, 3, voters("a"), 1, memoryview(bytes(range(95))))


def sending(*, is_witness: bool = False) -> SnapshotSending:
    return SnapshotSending(SNAPSHOT, CONFIG, 0.0, is_witness=is_witness)


def offsets(state: SnapshotSending) -> list[int]:
    """Return the offsets of all chunks that may be sent now."""
    found = []
    while (message := state.next_chunk("b", "a", 3)) is not None:
        assert message.chunk == bytes(SNAPSHOT.data[message.offset : message.offset + 10])
        found.append(message.offset)
    return found


def test_the_first_chunk_goes_alone_and_then_a_few_at_a_time() -> None:
    state = sending()

    assert offsets(state) == [0]
    assert state.acknowledged(10, 0.0)
    assert offsets(state) == [10, 20, 30]
    assert state.acknowledged(30, 0.0)
    assert offsets(state) == [40, 50]


def test_it_goes_on_where_the_receiver_stands() -> None:
    state = sending()
    offsets(state)

    state.acknowledged(70, 0.0)

    assert offsets(state) == [70, 80, 90]
    state.acknowledged(95, 0.0)
    assert offsets(state) == []


def test_a_lost_chunk_is_sent_again_once() -> None:
    state = sending()
    offsets(state)
    state.acknowledged(10, 0.0)
    offsets(state)

    assert [state.acknowledged(10, 0.0) for _ in range(3)] == [True, False, False]
    assert offsets(state) == [10, 20, 30]
    state.acknowledged(20, 0.0)
    assert state.acknowledged(20, CONFIG.heartbeat_interval)


def test_answers_that_overtake_each_other_do_not_multiply_chunks() -> None:
    state = sending()
    offsets(state)
    state.acknowledged(10, 0.0)
    offsets(state)
    state.acknowledged(30, 0.0)

    assert [state.acknowledged(offset, 0.0) for offset in (10, 20, 10, 20)] == [
        True,  # begin again here
        True,  # the receiver has more
        False,
        False,
    ]
    assert offsets(state) == [20, 30, 40]


def test_a_receiver_that_crashed_begins_anew() -> None:
    state = sending()
    offsets(state)
    state.acknowledged(50, 0.0)
    offsets(state)

    assert state.acknowledged(0, 0.0)

    assert offsets(state) == [0]


def test_silence_has_it_sent_again() -> None:
    state = sending()
    offsets(state)
    state.acknowledged(10, 1.0)
    offsets(state)

    assert not state.retry(1.9)
    assert state.retry(2.0)
    assert not state.retry(2.1)

    assert offsets(state) == [10, 20, 30]


def test_after_silence_a_receiver_that_crashed_is_heard_at_once() -> None:
    state = sending()
    offsets(state)
    state.acknowledged(10, 0.0)
    assert state.retry(1.0)
    offsets(state)

    assert state.acknowledged(0, 1.01)

    assert offsets(state) == [0]


def test_an_offset_outside_of_it_says_nothing() -> None:
    state = sending()

    assert not state.acknowledged(96, 0.0)
    assert not state.acknowledged(-1, 0.0)


def test_a_witness_gets_no_contents() -> None:
    state = sending(is_witness=True)

    message = state.next_chunk("b", "a", 3)

    assert message is not None
    assert (message.size, message.checksum, message.chunk) == (0, 0, b"")
    assert offsets(state) == []
