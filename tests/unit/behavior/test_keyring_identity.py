"""A data folder notices that its keyring is gone, emptied, damaged or another one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from events.errors import Corrupt, Unavailable
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.behavior.keyring_identity import (
    IDENTITY_NAME,
    keyring_loss,
    open_or_replace,
    remember_keyring,
    stored_identity,
)
from tests.factories import NOW


def filled(folder: Path) -> str:
    """Make a keyring of some users; return its identity."""
    keyring = open_or_replace(folder, NOW)
    for i in range(300):
        keyring.user(f"user {i}", NOW)
    identity = keyring.identity
    remember_keyring(folder, identity)
    assert keyring_loss(folder, identity) == ""
    keyring.close()
    return identity


def opened(folder: Path) -> Keyring:
    keyring = open_or_replace(folder, NOW)
    keyring.close()
    return keyring


def cut_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xff" * 8192
    path.write_bytes(content)


def test_the_same_keyring_is_no_loss(tmp_path: Path) -> None:
    identity = filled(tmp_path)
    assert opened(tmp_path).identity == identity == stored_identity(tmp_path)
    assert keyring_loss(tmp_path, identity) == ""


@pytest.mark.parametrize(
    ("damage", "is_kept"),
    [
        (Path.unlink, False),
        (lambda path: path.write_bytes(b""), False),
        (lambda path: path.write_bytes(b"\x01" * 16384), True),
        (cut_middle, True),
    ],
    ids=["gone", "emptied", "junk", "damaged inside"],
)
def test_a_lost_keyring_is_named_until_the_loss_is_accepted(
    tmp_path: Path, damage: Callable[[Path], object], is_kept: bool
) -> None:
    filled(tmp_path)
    damage(tmp_path / KEYRING_NAME)
    keyring = opened(tmp_path)
    for _ in range(2):
        reason = keyring_loss(tmp_path, keyring.identity)
        assert "is not the file that this folder had" in reason
        assert ("privacy-damaged-" in reason) == is_kept
    assert len(list(tmp_path.glob("privacy-damaged-*.sqlite"))) == is_kept
    remember_keyring(tmp_path, keyring.identity)
    assert keyring_loss(tmp_path, keyring.identity), "the loss is not accepted by a restart alone"
    (tmp_path / IDENTITY_NAME).unlink()
    remember_keyring(tmp_path, keyring.identity)
    assert keyring_loss(tmp_path, keyring.identity) == ""


def test_a_keyring_that_is_put_back_is_no_loss(tmp_path: Path) -> None:
    identity = filled(tmp_path)
    (tmp_path / KEYRING_NAME).rename(tmp_path / "backup")
    assert keyring_loss(tmp_path, opened(tmp_path).identity)
    for file in tmp_path.glob(f"{KEYRING_NAME}*"):
        file.unlink()
    (tmp_path / "backup").rename(tmp_path / KEYRING_NAME)
    assert keyring_loss(tmp_path, opened(tmp_path).identity) == ""
    assert opened(tmp_path).identity == identity


def test_a_keyring_that_cannot_be_read_has_no_identity(tmp_path: Path) -> None:
    assert stored_identity(tmp_path) == ""
    assert keyring_loss(tmp_path, "") == ""
    assert not (tmp_path / IDENTITY_NAME).exists()
    (tmp_path / KEYRING_NAME).write_bytes(b"\x01" * 5000)
    with pytest.raises(Corrupt, match="cannot be read"):
        stored_identity(tmp_path)


def test_a_keyring_that_is_locked_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, timeout=0.05, **options))
    with closing(connect(tmp_path / KEYRING_NAME)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="cannot be opened now"):
            open_or_replace(tmp_path, NOW)
        other.rollback()
    assert list(tmp_path.glob("privacy-damaged-*")) == []
