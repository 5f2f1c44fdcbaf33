"""Run several members over real sockets, hurt them, and watch what they make of it.

    python examples/cluster.py                              # five members among themselves
    python examples/cluster.py --join 10.0.0.5:7946         # in a Serf pool that exists already
    python examples/cluster.py --members 1 --join HOST:PORT --duration 3600

Each member is one `Memberlist` on the asyncio driver. They are frozen, killed, restarted and made
to leave, in turn; the timeline shows who noticed, and why it believes so. Ctrl-C leaves properly.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NoReturn

if not __package__:  # run as a script: find `examples` from anywhere
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.drivers.asyncio_driver import Driver
from examples.freezable import Freezable
from examples.guest import SERF_VERSIONS, SerfGuest, encode_tags
from examples.timeline import Timeline, place, table
from memberlist import (
    Address,
    Config,
    JoinFinished,
    Keyring,
    Memberlist,
    MemberlistLeft,
    MessageReceived,
    UserStateReceived,
    parse_address,
)

#: The local profile sends each piece of news so few times that one member in a handful misses it
#: until the next full exchange (15 s); with the retransmit multiplier of the others none does.
PROFILES: dict[str, Callable[..., Config]] = {
    "lan": Config.lan,
    "local": partial(Config.local, retransmit_mult=4),
    "wan": Config.wan,
}

#: The fate of a member before its first start.
NEVER = "never started"

#: Seconds between two acts, so that a reader can follow.
BREATH = 1.0


class Member:
    """One member of ours: its machine, its driver while it runs, and what became of it."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name = name
        self.cluster = cluster
        self.guest = SerfGuest(name)
        self.fate = NEVER
        self.address: Address = cluster.bind
        self._driver: Driver[Freezable] | None = None
        self._joins: dict[int, asyncio.Future[JoinFinished]] = {}
        self._left = asyncio.Event()

    @property
    def machine(self) -> Memberlist:
        """The machine, for queries; of a dead member, as it was when it died."""
        assert self._driver is not None
        return self._driver.machine.machine

    @property
    def is_up(self) -> bool:
        """Whether it takes part at this moment."""
        return self.fate == "running"

    def call(self, method: Callable[..., Any], *args: Any) -> Any:
        """Give the machine one input."""
        assert self._driver is not None
        return self._driver.call(method, *args)

    async def start(self) -> None:
        """Bind (on the same port as before, after a restart) and build the machine.

        Raises:
            OSError: The address can't be bound.
        """
        self._driver = await Driver.start(self._make, self._on_event, *self.address)
        self.address = self._driver.address
        self._left.clear()
        self.fate = "running"

    def _make(self, address: Address, now: float) -> Freezable:
        cluster = self.cluster
        serf: dict[str, Any] = {}
        if cluster.config.app_versions == SERF_VERSIONS:
            serf = {"meta": encode_tags({"role": "shoal"}), "user_state": self.guest.state}
        machine = Memberlist(
            self.name,
            address,
            cluster.config,
            rng=Random(cluster.rng.random()),
            now=now,
            keyring=Keyring([cluster.key]) if cluster.key else None,
            **serf,
        )
        return Freezable(machine)

    async def join(self, seeds: Sequence[Address]) -> JoinFinished:
        """Join and wait for the outcome."""
        number = self.call(self.machine.join, seeds)
        self._joins[number] = asyncio.get_running_loop().create_future()
        return await self._joins[number]

    def _on_event(self, event: object) -> None:
        match event:
            case JoinFinished(join) if join in self._joins:
                waiting = self._joins.pop(join)
                if not waiting.cancelled():  # by a signal while joining
                    waiting.set_result(event)
            case MemberlistLeft():
                self._left.set()
            case MessageReceived(_, payload) | UserStateReceived(_, payload):
                self.guest.hear(payload)
        self.cluster.timeline.note(self.name, event)

    def freeze(self) -> None:
        """Stop it as SIGSTOP does."""
        self.fate = "frozen"
        assert self._driver is not None
        self.call(self._driver.machine.freeze)

    def thaw(self) -> None:
        """Let it go on as SIGCONT does."""
        self.fate = "running"
        assert self._driver is not None
        self.call(self._driver.machine.thaw)

    async def kill(self) -> None:
        """End it without a word."""
        assert self._driver is not None
        self.fate = "killed"
        await self._driver.close()

    async def leave(self) -> None:
        """Say goodbye, in Serf's words too, and end."""
        assert self._driver is not None
        if self.cluster.config.app_versions == SERF_VERSIONS:
            self.call(self.machine.broadcast, self.guest.leave_intent())
            await asyncio.sleep(3 * self.cluster.config.gossip_interval)  # intent before leave
        self.call(self.machine.leave)
        with suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                await self._left.wait()
        self.fate = "left"
        await self._driver.close()


class CantStart(Exception):
    """Why there is nothing to play, in one line.

    Attributes:
        code: The exit code.
    """

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


