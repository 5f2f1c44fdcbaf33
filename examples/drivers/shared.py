"""What every driver needs: the shape of a machine, and UDP and TCP on one port.

Knows no runtime. Copy it together with the driver that you choose.
"""

from __future__ import annotations

import errno
import socket
from typing import Protocol

from memberlist import Address

#: Bytes read from a socket at once; the machine sees them before more are read.
CHUNK = 1 << 16

#: Seconds that a closed stream may take to flush what was written to it.
LINGER = 10.0

#: Tries at finding a port that is free for UDP and TCP alike.
PORT_TRIES = 64

#: Bytes asked from the system for each socket's receive buffer: gossip comes in bursts.
RECEIVE_BUFFER = 1 << 21


class Machine(Protocol):
    """A membership machine, or a composite of machines, as a driver sees it.

    Outputs that are no effects are events: the driver hands them on without a look.
    """

    def poll(self) -> object | None:
        """Pop the oldest output."""

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due."""

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one UDP packet."""

    def stream_accepted(self, source: Address, now: float) -> int:
        """Take a new connection and return its number; a negative one refuses it."""

    def stream_opened(self, stream: int, now: float) -> None:
        """Learn that a connection asked for by `OpenStream` stands."""

    def stream_received(self, stream: int, data: bytes, now: float) -> None:
        """Take the next bytes of a connection."""

    def stream_closed(self, stream: int, now: float) -> None:
        """Learn of the end of reading, a reset, or a connection that failed to open."""


def bind(host: str, port: int = 0) -> tuple[socket.socket, socket.socket]:
    """Return a UDP socket and a listening TCP socket on the same port.

    Args:
        host: An IPv4 or IPv6 address of this machine, or a name for one.
        port: 0 picks a port that is free for both.

    Raises:
        OSError: The address is not ours, or the port is taken.
    """
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise OSError(errno.EINVAL, "not a host name") from None
    for attempt in range(PORT_TRIES):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            # A member that restarts on its port must not wait for old connections to expire.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            tcp.bind(target)
            udp.bind(tcp.getsockname())
            tcp.listen(128)
        except OSError:
            tcp.close()
            udp.close()
            if port or attempt == PORT_TRIES - 1:
                raise
        else:
            return udp, tcp
    raise AssertionError("the loop returns or raises")


def local_address(bound: socket.socket) -> Address:
    """Return host and port that a socket is bound to, without IPv6's flow and scope."""
    host, port = bound.getsockname()[:2]
    return host, port
