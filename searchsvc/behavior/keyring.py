"""Shoppers' pseudonyms and keys, outside the log: destroy a user's, and what the log holds of them is nobody's.

The log names users by a pseudonym drawn at random, and holds the text they typed only under a key of their own. Both
stand in `DATA/privacy.sqlite` under a keyed hash of the token that the website sent; the token itself is kept nowhere.
They are drawn anew every `EPOCH_DAYS`, so that no profile grows past that, and destroyed once the log has forgotten
what they were for.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import sqlite3
import threading
from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.errors import Corrupt, Unavailable
from events.types import RankingShown

KEYRING_NAME: Final = "privacy.sqlite"
EPOCH_DAYS: Final = 90
EPOCH_S: Final = EPOCH_DAYS * 86_400
# Behaviour of an epoch's last day is kept for 90 days more.
KEPT_EPOCHS: Final = 2
CACHED: Final = 100_000
NONCE_BYTES: Final = 12
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secret (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    token_hash BLOB NOT NULL, epoch INTEGER NOT NULL, pseudonym TEXT NOT NULL UNIQUE, key BLOB NOT NULL,
    PRIMARY KEY (token_hash, epoch)
) WITHOUT ROWID;
"""


class User(msgspec.Struct, frozen=True):
    """pseudonym: what the log calls them. key: 16 bytes, for what they typed."""

    pseudonym: str
    key: bytes

    def seal(self, text: str) -> str:
        """The text under this user's key (AES-GCM), as base64."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.b64encode(nonce + AESGCM(self.key).encrypt(nonce, text.encode(), None)).decode()

    def mark(self, text: str) -> str:
        """The same for the same text, and without this user's key nobody can tell of which."""
        return base64.urlsafe_b64encode(hmac.digest(self.key, b"mark\0" + text.encode(), "sha256")[:12]).decode()

    def open(self, sealed: str) -> str:
        """Raises Corrupt where it was not sealed under this key."""
        try:
            content = base64.b64decode(sealed)
            return AESGCM(self.key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag) as error:
            raise Corrupt(f"a sealed text of {self.pseudonym} cannot be opened with their key") from error


def sealed(shown: RankingShown, user: User) -> RankingShown:
    """A ranking that is tied to a user: what was asked only they can be known by is under their key."""
    return msgspec.structs.replace(
        shown,
        user=user.pseudonym,
        query="",
        sealed_query=user.seal(shown.query),
        request="",
        sealed_request=user.seal(shown.request) if shown.request else "",
        query_key=user.mark(" ".join(shown.query.split()).lower()),
    )


def opened(shown: RankingShown, user: User | None) -> RankingShown | None:
    """A ranking with what was asked in clear; None where that is sealed. user: by its pseudonym, None where there is
    none any more. Raises Corrupt where it was not sealed under their key."""
    if not shown.sealed_query:
        return shown
    if user is None:
        return None
    request = user.open(shown.sealed_request) if shown.sealed_request else shown.request
    return msgspec.structs.replace(shown, query=user.open(shown.sealed_query), request=request)


