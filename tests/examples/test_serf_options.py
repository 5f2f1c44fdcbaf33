"""The agent's command line and configuration files, as Serf reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.serf import options
from examples.serf.handlers import Script
from examples.serf.happenings import Filter
from examples.serf.options import HelpWanted, OptionError, Options, parse, usage

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_without_flags_everything_is_as_serf_has_it() -> None:
    found = parse(["-node=n"])

    assert found == Options(node_name="n")
    assert found.bind_address == ("0.0.0.0", 7946)
    assert found.rpc_address == ("127.0.0.1", 7373)
    assert (found.advertised, found.key, found.scripts) == (None, None, ())


def test_flags_are_written_in_all_of_gos_ways() -> None:
    found = parse(["-node", "n", "--bind=127.0.0.1:1", "-rejoin", "-replay=false", "-tag", "a=b=c"])

    assert found == Options(
        node_name="n", bind="127.0.0.1:1", rejoin_after_leave=True, tags={"a": "b=c"}
    )


def test_every_flag_reaches_its_setting() -> None:
    given = {
        "advertise": ("advertise", "10.0.0.1:5"),
        "broadcast-timeout": ("broadcast_timeout", 10.0),
        "event-handler": ("event_handlers", ("a.sh", "user:x=b.sh")),
        "join": ("start_join", ("a:1", "b")),
        "log-level": ("log_level", "debug"),
        "profile": ("profile", "wan"),
        "protocol": ("protocol", 4),
        "retry-interval": ("retry_interval", 90.0),
        "retry-join": ("retry_join", ("c", "d")),
        "retry-max": ("retry_max_attempts", 3),
        "rpc-addr": ("rpc_addr", "127.0.0.1:9"),
        "rpc-auth": ("rpc_auth", "secret"),
        "snapshot": ("snapshot_path", "s"),
        "tags-file": ("tags_file", "t"),
        "keyring-file": ("keyring_file", "k"),
    }
    words = ["-broadcast-timeout=10s", "-retry-interval=1m30s", "-event-handler=a.sh"]
    words += ["-event-handler=user:x=b.sh", "-join=a:1", "-join=b", "-retry-join=c"]
    words += ["-retry-join=d", "-advertise=10.0.0.1:5", "-log-level=debug", "-profile=wan"]
    words += ["-protocol=4", "-retry-max=3", "-rpc-addr=127.0.0.1:9", "-rpc-auth=secret"]
    words += ["-snapshot=s", "-tags-file=t", "-keyring-file=k", "-disable-compression"]

    found = parse(words)

    for setting, expected in given.values():
        assert getattr(found, setting) == expected, setting
    assert not found.enable_compression
    assert found.advertised == ("10.0.0.1", 5)
    assert found.scripts == (Script(Filter("*"), "a.sh"), Script(Filter("user", "x"), "b.sh"))


def test_a_role_is_a_tag() -> None:
    assert parse(["-role=web", "-tag=a=1"]).tags == {"a": "1", "role": "web"}


def test_a_key_is_16_24_or_32_bytes_of_base64() -> None:
    assert parse([f"-encrypt={KEY}"]).key == bytes(range(32))


def test_files_add_up_and_flags_win(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    first = {"node_name": "a", "tags": {"x": "1", "y": "1"}, "start_join": ["a"], "bind": "1.1.1.1"}
    second = {
        "node_name": "b",
        "tags": {"y": "2"},
        "event_handlers": ["e"],
        "reconnect_timeout": "2h",
    }
    (folder / "1.json").write_text(json.dumps(first))
    (folder / "2.json").write_text(json.dumps(second))
    (folder / "3.txt").write_text("not read")
    single = tmp_path / "single.json"
    single.write_text(json.dumps({"leave_on_terminate": True, "query_size_limit": 99}))

    found = parse([f"-config-dir={folder}", f"-config-file={single}", "-join=b", "-bind=2.2.2.2"])

    assert found == Options(
        node_name="b",
        tags={"x": "1", "y": "2"},
        start_join=("a", "b"),
        event_handlers=("e",),
        bind="2.2.2.2",
        reconnect_timeout=7200.0,
        leave_on_terminate=True,
        query_size_limit=99,
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30s", 30), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("2us", 2e-6)],
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert options.read_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["word"], "'word' is no flag"),
        (["-"], "'-' is no flag"),
        (["-bogus=1"], "there is no flag -bogus"),
        (["-node"], "-node needs a value"),
        (["-discover=x"], "-discover is not supported: multicast DNS"),
        (["-syslog"], "-syslog is not supported"),
        (["-retry-interval=5"], "-retry-interval: '5' is no duration"),
        (["-retry-max=x"], "-retry-max: invalid literal"),
        (["-rejoin=maybe"], "-rejoin: 'maybe' is neither true nor false"),
        (["-tag=a"], "-tag: Invalid tag: 'a'"),
        (["-tag==a"], "-tag: Invalid tag: '=a'"),
        (["-profile=moon"], "Unknown profile: moon"),
        (["-protocol=1"], "protocol 1 is not spoken"),
        (["-log-level=loud"], "Unknown log level: LOUD"),
        (["-encrypt=!"], "the encryption key is not base64"),
        (["-encrypt=AAAA"], "the encryption key has 3 bytes"),
        (["-bind=1.2.3.4:x"], ""),
        (["-event-handler=user-x=y"], "'user-x' is no kind of event"),
        (["-tag=a=b", "-tags-file=x"], "Tags config not allowed while using tag files"),
        (
            [f"-encrypt={KEY}", "-keyring-file=x"],
            "Encryption key not allowed while using a keyring",
        ),
        (["-config-file=/does/not/exist"], "can't read /does/not/exist: No such file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words: list[str], complaint: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse(words)

    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no object"),
        ('{"bogus": 1}', "there is no setting bogus"),
        ('{"mdns": {}}', "mdns is not supported"),
        ('{"bind": 5}', "bind: 5 is no str"),
        ('{"tags": {"a": 5}}', "tags: 5 is no str"),
        ('{"start_join": {}}', "start_join: {} is no list"),
        ('{"protocol": "x"}', "protocol: invalid literal"),
        ('{"rejoin_after_leave": 5}', "rejoin_after_leave: 5 is no bool"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)

    with pytest.raises(OptionError, match=complaint):
        parse([f"-config-file={file}"])


def test_our_own_name_is_validated_only_if_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"validate_node_names": True}))

    assert parse(["-node=a_b"]).node_name == "a_b"
    assert parse(["-node=a-b", f"-config-file={file}"]).validate_node_names
    with pytest.raises(OptionError, match="Node name 'a_b' is invalid"):
        parse(["-node=a_b", f"-config-file={file}"])


def test_help_names_every_flag() -> None:
    with pytest.raises(HelpWanted):
        parse(["-node=x", "-help"])
    named = {line.split()[0] for line in usage().splitlines() if line.startswith("  -")}

    flags = {each.flag for each in options.SETTINGS if each.flag}
    flags |= {"config-file", "config-dir", "disable-compression"}
    assert named == {f"-{flag}" for flag in flags}
