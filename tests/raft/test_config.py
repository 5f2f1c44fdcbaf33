"""What is configured is usable, or refused with the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from raft import Config


def test_the_defaults_are_usable() -> None:
    config = Config()

    assert (config.pre_vote, config.check_quorum, config.forwarding) == (True, True, False)
    assert config.election_timeout_limit == 2.0
    assert (config.read_limit, config.forward_limit, config.transfer_limit) == (2.0, 4.0, 1.0)


def test_limits_can_be_given() -> None:
    config = Config(
        election_timeout_max=5.0, read_timeout=6.0, forward_timeout=7.0, transfer_timeout=8.0
    )

    assert config.election_timeout_limit == 5.0
    assert (config.read_limit, config.forward_limit, config.transfer_limit) == (6.0, 7.0, 8.0)


def test_a_lease_is_shorter_than_the_election_timeout_by_the_drift() -> None:
    assert Config(clock_drift_bound=0.25).lease_duration == 0.8


@pytest.mark.parametrize(
    "wrong",
    [
        {"election_timeout": 0.0},
        {"election_timeout": float("nan")},
        {"heartbeat_interval": 1.0},
        {"election_timeout_max": 0.5},
        {"append_size_max": 0},
        {"inflight_messages_max": 0},
        {"inflight_size_max": 1},
        {"gated_messages_max": 63},
        {"clock_drift_bound": 1.5},
        {"lease_reads": True, "check_quorum": False},
        {"lease_reads": True, "pre_vote": False},
    ],
)
def test_values_out_of_range_and_traps_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Config(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"election_timeout": "1"},
        {"election_timeout": True},
        {"append_size_max": 1.5},
        {"append_size_max": True},
        {"pre_vote": 1},
    ],
)
def test_values_of_wrong_types_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        Config(**wrong)
