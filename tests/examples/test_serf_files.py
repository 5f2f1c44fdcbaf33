"""The files that an agent keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.serf import files
from examples.serf.files import FileError

KEYS = [bytes(range(16)), bytes(range(32))]


def test_keys_survive_in_serfs_format(tmp_path: Path) -> None:
    path = tmp_path / "ring"

    files.write_keyring(path, KEYS)

    assert files.read_keyring(path) == KEYS
    assert json.loads(path.read_text())[0] == "AAECAwQFBgcICQoLDA0ODw=="
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


def test_tags_survive_in_serfs_format(tmp_path: Path) -> None:
    path = tmp_path / "tags"

    files.write_tags(path, {"role": "web"})

    assert files.read_tags(path) == {"role": "web"}
    assert path.read_text() == '{\n  "role": "web"\n}'
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_tags_file_is_no_tags(tmp_path: Path) -> None:
    assert files.read_tags(tmp_path / "none") == {}


def test_a_file_that_can_not_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    files.write_tags(path, {"a": "1"})
    (tmp_path / "tags.new").mkdir()

    with pytest.raises(OSError, match="directory"):
        files.write_tags(path, {"a": "2"})

    assert files.read_tags(path) == {"a": "1"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "tags", tmp_path / "link"
    files.write_tags(path, {"a": "1"})
    link.symlink_to(path)

    files.write_tags(link, {"a": "2"})

    assert link.is_symlink()
    assert files.read_tags(path) == {"a": "2"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "Failed to decode keyring file"),
        (b"\xff", "Failed to decode keyring file"),
        (b"{}", "it is no list of texts"),
        (b"[5]", "it is no list of texts"),
        (b'["!"]', "Failed to decode key from keyring"),
        (b"[]", "Keyring file contains no keys"),
    ],
)
def test_a_broken_keyring_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "ring"
    path.write_bytes(content)

    with pytest.raises(FileError, match=complaint):
        files.read_keyring(path)


def test_a_missing_keyring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Failed to read keyring file"):
        files.read_keyring(tmp_path / "none")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": 5}'])
def test_broken_tags_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tags"
    path.write_bytes(content)

    with pytest.raises(FileError, match="Failed to decode tags file"):
        files.read_tags(path)