class Keyring:
    """All users of one data folder. Look-ups are for any thread; new ones are on disk once `flush` has returned."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._writer = sqlite3.connect(path, check_same_thread=False)
        # What is deleted is overwritten.
        self._writer.execute("PRAGMA secure_delete = ON")
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.executescript(_SCHEMA)
        self._writer.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", [secrets.token_bytes(32)])
        self._writer.commit()
        (self._secret,) = self._writer.execute("SELECT value FROM secret").fetchone()
        # Two connections, so that a look-up does not wait for a commit.
        self._reader = sqlite3.connect(path, check_same_thread=False)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._users: OrderedDict[tuple[str, int], User] = OrderedDict()
        self._new: dict[bytes, tuple[int, User]] = {}

    def user(self, token: str, now: datetime) -> User:
        """The user of a token, made where there is none yet in this epoch."""
        epoch = int(now.timestamp()) // EPOCH_S
        known = self._users.get((token, epoch))
        if known is not None:
            return known
        token_hash = self._hash(token, epoch)
        with self._lock:
            known = self._stored(token_hash) or self._made(token_hash, epoch)
            self._users[token, epoch] = known
            if len(self._users) > CACHED:
                self._users.popitem(last=False)
        return known

    def pseudonym(self, token: str, now: datetime) -> str:
        """What the log calls whoever has this token; '' for ''."""
        return self.user(token, now).pseudonym if token else ""

    def pseudonyms(self, token: str, now: datetime) -> list[str]:
        """All that the log, as far as it goes back, calls whoever has this token. Makes none."""
        current = int(now.timestamp()) // EPOCH_S
        hashes = [self._hash(token, epoch) for epoch in range(current - KEPT_EPOCHS, current + 1)]
        with self._lock:
            found = [self._stored(token_hash) for token_hash in hashes]
        return [user.pseudonym for user in found if user is not None]

    def pseudonym_again(self, token: str, now: datetime) -> str:
        """The same of a token that may be a pseudonym already, as in an event that was refused."""
        return token if token and self.by_pseudonym(token) is not None else self.pseudonym(token, now)

    def secret(self, purpose: str) -> bytes:
        """32 bytes that are nobody's but this folder's, the same each time for a purpose."""
        return hmac.digest(self._secret, f"secret:{purpose}".encode(), "sha256")

    def by_pseudonym(self, pseudonym: str) -> User | None:
        """None where there is no such user on disk, or not any more."""
        with self._lock:
            row = self._reader.execute("SELECT key FROM users WHERE pseudonym = ?", [pseudonym]).fetchone()
        return User(pseudonym, row[0]) if row is not None else None

    async def settle(self) -> None:
        """Return once every user that was handed out is on disk; at once where none is new. Raises Unavailable."""
        if self._new:
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Return once every user that was handed out is on disk. Blocks. Raises Unavailable where the disk refuses."""
        with self._writing:
            with self._lock:
                new = dict(self._new)
            rows = [(token_hash, epoch, user.pseudonym, user.key) for token_hash, (epoch, user) in new.items()]
            try:
                self._writer.executemany("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?)", rows)
                self._writer.commit()
            except sqlite3.Error as error:
                self._writer.rollback()
                raise Unavailable(f"the keyring cannot be written: {error}") from error
            with self._lock:
                for token_hash in new:
                    self._new.pop(token_hash, None)

    def erase(self, token: str, now: datetime) -> int:
        """Destroy pseudonym and key of a user, in every epoch that is kept; return how many there were. Blocks."""
        current = int(now.timestamp()) // EPOCH_S
        epochs = range(current - KEPT_EPOCHS, current + 1)
        n_erased = 0
        with self._writing:
            for epoch in epochs:
                token_hash = self._hash(token, epoch)
                with self._lock:
                    made = self._new.pop(token_hash, None)
                n_deleted = self._writer.execute("DELETE FROM users WHERE token_hash = ?", [token_hash]).rowcount
                n_erased += max(n_deleted, int(made is not None))
            self._commit_for_good()
            with self._lock:
                for epoch in epochs:
                    self._users.pop((token, epoch), None)
        return n_erased

    def forget(self, now: datetime) -> int:
        """Destroy the keys of epochs whose behaviour the log holds no more; return how many. Blocks."""
        with self._writing:
            oldest = int(now.timestamp()) // EPOCH_S - KEPT_EPOCHS
            n_forgotten = self._writer.execute("DELETE FROM users WHERE epoch < ?", [oldest]).rowcount
            self._commit_for_good()
        return n_forgotten

    def close(self) -> None:
        self.flush()
        self._reader.close()
        self._writer.close()

    def _commit_for_good(self) -> None:
        """So that the deleted rows do not go on in the write-ahead log."""
        self._writer.commit()
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _hash(self, token: str, epoch: int) -> bytes:
        return hmac.digest(self._secret, f"{epoch}:{token}".encode(), "sha256")

    def _stored(self, token_hash: bytes) -> User | None:
        if token_hash in self._new:
            return self._new[token_hash][1]
        query = "SELECT pseudonym, key FROM users WHERE token_hash = ?"
        row = self._reader.execute(query, [token_hash]).fetchone()
        return User(*row) if row is not None else None

    def _made(self, token_hash: bytes, epoch: int) -> User:
        user = User(secrets.token_urlsafe(12), secrets.token_bytes(16))
        self._new[token_hash] = (epoch, user)
        return user
