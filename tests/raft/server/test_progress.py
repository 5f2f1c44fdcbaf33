"""A leader's view of one follower, state by state."""

from __future__ import annotations

from raft.server.progress import PROBE, REPLICATE, SNAPSHOT, Progress


def probing(match: int = 3, next_index: int = 5) -> Progress:
    peer = Progress("b", next_index, 0.0)
    peer.match = match
    return peer


def replicating(match: int = 3) -> Progress:
    peer = probing(match)
    peer.replicate()
    return peer


def test_a_new_follower_is_probed() -> None:
    peer = Progress("b", 5, 1.0)

    assert (peer.state, peer.match, peer.next, peer.paused) == (PROBE, 0, 5, False)


def test_an_acknowledgement_moves_match_and_next() -> None:
    peer = probing()
    peer.paused = True

    assert peer.acknowledged(5)
    assert (peer.match, peer.next, peer.paused) == (5, 6, False)
    assert peer.acknowledged(4) is False
    assert (peer.match, peer.next) == (5, 6)


def test_messages_under_way_are_counted_until_they_are_acknowledged() -> None:
    peer = replicating()
    for last, size in ((4, 10), (6, 20), (7, 30)):
        peer.sent(last, size)
    assert (peer.next, len(peer.ends), peer.inflight_size) == (8, 3, 60)

    peer.acknowledged(6)
    peer.check_invariants()

    assert (len(peer.ends), peer.inflight_size, peer.next) == (1, 30, 8)
    peer.acknowledged(3)
    assert len(peer.ends) == 1


def test_a_rejected_probe_looks_further_back_but_never_below_match() -> None:
    peer = probing(match=3, next_index=10)

    assert peer.rejected(9, 6)
    assert peer.next == 7
    assert peer.rejected(6, 1)
    assert peer.next == 4
    assert peer.rejected(5, 1) is False
    assert peer.next == 4


def test_an_old_rejection_is_ignored_while_replicating() -> None:
    peer = replicating(match=5)
    peer.sent(8, 1)

    assert peer.rejected(5, 0) is False
    assert (peer.state, peer.next) == (REPLICATE, 9)


def test_a_new_rejection_ends_replicating() -> None:
    peer = replicating(match=5)
    peer.sent_commit = 8
    peer.sent(8, 1)

    assert peer.rejected(8, 6)
    peer.check_invariants()

    assert (peer.state, peer.next, len(peer.ends), peer.sent_commit) == (PROBE, 6, 0, 5)


def test_a_snapshot_is_sent_from_where_it_ends() -> None:
    peer = probing()

    peer.send_snapshot("a snapshot", 20)
    peer.check_invariants()
    assert (peer.state, peer.next, peer.sending) == (SNAPSHOT, 21, "a snapshot")

    peer.probe()
    peer.check_invariants()
    assert (peer.state, peer.next, peer.sending) == (PROBE, 4, None)


def test_what_a_follower_lost_no_longer_counts() -> None:
    peer = replicating(match=5)
    peer.round = 7

    peer.regressed(2)

    assert (peer.state, peer.match, peer.next, peer.round) == (PROBE, 2, 3, 0)
