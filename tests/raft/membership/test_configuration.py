"""Which configuration may follow which, by rule and by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain, combinations, product

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.membership.changes import (
    MEMBERS_MAX,
    AddLearner,
    AddVoter,
    AddWitness,
    Change,
    ChangeRefusal,
    ChangeRefused,
    DemoteVoter,
    PromoteLearner,
    RemoveMember,
    SingleChange,
    Transition,
)
from raft.membership.configuration import Configuration
from raft.membership.quorum import VoteResult, vote_result

THREE = Configuration(voters=("n1", "n2", "n3"))


def refusal(configuration: Configuration, *change: SingleChange) -> ChangeRefusal:
    """Return why changes are refused as one change."""
    with pytest.raises(ChangeRefused) as refused:
        configuration.apply(Change(change))
    return refused.value.refusal


# --- the value


def test_a_server_yet_to_join_has_an_empty_configuration() -> None:
    empty = Configuration()

    assert empty.members == ()
    assert not empty.is_joint
    assert not empty.is_electable("n1")


def test_ids_are_kept_in_order() -> None:
    assert Configuration(voters=["b", "a"]) == Configuration(voters=("a", "b"))


def test_a_configuration_has_room_for_many() -> None:
    servers = [f"{number:05}" for number in range(MEMBERS_MAX)]

    assert len(Configuration(servers).voters) == MEMBERS_MAX


def test_everyone_who_receives_the_log_is_a_member() -> None:
    configuration = Configuration(
        voters=("n2", "n3"),
        voters_outgoing=("n1", "n2"),
        learners=("n0",),
        learners_next=("n1",),
    )

    assert configuration.members == ("n0", "n1", "n2", "n3")
    assert configuration.all_voters == ("n1", "n2", "n3")
    assert configuration.is_joint


def test_voters_of_either_half_may_lead_but_no_learner_and_no_witness() -> None:
    configuration = Configuration(
        voters=("n2", "n3", "w"), voters_outgoing=("n1",), learners=("n0",), witnesses=("w",)
    )

    assert [server for server in ("n0", "n1", "n2", "w") if configuration.is_electable(server)] == [
        "n1",
        "n2",
    ]


def test_a_configuration_prints_as_etcd_prints_it() -> None:
    configuration = Configuration(("a", "b"), ("c", "d", "w"), ("e",), ("c",), ("w",), True)

    assert str(configuration) == (
        "voters=(a b)&&(c d w) learners=(e) learners_next=(c) witnesses=(w) autoleave"
    )


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"voters": ("a", "a")}, "twice"),
        ({"voters": ("",)}, "1 to 255 bytes"),
        ({"voters": [str(number) for number in range(MEMBERS_MAX + 1)]}, "exceed the limit"),
        ({"learners": ("a",)}, "has voters"),
        ({"voters_outgoing": ("a",)}, "has voters"),
        ({"voters": ("a",), "learners": ("a",)}, "a learner is no voter"),
        ({"voters": ("a",), "voters_outgoing": ("b",), "learners": ("b",)}, "is no voter"),
        ({"voters": ("a",), "learners_next": ("b",)}, "is an outgoing voter now"),
        ({"voters": ("a",), "voters_outgoing": ("a",), "learners_next": ("a",)}, "no voter then"),
        ({"voters": ("a",), "witnesses": ("b",)}, "a witness is a voter"),
        ({"voters": ("a", "b"), "learners": ("w",), "witnesses": ("w",)}, "a witness is a voter"),
        (
            {
                "voters": ("a",),
                "voters_outgoing": ("a", "b", "w"),
                "learners_next": ("w",),
                "witnesses": ("w",),
            },
            "does not become a learner",
        ),
        ({"voters": ("a",), "auto_leave": True}, "only a joint configuration is left"),
        ({"voters": ("a",), "witnesses": ("a",)}, "alone would be a quorum"),
        ({"voters": ("a", "b", "c"), "witnesses": ("b", "c")}, "alone would be a quorum"),
        (
            {"voters": ("a",), "voters_outgoing": ("w",), "witnesses": ("w",)},
            "alone would be a quorum",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(
    parts: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Configuration(**parts)  # type: ignore[arg-type] # several types in one table


# --- simple changes


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (AddVoter("n4"), "voters=(n1 n2 n3 n4)"),
        (AddVoter("n1"), "voters=(n1 n2 n3)"),
        (AddLearner("n4"), "voters=(n1 n2 n3) learners=(n4)"),
        (AddLearner("n1"), "voters=(n2 n3) learners=(n1)"),
        (DemoteVoter("n1"), "voters=(n2 n3) learners=(n1)"),
        (RemoveMember("n1"), "voters=(n2 n3)"),
        (RemoveMember("n9"), "voters=(n1 n2 n3)"),
        (AddWitness("w"), "voters=(n1 n2 n3 w) witnesses=(w)"),
    ],
)
def test_a_simple_change_takes_effect_at_once(change: SingleChange, after: str) -> None:
    assert str(THREE.apply(Change([change]))) == after


@pytest.mark.parametrize("kind", [AddVoter, PromoteLearner])
def test_a_learner_is_promoted(kind: type[AddVoter | PromoteLearner]) -> None:
    learning = THREE.apply(Change([AddLearner("n4")]))

    promoted = learning.apply(Change([kind("n4")]))

    assert promoted.voters == ("n1", "n2", "n3", "n4")
    assert promoted.learners == ()


@pytest.mark.parametrize("server", ["n1", "n9"])
def test_only_a_learner_is_promoted(server: str) -> None:
    assert refusal(THREE, PromoteLearner(server)) is ChangeRefusal.NOT_A_LEARNER


def test_only_a_voter_is_demoted() -> None:
    learning = THREE.apply(Change([AddLearner("n4")]))

    assert refusal(learning, DemoteVoter("n4")) is ChangeRefusal.NOT_A_VOTER
    assert refusal(learning, DemoteVoter("n9")) is ChangeRefusal.NOT_A_VOTER


def test_a_learner_stays_one_and_can_be_removed() -> None:
    learning = THREE.apply(Change([AddLearner("n4")]))

    assert learning.apply(Change([AddLearner("n4")])) == learning
    assert learning.apply(Change([RemoveMember("n4")])) == THREE


def test_the_last_voter_cannot_be_removed() -> None:
    assert refusal(Configuration(("n1",)), RemoveMember("n1")) is ChangeRefusal.ALL_REMOVED
    assert refusal(Configuration(("n1",)), DemoteVoter("n1")) is ChangeRefusal.ALL_REMOVED


def test_two_voters_do_not_change_without_a_joint_configuration() -> None:
    with pytest.raises(ChangeRefused) as refused:
        THREE.simple([AddVoter("n4"), AddVoter("n5")])

    assert refused.value.refusal is ChangeRefusal.MANY_VOTERS


def test_many_learners_change_at_once_without_one() -> None:
    configuration = THREE.simple([AddLearner("n4"), AddLearner("n5"), AddVoter("n6")])

    assert str(configuration) == "voters=(n1 n2 n3 n6) learners=(n4 n5)"


# --- joint changes


def test_several_changes_enter_a_joint_configuration_that_is_left_by_itself() -> None:
    joint = THREE.apply(Change([AddVoter("n4"), RemoveMember("n1")]))

    assert str(joint) == "voters=(n2 n3 n4)&&(n1 n2 n3) autoleave"
    assert str(joint.apply(Change.leave_joint())) == "voters=(n2 n3 n4)"


@pytest.mark.parametrize(
    ("transition", "auto_leave"), [(Transition.IMPLICIT, True), (Transition.EXPLICIT, False)]
)
def test_one_change_may_ask_for_a_joint_configuration(
    transition: Transition, auto_leave: bool
) -> None:
    joint = THREE.apply(Change([AddVoter("n4")], transition))

    assert joint == Configuration(
        voters=("n1", "n2", "n3", "n4"),
        voters_outgoing=("n1", "n2", "n3"),
        auto_leave=auto_leave,
    )


def test_a_demoted_voter_keeps_its_old_vote_until_the_joint_configuration_is_left() -> None:
    joint = THREE.apply(Change([DemoteVoter("n1"), AddVoter("n4")]))

    assert str(joint) == "voters=(n2 n3 n4)&&(n1 n2 n3) learners_next=(n1) autoleave"
    assert str(joint.leave_joint()) == "voters=(n2 n3 n4) learners=(n1)"


@pytest.mark.parametrize("kind", [AddVoter, PromoteLearner])
def test_a_demotion_can_be_taken_back_within_one_change(
    kind: type[AddVoter | PromoteLearner],
) -> None:
    joint = THREE.apply(Change([DemoteVoter("n1"), kind("n1")]))

    assert str(joint) == "voters=(n1 n2 n3)&&(n1 n2 n3) autoleave"


def test_nothing_but_leaving_is_allowed_while_joint() -> None:
    joint = THREE.enter_joint([AddVoter("n4")])

    assert refusal(joint, AddVoter("n5")) is ChangeRefusal.JOINT
    assert refusal(joint, AddVoter("n5"), AddVoter("n6")) is ChangeRefusal.ALREADY_JOINT


def test_only_a_joint_configuration_is_left() -> None:
    assert refusal(THREE) is ChangeRefusal.NOT_JOINT


def test_a_server_yet_to_join_cannot_enter_a_joint_configuration() -> None:
    assert refusal(Configuration(), AddVoter("a"), AddVoter("b")) is ChangeRefusal.NO_VOTERS


def test_all_voters_cannot_be_removed_at_once() -> None:
    removals = [RemoveMember(server) for server in THREE.voters]

    assert refusal(THREE, *removals) is ChangeRefusal.ALL_REMOVED


# --- witnesses


def test_a_witness_can_be_added_and_removed() -> None:
    two = Configuration(("n1", "n2"))

    witnessed = two.apply(Change([AddWitness("w")]))

    assert str(witnessed) == "voters=(n1 n2 w) witnesses=(w)"
    assert witnessed.apply(Change([AddWitness("w")])) == witnessed
    assert witnessed.apply(Change([RemoveMember("w")])) == two


def test_a_removed_witness_stays_one_until_the_joint_configuration_is_left() -> None:
    witnessed = Configuration(("n1", "n2", "w"), witnesses=("w",))

    joint = witnessed.apply(Change([RemoveMember("w"), AddVoter("n3")]))

    assert str(joint) == "voters=(n1 n2 n3)&&(n1 n2 w) witnesses=(w) autoleave"
    assert str(joint.leave_joint()) == "voters=(n1 n2 n3)"


def test_a_witness_that_was_removed_can_be_taken_back_as_one() -> None:
    witnessed = Configuration(("n1", "n2", "w"), witnesses=("w",))

    joint = witnessed.apply(Change([RemoveMember("w"), AddWitness("w")]))

    assert str(joint) == "voters=(n1 n2 w)&&(n1 n2 w) witnesses=(w) autoleave"


@pytest.mark.parametrize("kind", [AddVoter, AddLearner, DemoteVoter])
def test_a_witness_is_not_turned_into_anything_else(
    kind: type[AddVoter | AddLearner | DemoteVoter],
) -> None:
    witnessed = Configuration(("n1", "n2", "n3", "w"), witnesses=("w",))

    assert refusal(witnessed, kind("w")) is ChangeRefusal.WITNESS_FIXED
    assert refusal(witnessed, RemoveMember("w"), AddVoter("w")) is ChangeRefusal.WITNESS_FIXED
    with pytest.raises(ChangeRefused) as refused:
        witnessed.simple([RemoveMember("w"), AddVoter("w")])
    assert refused.value.refusal is ChangeRefusal.WITNESS_FIXED


def test_a_voter_or_a_learner_is_not_turned_into_a_witness() -> None:
    learning = Configuration(("n1", "n2", "n3"), learners=("n4",))

    assert refusal(learning, AddWitness("n3")) is ChangeRefusal.WITNESS_FIXED
    assert refusal(learning, AddWitness("n4")) is ChangeRefusal.WITNESS_FIXED
    assert refusal(learning, AddWitness("n3"), AddVoter("n5")) is ChangeRefusal.WITNESS_FIXED


def test_witnesses_alone_are_never_a_quorum() -> None:
    one = Configuration(("n1",))
    even = Configuration(("n1", "n2", "v", "w"), witnesses=("v", "w"))

    assert refusal(one, AddWitness("v"), AddWitness("w")) is ChangeRefusal.WITNESS_QUORUM
    assert refusal(even, RemoveMember("n2")) is ChangeRefusal.WITNESS_QUORUM


# --- brute force

NAMES = ("a", "b", "c", "d", "e")


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return all subsets, the empty one first."""
    return [*chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))]


