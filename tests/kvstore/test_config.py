"""The configuration: every field is checked when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.config import INTEGER_MAX, Config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key_size_max", 0),
        ("key_size_max", 65_537),
        ("value_size_max", -1),
        ("operations_max", 0),
        ("depth_max", 33),
        ("session_ttl_min", 0),
        ("session_ttl_max", 999),
        ("session_grace", 11),
        ("session_keys_max", 0),
        ("lock_delay_max", -1),
        ("history_changes", -1),
        ("history_age", INTEGER_MAX + 1),
        ("separator", ""),
        ("separator", "//"),
        ("separator", "\0"),
        ("separator", "\ud800"),
        ("feature_level", 0),
    ],
)
def test_a_field_out_of_its_range_is_refused_and_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key_size_max", 10.0),
        ("operations_max", True),
        ("history_changes", "10"),
        ("separator", 5),
        ("acl", 1),
        ("list_needs_right", 0),
    ],
)
def test_a_field_of_another_type_is_refused_and_named(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=field):
        Config(**{field: value})


def test_no_limit_is_a_limit_too() -> None:
    config = Config(history_changes=None, history_age=None, separator="é")

    assert (config.history_changes, config.separator) == (None, "é")
