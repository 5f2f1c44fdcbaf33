"""Tags in both encodings. (Upstream's vectors are in wire/test_vectors.py.)"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents import PayloadTooLarge, decode_tags, encode_tags


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=8))
def test_what_is_written_is_read(tags: dict[str, str]) -> None:
    assert decode_tags(encode_tags(tags, 5)) == tags


def test_the_order_in_which_tags_are_given_does_not_matter() -> None:
    assert encode_tags({"a": "1", "b": "2"}, 5) == encode_tags({"b": "2", "a": "1"}, 5)


@given(st.binary(max_size=40))
def test_any_metadata_is_read(meta: bytes) -> None:
    for tags in (decode_tags(meta), decode_tags(b"\xff" + meta)):
        assert all(isinstance(text, str) for pair in tags.items() for text in pair)


def test_tags_that_are_not_utf_8_survive() -> None:
    tags = decode_tags(b"\xff\x81\xa1k\xa1\xfe")

    assert encode_tags(tags, 5) == b"\xff\x81\xa1k\xa1\xfe"


def test_tags_can_not_be_written_to() -> None:
    tags: Any = decode_tags(b"web")

    with pytest.raises(TypeError):
        tags["role"] = "db"


def test_tags_above_512_bytes_are_refused() -> None:
    with pytest.raises(PayloadTooLarge) as refused:
        encode_tags({"k": "v" * 506}, 5)

    assert (refused.value.what, refused.value.size, refused.value.limit) == ("tags", 513, 512)


@pytest.mark.parametrize("tags", [{"k": 1}, {1: "v"}, {"k": b"v"}])
def test_tags_are_texts(tags: Any) -> None:
    with pytest.raises(TypeError, match="tags are texts by name"):
        encode_tags(tags, 5)