class Cluster:
    """All members of ours, and what is done to them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.bind: Address = options.bind
        self.seeds: list[Address] = options.join
        self.key: bytes | None = options.key
        self.rng = Random(options.seed)
        is_guest = bool(self.seeds) and options.pool == "serf"
        versions = SERF_VERSIONS if is_guest else (0, 0, 0)
        self.config = PROFILES[options.profile](app_versions=versions)
        self.members = [Member(f"{options.name}-{i + 1}", self) for i in range(options.members)]
        self.numbers: list[tuple[object, ...]] = []
        self.others = ""
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.timeline = Timeline(
            lambda: self.loop.time() - self.began,
            lambda: [member.name for member in self.up()],
        )

    def up(self) -> list[Member]:
        """Return the members that take part at this moment."""
        return [member for member in self.members if member.is_up]

    async def run(self) -> None:
        """Start all, join, and play until cancelled.

        Raises:
            CantStart: An address can't be bound, or no seed answers.
        """
        for index, member in enumerate(self.members):
            if self.bind[1]:  # a fixed port is the first one's; others follow
                member.address = (self.bind[0], self.bind[1] + index)
            try:
                await member.start()
            except OSError as error:
                where = place(member.address) if self.bind[1] else self.bind[0]
                raise CantStart(f"can't bind to {where}: {error.strerror}", 2) from None
        for member in self.members:
            self.timeline.say(f"{member.name} listens on {place(member.address)}")
        first, *others = self.members
        if self.seeds:
            finished = await first.join(self.seeds)
            reasons = [f"{place(seed.seed)}: {seed.reason}" for seed in finished.seeds]
            if finished.contacted == 0:
                raise CantStart(f"can't join {'; '.join(reasons)}", 1)
        for member in others:
            await member.join([*self.seeds, first.address])
        await self._play()

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until a condition holds; return False when it does not in time."""
        deadline = self.loop.time() + within
        while not condition():
            if self.loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _play(self) -> None:
        """Do things to members, in turn, for ever."""
        await self._agree("everybody knows everybody")
        acts = [self._freeze_shortly, self._kill_and_restart, self._leave_and_return]
        while len(self.members) > 1:
            for act in acts:
                await asyncio.sleep(BREATH)
                if len(self.up()) > 1:
                    await act(self.rng.choice(self.up()))
        await asyncio.Event().wait()

    async def _freeze_shortly(self, victim: Member) -> None:
        self.timeline.act(f"freezing {victim.name} until it is suspected (as SIGSTOP would)")
        victim.freeze()
        await self._wait_for_state(victim, "suspect", everybody=False)
        self.timeline.act(f"letting {victim.name} go on (as SIGCONT would)")
        victim.thaw()
        await self._wait_for_state(victim, "alive", everybody=True)

    async def _kill_and_restart(self, victim: Member) -> None:
        self.timeline.act(f"killing {victim.name} (as kill -9 would)")
        await victim.kill()
        await self._wait_for_state(victim, "dead", everybody=True)
        await asyncio.sleep(BREATH)
        self.timeline.act(f"starting {victim.name} anew on its old port; it remembers nothing")
        await self._come_back(victim)

    async def _leave_and_return(self, victim: Member) -> None:
        self.timeline.act(f"letting {victim.name} leave properly")
        await victim.leave()
        await self._wait_for_state(victim, "left", everybody=True)
        await asyncio.sleep(BREATH)
        self.timeline.act(f"starting {victim.name} anew")
        await self._come_back(victim)

    async def _come_back(self, victim: Member) -> None:
        try:
            await victim.start()
        except OSError as error:
            self.timeline.say(f"{victim.name} stays away: {error.strerror}")
            return
        helper = self.rng.choice([member for member in self.up() if member is not victim])
        await victim.join([helper.address])
        await self._agree("everybody knows everybody again")

    async def _agree(self, words: str) -> None:
        """Wait until all of ours that are up see each other alive."""
        for member in self.up():
            await self._wait_for_state(member, "alive", everybody=True)
        self.timeline.say(words)

    async def _wait_for_state(self, victim: Member, state: str, *, everybody: bool) -> None:
        """Wait until the others hold a member for alive, suspect, dead or left."""
        goals = {"dead": ("dead", "gone")}.get(state, (state,))

        def held() -> bool:
            views = [view(other, victim.name) in goals for other in self.up() if other != victim]
            return all(views) if everybody else any(views)

        if not await self.until(held, 60.0 * self.config.probe_interval):
            self.timeline.say(f"(nobody waits any longer for {victim.name} to be {state})")

    async def leave(self) -> None:
        """Have everybody say goodbye."""
        for member in self.members:
            if member.fate == "frozen":
                member.thaw()
        self.timeline.act("everybody leaves")
        self.timeline.is_over = True
        self.others = self._others()
        self.numbers = [numbers(member) for member in self.members if member.fate != NEVER]
        await asyncio.gather(*(member.leave() for member in self.up()))
        self.timeline.say("done")

    async def close(self) -> None:
        """Free everything without a word."""
        for member in self.members:
            if member.fate != NEVER:
                await member.kill()

    def summary(self) -> str:
        """Return the table at the end: the numbers from before the leave, and everybody's fate."""
        heads = ("member", "incarnation", "knows", "health", "probes", "unanswered", "suspicions")
        more = ("refutations", "packets out", "kB out", "rejected", "fate")
        fates = {member.name: member.fate for member in self.members}
        rows = [(*row, fates[str(row[0])]) for row in self.numbers]
        note = "\n\n(before the leave; each member counts from its last start)"
        return table((*heads, *more), rows) + note + self.others

    def _others(self) -> str:
        """Return a line about the members that are not ours, as ours see them; else nothing."""
        ours = {member.name for member in self.members}
        nodes = self.up()[0].machine.nodes if self.up() else ()
        seen = [f"{n.name} ({n.state.name.lower()})" for n in nodes if n.name not in ours]
        return f"\nothers in the pool: {', '.join(seen)}" if seen else ""


