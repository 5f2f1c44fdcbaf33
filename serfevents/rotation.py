"""Replacing all encryption keys by one, in stages that are verified on every member.

Owns the order: install, verify, use, verify, remove, verify. A key is used only once every member
is known to have it, and an old one removed only once nobody encrypts with it, so that no member
is ever locked out. Where a stage fails it stops, and tells how far it came: the same record
resumes it later, here or on another member.

Source: the procedure of Serf's and Consul's manuals (install, use, remove), with the checks that
they leave to the operator.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve

from serfevents.core import Core
from serfevents.errors import PayloadTooLarge, QueueFull, RotationRunning
from serfevents.keys import LIST_KEYS, KeyManager
from serfevents.keytext import decode_key, encode_key
from serfevents.outputs import (
    KeyChange,
    KeysAnswered,
    Rotation,
    RotationAdvanced,
    RotationStopped,
    Stage,
)

#: Sizes of keys: AES-128, AES-192, AES-256.
KEY_SIZES: Final = (16, 24, 32)


class KeyRotation:
    """Runs one rotation at a time."""

    __slots__ = ("_core", "_manager", "_rotation")

    def __init__(self, core: Core, manager: KeyManager) -> None:
        self._core = core
        self._manager = manager
        self._rotation: Rotation | None = None

    @property
    def running(self) -> Rotation | None:
        """The rotation that runs, as far as it has come."""
        return self._rotation

    def begin(self, rotation: Rotation) -> None:
        """Begin a rotation, or resume one.

        Raises:
            RotationRunning: Another one runs.
            QueueFull, PayloadTooLarge: As of `Queries.ask`.
        """
        if self._rotation is not None:
            raise RotationRunning("a rotation is under way")
        self._rotation = rotation
        try:
            self._ask(rotation)
        except (QueueFull, PayloadTooLarge):
            self._rotation = None
            raise

    def _ask(self, rotation: Rotation) -> None:
        """Ask all members for what is to be done next."""
        match rotation.stage:
            case Stage.INSTALL:
                self._manager.ask(KeyChange.INSTALL.value, rotation.key, then=self._answered)
            case Stage.USE:
                self._manager.ask(KeyChange.USE.value, rotation.key, then=self._answered)
            case Stage.REMOVE if rotation.old_keys:
                old = rotation.old_keys[0]
                self._manager.ask(KeyChange.REMOVE.value, old, then=self._answered)
            case Stage.DONE:
                self._rotation = None
                self._core.emit(RotationAdvanced(rotation))
            case _:
                self._manager.ask(LIST_KEYS, then=self._answered)

    def _answered(self, result: KeysAnswered) -> None:
        """Weigh what all members said, and go on or stop."""
        rotation = self._rotation
        if rotation is None:
            return
        reason = result.error or _doubt(rotation, result)
        if reason:
            self._stop(rotation, reason, result)
            return
        rotation = _advanced(rotation, result)
        self._rotation = rotation
        if rotation.stage is not Stage.DONE:
            self._core.emit(RotationAdvanced(rotation))
        try:
            self._ask(rotation)
        except (QueueFull, PayloadTooLarge) as error:
            self._stop(rotation, str(error), None)

    def _stop(self, rotation: Rotation, reason: str, result: KeysAnswered | None) -> None:
        self._rotation = None
        self._core.emit(RotationStopped(rotation, reason, result))

    def stop(self) -> None:
        """Stop where it is: we end."""
        if self._rotation is not None:
            self._stop(self._rotation, "this member ends", None)


def _doubt(rotation: Rotation, result: KeysAnswered) -> str:
    """Return what is not yet as the stage demands; empty if all is well."""
    key = encode_key(rotation.key)
    match rotation.stage:
        case Stage.VERIFY_INSTALLED:
            count = dict(result.keys).get(key, 0)
            if count < result.members:
                return f"{count}/{result.members} members show the new key"
            if not all(_is_key(text) for text, _ in result.keys):
                return "a member shows a key that is none"
        case Stage.VERIFY_USED:
            count = dict(result.primary_keys).get(key, 0)
            if count < result.members:
                return f"{count}/{result.members} members show the new key as primary"
        case Stage.VERIFY_REMOVED:
            if others := [text for text, _ in result.keys if text != key]:
                return f"{len(others)} other keys are still there"
        case _:
            pass
    return ""


def _is_key(text: str) -> bool:
    try:
        decode_key(text)
    except ValueError:
        return False
    return True


def _advanced(rotation: Rotation, result: KeysAnswered) -> Rotation:
    """Return the rotation after a stage that is complete."""
    match rotation.stage:
        case Stage.VERIFY_INSTALLED:
            seen = [decode_key(text) for text, _ in result.keys]
            old = tuple(key for key in seen if key != rotation.key)
            return evolve(rotation, stage=Stage.USE, old_keys=old)
        case Stage.REMOVE if len(rotation.old_keys) > 1:
            return evolve(rotation, old_keys=rotation.old_keys[1:])
        case Stage.REMOVE:
            return evolve(rotation, stage=Stage.VERIFY_REMOVED, old_keys=())
        case stage:
            return evolve(rotation, stage=_NEXT[stage])


_NEXT: Final = {
    Stage.INSTALL: Stage.VERIFY_INSTALLED,
    Stage.USE: Stage.VERIFY_USED,
    Stage.VERIFY_USED: Stage.REMOVE,
    Stage.VERIFY_REMOVED: Stage.DONE,
}


def check_rotation(rotation: bytes | Rotation) -> Rotation:
    """Return a rotation to begin or to resume.

    Raises:
        TypeError: It is neither a key nor a rotation.
        ValueError: A key is not one of AES, or there is nothing left to do.
    """
    if isinstance(rotation, bytes):
        rotation = Rotation(rotation)
    if not isinstance(rotation, Rotation):
        raise TypeError(f"a rotation is a key or a Rotation, not {type(rotation).__name__}")
    if rotation.stage is Stage.DONE:
        raise ValueError("this rotation is complete")
    for key in (rotation.key, *rotation.old_keys):
        check_key(key)
    return rotation


def check_key(key: bytes) -> bytes:
    """Return a key, which must be one of AES.

    Raises:
        TypeError, ValueError: It is none.
    """
    if not isinstance(key, bytes):
        raise TypeError(f"a key is bytes, not {type(key).__name__}")
    if len(key) not in KEY_SIZES:
        raise ValueError(f"a key has 16, 24 or 32 bytes, not {len(key)}")
    return key
