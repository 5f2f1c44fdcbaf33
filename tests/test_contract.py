"""The battery catches each broken rule: toy machines with one planted fault each.

`Beacon` keeps the contract: it beats to its peers with jitter, answers pings, forgets silent
peers and can be stopped. Each `Broken...` machine differs from it in one place.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.contract import (
    ROOT,
    Battery,
    Call,
    ContractBroken,
    Make,
    Step,
    assert_same_under_hash_seeds,
    call,
    digest,
    digests_under_hash_seeds,
    in_order,
    with_old_times,
)
from tests.strategies import hostile, logs

PERIOD = 1.0
SILENCE_MAX = 8.0
PEERS_MAX = 4


@frozen
class Send:
    to: str
    data: bytes | bytearray


@frozen
class PeerLost:
    peer: str


@frozen
class Rejected:
    source: str
    reason: str


@frozen
class Stopped:
    beats: int


Output = Send | PeerLost | Rejected | Stopped


class TooManyPeers(Exception):
    """A refusal of the toy's own."""


class Beacon:
    """A small machine that keeps every rule."""

    def __init__(self, rng: random.Random, now: float) -> None:
        self.rng = rng
        self.now = now
        self.outputs: deque[Output] = deque()
        self.heard: dict[str, float] = {}
        self.next_id = 0
        self.beats = 0
        self.over = False
        self.beat_at = now + self._jitter()

    # queries

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(self.heard)

    def silence(self, peer: str) -> float:
        return self.now - self.heard[peer]

    def next_timeout(self) -> float | None:
        if self.over:
            return None
        return min([self.beat_at, *(at + SILENCE_MAX for at in self.heard.values())])

    # outputs

    def poll(self) -> Output | None:
        return self.outputs.popleft() if self.outputs else None

    # inputs

    def receive(self, data: bytes, source: str, now: float) -> None:
        if self.over:
            return
        now = self._clamp(now)
        try:
            text = data.decode()
            word, number = text.split(" ")
            sequence = int(number)
        except ValueError as error:
            self.outputs.append(Rejected(source, type(error).__name__))
            return
        if word == "ping":
            self.outputs.append(Send(source, b"pong %d" % sequence))
        if source in self.heard:
            self.heard[source] = now

    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        if not isinstance(peer, str):
            raise TypeError("the name of a peer is text")
        if not peer:
            raise ValueError("the peer has no name")
        if len(self.heard) >= PEERS_MAX and peer not in self.heard:
            raise TooManyPeers(PEERS_MAX)
        if self.over:
            return 0
        self.heard[peer] = self._clamp(now)
        self.next_id += 1
        if eager:
            self.outputs.append(Send(peer, b"ping %d" % self.rng.randrange(100)))
        return self.next_id

    def stop(self, now: float) -> None:
        if not self.over:
            self._clamp(now)
            self.over = True
            self.outputs.append(Stopped(self.beats))

    def handle_timeout(self, now: float) -> None:
        now = self._clamp(now)
        if self.over:
            return
        for peer, at in list(self.heard.items()):
            if at + SILENCE_MAX <= now:
                del self.heard[peer]
                self.outputs.append(PeerLost(peer))
        if self.beat_at <= now:
            self._beat(now)

    # internals

    def _beat(self, now: float) -> None:
        self.beats += 1
        self.outputs.extend(Send(peer, b"ping 0") for peer in self.heard)
        self.beat_at = now + self._jitter()

    def _jitter(self) -> float:
        return PERIOD * (0.5 + self.rng.random())

    def _clamp(self, now: float) -> float:
        self.now = max(self.now, now)
        return self.now


PACKETS = (b"ping 1", b"pong 7", b"ping x", b"\xff")
INPUTS = (
    st.builds(call, st.just("receive"), hostile(PACKETS), st.sampled_from("ab")),
    st.builds(call, st.just("watch"), st.sampled_from(["a", "b", "c", "d", "e", "f", ""])),
    st.builds(call, st.just("watch"), st.sampled_from("ab"), eager=st.booleans()),
    st.just(call("handle_timeout")),
    st.just(call("stop")),
)