@cache
def quorums(configuration: Configuration) -> list[frozenset[str]]:
    """Return all sets of voters that can decide alone."""
    return [
        frozenset(granted)
        for granted in subsets(configuration.all_voters)
        if vote_result(
            dict.fromkeys(granted, True), configuration.voters, configuration.voters_outgoing
        )
        is VoteResult.WON
    ]


def overlap(one: Configuration, other: Configuration) -> bool:
    """Return whether each quorum of one shares a voter with each quorum of the other."""
    return all(first & second for first in quorums(one) for second in quorums(other))


def legal_configurations(names: tuple[str, ...]) -> Iterator[Configuration]:
    """Yield every configuration of these servers that is one, without witnesses."""
    for voters in subsets(names)[1:]:
        for outgoing in subsets(names):
            rest = tuple(name for name in names if name not in {*voters, *outgoing})
            staged = tuple(name for name in outgoing if name not in voters)
            for learners, learners_next in product(subsets(rest), subsets(staged)):
                for auto_leave in (False, True) if outgoing else (False,):
                    yield Configuration(
                        voters, outgoing, learners, learners_next, auto_leave=auto_leave
                    )


def test_successive_configurations_have_no_two_disjoint_quorums() -> None:
    """Dissertation 4.1 and 4.3: the property that both kinds of change rest on."""
    for voters in subsets(NAMES)[1:]:
        old = Configuration(voters)
        for target in subsets(NAMES)[1:]:
            changes = [RemoveMember(name) for name in voters if name not in target]
            joint = old.enter_joint([*map(AddVoter, target), *changes])
            new = joint.leave_joint()

            assert new == Configuration(target)
            assert overlap(old, joint)
            assert overlap(joint, new)
            if len({*voters} ^ {*target}) <= 1:
                assert old.simple([*map(AddVoter, target), *changes]) == new
                assert overlap(old, new)


