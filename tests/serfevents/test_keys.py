"""Keys: answering for our own keyring, and adding up what all members say of theirs."""

from collections.abc import Sequence

import pytest

from serfevents import ChangeKeyring, KeyChange, KeysAnswered, SerfEvents
from serfevents.keys import EMPTY_KEYRING, NO_KEYRING
from serfevents.keytext import encode_key
from serfevents.wire.codec import (
    decode_key_request,
    decode_key_response,
    encode_key_request,
    encode_key_response,
)
from serfevents.wire.messages import KeyRequest, KeyResponse, Query
from tests.serfevents.vocabulary import (
    Sent,
    Told,
    answer,
    drain,
    encode,
    hears,
    joins,
    machine,
    only,
    query,
    wait,
)

OLD, NEW = bytes(range(16)), bytes(range(16, 32))


def keyed(keys: Sequence[bytes] | None = (OLD,), **changes: object) -> SerfEvents:
    """Return a member that knows b and c, and has these keys."""
    supply = None if keys is None else (lambda: keys)
    a = machine("a", options={"keys": supply}, **changes)  # type: ignore[arg-type]
    for name in "bc":
        joins(a, name)
    drain(a)
    return a


def key_query(name: str, key: bytes = b"") -> Query:
    return query("_serf_" + name, payload=encode_key_request(KeyRequest(key)))


def answers(made: SerfEvents) -> list[KeyResponse]:
    """Return what was answered about keys."""
    return [decode_key_response(out.message.payload) for out in only(drain(made), Sent)]


def asked(made: SerfEvents) -> Query:
    """Return the query that was just broadcast."""
    (told,) = only(drain(made), Told)
    assert isinstance(told.message, Query)
    return told.message


# --- answering -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", KeyChange)
def test_a_change_is_answered_once_it_is_done_and_stored(change: KeyChange) -> None:
    a = keyed()

    hears(a, key_query(change.value, NEW))

    outputs = drain(a)
    (effect,) = only(outputs, ChangeKeyring)
    assert effect == ChangeKeyring(effect.number, change, NEW)
    assert only(outputs, Sent) == []
    a.keyring_changed(effect.number, 0.1)
    assert answers(a) == [KeyResponse(result=True)]


def test_a_change_that_failed_is_answered_with_the_reason() -> None:
    a = keyed()
    hears(a, key_query("use-key", NEW))
    (effect,) = only(drain(a), ChangeKeyring)

    a.keyring_changed(effect.number, 0.1, error="requested key is not in the keyring")
    a.keyring_changed(effect.number, 0.1)
    a.keyring_changed(99, 0.1)

    assert answers(a) == [KeyResponse(result=False, message="requested key is not in the keyring")]


def test_a_report_after_the_deadline_is_no_use() -> None:
    a = keyed()
    hears(a, key_query("use-key", NEW))
    (effect,) = only(drain(a), ChangeKeyring)

    a.keyring_changed(effect.number, 9.0)

    assert answers(a) == []
    assert a.stats.rejected == {"answer-too-late": 1}


@pytest.mark.parametrize("keys", [None, ()])
def test_without_encryption_nothing_is_changed(keys: Sequence[bytes] | None) -> None:
    a = keyed(keys)

    hears(a, key_query("install-key", NEW))
    hears(a, query("_serf_list-keys", 2, payload=encode_key_request(KeyRequest(b""))))

    assert answers(a) == [
        KeyResponse(result=False, message=NO_KEYRING),
        KeyResponse(result=False, message=EMPTY_KEYRING),
    ]
    assert a.statistics()["encrypted"] == "false"


def test_a_query_without_a_key_is_answered_with_an_error() -> None:
    a = keyed()

    hears(a, query("_serf_install-key", payload=b"nonsense"))

    (response,) = answers(a)
    assert not response.result
    assert "not a key" in response.message


def test_all_keys_are_listed_the_primary_one_besides() -> None:
    a = keyed((NEW, OLD))

    hears(a, key_query("list-keys"))

    texts = (encode_key(NEW), encode_key(OLD))
    assert answers(a) == [KeyResponse(result=True, keys=texts, primary_key=encode_key(NEW))]
    assert a.statistics()["encrypted"] == "true"