# Two peers are watched and talk; "e" is one too many; "a" falls silent.
LOG = [
    call("watch", "a", now=0.1),
    call("watch", "b", now=0.2, eager=True),
    call("receive", b"ping 1", "a", now=0.3),
    call("receive", b"pong x", "b", now=0.4),
    call("receive", b"\xff", "b", now=0.4),
    call("watch", "c", now=1.5),
    call("watch", "d", now=1.5, eager=True),
    call("watch", "e", now=1.6),
    call("receive", b"ping 2", "b", now=4.0),
    call("receive", b"ping 3", "b", now=7.0),
    call("watch", "", now=7.5),
    call("watch", "b", now=7.6, eager=True),
]


def battery(make: Make) -> Battery:
    return Battery(
        make=make,
        refusals=(TooManyPeers,),
        queries={"silence": ("a",)},
        misuse=(call("watch", ""), call("watch", 3)),
        ending=call("stop"),
        outputs_max=10,
    )


@given(logs(*INPUTS))
def test_a_machine_that_keeps_the_contract_passes(log: list[Call]) -> None:
    battery(Beacon).check(log)


def test_the_log_of_the_planted_faults_passes_without_a_fault() -> None:
    battery(Beacon).check(LOG)


# --- C1


class QueryDraws(Beacon):
    @property
    def lucky_peer(self) -> str | None:
        return self.rng.choice(self.peers) if self.heard else None


class QueryCounts(Beacon):
    @property
    def fresh_id(self) -> int:
        self.next_id += 1
        return self.next_id


class QueryChanges(Beacon):
    def oldest(self) -> str | None:
        self.heard = dict(sorted(self.heard.items(), reverse=True))
        return None


class NextTimeoutRearms(Beacon):
    def next_timeout(self) -> float | None:
        self.beat_at = max(self.beat_at, self.now + PERIOD / 2)
        return super().next_timeout()


class QueryDrawsFromTheWorld(Beacon):
    def guess(self) -> None:
        random.random()


class NowIsNotLast(Beacon):
    def forget(self, now: float, peer: str) -> None:
        self.heard.pop(peer, None)


class NowIsKeyword(Beacon):
    def forget(self, peer: str, *, now: float) -> None:
        self.heard.pop(peer, None)


class InputWithoutNow(Beacon):
    def forget(self, peer: str) -> None:
        self.heard.pop(peer, None)


# --- C2


class PollRearms(Beacon):
    def poll(self) -> Output | None:
        output = super().poll()
        if isinstance(output, Send) and not self.over:
            self.beat_at = self.now + PERIOD
        return output


class PollDraws(Beacon):
    def poll(self) -> Output | None:
        self.rng.random()
        return super().poll()


class PollRaises(Beacon):
    def poll(self) -> Output | None:
        return self.outputs.popleft()


class PollDecides(Beacon):
    """A peer counts as heard when the answer to it is fetched."""

    def poll(self) -> Output | None:
        output = super().poll()
        if isinstance(output, Rejected):
            self.next_id += 1
        return output


class ForgetsUnpolled(Beacon):
    def handle_timeout(self, now: float) -> None:
        self.outputs.clear()
        super().handle_timeout(now)


# --- C4 to C7


class NotClamped(Beacon):
    def _clamp(self, now: float) -> float:
        self.now = now
        return now


class EarlyFires(Beacon):
    def handle_timeout(self, now: float) -> None:
        super().handle_timeout(now + 1e-9)


class EarlyDraws(Beacon):
    def handle_timeout(self, now: float) -> None:
        if not self.over and now < self.beat_at:
            self.rng.random()
        super().handle_timeout(now)


class EarlyBeats(Beacon):
    def handle_timeout(self, now: float) -> None:
        if not self.over and now < self.beat_at:
            self._beat(self._clamp(now))
        super().handle_timeout(now)


class ExclusiveDeadline(Beacon):
    def handle_timeout(self, now: float) -> None:
        now = self._clamp(now)
        if not self.over and self.beat_at < now:
            self._beat(now)


class TooFineForABigClock(Beacon):
    """Retries after a nanosecond, which is no time at all in seconds since 1970."""

    def _jitter(self) -> float:
        return 1e-9 if self.beats else PERIOD


class RearmsFromTheDeadline(Beacon):
    def _beat(self, now: float) -> None:
        super()._beat(self.beat_at)


