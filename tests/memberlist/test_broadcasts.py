"""The broadcast queue: who is handed out first, how often, and what supersedes what."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memberlist.broadcasts import Broadcast, BroadcastQueue, retransmit_limit

VECTORS = Path(__file__).parent.parent / "interop" / "vectors" / "memberlist.json"
FUNCTIONS: dict[str, Any] = json.loads(VECTORS.read_text())["functions"]

# A packet with room for everything.
PLENTY = 10_000


def queue(*messages: bytes) -> BroadcastQueue:
    """Return a queue in which these messages wait, the last one newest."""
    made = BroadcastQueue()
    for message in messages:
        made.add(message)
    return made


def take(
    waiting: BroadcastQueue, room: int = PLENTY, *, parts: int = 255, limit: int = 10
) -> list[bytes]:
    """Take what fits."""
    messages, _ = waiting.take(room=room, parts=parts, limit=limit)
    waiting.check_invariants()
    return messages


# --- how often -------------------------------------------------------------------------------


def test_the_retransmit_limit_agrees_with_hashicorps() -> None:
    for row in FUNCTIONS["retransmit_limit"]:
        assert retransmit_limit(row["retransmit_mult"], row["n"]) == row["limit"], row


@pytest.mark.parametrize(("n", "limit"), [(0, 0), (1, 3), (99, 6)])
def test_the_retransmit_limit_grows_with_the_logarithm(n: int, limit: int) -> None:
    """SWIM 4.1: lambda log n."""
    assert retransmit_limit(3, n) == limit


def test_a_message_is_handed_out_as_often_as_the_limit_says() -> None:
    waiting = queue(b"news")

    assert [take(waiting, limit=3) for _ in range(4)] == [[b"news"]] * 3 + [[]]
    assert len(waiting) == 0


def test_the_last_hand_out_tells_that_it_is_finished() -> None:
    waiting = BroadcastQueue()
    waiting.add(b"news", number=7)

    assert waiting.take(room=9, parts=1, limit=2) == ([b"news"], [])
    _, finished = waiting.take(room=9, parts=1, limit=2)

    assert [(b.number, b.transmits, b.queued) for b in finished] == [(7, 2, False)]


# --- who goes first --------------------------------------------------------------------------


def test_the_largest_that_fits_goes_first() -> None:
    waiting = queue(b"bb", b"dddd", b"ccc")

    assert take(waiting) == [b"dddd", b"ccc", b"bb"]


def test_among_equals_the_newest_goes_first() -> None:
    waiting = queue(b"old", b"mid", b"new")

    assert take(waiting) == [b"new", b"mid", b"old"]
    assert take(waiting) == [b"new", b"mid", b"old"]


def test_what_was_sent_less_often_goes_first_whatever_its_size() -> None:
    """SWIM 4.1: members prefer changes that were gossiped fewer times."""
    waiting = queue(b"sent and long")
    take(waiting)
    waiting.add(b"fresh")

    assert take(waiting) == [b"fresh", b"sent and long"]


def test_a_message_that_does_not_fit_waits_for_a_larger_packet() -> None:
    waiting = queue(b"too long for it", b"fits")

    assert take(waiting, 6) == [b"fits"]
    assert take(waiting, 5) == []
    assert take(waiting, 17) == [b"too long for it"]


def test_smaller_messages_fill_the_room_that_large_ones_leave() -> None:
    waiting = queue(b"4444", b"4-44", b"22", b"1")

    # Each costs its size and two bytes: 6 + 4 here, and 6 + 3 of the rest.
    assert take(waiting, 11) == [b"4-44", b"22"]
    assert take(waiting, 11) == [b"4444", b"1"]


def test_never_twice_in_one_packet() -> None:
    waiting = queue(b"news")

    assert take(waiting, limit=100) == [b"news"]


def test_no_more_parts_than_asked_for() -> None:
    waiting = queue(b"a", b"b", b"c")

    assert take(waiting, parts=2) == [b"c", b"b"]
    assert take(waiting, parts=2) == [b"a", b"c"]
    assert take(waiting, parts=0) == []


@pytest.mark.parametrize(("overhead", "count"), [(2, 4), (3, 3)])
def test_four_messages_of_18_bytes_in_a_packet_of_80(overhead: int, count: int) -> None:
    """HashiCorp's test of GetBroadcasts; the place in the compound's table costs two bytes."""
    extra = overhead - 2
    waiting = queue(*(bytes([65 + i]) * (18 + extra) for i in range(4)))

    assert len(take(waiting, 80)) == count


def test_batches_under_a_transmit_limit() -> None:
    """HashiCorp's test of the transmit limit: four messages, limit 2, three fit a packet."""
    waiting = queue(*(bytes([65 + i]) * 19 for i in range(4)))
    limit = retransmit_limit(1, 10)

    assert [len(take(waiting, 80, limit=limit)) for _ in range(4)] == [3, 3, 2, 0]


