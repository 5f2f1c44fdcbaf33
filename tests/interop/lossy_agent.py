"""Our agent on a network that loses packets: `python lossy_agent.py LOSS FLAG ...`.

Loss is a probability; packets are dropped in the driver, on their way out and on their way in.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from examples import serf_agent
from examples.drivers.asyncio_driver import Driver
from examples.serf import service


def lossy(loss: float) -> type[Driver[Any]]:
    """Return a driver that loses this share of the packets, each way half of it."""
    rng = Random(1)
    each_way = 1.0 - (1.0 - loss) ** 0.5

    class LossyTransport:
        def __init__(self, transport: Any) -> None:
            self._transport = transport

        def sendto(self, data: bytes, to: Any) -> None:
            if rng.random() >= each_way:
                self._transport.sendto(data, to)

        def close(self) -> None:
            self._transport.close()

    class LossyDriver(Driver[Any]):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_packets" and value is not None:
                value = LossyTransport(value)
            super().__setattr__(name, value)

        def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
            if rng.random() >= each_way:
                super().datagram_received(data, addr)

    return LossyDriver


if __name__ == "__main__":
    vars(service)["Driver"] = lossy(float(sys.argv[1]))
    sys.exit(serf_agent.main(sys.argv[2:]))
