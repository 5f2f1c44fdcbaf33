"""Configuration of a client: two profiles, checked when they are made."""

from __future__ import annotations

from enum import Enum
from math import isfinite

import attrs

from vivaldi.coordinate import DIMENSIONS_MAX


class Profile(Enum):
    """Which update rule moves the coordinate."""

    STEADY = "steady"
    SERF = "serf"


@attrs.frozen(kw_only=True)
class Config:
    """Parameters of one client; `Config()` is the default profile, `Config.serf()` is Serf's.

    All nodes of a space need the same `dimensions`, and should have the same `error_max` and
    `rtt_max`, as coordinates beyond one's own bounds are refused (see `SteadyRule`). Nodes of
    both profiles understand each other. The constants of the default profile were measured.

    Attributes:
        profile: The update rule.
        dimensions: Length of the vector; 1 to 64. Serf: 8.
        error_max: Error of a node that knows nothing and upper bound of any error, one's own
            or claimed; 0.1 to 1000. Serf: 1.5.
        error_step: Weight of a sample in the moving average of the error (ce in the paper);
            0 < ce <= 1. Serf: 0.25.
        position_step: Largest share of a sample's residual by which a node moves (cc in the
            paper); 0 < cc <= 1. Serf: 0.25.
        height_min: Seconds, lower bound of the height; >= 0. Serf: 10 microseconds.
        filter_window: Round trip times remembered per peer; 0 to 1024, and 0 means no filter.
            Serf: 3.
        filter_percentile: Which of them counts; 0 <= percentile < 1. Serf: 0.5.
        rtt_max: Seconds; longer round trips are refused, and claimed heights and adjustments
            beyond; a millisecond to a million seconds. Serf: 10.
        peers_max: Peers whose round trip times are remembered; 1 to 2**30. Serf: no bound.
        space: Tag of the space, such as "lan" or "wan"; coordinates of others are refused.
        clock_resolution: Seconds, the grain of the clock that measures round trips; shorter
            ones say only that they are shorter. Default profile; from a nanosecond to rtt_max.
        averaging: Share by which the published coordinate follows the working one in steady
            state; 0 < averaging <= 1. Default profile.
        centring: Share of each peer's position that is subtracted from one's own, which keeps
            the centroid of all nodes at the origin; 0 <= centring < 0.05, of which
            at most a twentieth of `position_step` is used. Default profile.
        adjustment_window: Residuals behind the adjustment term; 0 to 1024, and 0 means no
            adjustment. Serf profile. Serf: 20.
        gravity_rho: Seconds, scale of the gravity towards the origin; > 0. Serf profile.
            Serf: 150.

    Raises:
        ValueError: A field is out of its range, or `profile` or `space` of another type; the
            message names it.
    """

    profile: Profile = Profile.STEADY
    dimensions: int = 8
    error_max: float = 1.5
    error_step: float = 0.15
    position_step: float = 0.6
    height_min: float = 10e-6
    filter_window: int = 8
    filter_percentile: float = 0.25
    rtt_max: float = 10.0
    peers_max: int = 16384
    space: str = ""
    clock_resolution: float = 1e-6
    averaging: float = 0.03
    centring: float = 0.005
    adjustment_window: int = 0
    gravity_rho: float = 150.0

    @classmethod
    def serf(cls, *, space: str = "", dimensions: int = 8) -> Config:
        """Return the parameters of Serf and Consul agents.

        Args:
            space: Tag of the space.
            dimensions: Length of the vector; Serf agents use 8 and no other.

        Raises:
            ValueError: `dimensions` is out of its range.

        >>> Config.serf().adjustment_window
        20
        """
        return cls(
            profile=Profile.SERF,
            dimensions=dimensions,
            error_step=0.25,
            position_step=0.25,
            filter_window=3,
            filter_percentile=0.5,
            adjustment_window=20,
            space=space,
        )

    def __attrs_post_init__(self) -> None:
        self._check_whole_numbers()
        _check("profile", self.profile, isinstance(self.profile, Profile), "a Profile")
        _check("space", self.space, isinstance(self.space, str), "a string")
        # The upper bounds keep every product of an update finite; the lower ones are far above
        # the error and the distance at which the default profile stops (`ERROR_MIN`, `SAME_PLACE`).
        _check(
            "error_max", self.error_max, 0.1 <= self.error_max <= 1e3, "at least 0.1, at most 1000"
        )
        _check(
            "rtt_max",
            self.rtt_max,
            1e-3 <= self.rtt_max <= 1e6,
            "at least 0.001, at most a million",
        )
        _check(
            "gravity_rho",
            self.gravity_rho,
            isfinite(self.gravity_rho) and self.gravity_rho > 0,
            "finite and greater than 0",
        )
        for field in ("error_step", "position_step", "averaging"):
            value = getattr(self, field)
            _check(field, value, 0 < value <= 1, "greater than 0 and at most 1")
        _check("centring", self.centring, 0 <= self.centring < 0.05, "at least 0, below 0.05")
        _check(
            "filter_percentile",
            self.filter_percentile,
            0 <= self.filter_percentile < 1,
            "at least 0 and below 1",
        )
        _check(
            "height_min",
            self.height_min,
            0 <= self.height_min <= self.rtt_max,
            "at least 0 and at most rtt_max",
        )
        _check(
            "clock_resolution",
            self.clock_resolution,
            1e-9 <= self.clock_resolution <= self.rtt_max,
            "at least a nanosecond and at most rtt_max",
        )

    def _check_whole_numbers(self) -> None:
        for field, least, most in (
            ("dimensions", 1, DIMENSIONS_MAX),
            ("filter_window", 0, 1024),
            ("adjustment_window", 0, 1024),
            ("peers_max", 1, 1 << 30),
        ):
            value = getattr(self, field)
            whole = isinstance(value, int) and least <= value <= most
            _check(field, value, whole, f"a whole number from {least} to {most}")


def _check(field: str, value: object, fits: bool, rule: str) -> None:
    if not fits:
        raise ValueError(f"{field} is {value}, it must be {rule}")
