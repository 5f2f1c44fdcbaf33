"""The logical clock: always ahead of what it has seen. Source: serf/lamport_test.go."""

from hypothesis import given
from hypothesis import strategies as st

from serfevents.lamport import LTIME_MAX, LamportClock


def test_it_begins_at_0_and_counts() -> None:
    clock = LamportClock()

    assert clock.time == 0
    assert clock.increment() == 1
    assert clock.time == 1


def test_it_moves_ahead_of_what_it_sees_and_never_back() -> None:
    clock = LamportClock()

    assert clock.witness(41) == 42
    assert clock.witness(41) == 42
    assert clock.witness(30) == 42
    assert clock.witness(42) == 43


def test_it_stops_at_its_end_where_serfs_begins_anew() -> None:
    clock = LamportClock()

    assert clock.witness(LTIME_MAX) == LTIME_MAX
    assert clock.increment() == LTIME_MAX
    assert clock.witness(LTIME_MAX) == LTIME_MAX


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=40),
)
def test_what_happened_before_has_the_smaller_time(steps: list[tuple[int, int, bool]]) -> None:
    """Clock condition (Lamport 1978): a -> b implies C(a) < C(b)."""
    clocks = [LamportClock(1) for _ in range(3)]
    # Each event: its time and the events that happened before it.
    events: list[tuple[int, frozenset[int]]] = []
    known: list[frozenset[int]] = [frozenset() for _ in clocks]

    for sender, receiver, delivered in steps:
        stamp = clocks[sender].time
        clocks[sender].increment()
        past = known[sender]
        assert all(events[index][0] < stamp for index in past)
        events.append((stamp, past))
        known[sender] = past | {len(events) - 1}
        if delivered:
            clocks[receiver].witness(stamp)
            known[receiver] = known[receiver] | known[sender]
