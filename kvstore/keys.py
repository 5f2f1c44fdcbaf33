"""Keys as text, in the order of their code points: where a prefix ends."""

from __future__ import annotations


def prefix_end(prefix: str) -> str | None:
    """Return the least text above all that begin with `prefix`, None if nothing is.

    The next code point of the last one that has a next; surrogates are none, as no key has them.

    >>> prefix_end("web/")
    'web0'
    >>> prefix_end("") is None
    True
    """
    if prefix and prefix[-1] < "\ud7ff":
        return prefix[:-1] + chr(ord(prefix[-1]) + 1)
    text = prefix.rstrip("\U0010ffff")
    if not text:
        return None
    last = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if last == 0xD800 else last)
