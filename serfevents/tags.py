"""Tags: how a member describes itself, in memberlist's metadata.

Owns both encodings: a map since protocol version 3, and before that the bare text of one tag,
`role`. Knows nothing of members.

Source: serf/serf.go encodeTags, decodeTags.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgpack

from serfevents.config import TAGS_SIZE_MAX
from serfevents.errors import PayloadTooLarge
from serfevents.wire.dialect import encode_map, encode_text

#: The first byte of the map's encoding; no role begins with it, as it isn't UTF-8.
MAGIC: Final = b"\xff"

#: The lowest protocol version that has tags.
TAGS_VERSION: Final = 3


def encode_tags(tags: Mapping[str, str], protocol_version: int) -> bytes:
    r"""Return tags as metadata, in the order of their names.

    Args:
        tags: Texts by name; before version 3 all but `role` is lost, as in Serf.
        protocol_version: Serf's.

    Raises:
        PayloadTooLarge: More than `TAGS_SIZE_MAX` bytes.
        TypeError: A name or value is not text.

    >>> encode_tags({"role": "web"}, 5), encode_tags({"role": "web"}, 2)
    (b'\xff\x81\xa4role\xa3web', b'web')
    """
    for name, value in tags.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"tags are texts by name, not {name!r}: {value!r}")
    if protocol_version < TAGS_VERSION:
        meta = tags.get("role", "").encode("utf-8", "surrogateescape")
    else:
        meta = MAGIC + encode_map((name, encode_text(tags[name])) for name in sorted(tags))
    if len(meta) > TAGS_SIZE_MAX:
        raise PayloadTooLarge("tags", len(meta), TAGS_SIZE_MAX)
    return meta


@lru_cache(maxsize=16384)
def decode_tags(meta: bytes) -> Mapping[str, str]:
    r"""Return the tags of metadata, which can't be written to; of broken bytes those in front.

    >>> dict(decode_tags(b"web")), dict(decode_tags(b"\xff\x82\xa1a\xa1b\xa1c"))
    ({'role': 'web'}, {'a': 'b'})
    """
    if not meta.startswith(MAGIC):
        return MappingProxyType({"role": meta.decode("utf-8", "surrogateescape")})
    tags: dict[str, str] = {}
    unpacker = msgpack.Unpacker(raw=True, max_buffer_size=max(len(meta), 1))
    unpacker.feed(meta[1:])
    try:
        for _ in range(unpacker.read_map_header()):
            name, value = unpacker.unpack(), unpacker.unpack()
            if type(name) is not bytes or type(value) is not bytes:
                break
            text = value.decode("utf-8", "surrogateescape")
            tags[name.decode("utf-8", "surrogateescape")] = text
    except (ValueError, TypeError, msgpack.OutOfData):
        pass
    return MappingProxyType(tags)