def test_it_agrees_with_hashicorps_queue() -> None:
    vector = FUNCTIONS["broadcast_queue"]
    waiting = BroadcastQueue()
    for text in vector["queued"]:
        waiting.add(text.encode(), key=text)

    for call in vector["calls"]:
        assert call["overhead"] == 2
        messages = take(waiting, call["limit"], limit=1)

        assert [message.decode() for message in messages] == call["messages"]
        assert len(waiting) == call["left"]


def test_it_agrees_with_hashicorps_queue_but_loses_nothing() -> None:
    """Several transmits, with supersession.

    HashiCorp's queue restarts its numbers when a packet takes everything that waits; so `AAAA`
    overwrites `bbbb` when it comes to the same number of transmits. Ours keeps both.
    """
    waiting = BroadcastQueue()
    lost = []

    for step in FUNCTIONS["broadcast_queue_mult3"]["steps"]:
        if "put" in step:
            waiting.add(step["put"]["message"].encode(), key=step["put"]["name"])
        else:
            assert step["get"]["overhead"] == 2
            messages = take(waiting, step["get"]["limit"], limit=3)
            assert [message.decode() for message in messages] == step["messages"]
        if len(waiting) == step["left"] + 1:
            discarded = waiting.discard("b")
            assert discarded is not None
            lost.append(discarded.message)
        assert len(waiting) == step["left"]

    assert lost == [b"bbbb"]


# --- supersession ----------------------------------------------------------------------------


def test_a_newer_broadcast_of_a_key_supersedes_the_older() -> None:
    waiting = BroadcastQueue()
    assert waiting.add(b"old", key="a", number=1) is None

    superseded = waiting.add(b"new", key="a", number=2)

    assert superseded is not None
    assert (superseded.number, superseded.queued) == (1, False)
    assert take(waiting) == [b"new"]


def test_a_superseding_broadcast_is_sent_as_often_as_a_new_one() -> None:
    waiting = BroadcastQueue()
    waiting.add(b"old", key="a")
    take(waiting, limit=2)
    waiting.add(b"new", key="a")

    assert [take(waiting, limit=2) for _ in range(3)] == [[b"new"], [b"new"], []]


def test_broadcasts_without_a_key_supersede_nothing() -> None:
    waiting = queue(b"same", b"same")

    assert take(waiting) == [b"same", b"same"]


def test_a_key_is_held_while_its_broadcast_waits() -> None:
    waiting = BroadcastQueue()
    waiting.add(b"news", key="a")

    assert waiting.holds("a")
    assert not waiting.holds("b")
    take(waiting, limit=1)
    assert not waiting.holds("a")


def test_a_discarded_broadcast_is_gone() -> None:
    waiting = BroadcastQueue()
    waiting.add(b"news", key="a", number=3)

    discarded = waiting.discard("a")

    assert discarded is not None
    assert discarded.number == 3
    assert waiting.discard("a") is None
    assert take(waiting) == []
    assert len(waiting) == 0


def test_a_gap_that_a_superseded_broadcast_left_does_not_disturb_the_order() -> None:
    waiting = BroadcastQueue()
    for message, key in ((b"old", None), (b"gap", "k"), (b"new", None)):
        waiting.add(message, key=key)
    waiting.discard("k")

    assert take(waiting, parts=2) == [b"new", b"old"]
    assert take(waiting, parts=1) == [b"new"]


def test_superseded_broadcasts_take_no_lasting_memory() -> None:
    """A key that changes all the time leaves one broadcast, and the invariants bound the rest."""
    waiting = queue(b"other")
    for number in range(1000):
        waiting.add(b"news %d" % number, key="a")
        waiting.check_invariants()

    assert len(waiting) == 2
    assert take(waiting) == [b"news 999", b"other"]


# --- the end ---------------------------------------------------------------------------------


