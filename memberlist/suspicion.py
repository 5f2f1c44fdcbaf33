"""Lifeguard's suspicion timeout: long at first, shorter with each independent confirmation.

Owns the formulas and the state of one suspicion. Knows nothing of timers or of the table.

Source: Lifeguard (2018), LHA-Suspicion; memberlist `suspicion.go`, `util.go`.
"""

from __future__ import annotations

import math

from memberlist.outputs import Evidence, ProbeRecord


def suspicion_timeout_min(mult: float, n: int, probe_interval: float) -> float:
    """Return the least time a suspected member has to refute.

    Args:
        mult: Probe intervals per decade of members (alpha in the paper); > 0.
        n: Known members, dead ones not yet reaped included; >= 0.
        probe_interval: Seconds, > 0.

    Returns:
        Seconds; `mult` x `probe_interval` for up to ten members, growing with log10(n).

    >>> suspicion_timeout_min(1, 50, 1.0)
    1.698
    """
    scale = max(1.0, math.log10(max(1.0, n)))
    return mult * int(scale * 1000) / 1000 * probe_interval


def suspicion_timeout(
    confirmations: int, *, expected: int, minimum: float, maximum: float
) -> float:
    """Return how long to wait before declaring a suspected member dead.

    Falls from `maximum` to `minimum` on a log scale as independent confirmations arrive, so that
    the first ones matter most.

    Args:
        confirmations: Independent suspicions so far, without the first; >= 0.
        expected: Confirmations at which `minimum` is reached (K in the paper); >= 0.
        minimum: Seconds, > 0.
        maximum: Seconds, >= `minimum`.

    Returns:
        Seconds since the suspicion began, within [minimum, maximum], in whole milliseconds
        between the two as memberlist has it.

    Raises:
        ValueError: `minimum` exceeds `maximum`.

    >>> suspicion_timeout(0, expected=3, minimum=2.0, maximum=12.0)
    12.0
    >>> suspicion_timeout(1, expected=3, minimum=2.0, maximum=30.0)
    16.0
    >>> suspicion_timeout(3, expected=3, minimum=2.0, maximum=12.0)
    2.0
    """
    if minimum > maximum:
        raise ValueError(f"the minimum {minimum} exceeds the maximum {maximum}")
    if expected < 1:
        return minimum
    if confirmations == 0:
        return maximum
    fraction = math.log(confirmations + 1) / math.log(expected + 1)
    raw = maximum - fraction * (maximum - minimum)
    return max(minimum, math.floor(raw * 1000) / 1000)


def confirmations_expected(mult: float, n: int) -> int:
    """Return K: how many confirmations a suspicion waits for, given n known members.

    It is `mult` - 2, but 0 where the cluster is too small to produce them.
    """
    expected = int(mult) - 2
    return 0 if n - 2 < expected else max(expected, 0)


class Suspicion:
    """One running suspicion against one member.

    Attributes:
        since: When it began, seconds.
        suspected_by: Who said so first.
        confirmed_by: Others who said so, in order; never longer than `expected`.
        expected: Confirmations after which it lasts `minimum` seconds only (K).
        minimum: Seconds; and `maximum`, how long it lasts without any.
        probe: Our own failed probe, if that began it.
    """

    __slots__ = ("confirmed_by", "expected", "maximum", "minimum", "probe", "since", "suspected_by")

    def __init__(
        self,
        suspected_by: str,
        since: float,
        *,
        expected: int,
        minimum: float,
        maximum: float,
        probe: ProbeRecord | None = None,
    ) -> None:
        self.suspected_by = suspected_by
        self.since = since
        self.expected = expected
        self.minimum = minimum
        self.maximum = maximum
        self.probe = probe
        self.confirmed_by: list[str] = []

    @property
    def timeout(self) -> float:
        """Seconds from `since` until the member is declared dead, as of now."""
        return suspicion_timeout(
            len(self.confirmed_by),
            expected=self.expected,
            minimum=self.minimum,
            maximum=self.maximum,
        )

    @property
    def deadline(self) -> float:
        """When the member is declared dead, as of now."""
        return self.since + self.timeout

    def confirm(self, name: str) -> bool:
        """Count `name`'s word; return whether it is new and still wanted.

        The originator and those who confirmed already say nothing new, and past `expected`
        further confirmations would not shorten the time: neither is gossiped on.
        """
        if len(self.confirmed_by) >= self.expected:
            return False
        if name == self.suspected_by or name in self.confirmed_by:
            return False
        self.confirmed_by.append(name)
        return True

    def evidence(self, health: int) -> Evidence:
        """Return what is known of it as a record for events."""
        return Evidence(
            suspected_by=self.suspected_by,
            confirmed_by=tuple(self.confirmed_by),
            since=self.since,
            timeout=self.timeout,
            probe=self.probe,
            health=health,
        )