class CatchesUp(Beacon):
    def handle_timeout(self, now: float) -> None:
        now = self._clamp(now)
        while not self.over and self.beat_at <= now:
            self._beat(self.beat_at)
            self.outputs.append(PeerLost("everybody"))


# --- C8


class GlobalRandom(Beacon):
    def _jitter(self) -> float:
        return PERIOD * (0.5 + random.random())


class GlobalRandomOnReceive(Beacon):
    def receive(self, data: bytes, source: str, now: float) -> None:
        super().receive(data, source, now)
        random.random()


class CountsItsInstances(Beacon):
    instances = 0

    def __init__(self, rng: random.Random, now: float) -> None:
        super().__init__(rng, now)
        type(self).instances += 1
        self.next_id = self.instances


# --- C13 to C16


class DecoderCatchesTooLittle(Beacon):
    def receive(self, data: bytes, source: str, now: float) -> None:
        try:
            super().receive(data.decode().encode(), source, now)
        except UnicodeEncodeError:
            self.outputs.append(Rejected(source, "not text"))


class DrawsBeforeItRefuses(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        self.rng.random()
        return super().watch(peer, now, eager=eager)


class CountsBeforeItRefuses(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        self.next_id += 1
        return super().watch(peer, now, eager=eager)


class RearmsBeforeItRefuses(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        self.beat_at = self._clamp(now) + PERIOD
        return super().watch(peer, now, eager=eager)


class SpeaksBeforeItRefuses(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        self.outputs.append(Send(str(peer), b"ping 0"))
        return super().watch(peer, now, eager=eager)


class CountsBeforeItIsFull(Beacon):
    """Misuse in the log itself, not in the battery's list: a full table."""

    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        if peer and len(self.heard) >= PEERS_MAX:
            self.next_id += 1
        return super().watch(peer, now, eager=eager)


class AcceptsMisuse(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        return super().watch(str(peer) or "nameless", now, eager=eager)


class BreaksAnInvariant(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        assert peer
        return super().watch(peer, now, eager=eager)


class Floods(Beacon):
    def receive(self, data: bytes, source: str, now: float) -> None:
        super().receive(data, source, now)
        if not self.over:
            self.outputs.extend([Send(source, data)] * 11)


class LendsItsBuffer(Beacon):
    def receive(self, data: bytes, source: str, now: float) -> None:
        if not self.over:
            self.outputs.append(Send(source, bytearray(data)))


# --- C17


class NeverEnds(Beacon):
    def next_timeout(self) -> float | None:
        return min([self.beat_at, *(at + SILENCE_MAX for at in self.heard.values())])

    def handle_timeout(self, now: float) -> None:
        over, self.over = self.over, False
        super().handle_timeout(now)
        self.over = over


class AnswersAfterTheEnd(Beacon):
    def receive(self, data: bytes, source: str, now: float) -> None:
        over, self.over = self.over, False
        super().receive(data, source, now)
        self.over = over


class RearmsAfterTheEnd(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        self.over = self.over and not eager
        return super().watch(peer, now, eager=eager)


class DrawsAfterTheEnd(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        if self.over and peer == "a":
            self.rng.random()
        return super().watch(peer, now, eager=eager)


class LosesItsLastWords(Beacon):
    def receive(self, data: bytes, source: str, now: float) -> None:
        if self.over:
            self.outputs.clear()
        super().receive(data, source, now)


FAULTS: dict[str, tuple[Make, ...]] = {
    "C1": (
        QueryDraws,
        QueryCounts,
        QueryChanges,
        QueryDrawsFromTheWorld,
        NowIsNotLast,
        NowIsKeyword,
        InputWithoutNow,
    ),
    "C2": (PollRearms, PollDraws, PollRaises, PollDecides, ForgetsUnpolled),
    "C4": (NotClamped,),
    "C5": (EarlyFires, EarlyDraws, EarlyBeats, NextTimeoutRearms),
    "C6": (ExclusiveDeadline, TooFineForABigClock),
    "C7": (RearmsFromTheDeadline, CatchesUp),
    "C8": (GlobalRandom, GlobalRandomOnReceive, CountsItsInstances),
    "C13": (DecoderCatchesTooLittle,),
    "C14": (
        DrawsBeforeItRefuses,
        CountsBeforeItRefuses,
        RearmsBeforeItRefuses,
        SpeaksBeforeItRefuses,
        CountsBeforeItIsFull,
        AcceptsMisuse,
        BreaksAnInvariant,
    ),
    "C15": (Floods,),
    "C16": (LendsItsBuffer,),
    "C17": (
        NeverEnds,
        AnswersAfterTheEnd,
        RearmsAfterTheEnd,
        DrawsAfterTheEnd,
        LosesItsLastWords,
    ),
}


@pytest.mark.parametrize(
    ("rule", "make"), [(rule, make) for rule, makes in FAULTS.items() for make in makes]
)
def test_the_battery_catches_a_planted_fault(rule: str, make: Make) -> None:
    with pytest.raises(ContractBroken, match=rf"^{rule}: "):
        battery(make).check(LOG)


def test_a_query_that_draws_from_the_machines_rng_is_named() -> None:
    with pytest.raises(ContractBroken, match=r"^C1: lucky_peer drew randomness"):
        battery(QueryDraws).check(LOG)


# --- what the battery needs to be told


class RendersLate(Beacon):
    """Joins what is queued for one peer when it is popped ("Batching under C2")."""

    def poll(self) -> Output | None:
        output = super().poll()
        while isinstance(output, Send) and self.outputs and self.outputs[0] == output:
            self.outputs.popleft()
        return output


TWICE = [call("receive", b"ping 1", "a", now=0.1), call("receive", b"ping 1", "a", now=0.1)]


def test_outputs_that_are_built_when_popped_may_be_fewer_if_the_battery_is_told() -> None:
    Battery(make=RendersLate, queries={"silence": ("a",)}, renders=True).check(TWICE)

    with pytest.raises(ContractBroken, match=r"^C2: "):
        Battery(make=RendersLate, queries={"silence": ("a",)}).check(TWICE)


class BeginsAnew(Beacon):
    def watch(self, peer: str, now: float, *, eager: bool = False) -> int:
        if peer:
            self.over = False
        return super().watch(peer, now, eager=eager)


def test_a_command_may_begin_anew_after_the_end_if_the_battery_is_told() -> None:
    Battery(
        make=BeginsAnew,
        queries={"silence": ("a",)},
        ending=call("stop"),
        revives=frozenset({"watch"}),
    ).check(TWICE)


def test_a_refusal_that_the_battery_was_not_told_of_is_a_fault() -> None:
    with pytest.raises(ContractBroken, match=r"^C14: .*TooManyPeers"):
        Battery(make=Beacon, queries={"silence": ("a",)}).check(LOG)


# --- logs


def test_a_log_in_order_has_each_older_time_raised_to_the_newest() -> None:
    log = [call("stop", now=now) for now in (-1.0, 3.0, 2.0, 4.0)]

    assert [each.now for each in in_order(log)] == [0.0, 3.0, 3.0, 4.0]


def test_a_log_with_old_times_goes_back_at_every_second_input() -> None:
    log = [call("stop", now=5.0)] * 3

    first, second, third = with_old_times(log)
    assert first.now == third.now == 5.0
    assert second.now < 0.0


# --- several processes


def steady() -> list[Step]:
    return battery(Beacon).trace(LOG)


def by_set_order() -> Iterator[str]:
    """A fault that no run within one process can see."""
    yield from {f"member-{number}" for number in range(20)}


def by_hash() -> Iterable[object]:
    return [hash("member-1")]


def test_a_machine_without_sets_is_the_same_under_any_hash_seed() -> None:
    assert_same_under_hash_seeds(steady)
    assert digests_under_hash_seeds(steady)["0"] == digest(steady())


@pytest.mark.parametrize("trace", [by_set_order, by_hash])
def test_the_order_of_a_set_shows_under_another_hash_seed(trace: object) -> None:
    assert callable(trace)
    with pytest.raises(ContractBroken, match=r"^C8: PYTHONHASHSEED"):
        assert_same_under_hash_seeds(trace)


def test_the_processes_run_in_the_root_of_the_repository() -> None:
    assert (ROOT / "tests" / "contract.py").is_file()
