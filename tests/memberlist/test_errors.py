"""What can be refused: one tree, with the evidence as attributes."""

from memberlist.errors import (
    DecodeError,
    KeyringError,
    MemberlistError,
    NotRunning,
    PayloadTooLarge,
    QueueFull,
    UnknownMember,
)


def test_every_refusal_has_one_base() -> None:
    for kind in (
        DecodeError, KeyringError, NotRunning, PayloadTooLarge, QueueFull, UnknownMember,
    ):  # fmt: skip
        assert issubclass(kind, MemberlistError)


def test_a_decode_error_has_a_stable_reason_and_perhaps_a_detail() -> None:
    assert DecodeError("truncated").reason == "truncated"
    assert str(DecodeError("truncated")) == "truncated"
    assert str(DecodeError("too-large", "9 bytes")) == "too-large: 9 bytes"


def test_refusals_carry_what_they_are_about() -> None:
    unknown, large, full = UnknownMember("go1"), PayloadTooLarge(9, 8), QueueFull("events", 7)

    assert (unknown.name, str(unknown)) == ("go1", "no reachable member is called 'go1'")
    assert (large.size, large.limit) == (9, 8)
    assert str(large) == "9 bytes exceed the limit of 8"
    assert full.limit == 7
    assert str(full) == "the queue of events holds its limit of 7 already"