def test_a_list_of_too_many_keys_is_trimmed_to_size_with_a_remark() -> None:
    ring = [bytes([number]) * 32 for number in range(50)]
    a = keyed(ring)

    hears(a, key_query("list-keys"))

    (sent,) = only(drain(a), Sent)
    response = decode_key_response(sent.message.payload)
    count = len(response.keys)
    assert response.keys == tuple(encode_key(key) for key in ring[:count])
    assert response.message == f"truncated key list response, showing first {count} of 50 keys"
    assert 15 < count < 21


def test_as_many_keys_are_listed_as_fit_down_to_none() -> None:
    ring = [bytes([number]) * 16 for number in range(9)]
    counts = []

    for limit in range(100, 500, 4):
        a = keyed(ring, query_response_size_limit=limit)
        hears(a, key_query("list-keys"))
        sent = only(drain(a), Sent)
        assert all(len(encode(out.message)) <= limit for out in sent)
        assert bool(sent) is not bool(a.stats.rejected)
        counts.append(len(decode_key_response(sent[0].message.payload).keys) if sent else -1)

    assert counts == sorted(counts)
    assert {-1, 0, 1, 2, 3, 9} <= set(counts)


def test_only_so_many_changes_wait_for_a_report() -> None:
    a = keyed(pending_queries_max=1)
    first, second = key_query("install-key", NEW), key_query("use-key", NEW)
    second.id = 2
    hears(a, first, second)
    one, two = only(drain(a), ChangeKeyring)

    a.keyring_changed(one.number, 0.0)
    a.keyring_changed(two.number, 0.0)

    assert len(answers(a)) == 1


# --- asking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name"),
    [("install_key", "install-key"), ("use_key", "use-key"), ("remove_key", "remove-key")],
)
def test_all_members_are_asked_ourselves_included(command: str, name: str) -> None:
    a = keyed()

    getattr(a, command)(NEW, 0.0, relay_factor=2)

    told, effect = drain(a)
    assert told.message.name == "_serf_" + name
    assert decode_key_request(told.message.payload) == KeyRequest(NEW)
    assert told.message.relay_factor == 2
    assert (effect.change.value, effect.key) == (name, NEW)


def test_what_all_members_say_is_added_up() -> None:
    a = keyed((NEW, OLD))
    operation = a.list_keys(0.0)
    ours = asked(a)
    new, old = encode_key(NEW), encode_key(OLD)
    both = KeyResponse(result=True, message="a remark", keys=(new, old, old), primary_key=old)
    one = KeyResponse(result=True, keys=(old,))

    hears(a, answer(ours, "b", encode_key_response(both)))
    hears(a, answer(ours, "c", encode_key_response(one)), now=0.1)

    (result,) = drain(a)
    assert result == KeysAnswered(
        operation,
        "list-keys",
        3,
        3,
        0,
        (("b", "a remark"),),
        ((new, 2), (old, 3)),
        ((new, 1), (old, 1)),
    )
    assert result.error == ""


def test_a_failure_of_one_member_is_an_error() -> None:
    a = keyed()
    a.use_key(NEW, 0.0)
    outputs = drain(a)
    (ours,) = (out.message for out in only(outputs, Told))
    (effect,) = only(outputs, ChangeKeyring)
    a.keyring_changed(effect.number, 0.0)

    no = encode_key_response(KeyResponse(result=False, message="no"))
    hears(a, answer(ours, "b", no), answer(ours, "c", b"nonsense"))

    (result,) = drain(a)
    assert (result.responses, result.errors) == (3, 2)
    assert result.messages[0] == ("b", "no")
    assert result.messages[1][1].startswith("Invalid key query response")
    assert result.error == "2/3 nodes reported failure"


def test_silence_is_an_error_too() -> None:
    a = keyed()
    a.list_keys(0.0)
    drain(a)

    (result,) = only(wait(a, 10.0), KeysAnswered)

    assert (result.members, result.responses) == (3, 1)
    assert result.error == "1/3 nodes reported success"


def test_a_member_that_is_gone_meanwhile_is_no_success() -> None:
    a = keyed()
    a.list_keys(0.0)
    ours = asked(a)
    yes = encode_key_response(KeyResponse(result=True))
    hears(a, answer(ours, "b", yes))

    a.member_failed("c", 0.1)

    (result,) = only(drain(a), KeysAnswered)
    assert result.error == "2/3 nodes reported success"
