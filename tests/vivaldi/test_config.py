from __future__ import annotations

import re
from typing import Any

import pytest

from vivaldi import Config, Profile


def test_the_serf_profile_has_serfs_parameters() -> None:
    config = Config.serf(space="wan")

    assert config == Config(
        profile=Profile.SERF,
        dimensions=8,
        error_max=1.5,
        error_step=0.25,
        position_step=0.25,
        height_min=10e-6,
        filter_window=3,
        filter_percentile=0.5,
        rtt_max=10.0,
        space="wan",
        adjustment_window=20,
        gravity_rho=150.0,
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dimensions": 0}, "dimensions is 0, it must be a whole number from 1 to 64"),
        ({"dimensions": 65}, "dimensions is 65, it must be a whole number from 1 to 64"),
        ({"error_max": 0.0}, "error_max is 0.0, it must be at least 0.1, at most 1000"),
        ({"error_max": 1e308}, "error_max is 1e+308, it must be at least 0.1, at most 1000"),
        ({"rtt_max": 0.0}, "rtt_max is 0.0, it must be at least 0.001, at most a million"),
        ({"rtt_max": 1e308}, "rtt_max is 1e+308, it must be at least 0.001, at most a million"),
        ({"rtt_max": float("inf")}, "rtt_max is inf, it must be at least 0.001, at most a million"),
        ({"rtt_max": float("nan")}, "rtt_max is nan, it must be at least 0.001, at most a million"),
        ({"profile": "serf"}, "profile is serf, it must be a Profile"),
        ({"space": None}, "space is None, it must be a string"),
        ({"clock_resolution": 0.0}, "clock_resolution is 0.0, it must be at least a nanosecond"),
        ({"clock_resolution": 11.0}, "clock_resolution is 11.0, it must be at least a nanosecond"),
        ({"dimensions": 2.5}, "dimensions is 2.5, it must be a whole number from 1 to 64"),
        ({"gravity_rho": -1.0}, "gravity_rho is -1.0, it must be finite and greater than 0"),
        ({"error_step": 0.0}, "error_step is 0.0, it must be greater than 0 and at most 1"),
        ({"position_step": 1.1}, "position_step is 1.1, it must be greater than 0 and at most 1"),
        ({"averaging": float("nan")}, "averaging is nan, it must be greater than 0 and at most 1"),
        ({"centring": 0.05}, "centring is 0.05, it must be at least 0, below 0.05"),
        ({"centring": -0.1}, "centring is -0.1, it must be at least 0, below 0.05"),
        ({"filter_percentile": 1.0}, "filter_percentile is 1.0, it must be at least 0 and below 1"),
        ({"height_min": -1e-9}, "height_min is -1e-09, it must be at least 0 and at most rtt_max"),
        ({"height_min": 11.0}, "height_min is 11.0, it must be at least 0 and at most rtt_max"),
        ({"filter_window": -1}, "filter_window is -1, it must be a whole number from 0 to 1024"),
        (
            {"adjustment_window": 1025},
            "adjustment_window is 1025, it must be a whole number from 0 to 1024",
        ),
        ({"peers_max": 0}, "peers_max is 0, it must be a whole number from 1 to"),
    ],
)
def test_a_bad_configuration_says_what_is_wrong_and_why(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Config(**fields)


def test_serfs_dimensions_are_checked_too() -> None:
    with pytest.raises(ValueError, match="dimensions is 0"):
        Config.serf(dimensions=0)
