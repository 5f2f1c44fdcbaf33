"""Knobs: a configuration that exists is usable. (The defaults are wire/test_vectors.py's.)"""

from typing import Any

import attrs
import pytest

from serfevents import Config


def test_the_agent_gathers_changes() -> None:
    agent = Config.agent(event_buffer=9)

    assert (agent.coalesce_period, agent.quiescent_period) == (3.0, 1.0)
    assert (agent.user_coalesce_period, agent.user_quiescent_period) == (3.0, 1.0)
    assert agent.event_buffer == 9


def test_a_changed_copy_is_checked_anew() -> None:
    config = Config()

    assert config.changed(event_buffer=9).event_buffer == 9
    with pytest.raises(ValueError, match="event_buffer must be within"):
        config.changed(event_buffer=0)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"protocol_version": 1}, ValueError),
        ({"protocol_version": 6}, ValueError),
        ({"gossip_interval": 0.0}, ValueError),
        ({"reap_interval": float("nan")}, ValueError),
        ({"reap_interval": "1"}, TypeError),
        ({"event_buffer": 1.5}, TypeError),
        ({"event_buffer": True}, TypeError),
        ({"user_event_size_limit": 9217}, ValueError),
        ({"coalesce_period": 1.0}, ValueError),
        ({"user_quiescent_period": 1.0}, ValueError),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        Config(**changes)


def test_every_knob_is_described() -> None:
    assert Config.__doc__ is not None
    for each in attrs.fields(Config):
        assert f"        {each.name}: " in Config.__doc__, each.name
