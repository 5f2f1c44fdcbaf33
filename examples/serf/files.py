"""The files that an agent keeps its keys and its tags in; the snapshot is snapshots.py's.

Files are replaced so that a crash at any moment leaves the old content or the new one. (Serf
writes them in place.)

Source: serf's cmd/serf/command/agent/agent.go, keymanager.go; the formats are Serf's own.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO


class FileError(Exception):
    """A file that can't be read or written, or whose content makes no sense."""


def replace(path: Path, content: bytes) -> None:
    """Give a file new content, all or nothing; only its owner may read it.

    Raises:
        OSError: It can't be written; the old content is still there.
    """
    path = path.resolve()  # keep a symbolic link what it is
    new = path.with_name(path.name + ".new")
    with open_private(new) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def open_private(path: Path) -> BinaryIO:
    """Create or empty a file that only its owner may read, and open it for writing.

    Raises:
        OSError: That can't be done.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in a folder survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- keys -------------------------------------------------------------------------------------


def read_keyring(path: Path) -> list[bytes]:
    """Return the keys of a keyring file, the primary first.

    Raises:
        FileError: It can't be read, is no JSON list of base64, or has no keys.
    """
    content = _read_json(path, "keyring file")
    if not isinstance(content, list) or not all(isinstance(key, str) for key in content):
        raise FileError("Failed to decode keyring file: it is no list of texts")
    try:
        keys = [base64.b64decode(key, validate=True) for key in content]
    except binascii.Error as error:
        raise FileError(f"Failed to decode key from keyring: {error}") from None
    if not keys:
        raise FileError("Keyring file contains no keys")
    return keys


def write_keyring(path: Path, keys: Sequence[bytes]) -> None:
    """Write a keyring file.

    Raises:
        OSError: It can't be written.
    """
    content = [base64.b64encode(key).decode() for key in keys]
    replace(path, json.dumps(content, indent=2).encode())


# --- tags -------------------------------------------------------------------------------------


def read_tags(path: Path) -> dict[str, str]:
    """Return the tags of a tags file; none if there is no such file yet.

    Raises:
        FileError: It can't be read, or is no JSON object of texts.
    """
    if not path.exists():
        return {}
    content = _read_json(path, "tags file")
    if not isinstance(content, dict) or not all(isinstance(tag, str) for tag in content.values()):
        raise FileError("Failed to decode tags file: it is no object of texts")
    return content


def write_tags(path: Path, tags: Mapping[str, str]) -> None:
    """Write a tags file.

    Raises:
        OSError: It can't be written.
    """
    replace(path, json.dumps(dict(tags), indent=2).encode())


def _read_json(path: Path, what: str) -> object:
    try:
        content: object = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"Failed to read {what}: {error}") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise FileError(f"Failed to decode {what}: {error}") from None
    return content