def test_without_the_joint_step_there_would_be_disjoint_quorums() -> None:
    assert not overlap(Configuration(("a", "b", "c")), Configuration(("c", "d", "e")))
    assert not overlap(Configuration(("a", "b", "c")), Configuration(NAMES))


def test_every_legal_configuration_can_be_rebuilt_by_changes() -> None:
    """etcd-raft confchange/restore.go: what a snapshot carries is what changes lead to."""
    found = 0
    for wanted in legal_configurations(NAMES[:4]):
        found += 1
        built = Configuration()
        for name in wanted.voters_outgoing or wanted.voters:
            built = built.simple([AddVoter(name)])
        rest: list[SingleChange] = [
            *map(AddVoter, wanted.voters),
            *map(AddLearner, (*wanted.learners, *wanted.learners_next)),
        ]
        if wanted.is_joint:
            removals = [RemoveMember(name) for name in wanted.voters_outgoing]
            built = built.enter_joint([*removals, *rest], auto_leave=wanted.auto_leave)
        else:
            built = built.simple(rest)

        assert built == wanted
        assert Configuration.decode(wanted.encode()) == wanted
    assert found > 1000


def test_whatever_single_changes_do_at_once_they_do_through_a_joint_configuration() -> None:
    """etcd-raft confchange/quick_test.go: both ways lead to the same servers."""
    steps: list[SingleChange] = [
        kind(name) for kind in (AddVoter, AddLearner, RemoveMember) for name in ("a", "b", "c")
    ]
    start = Configuration(("a", "b", "c"), learners=("d",))
    compared = 0
    for plan in product(steps, repeat=3):
        try:
            simply = start
            for step in plan:
                simply = simply.simple([step])
            jointly = start.enter_joint(plan).leave_joint()
        except ChangeRefused:  # no voter would be left, at some point or in the end
            continue
        compared += 1

        assert jointly == simply
    assert compared > 500


