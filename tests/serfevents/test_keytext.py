"""Keys as base64, held against the standard library's."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serfevents.keytext import decode_key, encode_key


@given(st.binary(max_size=40))
def test_it_is_standard_base64(key: bytes) -> None:
    text = encode_key(key)

    assert text == base64.b64encode(key).decode()
    assert decode_key(text) == key


@pytest.mark.parametrize("text", ["a", "ab", "abc", "ab=c", "a===", "!aaa", "====", "AB==", "AAB="])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not base64"):
        decode_key(text)
