"""The machine: one member's events layer, without sockets, clock or threads.

Owns the inputs, their checks, and the wiring of the parts. The rules themselves live in
user_events.py (what happened), queries.py (what is asked), membership.py (who is here, and who
means to leave), keys.py (encryption keys) and conflict.py (whose name it is). It knows nothing of
memberlist: a composite turns memberlist's events into inputs, and these outputs into its commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from serfevents.config import Config
from serfevents.members import Member
from serfevents.outputs import Output, Rotation
from serfevents.records import Address, Recovered


class SerfEvents:
    """One member: feed it what arrives, do what it puts out, wake it when it asks.

    Every input takes the caller's monotonic time in seconds as its last positional argument and
    queues outputs; `poll` hands them out one by one. Options follow the time.

    Args:
        name: Unique in the cluster; at most 128 bytes.
        address: The IP and port at which others reach this member: where answers go.
        config: How it behaves.
        rng: The only source of chance.
        now: The present time.
        tags: How this member describes itself; `meta` is what memberlist has to announce.
        versions: Six bytes: memberlist's protocol minimum, maximum, current, then Serf's own.
        keys: Supplies the keyring, primary key first; None if there is no encryption. Pure.
        recovered: What a snapshot of an earlier life adds up to.
        forget_after: Overrides how long a failed or left member is kept: given the member and the
            configured timeout, returns seconds. Pure.

    Raises:
        ValueError, TypeError: An argument is out of its range.
        PayloadTooLarge: The tags are.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        config: Config = Config(),  # noqa: B008 -- frozen
        *,
        rng: Random,
        now: float,
        tags: Mapping[str, str] = {},
        versions: bytes | None = None,
        keys: Callable[[], Sequence[bytes]] | None = None,
        recovered: Recovered = Recovered(),  # noqa: B008 -- frozen
        forget_after: Callable[[Member, float], float] | None = None,
    ) -> None:
        raise NotImplementedError

    # --- queries -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Our own name."""
        raise NotImplementedError

    @property
    def config(self) -> Config:
        """How we behave."""
        raise NotImplementedError

    @property
    def meta(self) -> bytes:
        """Our tags as the metadata that memberlist announces."""
        raise NotImplementedError

    @property
    def own(self) -> Member:
        """Our own record."""
        raise NotImplementedError

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody, ourselves and the failed and left included, in order of arrival. O(n)."""
        raise NotImplementedError

    def member(self, name: str) -> Member | None:
        """Return a member's record in whatever status, or None. O(1)."""
        raise NotImplementedError

    def state(self, join: bool = False) -> bytes:
        """Return our part of a push/pull, for memberlist's `user_state`. Pure. O(n)."""
        raise NotImplementedError

    def statistics(self) -> dict[str, str]:
        """Return what `serf info` shows of the events layer, under its names."""
        raise NotImplementedError

    @property
    def is_leaving(self) -> bool:
        """Whether `leave` was called, and `rejoin` not since."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether it has left or was shut down: inputs are ignored."""
        raise NotImplementedError

    # --- outputs and time --------------------------------------------------------------------

    def poll(self) -> Output | None:
        """Return the oldest output not yet fetched, or None. Changes nothing else."""
        raise NotImplementedError

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None if never. Pure."""
        raise NotImplementedError

    def handle_timeout(self, now: float) -> None:
        """Fire what is due at `now`; early calls do nothing, late ones fire each timer once."""
        raise NotImplementedError

    # --- inputs from the network -------------------------------------------------------------

    def receive(self, payload: bytes, source: str | Address | None, now: float) -> None:
        """Take a user message of memberlist's, gossiped or direct, whatever it holds."""
        raise NotImplementedError

    def merge(
        self, state: bytes, now: float, *, join: bool, source: str | Address | None = None
    ) -> None:
        """Take another member's part of a push/pull; `join` if it was part of a join."""
        raise NotImplementedError

    def member_joined(
        self, name: str, address: Address, meta: bytes, versions: bytes, now: float
    ) -> None:
        """Take from memberlist that a member is alive that was unknown, dead or left."""
        raise NotImplementedError

    def member_updated(
        self, name: str, address: Address, meta: bytes, versions: bytes, now: float
    ) -> None:
        """Take from memberlist that a member changed its metadata, address or versions."""
        raise NotImplementedError

    def member_failed(self, name: str, now: float) -> None:
        """Take from memberlist that a member was declared dead."""
        raise NotImplementedError

    def member_left(self, name: str, now: float) -> None:
        """Take from memberlist that a member left on purpose."""
        raise NotImplementedError

    def name_conflict(self, name: str, other: Address, now: float) -> None:
        """Take from memberlist that a known name was announced from another address."""
        raise NotImplementedError

    # --- reports of the driver ---------------------------------------------------------------

    def broadcast_finished(self, number: int, now: float) -> None:
        """Take that a `Broadcast` was sent often enough, was superseded or dropped."""
        raise NotImplementedError

    def join_begun(self, now: float, *, ignore_old: bool = False) -> None:
        """Take that memberlist's `join` was called.

        Args:
            now: The present time.
            ignore_old: Until `join_ended`, events of a state that is merged are not delivered.
        """
        raise NotImplementedError

    def join_ended(self, contacted: int, now: float) -> None:
        """Take how many seeds were reached; our join intent is broadcast if any was."""
        raise NotImplementedError

    def membership_left(self, now: float) -> None:
        """Take that memberlist's `leave` is complete, as `LeaveMembership` asked for."""
        raise NotImplementedError

    def keyring_changed(self, number: int, now: float, *, error: str = "") -> None:
        """Take what became of a `ChangeKeyring`: why it failed, or that it is done and stored."""
        raise NotImplementedError

    # --- inputs from the application ---------------------------------------------------------

    def fire(self, name: str, payload: bytes, now: float, *, coalesce: bool = True) -> int:
        """Send a user event to all members, ourselves included, and return its Lamport time."""
        raise NotImplementedError

    def query(
        self,
        name: str,
        payload: bytes,
        now: float,
        *,
        nodes: Iterable[str] = (),
        tags: Mapping[str, str] = {},
        ack: bool = False,
        relay_factor: int = 0,
        timeout: float | None = None,
        broadcast: bool = True,
    ) -> int:
        """Ask all members, or those that match the filters, and return the query's number.

        Outputs: `QueryAcknowledged` and `QueryAnswered` for each member, then `QueryFinished`.

        Args:
            name: What is asked; not `_serf_*`.
            payload: The application's bytes.
            now: The present time.
            nodes: Only members of these names; none means all.
            tags: Only members whose tags match these expressions (RE2, unanchored), all of them.
            ack: Whether members shall say that it arrived.
            relay_factor: Members, 0 to 255, through which each answer is sent besides.
            timeout: Seconds for which answers are taken; by default
                `default_query_timeout(members, ...)`.
            broadcast: Whether it is gossiped. If not, it goes straight to the members concerned,
                at most `config.direct_query_max`, and none of them passes it on.
        """
        raise NotImplementedError

    def respond(self, query: int, payload: bytes, now: float) -> None:
        """Answer a query, once, by the number of its `QueryReceived`."""
        raise NotImplementedError

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Describe ourselves anew. Outputs: `UpdateMeta`, `MembersChanged`."""
        raise NotImplementedError

    def leave(self, now: float) -> None:
        """Leave on purpose. Outputs: a `Broadcast`, `LeaveMembership`, at the end `Left`."""
        raise NotImplementedError

    def rejoin(self, now: float) -> None:
        """Come back after a `leave`, in the same object; call it with memberlist's."""
        raise NotImplementedError

    def shutdown(self, now: float) -> None:
        """End at once, without leaving: others will see a failure."""
        raise NotImplementedError

    def force_leave(self, name: str, now: float, *, prune: bool = False) -> None:
        """Declare that a failed member has left; with `prune` it is forgotten altogether."""
        raise NotImplementedError

    def install_key(self, key: bytes, now: float, *, relay_factor: int = 0) -> int:
        """Have all members install a key; return the operation's number.

        Outputs: `KeysAnswered`, once.
        """
        raise NotImplementedError

    def use_key(self, key: bytes, now: float, *, relay_factor: int = 0) -> int:
        """Have all members encrypt with an installed key; return the operation's number."""
        raise NotImplementedError

    def remove_key(self, key: bytes, now: float, *, relay_factor: int = 0) -> int:
        """Have all members remove a key that is not in use; return the operation's number."""
        raise NotImplementedError

    def list_keys(self, now: float, *, relay_factor: int = 0) -> int:
        """Ask all members which keys they have; return the operation's number."""
        raise NotImplementedError

    def rotate_keys(self, rotation: bytes | Rotation, now: float) -> None:
        """Replace all keys by one, in stages each of which is verified on every member.

        Outputs: `RotationAdvanced` for each stage, `RotationStopped` if one failed.

        Args:
            rotation: The new key, or a rotation that was stopped.
            now: The present time.
        """
        raise NotImplementedError

    def check_invariants(self) -> None:
        """Assert everything that must always hold; for tests and simulations. O(n)."""
        raise NotImplementedError

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain values, for a bug report. O(n)."""
        raise NotImplementedError