@st.composite
def histories(draw: st.DrawFn) -> Configuration:
    """Draw a configuration that changes have led to, witnesses and all."""
    configuration = Configuration(("n1", "n2", "n3"))
    for change in draw(st.lists(drawn_changes, max_size=8)):
        try:
            configuration = configuration.apply(change)
        except ChangeRefused:
            configuration = configuration.leave_joint() if configuration.is_joint else configuration
    return configuration


servers = st.sampled_from([f"n{number}" for number in range(6)])
drawn_changes = st.builds(
    Change,
    st.lists(
        st.one_of(
            *(
                st.builds(kind, servers)
                for kind in (AddVoter, AddLearner, AddWitness, RemoveMember, DemoteVoter)
            )
        ),
        max_size=3,
    ),
    st.sampled_from(Transition),
)


@given(histories(), drawn_changes)
def test_a_change_is_made_or_refused_and_whatever_comes_of_it_is_safe(
    before: Configuration, change: Change
) -> None:
    try:
        after = before.apply(change)
    except ChangeRefused:
        return

    assert overlap(before, after)
    for quorum in quorums(after):
        assert not quorum <= {*after.witnesses}
    for server in {*before.members} & {*after.members}:
        assert (server in before.witnesses) == (server in after.witnesses)


# --- encoding


