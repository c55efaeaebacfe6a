"""Notices that the keyring of a data folder is not the one that it had: `DATA/privacy.json` says which that was.

Without the keyring, what the log has of shoppers can no longer be read. That must not pass for an erasure.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Corrupt
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring, identity_of
from searchsvc.runtime.files import replace_private

IDENTITY_NAME: Final = "privacy.json"

log = logging.getLogger(__name__)


class _Identity(msgspec.Struct, frozen=True):
    keyring: str


def open_or_replace(folder: Path, now: datetime) -> Keyring:
    """Open the keyring of a data folder. One that is damaged is moved aside, and a new one is created. Blocks.

    Raises Unavailable if it cannot be opened now.
    """
    path = folder / KEYRING_NAME
    try:
        return Keyring(path)
    except Corrupt as error:
        log.error("%s; it is moved aside, and a new keyring is created", error)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        for file in (path, *folder.glob(f"{KEYRING_NAME}-*")):
            if file.exists():
                file.rename(folder / file.name.replace("privacy", f"privacy-damaged-{stamp}", 1))
        return Keyring(path)


def remember_keyring(folder: Path, identity: str) -> None:
    """Remember which keyring a data folder has, if none was remembered. identity: of the keyring. Blocks."""
    file = folder / IDENTITY_NAME
    if not file.exists():
        replace_private(file, msgspec.json.encode(_Identity(identity)) + b"\n")


def keyring_loss(folder: Path, identity: str) -> str:
    """Return what is wrong if a data folder had another keyring than now; '' if not. Changes nothing.

    identity: of the keyring that it has now; '' for none
    """
    file = folder / IDENTITY_NAME
    try:
        remembered = msgspec.json.decode(file.read_bytes(), type=_Identity).keyring
    except FileNotFoundError:
        return ""
    except msgspec.DecodeError as error:
        remedy = "to accept the keyring that is there now, delete it and restart the service"
        return f"{file} cannot be read: {error}; {remedy}"
    if remembered == identity:
        return ""
    damaged = sorted(folder.glob("privacy-damaged-*.sqlite"))
    where = f"; what could not be read is {damaged[-1]}" if damaged else ""
    return (
        f"{folder / KEYRING_NAME} is not the file that this folder had{where}: what shoppers typed before cannot be "
        "read, and an erasure finds nothing of theirs. Stop the service and put the file back; or, to accept the loss, "
        f"delete {file} and restart the service"
    )


def stored_identity(folder: Path) -> str:
    """Return the identity of the keyring on disk, without changing it; '' for none.

    Raises Corrupt if it cannot be read.
    """
    if not (folder / KEYRING_NAME).exists():
        return ""
    try:
        with closing(sqlite3.connect(f"file:{folder / KEYRING_NAME}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT value FROM secret").fetchone()
    except sqlite3.Error as error:
        raise Corrupt(f"{folder / KEYRING_NAME} cannot be read: {error}") from error
    return identity_of(row[0]) if row is not None else ""
