"""Messages and their bytes; the vectors of the real library are in interop/test_wire.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.codec import (
    MEMO_KEY_SIZE_MAX,
    MEMO_SIZE,
    Memo,
    decode_ack,
    decode_compressed,
    decode_error,
    decode_gossip,
    decode_indirect_ping,
    decode_nack,
    decode_node_state,
    decode_ping,
    encode_ack,
    encode_alive,
    encode_compressed,
    encode_dead,
    encode_error,
    encode_indirect_ping,
    encode_nack,
    encode_node_state,
    encode_ping,
    encode_suspect,
    intern,
)
from memberlist.dialect import MESSAGE_SIZE_MAX, encode_raw, encode_uint
from memberlist.errors import DecodeError
from memberlist.lzw import compress
from memberlist.messages import Ack, Dead, ErrorReply, IndirectPing, Nack, Ping, Suspect
from memberlist.node import ALIVE, DEAD, LEFT, NAME_SIZE_MAX, SUSPECT, Address, Node
from tests.strategies import mangled

VERSIONS = bytes((1, 5, 2, 2, 5, 5))

U32 = st.integers(0, 2**32 - 1)
PORTS = st.integers(0, 2**16 - 1)
# Half of all bytes are not UTF-8; names must carry them too.
NAMES = st.binary(min_size=1, max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
HOSTS = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str)
ADDRESSES: st.SearchStrategy[Address] = st.tuples(HOSTS, PORTS)
SOURCES: st.SearchStrategy[Address | None] = st.none() | st.tuples(HOSTS, st.integers(1, 65535))
NODES = st.builds(
    Node,
    NAMES,
    st.tuples(st.ip_addresses(v=4).map(str), PORTS)
    | st.tuples(st.ip_addresses(v=6).map(str), PORTS),
    st.binary(max_size=300),
    st.just(b"") | st.binary(min_size=6, max_size=6),
    U32,
)


def node(name: str = "go1", **changes: object) -> Node:
    values = {
        "address": ("10.0.0.1", 7946),
        "meta": b"role",
        "versions": VERSIONS,
        "incarnation": 1,
        **changes,
    }
    return Node(name, **values)  # type: ignore[arg-type] # of the same names


def alive(*, name: bytes = b"go1", **changes: bytes) -> bytes:
    """Return an alive message from the encoded values of its fields."""
    values = {
        "Addr": b"\xa4\x7f\x00\x00\x01",
        "Incarnation": b"\x01",
        "Meta": b"\xc0",
        "Node": encode_raw(name),
        "Port": b"\xcd\x1f\x0a",
        "Vsn": b"\xa6" + VERSIONS,
        **changes,
    }
    fields = [encode_raw(key.encode()) + value for key, value in values.items()]
    return b"\x04" + bytes([0x80 + len(fields)]) + b"".join(fields)


def state(**changes: bytes) -> bytes:
    """Return an entry of a push/pull from the encoded values of its fields."""
    values = {
        "Addr": b"\xa4\x7f\x00\x00\x01",
        "Incarnation": b"\x01",
        "Meta": b"\xc0",
        "Name": b"\xa3go1",
        "Port": b"\xcd\x1f\x0a",
        "State": b"\x00",
        "Vsn": b"\xa6" + VERSIONS,
        **changes,
    }
    fields = [encode_raw(key.encode()) + value for key, value in values.items()]
    return bytes([0x80 + len(fields)]) + b"".join(fields)


# --- round trips -----------------------------------------------------------------------------


@given(U32, NAMES | st.just(""), SOURCES, NAMES | st.just(""))
def test_a_ping_comes_back(
    sequence: int, name: str, source: Address | None, source_name: str
) -> None:
    data = encode_ping(sequence, name, source, source_name)

    for _ in range(2):  # the second time its ends are remembered
        ping = decode_ping(data)
        assert (ping.sequence, ping.node, ping.source_name) == (sequence, name, source_name)
        assert encode_ping(sequence, name, ping.source, source_name) == data


@given(st.lists(U32, min_size=2, max_size=5))
def test_pings_that_differ_in_their_sequence_number_only_are_told_apart(
    sequences: list[int],
) -> None:
    source = ("10.0.0.2", 7946)
    for sequence in sequences:
        data = encode_ping(sequence, "go1", source, "go2")

        assert decode_ping(data) == Ping(sequence, "go1", source, "go2")


@pytest.mark.parametrize("sequence", [5, 200, 7000, 70_000])
def test_pings_of_one_prober_share_what_they_have_in_common(sequence: int) -> None:
    source = ("10.0.0.6", 7946)
    first = decode_ping(encode_ping(1, "go1", source, "go6"))

    second = decode_ping(encode_ping(sequence, "go1", source, "go6"))

    assert second == Ping(sequence, "go1", source, "go6")
    assert second.source is first.source  # looked up, not built


def test_a_remembered_beginning_with_another_end_is_read_carefully() -> None:
    source = ("10.0.0.3", 7946)
    known = encode_ping(1000, "go1", source, "go3")
    assert decode_ping(known) == Ping(1000, "go1", source, "go3")

    assert decode_ping(known + b"junk") == Ping(1000, "go1", source, "go3")
    assert decode_ping(encode_ping(5, "go1", ("10.0.0.4", 1), "go4")).source == ("10.0.0.4", 1)
    for size in range(len(known)):
        with pytest.raises(DecodeError, match="malformed"):
            decode_ping(known[:size])


def test_a_ping_whose_source_has_no_port_is_answered_to_where_it_came_from() -> None:
    data = b"\x00\x82\xa5SeqNo\x01\xaaSourceAddr\xa4\x0a\x00\x00\x01"

    assert decode_ping(data) == Ping(1, "")


@given(U32, NAMES, ADDRESSES, st.booleans(), SOURCES, NAMES | st.just(""))
def test_an_indirect_ping_comes_back(
    sequence: int,
    name: str,
    target: Address,
    nack: bool,
    source: Address | None,
    source_name: str,
) -> None:
    message = IndirectPing(sequence, name, target, nack, source, source_name)

    again = decode_indirect_ping(encode_indirect_ping(message))

    assert encode_indirect_ping(again) == encode_indirect_ping(message)
    assert (again.sequence, again.node, again.nack) == (sequence, name, nack)
    assert again.source_name == source_name
    assert again.target[1] == target[1]
    assert (again.source is None) == (source is None)


@given(U32, st.binary(max_size=300))
def test_an_ack_comes_back(sequence: int, payload: bytes) -> None:
    data = encode_ack(sequence, payload)

    assert decode_ack(data) == Ack(sequence, payload)
    assert decode_ack(data + b"junk") == Ack(sequence, payload)
    for size in range(len(data)):
        with pytest.raises(DecodeError, match="malformed"):
            decode_ack(data[:size])


@given(U32)
def test_a_nack_comes_back(sequence: int) -> None:
    assert decode_nack(encode_nack(sequence)) == Nack(sequence)


@given(NAMES | st.just(""))
def test_an_error_comes_back(text: str) -> None:
    assert decode_error(encode_error(text)) == ErrorReply(text)


@given(U32, NAMES, NAMES | st.just(""))
def test_an_accusation_comes_back(incarnation: int, name: str, sender: str) -> None:
    assert decode_gossip(encode_suspect(incarnation, name, sender)) == Suspect(
        incarnation, name, sender
    )
    assert decode_gossip(encode_dead(incarnation, name, sender)) == Dead(incarnation, name, sender)


@given(NODES)
def test_an_alive_member_comes_back(member: Node) -> None:
    assert decode_gossip(encode_alive(member)) == member


@given(NODES, st.sampled_from([ALIVE, SUSPECT, DEAD, LEFT]))
def test_an_entry_of_a_push_pull_comes_back_with_its_state(member: Node, state: object) -> None:
    assert isinstance(state, type(ALIVE))
    record = member.replaced(state=state, incarnation=member.incarnation)

    again = decode_node_state(encode_node_state(record))

    assert again == record
    assert again.state is state


# --- records are shared ----------------------------------------------------------------------


def test_equal_bytes_are_decoded_once() -> None:
    for data in (alive(name=b"once"), encode_suspect(1, "once", "go2"), encode_dead(1, "once", "")):
        assert decode_gossip(data) is decode_gossip(bytes(bytearray(data)))


def test_what_was_heard_a_generation_ago_is_still_remembered() -> None:
    data = alive(name=b"old")
    member = decode_gossip(data)
    for number in range(MEMO_SIZE):
        decode_gossip(encode_suspect(number, "other", "go2"))

    assert decode_gossip(data) is member


def test_equal_entries_are_decoded_once() -> None:
    entry = state(Name=b"\xa4new1")

    assert decode_node_state(entry) is decode_node_state(bytes(bytearray(entry)))


def test_a_member_s_own_record_is_the_one_that_others_decode() -> None:
    mine = node("shared")

    wire = encode_alive(mine)

    assert encode_alive(mine) is wire
    assert decode_gossip(bytes(bytearray(wire))) is mine
    assert intern(node("shared")) is mine
    assert encode_alive(node("shared")) == wire
    assert decode_gossip(wire) is mine


def test_a_member_s_own_entry_is_the_one_that_others_decode() -> None:
    mine = node("entry")

    entry = encode_node_state(mine)

    assert encode_node_state(mine) is entry
    assert decode_node_state(bytes(bytearray(entry))) is mine


def test_only_alive_records_are_shared_as_alive_messages() -> None:
    dead = node("gone").replaced(state=DEAD, incarnation=3)

    assert intern(dead) is dead
    again = decode_gossip(encode_alive(dead))

    assert again == node("gone").replaced(state=ALIVE, incarnation=3)


def test_a_message_is_the_same_whether_it_is_remembered_or_not() -> None:
    data = alive(name=b"again", Meta=encode_raw(bytes(MEMO_KEY_SIZE_MAX)))

    assert decode_gossip(data) == decode_gossip(data)
    assert decode_gossip(data) is not decode_gossip(data)  # too large to be remembered


def test_a_memo_forgets_what_was_not_asked_for_in_a_generation() -> None:
    memo: Memo[int] = Memo(2)
    memo.put(b"a", 1)
    memo.put(b"b", 2)
    memo.put(b"c", 3)  # a and b are the older generation now
    assert memo.get(b"a") == 1  # moves up

    memo.put(b"d", 4)

    assert [memo.get(key) for key in (b"a", b"b", b"c", b"d")] == [1, None, 3, 4]
    assert memo.get(b"e") is None


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown-type"),
        (b"\x00" + alive()[1:], "unknown-type"),
        (b"\x06" + alive()[1:], "unknown-type"),
        (b"\x04", "malformed"),
        (alive(name=b""), "bad-name"),
        (alive(name=bytes(NAME_SIZE_MAX + 1)), "bad-name"),
        (alive(Node=b"\xc0"), "bad-name"),
        (alive(Node=b"\x01"), "bad-field"),
        (alive(Addr=b"\xc0"), "bad-address"),
        (alive(Addr=b"\xa3abc"), "bad-address"),
        (alive(Addr=b"\xa5abcde"), "bad-address"),
        (alive(Addr=b"\x01"), "bad-field"),
        (alive(Port=b"\xce\x00\x01\x00\x00"), "bad-field"),
        (alive(Port=b"\xff"), "bad-field"),
        (alive(Port=b"\xa1a"), "bad-field"),
        (alive(Incarnation=b"\xff"), "bad-field"),
        (alive(Incarnation=b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), "bad-field"),
        (alive(Incarnation=b"\xc3"), "bad-field"),
        (alive(Meta=b"\x01"), "bad-field"),
        (alive(Vsn=b"\x01"), "bad-field"),
        (alive(Vsn=b"\xa1\x01"), "bad-versions"),
        (alive(Vsn=b"\xa5\x01\x05\x02\x02\x05"), "bad-versions"),
        (b"\x03\x80", "bad-name"),
        (b"\x05\x81\xa4Node" + encode_raw(bytes(NAME_SIZE_MAX + 1)), "bad-name"),
        (b"\x05\x82\xa4Node\xa1a\xa4From\x01", "bad-field"),
    ],
)
def test_gossip_that_names_no_member_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode_gossip(data)

    assert error.value.reason == reason


def test_what_a_member_may_leave_out_has_its_zero_value() -> None:
    data = b"\x04\x82\xa4Node\xa3go9\xa4Addr\xa4\x0a\x00\x00\x01"

    assert decode_gossip(data) == Node("go9", ("10.0.0.1", 0), b"", b"", 0)
    assert decode_gossip(alive(name=b"go8", Vsn=b"\xc0")) == node(
        "go8", address=("127.0.0.1", 7946), meta=b"", versions=b""
    )


@pytest.mark.parametrize("form", [b"\xa6", b"\xd9\x06", b"\xda\x00\x06", b"\xc4\x06"])
def test_versions_are_read_in_every_form_of_bytes(form: bytes) -> None:
    member = decode_gossip(alive(name=b"form" + form, Vsn=form + VERSIONS))

    assert isinstance(member, Node)
    assert member.versions == VERSIONS


def test_versions_of_the_future_are_cut_to_the_six_that_are_known() -> None:
    member = decode_gossip(alive(name=b"future", Vsn=b"\xa8" + VERSIONS + b"\x07\x07"))

    assert isinstance(member, Node)
    assert member.versions == VERSIONS
    assert encode_alive(member) == alive(name=b"future")


def test_an_ipv4_address_inside_ipv6_is_ipv4() -> None:
    member = decode_gossip(
        alive(name=b"mapped", Addr=b"\xb0" + bytes(10) + b"\xff\xff\x0a\x00\x00\x07")
    )

    assert isinstance(member, Node)
    assert member.address == ("10.0.0.7", 7946)
    assert member.ip == bytes((10, 0, 0, 7))


def test_one_to_five_versions_are_never_written_because_they_crash_old_peers() -> None:
    with pytest.raises(ValueError, match="versions are none or six bytes, not 5"):
        encode_alive(node(versions=VERSIONS[:5]))
    with pytest.raises(ValueError, match="versions are none or six bytes, not 7"):
        encode_node_state(node(versions=VERSIONS + b"\x00"))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (state(State=b"\x04"), "bad-state"),
        (state(State=b"\xff"), "bad-state"),
        (state(State=b"\xc3"), "bad-state"),
        (state(Name=b"\xa0"), "bad-name"),
        (state(Addr=b"\xa0"), "bad-address"),
        (state(Vsn=b"\xa1\x01"), "bad-versions"),
        (state() + b"\x00", "malformed"),
        (b"\x82\xa4Name\xa3go1\xa4Addr\xa4\x0a\x00\x00\x01\x00", "malformed"),
        (state()[:-1], "malformed"),
    ],
)
def test_an_entry_that_describes_no_member_is_refused(entry: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode_node_state(entry)

    assert error.value.reason == reason


def test_an_entry_without_a_state_is_alive() -> None:
    for entry in (state(State=b"\xc0"), state(State=b"\xc0", Name=b"\xa1x")):
        assert decode_node_state(entry).state is ALIVE


def test_an_entry_in_another_order_is_the_same_member() -> None:
    entry = b"\x82\xa4Name\xa3go1" + b"\xa4Addr\xa4\x0a\x00\x00\x01"

    assert decode_node_state(entry) == Node("go1", ("10.0.0.1", 0), b"", b"", 0)
    assert decode_node_state(entry) is not decode_node_state(entry)


# --- compression -----------------------------------------------------------------------------


@given(st.binary(max_size=500))
def test_a_compressed_message_comes_back(message: bytes) -> None:
    data = encode_compressed(message)

    assert decode_compressed(data, limit=len(message)) == message
    assert decode_compressed(data + b"junk", limit=500) == message


@pytest.mark.parametrize("size", [0, 31, 32, 65535, 65536])
def test_an_envelope_is_read_whatever_its_size(size: int) -> None:
    # Bytes after the end code are ignored, so that any size of `Buf` can be made.
    buffer = compress(b"x") + bytes(size)
    data = b"\x09\x82\xa4Algo\x00\xa3Buf" + encode_raw(buffer)

    assert decode_compressed(data, limit=1) == b"x"


def test_an_envelope_in_another_order_is_read_up_to_a_size() -> None:
    buffer = encode_raw(compress(b"x") + bytes(MESSAGE_SIZE_MAX))
    small = b"\x09\x82\xa3Buf" + encode_raw(compress(b"x")) + b"\xa4Algo\x00"
    nothing = b"\x09\x82\xa4Algo\x00\xa3Buf"

    assert decode_compressed(small, limit=1) == b"x"
    with pytest.raises(DecodeError, match="too-large"):
        decode_compressed(b"\x09\x82\xa3Buf" + buffer + b"\xa4Algo\x00", limit=1)
    for cut in (nothing, nothing + b"\xa5abc", nothing + b"\xda\x00"):
        with pytest.raises(DecodeError, match="malformed"):
            decode_compressed(cut, limit=1)


def test_another_algorithm_is_refused() -> None:
    with pytest.raises(DecodeError, match="bad-compression: there is no algorithm 1"):
        decode_compressed(b"\x09\x82\xa4Algo\x01\xa3Buf\xa2\x01\x02", limit=100)


# --- hostile bytes ---------------------------------------------------------------------------

SAMPLES = [
    encode_ping(70000, "go1", ("10.0.0.1", 7946), "go2"),
    encode_indirect_ping(IndirectPing(1, "go1", ("::1", 1), True, ("10.0.0.1", 7946), "go2")),
    encode_ack(3, b""),
    encode_ack(3, bytes(40)),
    encode_nack(200),
    encode_suspect(1, "go1", "go2"),
    encode_dead(1, "go1", "go2"),
    encode_alive(node()),
    encode_node_state(node()),
    encode_error("no"),
    encode_compressed(encode_alive(node())),
]
REASONS = {
    "bad-address", "bad-compression", "bad-field", "bad-name", "bad-state", "bad-versions",
    "malformed", "too-large", "truncated", "unknown-type",
}  # fmt: skip


@given(mangled(SAMPLES) | st.binary(max_size=200))
def test_a_decoder_raises_nothing_but_a_decode_error_with_a_known_reason(data: bytes) -> None:
    for decode in (
        decode_gossip, decode_ping, decode_indirect_ping, decode_ack, decode_nack, decode_error,
        decode_node_state, lambda data: decode_compressed(data, limit=1000),
    ):  # fmt: skip
        reason = None
        try:
            decode(data)
        except DecodeError as error:
            reason = error.reason

        assert reason is None or reason in REASONS


def test_every_type_of_uint_is_read_in_a_remembered_ping() -> None:
    source = ("10.0.0.5", 7946)
    for sequence in (1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1):
        data = encode_ping(sequence, "uint", source, "go5")

        assert decode_ping(data) == Ping(sequence, "uint", source, "go5")
        assert encode_uint(sequence) in data


def test_what_is_told_on_is_what_was_received_where_that_is_as_we_write_it() -> None:
    """Kept once, not twice: a member costs its message's bytes in memory."""
    data = encode_alive(Node("shared", ("10.9.9.9", 7946), b"meta", VERSIONS, 77))
    received = bytes(bytearray(data.replace(b"shared", b"passed")))

    node = decode_gossip(received)

    assert isinstance(node, Node)
    assert encode_alive(node) is received
