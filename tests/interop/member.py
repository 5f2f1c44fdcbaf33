"""One member of ours as a process: `python -m tests.interop.member NAME SEED [KEY-IN-HEX]`."""

from __future__ import annotations

import asyncio
import sys
from random import Random

from examples.drivers.asyncio_driver import Driver
from memberlist import Address, Keyring, Memberlist, parse_address
from tests.interop.agents import config


async def main(name: str, seed: Address, key: bytes | None) -> None:
    """Join the seed and live until killed."""

    def make(address: Address, now: float) -> Memberlist:
        keyring = None if key is None else Keyring([key])
        return Memberlist(name, address, config(), rng=Random(name), now=now, keyring=keyring)

    driver = await Driver.start(make, lambda _: None)
    driver.call(driver.machine.join, [seed])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1],
            parse_address(sys.argv[2], 7946),
            bytes.fromhex(sys.argv[3]) if len(sys.argv) > 3 else None,
        )
    )
