"""Payloads that came lately: a repeat is known by its bytes, and old ones are forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents.recent import PAYLOAD_SIZE_MAX, RecentPayloads


def test_a_repeat_is_known() -> None:
    recent = RecentPayloads(4)

    recent.add(b"a")

    assert b"a" in recent
    assert b"b" not in recent


def test_a_large_payload_is_not_kept() -> None:
    recent = RecentPayloads(4)

    recent.add(bytes(PAYLOAD_SIZE_MAX))
    recent.add(bytes(PAYLOAD_SIZE_MAX + 1))

    assert len(recent) == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_none_may_be_kept(limit: int) -> None:
    recent = RecentPayloads(limit)

    recent.add(b"a")

    assert b"a" not in recent


@given(st.integers(2, 9), st.lists(st.integers(0, 20), max_size=60))
def test_the_newest_half_is_known_and_no_more_than_the_limit(
    limit: int, numbers: list[int]
) -> None:
    recent = RecentPayloads(limit)
    order: list[bytes] = []

    for number in numbers:
        payload = b"%d" % number
        if payload not in recent:
            recent.add(payload)
            order.append(payload)
        assert len(recent) <= limit
        assert all(each in recent for each in order[-(limit // 2) :])
