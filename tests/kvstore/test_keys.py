"""Where a prefix ends."""

from __future__ import annotations

import pytest

from kvstore.keys import prefix_end


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("", None),
        ("a", "b"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("\ud7ff", "\ue000"),
        ("a/\ud7ff\U0010ffff", "a/\ue000"),
    ],
)
def test_the_end_of_a_prefix_is_the_next_text_that_can_be_a_key(
    prefix: str, end: str | None
) -> None:
    assert prefix_end(prefix) == end
