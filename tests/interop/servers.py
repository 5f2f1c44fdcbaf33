"""Real etcd and ZooKeeper servers on loopback, one process each, on ports of their own.

Both are Debian packages. A server starts on an empty data directory and is killed afterwards.
etcd is spoken to over its JSON gateway, ZooKeeper through PyPI's `kazoo`.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from memberlist import Address
from tests.interop.agents import free_address, text, until

ETCD = shutil.which("etcd")

ZOOKEEPER_JAR = Path("/usr/share/java/zookeeper.jar")

JAVA = shutil.which("java") if ZOOKEEPER_JAR.exists() else None

#: Seconds for one request: a bound for a hanging server, not a measurement.
PATIENCE = 20.0


def encoded(data: bytes) -> str:
    """Return bytes as the JSON gateway carries them."""
    return base64.b64encode(data).decode()


class EtcdError(Exception):
    """A refusal of etcd's.

    Attributes:
        code: Of gRPC, such as 11 for OUT_OF_RANGE.
        message: In etcd's words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Etcd:
    """One `etcd` process that is a cluster of one.

    Args:
        directory: For its data and its log; must be empty.
        options: More flags.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        assert ETCD is not None
        self.address = free_address()
        client, peer = (f"http://{text(address)}" for address in (self.address, free_address()))
        command = [ETCD, f"--data-dir={directory / 'data'}", "--log-level=error"]
        command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        command += [f"--initial-cluster=default={peer}", *options]
        self.log = directory / "etcd.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            until(self._is_up)
        except BaseException:
            self.kill()
            raise

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        try:
            return "header" in self.call("kv/range", key=encoded(b"a"))
        except (OSError, EtcdError):
            return False

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        """Send one request to `/v3/<method>`; return its answer.

        Raises:
            EtcdError: If etcd refuses it.
        """
        host, port = self.address
        with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE)) as connection:
            connection.request("POST", f"/v3/{method}", json.dumps(fields))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        if "error" in answer:
            raise EtcdError(answer["code"], answer["message"])
        return answer

    @contextmanager
    def stream(self, method: str, **fields: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """Send one request whose answers do not end, as a watch's; yield an iterator of them."""
        host, port = self.address
        with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE)) as connection:
            connection.request("POST", f"/v3/{method}", json.dumps(fields))
            response = connection.getresponse()
            yield (json.loads(line)["result"] for line in response)

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.process.kill()
        self.process.wait()


class ZooKeeper:
    """One ZooKeeper process that stands alone, with every kind of node allowed.

    Args:
        directory: For its data and its log; must be empty.
    """

    def __init__(self, directory: Path) -> None:
        assert JAVA is not None
        self.address: Address = free_address()
        settings = directory / "zoo.cfg"
        settings.write_text(
            f"dataDir={directory / 'data'}\n"
            f"clientPort={self.address[1]}\n"
            "clientPortAddress=127.0.0.1\n"
            "tickTime=200\n"
            "minSessionTimeout=400\n"
            "maxSessionTimeout=60000\n"
            "maxClientCnxns=0\n"
            "admin.enableServer=false\n"
            "4lw.commands.whitelist=*\n"
        )
        command = [JAVA, "-Xmx256m", "-cp", str(ZOOKEEPER_JAR)]
        command += ["-Dzookeeper.extendedTypesEnabled=true"]
        command += ["org.apache.zookeeper.server.ZooKeeperServerMain", str(settings)]
        self.log = directory / "zookeeper.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            until(self._is_up)
        except BaseException:
            self.kill()
            raise

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        try:
            # A starting server may lose the first request for a session: ask again soon.
            with self.client(timeout=1.0):
                return True
        except (OSError, KazooTimeoutError):
            return False

    @contextmanager
    def client(self, timeout: float = 30.0) -> Iterator[KazooClient]:
        """Yield a connected client with a session of its own; its session is closed after."""
        client = KazooClient(text(self.address), timeout=timeout)
        client.start(timeout=PATIENCE)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.process.kill()
        self.process.wait()
