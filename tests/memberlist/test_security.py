"""The keyring's rules, and what is sealed with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist.errors import DecodeError, KeyringError
from memberlist.security import ENCRYPTION_OVERHEAD, Keyring, sealed_size

A, B, C = bytes(16), bytes([1]) * 24, bytes([2]) * 32
NONCE = bytes(range(12))


def test_the_first_key_is_the_primary_unless_another_is_named() -> None:
    assert Keyring([A, B]).keys == (A, B)
    assert Keyring([A, B], primary=C).keys == (C, A, B)
    assert Keyring([A, B, C], primary=B).keys == (B, A, C)
    assert Keyring([A, B, C], primary=B).primary == B
    assert Keyring([A, A]).keys == (A,)


def test_an_empty_ring_is_false_and_has_no_primary() -> None:
    ring = Keyring()

    assert not ring
    assert len(ring) == 0
    assert ring.primary is None
    with pytest.raises(KeyringError, match="the keyring is empty"):
        ring.seal(b"x", b"", NONCE)


def test_added_keys_go_to_the_end_and_known_ones_stay_where_they_are() -> None:
    ring = Keyring([A])

    ring.add(B)
    ring.add(A)

    assert ring.keys == (A, B)
    assert len(ring) == 2
    assert repr(ring) == "<Keyring of 2 keys>"


def test_a_key_in_use_moves_to_the_front() -> None:
    ring = Keyring([A, B, C])

    ring.use(C)

    assert ring.keys == (C, A, B)
    with pytest.raises(KeyringError, match="not in the keyring"):
        ring.use(bytes([9]) * 16)
    assert ring.keys == (C, A, B)


def test_only_keys_that_are_not_primary_can_be_removed() -> None:
    ring = Keyring([A, B])

    with pytest.raises(KeyringError, match="the primary key can't be removed"):
        ring.remove(A)
    ring.remove(C)
    ring.remove(B)

    assert ring.keys == (A,)


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(17), bytes(33), "0123456789abcdef"])
def test_keys_of_another_size_are_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="a key must be 16, 24 or 32 bytes"):
        Keyring([key])


@given(st.binary(max_size=300), st.binary(max_size=20), st.sampled_from([0, 1]))
def test_what_is_sealed_can_be_opened_with_the_same_associated_data(
    plaintext: bytes, aad: bytes, version: int
) -> None:
    sealed = Keyring([A]).seal(plaintext, aad, NONCE, version)

    assert Keyring([B, C, A]).open(sealed, aad) == plaintext
    assert len(sealed) == sealed_size(len(plaintext), version)
    assert len(sealed) <= len(plaintext) + ENCRYPTION_OVERHEAD[version]
    with pytest.raises(DecodeError, match="decrypt: no installed key fits"):
        Keyring([A]).open(sealed, aad + b"x")
    with pytest.raises(DecodeError, match="decrypt: no installed key fits"):
        Keyring([B]).open(sealed, aad)


def test_a_sealed_byte_that_changes_is_noticed() -> None:
    sealed = Keyring([A]).seal(b"hello", b"", NONCE)
    for place in range(1, len(sealed)):
        broken = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(DecodeError, match="decrypt"):
            Keyring([A]).open(broken, b"")


@pytest.mark.parametrize("version", [0, 1])
def test_what_is_shorter_than_its_overhead_is_refused_unseen(version: int) -> None:
    short = bytes([version]) + bytes(ENCRYPTION_OVERHEAD[version] - 2)

    with pytest.raises(DecodeError, match="bytes are too few"):
        Keyring([A]).open(short, b"")


@pytest.mark.parametrize("data", [b"", b"\x02" + bytes(60)])
def test_other_versions_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="decrypt: no encryption version 0 or 1"):
        Keyring([A]).open(data, b"")


def test_there_is_no_third_version_to_seal_with_and_no_other_size_of_nonce() -> None:
    with pytest.raises(ValueError, match="there is no encryption version 2"):
        Keyring([A]).seal(b"", b"", NONCE, 2)
    with pytest.raises(ValueError, match="a nonce has 12 bytes, not 11"):
        Keyring([A]).seal(b"", b"", NONCE[1:])


def test_more_padding_than_plaintext_is_refused_where_upstream_panics() -> None:
    forged = bytearray(Keyring([A]).seal(bytes([17]) * 16, b"", NONCE, 1))
    forged[0] = 0  # the version is not authenticated

    with pytest.raises(DecodeError, match="decrypt: more padding than plaintext"):
        Keyring([A]).open(bytes(forged), b"")


def test_only_the_last_byte_of_the_padding_counts() -> None:
    forged = bytearray(Keyring([A]).seal(bytes(15) + b"\x10", b"", NONCE, 1))
    forged[0] = 0

    with pytest.raises(DecodeError, match="are too few"):
        Keyring([A]).open(bytes(forged)[:-1], b"")
    assert Keyring([A]).open(bytes(forged), b"") == b""
