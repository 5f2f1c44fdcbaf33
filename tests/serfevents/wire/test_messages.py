"""Messages: numbers and fields as Serf has them."""

from serfevents.records import Recovered
from serfevents.wire.messages import FLAG_ACK, FLAG_NO_BROADCAST, FilterType, MessageType, QueryFlag
from tests.serfevents.wire.test_vectors import SERF


def test_types_have_serfs_numbers() -> None:
    theirs = SERF["constants"]["message_types"]

    ours = {each.name: each.value for each in MessageType}
    assert sorted(ours.values()) == sorted(theirs.values())
    assert ours["USER_EVENT"] == theirs["userEvent"]
    assert ours["QUERY_RESPONSE"] == theirs["queryResponse"]
    assert ours["RELAY"] == theirs["relay"]


def test_filters_and_flags_have_serfs_numbers() -> None:
    constants = SERF["constants"]

    assert {each.name.lower(): each.value for each in FilterType} == constants["filter_types"]
    assert {str(each.name).lower(): each.value for each in QueryFlag} == constants["query_flags"]
    assert (FLAG_ACK, FLAG_NO_BROADCAST) == (QueryFlag.ACK, QueryFlag.NO_BROADCAST)


def test_without_a_past_nothing_is_recovered() -> None:
    assert Recovered() == Recovered((), 0, 0, 0)
