"""Simulated connections: what the network stacks of two hosts do with a stream.

Owns which two ends belong together, the order of what is written, half-closed directions, and
what becomes of a connection when a process ends, pauses or is cut off. Knows nothing of what is
sent. Part of the simulator (testing.py); no machine uses it.

A connection keeps order and loses nothing: loss only delays it. A cut that swallows a part of it
stalls it for good, so that the machines' own deadlines are what ends it. A paused process still
accepts, because its kernel does.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

from attrs import define

from memberlist.node import Address
from memberlist.outputs import CloseStream, OpenStream, SendStream

#: Linux's least retransmission timeout, seconds: what a lost packet costs a connection.
RETRANSMISSION_TIMEOUT: Final = 0.2


@define(eq=False)
class End:
    """One side of a connection.

    Attributes:
        name: Whose it is.
        machine: The machine that has it: a later life under the name never hears of it.
        number: The machine's own number for it; None until it has accepted.
        peer: The other side; None while nobody has answered.
        sending: Whether this side may still write.
        receiving: Whether it may still be told something.
        clock: Nothing that is written now arrives before this time.
    """

    name: str
    machine: Any
    number: int | None = None
    peer: End | None = None
    sending: bool = True
    receiving: bool = True
    clock: float = 0.0


class Connections:
    """All connections of a simulated network.

    Attributes:
        opened: How many there ever were.
        bytes: What was written to them.
    """

    def __init__(self, network: Any, *, chunk: int) -> None:
        """Prepare for none.

        Args:
            network: Where the machines are: a `testing.Network`, which imports this module.
            chunk: Most bytes that arrive at once.
        """
        self.opened = self.bytes = 0
        self._network = network
        self._chunk = chunk
        self._ends: dict[tuple[str, int], End] = {}

    def __len__(self) -> int:
        """Ends that a machine has and has not closed."""
        return len(self._ends)

    # --- what machines ask for

    def open(self, name: str, output: OpenStream, to: str, source: Address) -> None:
        """Connect to `to`; nobody answers across a cut, and nobody at all to an unknown name."""
        self.opened += 1
        network = self._network
        end = End(name, network.machines[name], output.stream)
        self._ends[name, output.stream] = end
        if network.reaches(name, to) and network.reaches(to, name):
            network.at(network.now + network.lag(name, to), self._answer, to, end, source)
        else:
            network.at(network.now + output.timeout, self._ended, name, end, None)

    def write(self, name: str, output: SendStream) -> None:
        """Send bytes, and perhaps the end of this direction."""
        end = self._ends.get((name, output.stream))
        if end is None or end.peer is None or not end.sending:
            return
        peer, data = end.peer, output.data
        self.bytes += len(data)
        at = self._arrival(end)
        for start in range(0, len(data), self._chunk):
            piece = data[start : start + self._chunk]
            self._network.at(at, self._received, peer.name, peer, piece)
        if output.eof:
            end.sending = False
            self._network.at(at, self._ended, peer.name, peer, None)

    def close(self, name: str, output: CloseStream) -> None:
        """Close one end after what was written."""
        end = self._ends.get((name, output.stream))
        if end is not None:
            self._close(end)

    def close_all(self, name: str) -> None:
        """Close every end of a process that ends."""
        for end in [end for end in self._ends.values() if end.name == name]:
            self._close(end)

    def _close(self, end: End) -> None:
        assert end.number is not None
        del self._ends[end.name, end.number]
        end.receiving = False
        if end.peer is not None and end.sending:
            end.sending = False
            self._network.at(self._arrival(end), self._ended, end.peer.name, end.peer, None)

    def _arrival(self, end: End) -> float:
        """Return when what is sent now arrives: never, once a cut swallowed a part."""
        network, peer = self._network, end.peer
        assert peer is not None
        if network.reaches(end.name, peer.name) and network.reaches(peer.name, end.name):
            lag = network.lag(end.name, peer.name)
            while network.loses():
                lag += RETRANSMISSION_TIMEOUT
            end.clock = max(end.clock, network.now + lag)
        else:
            end.clock = inf
        return end.clock

    # --- what machines are told

    def _answer(self, name: str, opener: End, source: Address) -> None:
        network = self._network
        back = network.now + network.lag(name, opener.name)
        if name not in network.machines:  # Nobody listens there: refused.
            network.at(back, self._ended, opener.name, opener, None)
            return
        opener.peer = end = End(name, network.machines[name], peer=opener)
        network.at(back, self._opened, opener.name, opener, None)
        self._accept(name, end, source)

    def _accept(self, name: str, end: End, source: Address) -> None:
        if not self._hears(name, end, self._accept, source):
            return
        end.number = number = end.machine.stream_accepted(source, self._network.now)
        self._ends[name, number] = end
        self._network.pump(name)

    def _opened(self, name: str, end: End, _: None) -> None:
        if self._hears(name, end, self._opened, None):
            self._network.give(name, "stream_opened", (end.number,))

    def _received(self, name: str, end: End, data: bytes) -> None:
        if self._hears(name, end, self._received, data):
            self._network.give(name, "stream_received", (end.number, data))

    def _ended(self, name: str, end: End, _: None) -> None:
        """Report the end of what the other side sends, or that nobody answered."""
        if not self._hears(name, end, self._ended, None):
            return
        end.receiving = False
        assert end.number is not None
        if end.peer is None or not end.peer.receiving:  # Nobody there reads any more either.
            end.sending = False
            del self._ends[name, end.number]
        self._network.give(name, "stream_closed", (end.number,))

    def _hears(self, name: str, end: End, again: Callable[..., object], what: Any) -> bool:
        """Return whether an end can be told something now; a paused process is told later."""
        if self._network.machines.get(name) is not end.machine or not end.receiving:
            return False
        return not self._network.held(name, again, name, end, what, lossy=False)
