"""Keys as text: standard base64, as Serf writes them in answers and files.

Written out here because the packages import nothing that could do more than compute.
"""

from __future__ import annotations

from typing import Final

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}


def encode_key(key: bytes) -> str:
    """Return a key as base64.

    >>> encode_key(b"0123456789abcdef")
    'MDEyMzQ1Njc4OWFiY2RlZg=='
    """
    padding = -len(key) % 3
    padded = key + bytes(padding)
    letters = []
    for at in range(0, len(padded), 3):
        triple = int.from_bytes(padded[at : at + 3], "big")
        letters += [_ALPHABET[triple >> shift & 63] for shift in (18, 12, 6, 0)]
    return "".join(letters)[: len(letters) - padding] + "=" * padding


def decode_key(text: str) -> bytes:
    """Return a key from base64.

    Raises:
        ValueError: It is none.

    >>> decode_key("MDEyMzQ1Njc4OWFiY2RlZg==")
    b'0123456789abcdef'
    """
    letters = text.rstrip("=")
    padding = len(text) - len(letters)
    if len(text) % 4 or padding > 2 or not all(letter in _VALUES for letter in letters):
        raise ValueError("not base64")
    total = 0
    for letter in letters:
        total = total << 6 | _VALUES[letter]
    spare = 2 * padding
    if total & ((1 << spare) - 1):
        raise ValueError("not base64")
    return (total >> spare).to_bytes(len(letters) * 3 // 4, "big")
