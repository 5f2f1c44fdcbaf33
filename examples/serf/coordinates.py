"""Our network coordinate and those of others, as they travel in the payloads of acks.

Source: serf's ping_delegate.go.
"""

from __future__ import annotations

from random import Random

from vivaldi import Client, Config, Coordinate, VivaldiError


class Coordinates:
    """Keep our coordinate, and the last that each member told.

    Args:
        config: Serf's arithmetic or another; None does without coordinates.
        rng: Source of chance.
    """

    def __init__(self, config: Config | None, rng: Random) -> None:
        self._client = None if config is None else Client(config, rng=rng)
        self._told: dict[str, Coordinate] = {}

    @property
    def own(self) -> Coordinate | None:
        """Our coordinate, if we keep one."""
        return None if self._client is None else self._client.coordinate

    @property
    def payload(self) -> bytes:
        """What to attach to acks."""
        return b"" if self._client is None else self._client.coordinate.encode()

    @property
    def resets(self) -> int:
        """How often ours became unusable and was made anew."""
        return 0 if self._client is None else self._client.stats.resets

    def of(self, name: str) -> Coordinate | None:
        """Return the last coordinate that a member told."""
        return self._told.get(name)

    def learn(self, name: str, rtt: float, payload: bytes) -> bool:
        """Take what came with an ack; return whether our coordinate moved.

        Args:
            name: Who answered.
            rtt: Seconds from the ping to the ack.
            payload: What was attached; what can't be used is ignored.
        """
        if self._client is None or not payload:
            return False
        try:
            theirs = Coordinate.decode(payload)
            self._client.update(name, theirs, rtt)
        except VivaldiError:  # of another version, or out of range: the client counts it
            return False
        self._told[name] = theirs
        return True

    def forget(self, name: str) -> None:
        """Drop what is known of a member that is gone for good."""
        self._told.pop(name, None)
        if self._client is not None:
            self._client.forget(name)

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        if self._client is not None:
            self._client.check_invariants()
