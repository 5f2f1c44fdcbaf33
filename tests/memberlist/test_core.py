"""What all parts share: outputs in order, health that tells of itself, counted refusals."""

import random

from memberlist import Config, HealthChanged, PacketRejected, PingFailed
from memberlist.core import Core


def core(*, awareness_max: int = 8) -> Core:
    return Core("a", Config.lan(awareness_max=awareness_max), random.Random(1), 5.0)


def test_it_begins_at_the_callers_time_with_nothing_to_say() -> None:
    made = core()

    assert (made.now, list(made.outputs), made.timers.next()) == (5.0, [], None)
    assert (made.leaving, made.awareness.score) == (False, 0)


def test_outputs_wait_in_the_order_in_which_things_happened() -> None:
    made = core()
    made.emit(PingFailed(1, "b"))
    made.emit(PingFailed(2, "c"))

    assert list(made.outputs) == [PingFailed(1, "b"), PingFailed(2, "c")]


def test_health_tells_when_it_moves_and_why() -> None:
    made = core()
    made.adjust_health(+2, "nack-missed")
    made.adjust_health(-1, "probe-answered")

    assert list(made.outputs) == [
        HealthChanged(2, 0, "nack-missed"),
        HealthChanged(1, 2, "probe-answered"),
    ]


def test_health_at_a_bound_does_not_move_and_is_silent() -> None:
    made = core(awareness_max=2)
    made.adjust_health(-1, "probe-answered")
    made.adjust_health(+5, "late")
    made.adjust_health(+5, "late")

    assert list(made.outputs) == [HealthChanged(1, 0, "late")]


def test_a_refusal_is_told_and_counted_by_its_reason() -> None:
    made = core()
    made.reject(("10.0.0.2", 7946), "crc", "the checksum is wrong")
    made.reject(("10.0.0.2", 7946), "crc")

    assert list(made.outputs) == [
        PacketRejected(("10.0.0.2", 7946), "crc", "the checksum is wrong"),
        PacketRejected(("10.0.0.2", 7946), "crc", ""),
    ]
    assert made.stats.rejected == {"crc": 2}
