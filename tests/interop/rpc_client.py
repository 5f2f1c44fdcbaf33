"""A client of Serf's RPC that is fast enough for many events a second."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

import msgpack

from memberlist import Address, parse_address


class RpcClient:
    """One connection, its handshake made; close it at the end."""

    def __init__(self, rpc: str) -> None:
        address: Address = parse_address(rpc, 7373)
        self._socket = socket.create_connection(address, timeout=10.0)
        self._unpacker = msgpack.Unpacker(strict_map_key=False, raw=True)
        self._number = -1
        self.ask("handshake", {"Version": 1})

    def ask(self, command: str, body: dict[str, Any] | None = None, *, bodies: int = 0) -> Any:
        """Send a request and return what follows the header of its answer, if anything should."""
        self.send(command, body)
        header = self.read()
        assert header[b"Error"] == b"", header
        return self.read() if bodies else None

    def send(self, command: str, body: dict[str, Any] | None = None) -> None:
        """Send a request."""
        self._number += 1
        data = msgpack.packb({"Command": command, "Seq": self._number})
        self._socket.sendall(data if body is None else data + msgpack.packb(body))

    def fire(self, name: str, payload: bytes = b"", *, coalesce: bool = False) -> None:
        """Fire a user event."""
        self.ask("event", {"Name": name, "Payload": payload, "Coalesce": coalesce})

    def read(self) -> dict[bytes, Any]:
        """Return the next value that the agent sends."""
        while True:
            for value in self._unpacker:
                assert isinstance(value, dict)
                return value
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the agent hung up")
            self._unpacker.feed(data)

    def close(self) -> None:
        """Hang up; a read that waits ends."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Listener:
    """Every record of a stream, gathered by a thread until it is closed."""

    def __init__(self, rpc: str, filters: str) -> None:
        self.records: list[dict[bytes, Any]] = []
        self._client = RpcClient(rpc)
        self._client.ask("stream", {"Type": filters})
        self._client._socket.settimeout(None)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self._client.read()
                self.records.append(self._client.read())

    def names(self) -> list[str]:
        """Return the names of the events so far."""
        return [record[b"Name"].decode() for record in self.records]

    def events(self) -> list[tuple[str, bytes]]:
        """Return names and payloads of the events so far."""
        return [(r[b"Name"].decode(), r[b"Payload"] or b"") for r in self.records]

    def close(self) -> None:
        """End it."""
        self._client.close()
        self._thread.join(10.0)
