"""Latency filters: the last few round trip times of each peer, reduced to one.

Owns what is remembered of a peer between samples, and its bounds: at most `window` floats
for each of at most `peers_max` peers. A new peer takes the place of the one that has been
known longest. Knows nothing of coordinates.

Source: serf/coordinate latencyFilter (median of 3); Ledlie (2006), moving percentile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class LatencyFilters:
    """The recent round trip times of each peer.

    Memory: about 250 bytes and 32 bytes for each sample held, per peer (dict slot, key, list).

    Attributes:
        window: Samples remembered per peer; >= 0, and 0 remembers nothing.
        percentile: Which of the sorted samples counts; 0 <= percentile < 1, 0.5 the upper median.
        peers_max: Peers remembered; >= 1.
    """

    __slots__ = ("_is_median_of_three", "_rank", "_samples", "peers_max", "percentile", "window")

    def __init__(self, window: int, percentile: float, peers_max: int) -> None:
        self.window = window
        self.percentile = percentile
        self.peers_max = peers_max
        self._rank = int(window * percentile)
        self._is_median_of_three = window == 3 and self._rank == 1
        # Invariant: 1 <= len(samples) <= window for each peer, oldest first.
        # Ordered, because a plain dict looks for its oldest entry among all those it deleted.
        self._samples: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._samples)

    def push(self, peer: str, rtt: float) -> float:
        """Remember a round trip time and return the filtered one.

        Args:
            peer: Name of the peer.
            rtt: Seconds.

        Returns:
            Seconds: the chosen percentile of the samples remembered, this one included.

        Complexity: O(window log window).

        >>> filters = LatencyFilters(3, 0.5, 100)
        >>> [filters.push("alice", rtt) for rtt in (0.201, 0.200, 0.207, 1.9, 0.203)]
        [0.201, 0.201, 0.201, 0.207, 0.207]
        """
        try:
            samples = self._samples[peer]
        except KeyError:
            if self.window < 1:
                return rtt
            if len(self._samples) >= self.peers_max:
                self._samples.popitem(last=False)
            self._samples[peer] = [rtt]
            return rtt
        if self._is_median_of_three and len(samples) == 3:
            # Serf's filter, once it is full: a third of the time that sorting takes.
            _, a, b = samples
            samples[0], samples[1], samples[2] = a, b, rtt
            if a > b:
                a, b = b, a
            if rtt >= b:
                return b
            return rtt if rtt > a else a  # noqa: FURB136 - `max` would take twice as long
        samples.append(rtt)
        held = len(samples)
        if held <= self.window:
            return sorted(samples)[int(held * self.percentile)]
        del samples[0]
        return sorted(samples)[self._rank]

    def forget(self, peer: str) -> None:
        """Drop what is remembered of `peer`; nothing happens for an unknown one."""
        self._samples.pop(peer, None)

    def export(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Return each peer with its samples, in the order in which they became known."""
        return tuple([(peer, tuple(samples)) for peer, samples in self._samples.items()])

    def restore(self, round_trips: Sequence[tuple[str, tuple[float, ...]]], rtt_max: float) -> None:
        """Feed exported samples; those out of range are left out.

        Args:
            round_trips: What `export` returned.
            rtt_max: Seconds; longer round trips are left out, like negative ones.
        """
        for peer, samples in round_trips:
            for rtt in samples[-self.window :]:
                if 0.0 <= rtt <= rtt_max:
                    self.push(peer, rtt)
