"""Push/pull states: what they carry, and what a hostile one may cost."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents import DecodeError
from serfevents.wire.messages import PushPull, UserEvent
from serfevents.wire.states import FIELDS_MAX, SLOTS_MAX, decode_state, encode_state, in_ltime_order
from tests.serfevents.vocabulary import event


def decoded(
    data: bytes, *, size_max: int = 1 << 20, members_max: int = 100, events_size_max: int = 1 << 20
) -> PushPull:
    return decode_state(
        data, size_max=size_max, members_max=members_max, events_size_max=events_size_max
    )


def refused(data: bytes, **limits: int) -> str:
    with pytest.raises(DecodeError) as refusal:
        decoded(data, **limits)
    return refusal.value.reason


ltimes = st.integers(0, 2**64 - 1)
names = st.text(max_size=40)
events = st.builds(UserEvent, ltimes, names, st.binary(max_size=40), st.booleans())
states = st.builds(
    PushPull,
    ltimes,
    st.dictionaries(names, ltimes, max_size=20),
    st.lists(names, max_size=20).map(tuple),
    st.lists(names, max_size=20).map(tuple),
    ltimes,
    st.lists(events, max_size=20).map(lambda found: tuple(in_ltime_order(found))),
    ltimes,
)


@given(states)
def test_what_is_written_is_read(state: PushPull) -> None:
    assert decoded(encode_state(state)) == state


@given(st.binary(max_size=80))
def test_noise_is_refused_or_read_but_nothing_else(data: bytes) -> None:
    reason = ""
    try:
        decoded(b"\x02" + data)
    except DecodeError as error:
        reason = error.reason

    assert reason in {"", "malformed", "bad-field", "too-large"}


@given(states, st.data())
def test_a_state_that_is_cut_off_is_refused(state: PushPull, data: st.DataObject) -> None:
    whole = encode_state(state)
    cut = data.draw(st.integers(1, len(whole) - 1))

    assert refused(whole[:cut]) == "malformed"


def test_a_coalesce_flag_and_who_is_leaving_are_written_only_where_there_are_some() -> None:
    plain = encode_state(PushPull(events=(event("x", 1),)))
    more = encode_state(PushPull(leaving=("b",), events=(event("x", 1, coalesce=True),)))

    # So that between others nothing is seen that Serf would not write.
    assert b"CC" not in plain
    assert b"LeavingMembers" not in plain
    assert b"\xa2CC\xc3" in more
    assert b"LeavingMembers" in more


def test_unknown_fields_are_skipped_at_any_level() -> None:
    slot = b"\x83\xa3New\x91\x80\xa5LTime\x07\xa6Events\x91\x83\xa3New\xc3\xa4Name\xa1x\xa2CC\x05"
    state = decoded(b"\x02\x82\xa3New\x81\xa1a\x92\x01\x02\xa6Events\x91" + slot)

    assert state == PushPull(events=(event("x", 7),))


def test_nil_is_nothing_at_any_level() -> None:
    assert decoded(b"\x02\xc0") == PushPull()
    assert decoded(b"\x02\x82\xa5LTime\xc0\xabLeftMembers\xc0") == PushPull()
    slots = b"\x02\x81\xa6Events\x93\xc0\x82\xa5LTime\x07\xa6Events\xc0\x81\xa6Events\x91\xc0"
    assert decoded(slots) == PushPull(events=(event("", 0),))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown-type"),
        (b"\x03\x80", "unknown-type"),
        (b"\x02", "malformed"),
        (b"\x02\x91\x01", "malformed"),
        (b"\x02\x81\x01\x01", "bad-field"),
        (b"\x02\x81\xa5LTime\xa1x", "bad-field"),
        (b"\x02\x81\xa5LTime\xff", "bad-field"),
        (b"\x02\x81\xa5LTime\xd0\xff", "bad-field"),
        (b"\x02\x81\xabLeftMembers\x91\x01", "bad-field"),
        (b"\x02\x81\xabLeftMembers\x81\xa1a\xa1b", "malformed"),
        (b"\x02\x81\xacStatusLTimes\x92\xa1a\x03", "malformed"),
        (b"\x02\x81\xa6Events\x91\x91\x01", "malformed"),
        (b"\x02\x81\xa6Events\xa1x", "malformed"),
        (b"\x02\x81\xa3New\xc1", "malformed"),
    ],
)
def test_a_state_of_the_wrong_shape_is_refused(data: bytes, reason: str) -> None:
    assert refused(data) == reason


def test_a_state_names_a_limited_number_of_members() -> None:
    five = dict.fromkeys("abcde", 1)

    assert decoded(encode_state(PushPull(status_ltimes=five)), members_max=5).status_ltimes == five
    assert refused(encode_state(PushPull(status_ltimes=five)), members_max=4) == "too-large"
    assert refused(encode_state(PushPull(left=tuple(five))), members_max=4) == "too-large"


def test_the_events_of_a_state_are_limited_in_size() -> None:
    wire = encode_state(PushPull(events=(event("x", 1, bytes(100)), event("y", 2, bytes(100)))))

    assert len(decoded(wire, events_size_max=330).events) == 2
    assert refused(wire, events_size_max=329) == "too-large"


def test_a_header_may_not_claim_what_is_not_there() -> None:
    many = struct.pack(">I", 2**32 - 1)

    assert refused(b"\x02\xdf" + many) == "too-large"
    assert refused(b"\x02\xde" + struct.pack(">H", FIELDS_MAX + 1)) == "too-large"
    assert refused(b"\x02\x81\xa6Events\xdd" + many) == "too-large"
    assert refused(b"\x02\x81\xa6Events\xdd" + struct.pack(">I", SLOTS_MAX)) == "malformed"
    assert refused(b"\x02\x81\xacStatusLTimes\xdf" + many) == "too-large"


def test_nested_noise_is_not_built() -> None:
    """An array of a million arrays where a name belongs is refused by its first byte."""
    bomb = b"\x02\x81\xabLeftMembers\x91\xdd" + struct.pack(">I", 10**6) + b"\x90" * 10**6

    assert refused(bomb) == "bad-field"
    assert refused(bomb, size_max=len(bomb) - 1) == "too-large"


def test_events_are_put_in_the_order_of_their_times() -> None:
    mixed = [event("a", 3), event("b", 1), event("c", 3), event("d", 2)]

    assert [each.name for each in in_ltime_order(mixed)] == ["b", "d", "a", "c"]
