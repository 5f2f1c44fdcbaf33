"""What a watch can be asked for: what is malformed is refused before there is a watch."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.watches.values import WatchSpec


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"key": "a", "prefix": "b"},
        {"prefix": "a", "end": "b"},
        {"end": "b"},
        {"key": "a", "from_revision": 0},
        {"key": "a", "kinds": ()},
        {"key": "a", "kinds": ("created",)},
        {"key": "a", "pending_max": 0},
        {"key": "a", "progress_interval": 0.0},
        {"key": "a", "progress_interval": -1.0},
        {"key": "a", "progress_interval": float("nan")},
        {"key": "a", "progress_interval": float("inf")},
        {"key": "a", "from_revision": 2**63},
        {"key": ""},
        {"key": "a\0"},
        {"key": "x" * 65_537},
        {"prefix": "\ud800"},
        {"start": "a", "end": "\ud800"},
    ],
)
def test_a_malformed_spec_raises(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"watch|must be|kinds|key|prefix|end"):
        WatchSpec(**fields)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("key", (5, b"a", ["a"])),
        ("prefix", (5, b"a", True)),
        ("start", (5, b"a", object())),
        ("end", (5, b"a")),
        ("from_revision", ("1", 1.0, True)),
        ("kinds", ("put", ["put"], {"put"}, None, 5)),
        ("previous", (1, None, "yes")),
        ("keys_only", (1, None)),
        ("once", (1, None)),
        ("coalesce", (1, None)),
        ("pending_max", ("1", None, 1.0, True)),
        ("progress_interval", ("1", True, [1.0])),
        ("actor", (5, b"alice")),
    ],
)
def test_a_spec_of_other_types_raises(field: str, values: tuple[Any, ...]) -> None:
    rest = {"key": "a"} if field not in {"key", "prefix", "start", "end"} else {}
    rest |= {"start": "a"} if field == "end" else {}
    for value in values:
        with pytest.raises(TypeError, match=field):
            WatchSpec(**{field: value, **rest})
