"""The knobs: presets as memberlist's, and combinations that make no sense refused with a reason."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberlist import Config

KNOBS = [field.name for field in attrs.fields(Config)]
#: Types are kept as text: the module's annotations are not evaluated.
TYPES = {field.name: str(field.type) for field in attrs.fields(Config)}
NUMBERS = [knob for knob in KNOBS if TYPES[knob] in ("float", "int")]
COUNTS = [knob for knob in KNOBS if TYPES[knob] == "int"]


def make(**changes: Any) -> Config:
    """Return a configuration with these changes, whatever their types."""
    return Config(**changes)


# --- presets, as memberlist's config.go ------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "lan", "wan", "local"),
    [
        ("probe_interval", 1.0, 5.0, 1.0),
        ("probe_timeout", 0.5, 3.0, 0.2),
        ("indirect_checks", 3, 3, 1),
        ("stream_pings", True, True, True),
        ("awareness_max", 8, 8, 8),
        ("suspicion_mult", 4, 6, 3),
        ("suspicion_timeout_max_mult", 6, 6, 6),
        ("retransmit_mult", 4, 4, 2),
        ("push_pull_interval", 30.0, 60.0, 15.0),
        ("gossip_interval", 0.2, 0.5, 0.1),
        ("gossip_nodes", 3, 4, 3),
        ("gossip_to_the_dead_time", 30.0, 60.0, 15.0),
        ("stream_timeout", 10.0, 30.0, 1.0),
        ("protocol_version", 2, 2, 2),
        ("app_versions", (0, 0, 0), (0, 0, 0), (0, 0, 0)),
        ("verify_incoming", True, True, True),
        ("verify_outgoing", True, True, True),
        ("compression", True, True, True),
        ("label", b"", b"", b""),
        ("label_check_skipped", False, False, False),
        ("datagram_size", 1400, 1400, 1400),
        ("dead_reclaim_time", 0.0, 0.0, 0.0),
        ("allowed_networks", None, None, None),
        ("meta_size_max", 512, 512, 512),
        ("streams_max", 128, 128, 128),
        ("user_state_size_max", 20 << 20, 20 << 20, 20 << 20),
        ("user_message_size_max", 20 << 20, 20 << 20, 20 << 20),
        ("stream_decompressed_max", 40 << 20, 40 << 20, 40 << 20),
    ],
)
def test_the_presets_are_memberlists(knob: str, lan: Any, wan: Any, local: Any) -> None:
    presets = (Config.lan(), Config.wan(), Config.local())

    assert tuple(getattr(preset, knob) for preset in presets) == (lan, wan, local)


def test_the_paper_exact_lifeguard_is_opt_in() -> None:
    assert not any(each.scale_probe_timeout for each in (Config.lan(), Config.wan()))
    assert Config.lan(scale_probe_timeout=True).scale_probe_timeout


@pytest.mark.parametrize("preset", [Config.lan, Config.wan, Config.local])
def test_a_preset_can_be_changed_where_it_differs(preset: Any) -> None:
    assert preset(gossip_nodes=9) == preset().changed(gossip_nodes=9)


def test_a_preset_is_immutable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Config.lan().gossip_nodes = 9  # type: ignore[misc] # that is the point


def test_a_copy_is_checked_like_the_first() -> None:
    with pytest.raises(ValueError, match="gossip_nodes must be within"):
        Config.lan().changed(gossip_nodes=-1)


def test_every_knob_is_described() -> None:
    described = [knob for knob in KNOBS if f"        {knob}:" in (Config.__doc__ or "")]

    assert described == KNOBS


# --- single knobs ----------------------------------------------------------------------------


def test_numbers_are_checked_one_by_one() -> None:
    assert len(NUMBERS) > 30


@pytest.mark.parametrize("knob", NUMBERS)
@pytest.mark.parametrize("value", [-1, math.inf, math.nan])
def test_no_number_may_be_negative_or_not_finite(knob: str, value: float) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{knob} must be"):
        make(**{knob: value})


@pytest.mark.parametrize("knob", NUMBERS)
@pytest.mark.parametrize("value", ["1", None, True])
def test_what_is_no_number_is_refused(knob: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{knob} must be a number"):
        make(**{knob: value})


@pytest.mark.parametrize("knob", COUNTS)
def test_counts_are_whole(knob: str) -> None:
    with pytest.raises(TypeError, match=f"^{knob} must be a number, not 1.5"):
        make(**{knob: 1.5})


@pytest.mark.parametrize("knob", ["gossip_interval", "push_pull_interval", "heal_interval"])
def test_a_period_is_0_for_never_or_at_least_a_millisecond(knob: str) -> None:
    assert getattr(make(**{knob: 0}), knob) == 0
    assert getattr(make(**{knob: 0.001}), knob) == 0.001
    with pytest.raises(ValueError, match=f"^{knob} must be within"):
        make(**{knob: 0.0001})


@pytest.mark.parametrize("version", [0, 6])
def test_the_protocol_has_versions_1_to_5(version: int) -> None:
    with pytest.raises(ValueError, match=r"protocol_version must be within \[1, 5\]"):
        Config(protocol_version=version)


@pytest.mark.parametrize(
    "versions", [(1, 0, 0), (0, 3, 4), (2, 3, 1), (0, 256, 0), (-1, 0, 0), (3, 2, 3)]
)
def test_the_applications_versions_must_be_in_order(versions: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="app_versions"):
        Config(app_versions=versions)


@pytest.mark.parametrize("label", [bytes(256), "text"])
def test_a_label_is_at_most_255_bytes(label: Any) -> None:
    with pytest.raises(ValueError, match="label must be bytes, at most 255"):
        Config(label=label)


def test_the_longest_label_is_fine() -> None:
    assert Config(label=bytes(255)).label == bytes(255)


@pytest.mark.parametrize("network", ["10.0.0.0/33", "10.0.0.1/8", "somewhere"])
def test_networks_must_be_in_cidr(network: str) -> None:
    with pytest.raises(ValueError, match=network.partition("/")[0]):
        Config(allowed_networks=("10.0.0.0/8", network))


def test_one_network_is_a_tuple_too() -> None:
    one: Any = "10.0.0.0/8"

    with pytest.raises(TypeError, match="a tuple of networks"):
        Config(allowed_networks=one)


# --- combinations, each refused with an explanation ------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"probe_timeout": 0.51}, "helpers' answers would come after the probe is over"),
        ({"probe_interval": 0.9}, "lower it, or accept that with slow_helpers=True"),
        ({"probe_timeout": 1.0, "slow_helpers": True}, "no time is left for indirect pings"),
        (
            {"gossip_to_the_dead_time": 0.1, "gossip_interval": 0.2},
            "a dead member would be reaped before it could hear of it and refute",
        ),
        ({"label": b"x", "label_check_skipped": True}, "the one in front of us owns the label"),
        (
            {"datagram_size": 512, "label": bytes(255)},
            "too few for an alive message with its metadata",
        ),
        (
            {"frame_size_max": 2048, "streams_buffered_max": 2047},
            "a frame of that size could never arrive",
        ),
    ],
)
def test_knobs_that_contradict_each_other_are_explained(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Config(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"probe_timeout": 0.5},
        {"probe_timeout": 0.9, "slow_helpers": True},
        {"gossip_to_the_dead_time": 0.0},
        {"gossip_interval": 0.0, "gossip_to_the_dead_time": 0.001},
        {"label_check_skipped": True},
        {"datagram_size": 512},
        {"datagram_size": 600, "label": bytes(255)},
        {"allowed_networks": ()},
        {"awareness_max": 1},
        {"indirect_checks": 0},
        {"app_versions": (0, 255, 255)},
    ],
)
def test_what_is_unusual_but_sound_is_allowed(changes: dict[str, Any]) -> None:
    config = Config(**changes)

    assert {knob: getattr(config, knob) for knob in changes} == changes


# --- what follows from the knobs -------------------------------------------------------------


def test_an_alive_message_announces_all_versions() -> None:
    assert Config.lan().versions == bytes([1, 5, 2, 0, 0, 0])
    assert Config(protocol_version=4, app_versions=(2, 5, 3)).versions == bytes([1, 5, 4, 2, 5, 3])


@pytest.mark.parametrize(("protocol", "encryption"), [(1, 0), (2, 1), (5, 1)])
def test_only_the_first_protocol_encrypts_with_padding(protocol: int, encryption: int) -> None:
    assert Config(protocol_version=protocol).encryption_version == encryption


@given(st.floats(0.001, 1000.0), st.floats(0.001, 1000.0))
def test_either_the_helpers_have_time_or_it_is_refused(interval: float, timeout: float) -> None:
    try:
        config = Config(probe_interval=interval, probe_timeout=timeout)
    except ValueError:
        assert 2 * timeout > interval
    else:
        assert config.probe_timeout <= config.probe_interval - config.probe_timeout
