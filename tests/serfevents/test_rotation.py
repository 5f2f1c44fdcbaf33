"""A staged rotation: nobody is ever locked out, and it can be resumed where it stopped."""

import random
from collections.abc import Callable

import pytest
from attrs import evolve

from serfevents import (
    Broadcast,
    ChangeKeyring,
    KeyChange,
    Rotation,
    RotationAdvanced,
    RotationRunning,
    RotationStopped,
    SendReply,
    SerfEvents,
    Stage,
)
from serfevents.keytext import encode_key
from serfevents.rotation import check_rotation
from serfevents.wire.codec import encode_key_response
from serfevents.wire.messages import KeyResponse
from tests.serfevents.vocabulary import Told, address, answer, drain, hears, joins, machine, only

OLD, OLDER, NEW = (bytes([number]) * 16 for number in (1, 2, 3))


class Cluster:
    """Members with keyrings, and a medium that loses nothing."""

    def __init__(self, names: str = "abc", *, keys: tuple[bytes, ...] = (OLD, OLDER)) -> None:
        self.rings = {name: list(keys) for name in names}
        self.broken: dict[str, KeyChange] = {}
        self.members: dict[str, SerfEvents] = {}
        self.events: list[object] = []
        for name in names:
            self.members[name] = machine(
                name,
                options={"keys": self.supplier(name)},
                knows=[other for other in names if other != name],
            )

    def supplier(self, name: str) -> Callable[[], tuple[bytes, ...]]:
        return lambda: tuple(self.rings[name])

    def run(self, now: float = 0.0) -> None:
        """Carry everything until all are quiet."""
        busy = True
        while busy:
            busy = False
            for name, made in self.members.items():
                while (output := made.poll()) is not None:
                    busy = True
                    self.carry(name, made, output, now)

    def carry(self, name: str, made: SerfEvents, output: object, now: float) -> None:
        match output:
            case Broadcast(number, payload):
                made.broadcast_finished(number, now)
                for other, there in self.members.items():
                    if other != name:
                        there.receive(payload, address(name), now)
            case SendReply(_, to, payload):
                self.members[to].receive(payload, address(name), now)
            case ChangeKeyring(number, change, key):
                made.keyring_changed(number, now, error=self.apply(name, change, key))
            case RotationAdvanced() | RotationStopped():
                self.events.append(output)

    def apply(self, name: str, change: KeyChange, key: bytes) -> str:
        """Do to a keyring what memberlist's does; return why not."""
        ring = self.rings[name]
        if self.broken.get(name) is change:
            return "broken"
        match change:
            case KeyChange.INSTALL if key not in ring:
                ring.append(key)
            case KeyChange.USE:
                if key not in ring:
                    return "requested key is not in the keyring"
                ring.remove(key)
                ring.insert(0, key)
            case KeyChange.REMOVE:
                if ring[0] == key:
                    return "removing the primary key is not allowed"
                if key in ring:
                    ring.remove(key)
            case _:
                pass
        return ""


def test_all_keys_are_replaced_stage_by_stage() -> None:
    cluster = Cluster()

    cluster.members["a"].rotate_keys(NEW, 0.0)
    cluster.run()

    start = Rotation(NEW)
    use = evolve(start, stage=Stage.USE, old_keys=(OLD, OLDER))
    assert cluster.events == [
        RotationAdvanced(evolve(start, stage=Stage.VERIFY_INSTALLED)),
        RotationAdvanced(use),
        RotationAdvanced(evolve(use, stage=Stage.VERIFY_USED)),
        RotationAdvanced(evolve(use, stage=Stage.REMOVE)),
        RotationAdvanced(evolve(use, stage=Stage.REMOVE, old_keys=(OLDER,))),
        RotationAdvanced(evolve(start, stage=Stage.VERIFY_REMOVED)),
        RotationAdvanced(evolve(start, stage=Stage.DONE)),
    ]
    assert cluster.rings == {name: [NEW] for name in "abc"}
    assert cluster.members["a"].rotation is None


def test_the_only_key_may_be_rotated_to_itself() -> None:
    cluster = Cluster(keys=(NEW,))

    cluster.members["a"].rotate_keys(NEW, 0.0)
    cluster.run()

    assert cluster.events[-1] == RotationAdvanced(Rotation(NEW, Stage.DONE))


@pytest.mark.parametrize(
    ("broken", "stage"),
    [
        (KeyChange.INSTALL, Stage.INSTALL),
        (KeyChange.USE, Stage.USE),
        (KeyChange.REMOVE, Stage.REMOVE),
    ],
)
def test_it_stops_where_a_member_fails_and_another_member_can_resume_it(
    broken: KeyChange, stage: Stage
) -> None:
    cluster = Cluster()
    cluster.broken["b"] = broken
    cluster.members["a"].rotate_keys(NEW, 0.0)
    cluster.run()

    stopped = cluster.events[-1]
    assert isinstance(stopped, RotationStopped)
    assert (stopped.rotation.stage, stopped.reason) == (stage, "1/3 nodes reported failure")
    assert stopped.result is not None
    assert stopped.result.messages == (("b", "broken"),)
    assert all(OLD in ring or ring[0] == NEW for ring in cluster.rings.values())
    cluster.broken.clear()
    cluster.members["c"].rotate_keys(stopped.rotation, 1.0)
    cluster.run(1.0)
    assert cluster.rings == {name: [NEW] for name in "abc"}