def test_clearing_tells_what_still_waited() -> None:
    waiting = BroadcastQueue()
    for number, message in enumerate((b"once", b"superseded", b"newer")):
        waiting.add(message, key="k" if number in (1, 2) else None, number=number)

    dropped = waiting.clear()

    waiting.check_invariants()
    assert [(b.number, b.queued) for b in dropped] == [(0, False), (2, False)]
    assert not waiting.holds("k")


def test_clearing_leaves_nothing() -> None:
    waiting = queue(b"a", b"bb")
    take(waiting, 3)

    assert {b.message for b in waiting.clear()} == {b"a", b"bb"}
    assert (take(waiting), len(waiting), waiting.clear()) == ([], 0, [])


# --- against a model -------------------------------------------------------------------------


class Model:
    """The rules told slowly: one list, sorted anew for each message.

    Among equally sent messages of a size the newest goes first. Deviation from memberlist:
    newest is who came to this number of transmits last, not who has the highest number.
    """

    def __init__(self) -> None:
        self.waiting: list[Broadcast] = []
        self.arrived: dict[int, int] = {}
        self.clock = 0

    def arrive(self, broadcast: Broadcast) -> None:
        self.clock += 1
        self.arrived[broadcast.number] = self.clock

    def add(self, message: bytes, key: str | None, number: int) -> None:
        broadcast = Broadcast(message, key, number)
        if key is not None:
            self.discard(key)
        self.arrive(broadcast)
        self.waiting.append(broadcast)

    def discard(self, key: str) -> None:
        self.waiting = [b for b in self.waiting if b.key != key]

    def take(self, room: int, parts: int, limit: int) -> tuple[list[bytes], set[int]]:
        taken: list[Broadcast] = []
        for tier in sorted({b.transmits for b in self.waiting}):
            while len(taken) < parts:
                fitting = [
                    b
                    for b in self.waiting
                    if b.transmits == tier and b not in taken and len(b.message) + 2 <= room
                ]
                if not fitting:
                    break
                best = max(fitting, key=lambda b: (len(b.message), self.arrived[b.number]))
                taken.append(best)
                room -= len(best.message) + 2
        finished = set()
        for broadcast in reversed(taken):
            broadcast.transmits += 1
            self.arrive(broadcast)
            if broadcast.transmits >= limit:
                finished.add(broadcast.number)
        self.waiting = [b for b in self.waiting if b.number not in finished]
        return [b.message for b in taken], finished


class QueueAgainstModel(RuleBasedStateMachine):
    """Whatever is done to both, the queue hands out what the model does."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = BroadcastQueue()
        self.model = Model()
        self.number = 0

    @rule(size=st.integers(1, 12), key=st.sampled_from([None, "a", "b", "c"]))
    def add(self, size: int, key: str | None) -> None:
        self.number += 1
        message = (b"%d." % self.number).ljust(size, b".")
        self.queue.add(message, key=key, number=self.number)
        self.model.add(message, key, self.number)

    @rule(key=st.sampled_from("abc"))
    def discard(self, key: str) -> None:
        self.queue.discard(key)
        self.model.discard(key)

    @rule(room=st.integers(0, 60), parts=st.integers(0, 6), limit=st.integers(1, 4))
    def take(self, room: int, parts: int, limit: int) -> None:
        messages, finished = self.queue.take(room=room, parts=parts, limit=limit)

        assert (messages, {b.number for b in finished}) == self.model.take(room, parts, limit)

    @precondition(lambda self: len(self.model.waiting) > 3)
    @rule()
    def clear(self) -> None:
        dropped = {b.number for b in self.queue.clear()}

        assert dropped == {b.number for b in self.model.waiting}
        self.model.waiting = []

    @invariant()
    def they_hold_the_same(self) -> None:
        self.queue.check_invariants()
        assert len(self.queue) == len(self.model.waiting)


TestQueueAgainstModel = QueueAgainstModel.TestCase
TestQueueAgainstModel.settings = settings(stateful_step_count=40)


@given(
    st.lists(st.integers(1, 60), max_size=60),
    st.integers(0, 300),
    st.integers(0, 20),
)
def test_no_packet_is_overfilled(sizes: list[int], room: int, parts: int) -> None:
    waiting = queue(*(bytes(size) for size in sizes))
    messages = take(waiting, room, parts=parts)

    assert sum(len(message) + 2 for message in messages) <= room
    assert len(messages) <= parts
