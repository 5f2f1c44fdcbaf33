"""Counters of a client."""

from __future__ import annotations

import attrs

from vivaldi.errors import Rejection


@attrs.define
class Stats:
    """What a client has counted since it was made; read it, never write it.

    Attributes:
        updates: Samples accepted.
        zero_rtts: Samples accepted with a round trip time of exactly zero.
        resets: Times the own coordinate was no longer usable and was made anew.
        rejected: Samples and coordinates refused, by reason; every reason is present.
    """

    updates: int = 0
    zero_rtts: int = 0
    resets: int = 0
    rejected: dict[Rejection, int] = attrs.field(factory=lambda: dict.fromkeys(Rejection, 0))
