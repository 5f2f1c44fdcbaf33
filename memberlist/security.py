"""Keys and AES-GCM: what makes a packet or a frame unreadable for others.

Owns the keyring and the sealed form: version byte, nonce, ciphertext, tag. Version 1 seals as it
is, version 0 (protocol 1) pads to 16 bytes by PKCS#7 first. Knows neither labels nor frames (its
callers pass the associated data) and draws no nonces.

Guarded, where upstream panics: a version 0 padding longer than the plaintext is a `DecodeError`.

Source: memberlist `security.go`, `keyring.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memberlist.errors import DecodeError, KeyringError

NONCE_SIZE = 12
TAG_SIZE = 16
KEY_SIZES = (16, 24, 32)
_BLOCK_SIZE = 16

#: The most that sealing adds, in bytes, by version; also the least that can be opened.
ENCRYPTION_OVERHEAD = {0: 1 + NONCE_SIZE + _BLOCK_SIZE + TAG_SIZE, 1: 1 + NONCE_SIZE + TAG_SIZE}


class Keyring:
    """The keys that a member accepts; the first, the primary, seals what it sends.

    Shared and live: the machine and the application use one object, and a change holds from the
    next packet on. An empty ring means that encryption is off.

    Attributes:
        ring: Pairs of key and cipher, primary first; read only, always the same list.
    """

    __slots__ = ("ring",)

    def __init__(self, keys: Iterable[bytes] = (), primary: bytes | None = None) -> None:
        """Install `keys` in order, behind `primary` if one is given.

        Raises:
            ValueError: A key that is not 16, 24 or 32 bytes.
        """
        self.ring: list[tuple[bytes, AESGCM]] = []
        if primary is not None:
            self.add(primary)
        for key in keys:
            self.add(key)

    def __len__(self) -> int:
        return len(self.ring)

    def __bool__(self) -> bool:
        return bool(self.ring)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self.ring)} keys>"

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All keys, primary first."""
        return tuple(key for key, _ in self.ring)

    @property
    def primary(self) -> bytes | None:
        """The key that seals, or None while encryption is off."""
        return self.ring[0][0] if self.ring else None

    def add(self, key: bytes) -> None:
        """Install a key, last in the order; nothing happens if it is installed already.

        The first key of an empty ring is its primary: from then on packets are encrypted.

        Raises:
            ValueError: It is not bytes of length 16, 24 or 32.
        """
        if not isinstance(key, bytes) or len(key) not in KEY_SIZES:
            raise ValueError("a key must be 16, 24 or 32 bytes")
        if self._position(key) is None:
            self.ring.append((key, AESGCM(key)))

    def use(self, key: bytes) -> None:
        """Make an installed key the primary.

        Raises:
            KeyringError: It isn't installed.
        """
        position = self._position(key)
        if position is None:
            raise KeyringError("the key is not in the keyring")
        self.ring.insert(0, self.ring.pop(position))

    def remove(self, key: bytes) -> None:
        """Forget a key; nothing happens if it isn't installed.

        Raises:
            KeyringError: It is the primary.
        """
        position = self._position(key)
        if position == 0:
            raise KeyringError("the primary key can't be removed")
        if position is not None:
            del self.ring[position]

    def seal(self, plaintext: bytes, aad: bytes, nonce: bytes, version: int = 1) -> bytes:
        """Return `plaintext` sealed with the primary key.

        Args:
            plaintext: Any bytes.
            aad: Associated data that the receiver must present again.
            nonce: 12 bytes that were never used with this key.
            version: 1, or 0 for what protocol 1 speaks.

        Raises:
            KeyringError: The ring is empty.
            ValueError: Another version, or another size of nonce.
        """
        if not self.ring:
            raise KeyringError("the keyring is empty")
        if len(nonce) != NONCE_SIZE:
            raise ValueError(f"a nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
        if version == 1:
            return b"\x01" + nonce + self.ring[0][1].encrypt(nonce, plaintext, aad)
        if version != 0:
            raise ValueError(f"there is no encryption version {version}")
        padding = _BLOCK_SIZE - len(plaintext) % _BLOCK_SIZE
        padded = plaintext + bytes([padding]) * padding
        return b"\x00" + nonce + self.ring[0][1].encrypt(nonce, padded, aad)

    def open(self, data: bytes, aad: bytes) -> bytes:
        """Return the plaintext of `data`, whichever key of the ring it was sealed with.

        Raises:
            DecodeError: `decrypt`: no key fits, another version, or too short.
        """
        version = data[0] if data else -1
        minimum = ENCRYPTION_OVERHEAD.get(version)
        if minimum is None:
            raise DecodeError("decrypt", "no encryption version 0 or 1 in front")
        if len(data) < minimum:
            raise DecodeError("decrypt", f"{len(data)} bytes are too few")
        nonce = data[1:13]
        ciphertext = data[13:]
        for _, cipher in self.ring:
            try:
                plaintext = cipher.decrypt(nonce, ciphertext, aad)
            except InvalidTag:
                continue
            return plaintext if version else _without_padding(plaintext)
        raise DecodeError("decrypt", "no installed key fits")

    def _position(self, key: bytes) -> int | None:
        for position, (installed, _) in enumerate(self.ring):
            if installed == key:
                return position
        return None


def sealed_size(size: int, version: int) -> int:
    """Return how many bytes `size` bytes of plaintext become."""
    padding = 0 if version else _BLOCK_SIZE - size % _BLOCK_SIZE
    return ENCRYPTION_OVERHEAD[1] + size + padding


def _without_padding(plaintext: bytes) -> bytes:
    """Return `plaintext` without the padding that its last byte counts; only that one is looked at.

    Never empty here: version 0 needs a block at least.
    """
    padding = plaintext[-1]
    if padding > len(plaintext):
        raise DecodeError("decrypt", "more padding than plaintext")
    return plaintext[: len(plaintext) - padding]