def view(observer: Member, name: str) -> str:
    """Return the state that one member holds another for; `gone` if it knows none of the name."""
    node = observer.machine.member(name)
    return "gone" if node is None else str(node.state.name.lower())


def numbers(member: Member) -> tuple[object, ...]:
    """Return a member's line of the summary; it counts from the member's last start."""
    machine, stats = member.machine, member.machine.stats
    return (
        member.name,
        machine.incarnation,
        len(machine.members),
        machine.health,
        stats.probes,
        stats.probes_failed,
        stats.suspicions,
        stats.refutations,
        stats.packets_sent,
        round(stats.bytes_sent / 1000, 1),
        sum(stats.rejected.values()),
    )


async def run(options: argparse.Namespace) -> int:
    """Play until the time is up or a signal comes, then leave; return the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows has no signal handlers in its loop
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    cluster = Cluster(options)
    work, stopped = asyncio.ensure_future(cluster.run()), asyncio.ensure_future(stop.wait())
    await asyncio.wait(
        (work, stopped), timeout=options.duration, return_when=asyncio.FIRST_COMPLETED
    )
    work.cancel()
    stopped.cancel()
    outcome, _ = await asyncio.gather(work, stopped, return_exceptions=True)
    if isinstance(outcome, CantStart):
        await cluster.close()
        print(f"cluster.py: {outcome}", file=sys.stderr)
        return outcome.code
    if isinstance(outcome, Exception):
        raise outcome
    with suppress(NotImplementedError):  # whoever asks twice does not want to wait
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    await cluster.leave()
    print(f"\n{cluster.summary()}")
    return 0


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print the complaint and end with code 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def address(text: str) -> Address:
    """Read `HOST` or `HOST:PORT` of a seed."""
    try:
        return parse_address(text, 7946)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def bind_address(text: str) -> Address:
    """Read `HOST` or `HOST:PORT` of ours; without a port, free ones are found."""
    host, port = address(text)
    given = text.rpartition("]")[2].count(":") == 1
    return host, port if given else 0


def secret(text: str) -> bytes:
    """Read a key as `serf keygen` prints it."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise argparse.ArgumentTypeError("not base64") from None
    if len(key) not in (16, 24, 32):
        raise argparse.ArgumentTypeError(f"{len(key)} bytes; a key has 16, 24 or 32")
    return key


def count(text: str) -> int:
    """Read how many members."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def seconds(text: str) -> float:
    """Read a duration."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="cluster.py", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--members", type=count, default=5, metavar="N", help="members of ours (default 5)")
    add(
        "--join",
        type=address,
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a member of an existing pool; may be repeated",
    )
    add(
        "--pool",
        choices=("serf", "memberlist"),
        default="serf",
        help="what speaks in the pool that is joined: Serf, or plain memberlist",
    )
    add("--key", type=secret, metavar="BASE64", help="encrypt with this key")
    add(
        "--bind",
        type=bind_address,
        default=("127.0.0.1", 0),
        metavar="HOST[:PORT]",
        help="our address (default: 127.0.0.1, free ports); members take the ports from PORT on",
    )
    add("--name", default="shoal", help="members are called NAME-1, NAME-2, ... (default shoal)")
    add("--profile", choices=tuple(PROFILES), default="local", help="timing (default local)")
    add("--seed", type=int, default=None, help="choose the same victims again")
    add(
        "--duration",
        type=seconds,
        default=20.0,
        metavar="SECONDS",
        help="leave after this long (default 20)",
    )
    options = parser.parse_args(arguments)
    check(options, parser)
    return options


def check(options: argparse.Namespace, parser: Parser) -> None:
    """Refuse what no single argument shows to be wrong."""
    if options.bind[1] + options.members > 65536:
        parser.error(f"argument --bind: no {options.members} ports from {options.bind[1]} on")
    if not options.name or len(options.name.encode()) > 100:
        parser.error("argument --name: must be 1 to 100 bytes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; return the exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return asyncio.run(run(options))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