@given(histories())
def test_a_configuration_survives_its_encoding(configuration: Configuration) -> None:
    assert Configuration.decode(configuration.encode()) == configuration


def test_an_encoded_configuration_looks_like_this() -> None:
    joint = THREE.apply(Change([DemoteVoter("n1"), AddWitness("w")]))

    assert msgpack.unpackb(joint.encode()) == [
        1,
        ["n2", "n3", "w"],
        ["n1", "n2", "n3"],
        [],
        ["n1"],
        ["w"],
        True,
    ]


@pytest.mark.parametrize(
    "elements",
    [
        None,
        7,
        "text",
        {},
        [],
        [2, [], [], [], [], [], False],
        [True, [], [], [], [], [], False],
        [1, [], [], [], [], []],
        [1, [], [], [], [], [], False, 0],
        [1, [], [], [], [], [], 0],
        [1, ["b", "a"], [], [], [], [], False],
        [1, ["a", "a"], [], [], [], [], False],
        [1, [b"a"], [], [], [], [], False],
        [1, "ab", [], [], [], [], False],
        [1, 7, [], [], [], [], False],
        [1, ["a"], [], ["a"], [], [], False],
    ],
)
def test_what_is_no_encoded_configuration_is_refused(elements: object) -> None:
    with pytest.raises(ValueError, match="not an encoded configuration"):
        Configuration.decode(msgpack.packb(elements))


@pytest.mark.parametrize("size", [0, 1, 5, 8])
def test_a_cut_encoding_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="not an encoded configuration"):
        Configuration.decode(THREE.encode()[:size])


def test_bytes_behind_an_encoding_are_refused() -> None:
    with pytest.raises(ValueError, match="not an encoded configuration"):
        Configuration.decode(THREE.encode() + b"\x00")


def test_a_long_form_of_the_same_configuration_is_refused() -> None:
    long = b"\xdc\x00\x07" + THREE.encode()[1:]

    assert msgpack.unpackb(long) == msgpack.unpackb(THREE.encode())
    with pytest.raises(ValueError, match="it has a shorter form"):
        Configuration.decode(long)


def test_more_bytes_than_any_configuration_has_are_not_even_read() -> None:
    with pytest.raises(ValueError, match="not an encoded configuration: more than"):
        Configuration.decode(bytes(10_000_000))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_configuration_or_a_value_error(data: bytes) -> None:
    try:
        configuration = Configuration.decode(data)
    except ValueError:
        return

    assert configuration.encode() == data
