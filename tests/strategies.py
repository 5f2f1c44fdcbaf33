"""Hypothesis strategies that several packages' tests share: logs of inputs, hostile bytes."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hypothesis import strategies as st

from tests.contract import Call


def logs(
    *inputs: st.SearchStrategy[Call], size_max: int = 30, step_max: float = 5.0
) -> st.SearchStrategy[list[Call]]:
    """Draw logs of inputs at times that mostly go forward.

    Args:
        inputs: Strategies for single inputs; their `now` is replaced.
        size_max: Longest log.
        step_max: Most seconds between two inputs; now and then time goes back (C4).
    """
    steps = st.one_of(st.just(0.0), st.floats(-1.0, step_max))
    entries = st.tuples(st.one_of(*inputs), steps)
    return st.lists(entries, max_size=size_max).map(_timed)


def _timed(entries: Sequence[tuple[Call, float]]) -> list[Call]:
    now = 0.0
    log = []
    for call, step in entries:
        now = max(0.0, now + step)
        log.append(attrs.evolve(call, now=now))
    return log


@st.composite
def mangled(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Draw a good packet of `samples`, or one that was cut, flipped, repeated or joined."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["cut", "flip", "repeat", "insert", "join"])):
            case "cut":
                data = data[: draw(st.integers(0, len(data)))]
            case "flip" if data:
                at = draw(st.integers(0, len(data) - 1))
                data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
            case "repeat":
                data = data * draw(st.integers(1, 3))
            case "insert":
                at = draw(st.integers(0, len(data)))
                data = data[:at] + draw(st.binary(max_size=8)) + data[at:]
            case "join":
                data = data + draw(st.sampled_from(samples))
    return data


def hostile(samples: Sequence[bytes], *, size_max: int = 64) -> st.SearchStrategy[bytes]:
    """Draw what a peer may send: good packets, mangled ones, and noise."""
    return st.one_of(mangled(samples), st.binary(max_size=size_max))