def test_a_key_is_not_used_before_everybody_shows_it() -> None:
    cluster = Cluster()
    cluster.apply = lambda name, change, key: ""  # type: ignore[method-assign]

    cluster.members["a"].rotate_keys(NEW, 0.0)
    cluster.run()

    stopped = cluster.events[-1]
    assert isinstance(stopped, RotationStopped)
    assert stopped.rotation == Rotation(NEW, Stage.VERIFY_INSTALLED)
    assert stopped.reason == "0/3 members show the new key"


def test_an_old_key_is_not_removed_while_somebody_uses_it() -> None:
    cluster = Cluster()
    for ring in cluster.rings.values():
        ring.append(NEW)
    resumed = Rotation(NEW, Stage.VERIFY_USED, (OLD, OLDER))

    cluster.members["a"].rotate_keys(resumed, 0.0)
    cluster.run()

    (stopped,) = cluster.events
    assert isinstance(stopped, RotationStopped)
    assert stopped.reason == "0/3 members show the new key as primary"


def test_a_key_that_came_back_is_noticed() -> None:
    cluster = Cluster(keys=(NEW, OLD))

    cluster.members["a"].rotate_keys(Rotation(NEW, Stage.VERIFY_REMOVED), 0.0)
    cluster.run()

    (stopped,) = cluster.events
    assert isinstance(stopped, RotationStopped)
    assert stopped.reason == "1 other keys are still there"


def test_a_key_that_is_none_stops_it() -> None:
    a = machine("a", knows="b", options={"keys": lambda: (OLD, NEW)})
    a.rotate_keys(Rotation(NEW, Stage.VERIFY_INSTALLED), 0.0)
    (told,) = only(drain(a), Told)

    odd = KeyResponse(result=True, keys=(encode_key(NEW), "?"))
    hears(a, answer(told.message, "b", encode_key_response(odd)))

    (stopped,) = only(drain(a), RotationStopped)
    assert stopped.reason == "a member shows a key that is none"


def test_a_rotation_with_nothing_to_remove_goes_on() -> None:
    cluster = Cluster(keys=(NEW,))

    cluster.members["a"].rotate_keys(Rotation(NEW, Stage.REMOVE), 0.0)
    cluster.run()

    assert cluster.events[-1] == RotationAdvanced(Rotation(NEW, Stage.DONE))


def test_one_rotation_runs_at_a_time() -> None:
    cluster = Cluster()
    a = cluster.members["a"]
    a.rotate_keys(NEW, 0.0)

    with pytest.raises(RotationRunning):
        a.rotate_keys(OLDER, 0.0)

    assert a.rotation == Rotation(NEW)


def test_it_stops_when_the_member_ends() -> None:
    cluster = Cluster()
    a = cluster.members["a"]
    a.rotate_keys(NEW, 0.0)
    drain(a)

    a.shutdown(0.0)

    (stopped,) = only(drain(a), RotationStopped)
    assert stopped == RotationStopped(Rotation(NEW), "this member ends", None)


def test_a_rotation_that_finds_no_room_at_first_is_refused() -> None:
    a = machine("a", knows="b", options={"keys": lambda: (OLD,)}, open_queries_max=1)
    a.query("load", b"", 0.0)

    with pytest.raises(Exception, match="open queries"):
        a.rotate_keys(NEW, 0.0)

    assert a.rotation is None


def test_a_rotation_that_finds_no_room_later_stops() -> None:
    a = machine("a", options={"keys": lambda: (NEW,)}, queue_depth_max=1)

    a.rotate_keys(Rotation(NEW, Stage.VERIFY_INSTALLED), 0.0)

    (stopped,) = only(drain(a), RotationStopped)
    assert stopped.rotation == Rotation(NEW, Stage.USE)
    assert stopped.result is None
    assert "queries" in stopped.reason


@pytest.mark.parametrize("wrong", [b"", bytes(15), Rotation(NEW, Stage.REMOVE, (b"x",))])
def test_only_aes_keys_are_rotated(wrong: bytes | Rotation) -> None:
    with pytest.raises(ValueError, match="a key has 16, 24 or 32 bytes"):
        check_rotation(wrong)


def test_only_keys_and_rotations_are_rotated() -> None:
    with pytest.raises(TypeError, match="a key or a Rotation"):
        check_rotation("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="complete"):
        check_rotation(Rotation(NEW, Stage.DONE))
    with pytest.raises(TypeError, match="a key is bytes"):
        check_rotation(Rotation("text"))  # type: ignore[arg-type]


def test_a_member_that_joins_meanwhile_is_found_out(seed: int) -> None:
    """It has the old keys only, and shows so when the new one is verified."""
    cluster = Cluster("abc")
    late = random.Random(seed).choice([Stage.INSTALL, Stage.VERIFY_INSTALLED])
    a = cluster.members["a"]
    for ring in cluster.rings.values():
        ring.append(NEW)
    cluster.rings["d"] = [OLD]
    cluster.broken["d"] = KeyChange.INSTALL
    cluster.members["d"] = machine("d", options={"keys": cluster.supplier("d")}, knows="abc")
    for each in "abc":
        joins(cluster.members[each], "d")

    a.rotate_keys(Rotation(NEW, late), 0.0)
    cluster.run()

    assert isinstance(cluster.events[-1], RotationStopped)
    assert cluster.rings["a"][0] == OLD
