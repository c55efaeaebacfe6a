"""Shoppers' pseudonyms and keys, stored outside the log: without a user's key, what the log has of them is unreadable.

The log names a user by a random pseudonym, and holds the text they typed only under a key of their own. Both are in
`DATA/privacy.sqlite` under a keyed hash of the token that the website sent; the token itself is stored nowhere.
New ones are drawn every `EPOCH_DAYS`, so that no profile covers more than that. They are destroyed once the log no
longer holds behavior of their epoch.
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
# BEHAVIOR holds events for 90 days after the last day of their epoch.
PAST_EPOCHS: Final = 2
MAX_CACHED_USERS: Final = 100_000
NONCE_BYTES: Final = 12
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secret (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    token_hash BLOB NOT NULL, epoch INTEGER NOT NULL, pseudonym TEXT NOT NULL UNIQUE, key BLOB NOT NULL,
    PRIMARY KEY (token_hash, epoch)
) WITHOUT ROWID;
"""


class User(msgspec.Struct, frozen=True):
    """A user in one epoch.

    pseudonym: what the log calls them.
    key: 16 bytes, to seal what they typed.
    """

    pseudonym: str
    key: bytes

    def seal(self, text: str) -> str:
        """Encrypt a text under this user's key (AES-GCM). Returns base64."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.b64encode(nonce + AESGCM(self.key).encrypt(nonce, text.encode(), None)).decode()

    def keyed_hash(self, text: str) -> str:
        """Return a hash that is the same for the same text, and tells nothing about it without this user's key."""
        return base64.urlsafe_b64encode(hmac.digest(self.key, b"mark\0" + text.encode(), "sha256")[:12]).decode()

    def open(self, sealed: str) -> str:
        """Decrypt what `seal` returned. Raises Corrupt if it was not sealed under this key."""
        try:
            content = base64.b64decode(sealed)
            return AESGCM(self.key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag) as error:
            raise Corrupt(f"a sealed text of {self.pseudonym} cannot be opened with their key") from error


def seal_ranking(ranking: RankingShown, user: User) -> RankingShown:
    """Tie a ranking to a user: add the pseudonym, and seal the query and the request under the user's key."""
    return msgspec.structs.replace(
        ranking,
        user=user.pseudonym,
        query="",
        sealed_query=user.seal(ranking.query),
        request="",
        sealed_request=user.seal(ranking.request) if ranking.request else "",
        query_key=user.keyed_hash(" ".join(ranking.query.split()).lower()),
    )


def open_ranking(ranking: RankingShown, user: User | None) -> RankingShown | None:
    """Return a ranking with its query and request readable.

    user: the user of its pseudonym; None if they are erased or forgotten.
    Returns None if the ranking is sealed and there is no user. Raises Corrupt if it was not sealed under their key.
    """
    if not ranking.sealed_query:
        return ranking
    if user is None:
        return None
    request = user.open(ranking.sealed_request) if ranking.sealed_request else ranking.request
    return msgspec.structs.replace(ranking, query=user.open(ranking.sealed_query), request=request)


class Keyring:
    """The users of one data folder. Look-ups are for any thread. New users are on disk once `flush` has returned.

    path: the SQLite file; created if it does not exist. Raises Corrupt if it cannot be read, and Unavailable
        if it cannot be opened now, both naming it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._writer = sqlite3.connect(path, check_same_thread=False)
        try:
            # Deleted content is overwritten.
            self._writer.execute("PRAGMA secure_delete = ON")
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.executescript(_SCHEMA)
            self._writer.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", [secrets.token_bytes(32)])
            self._writer.commit()
            (self._secret,) = self._writer.execute("SELECT value FROM secret").fetchone()
            (problem,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:  # a full disk, a lock: the file may be whole
            self._writer.close()
            raise Unavailable(f"the keyring {path} cannot be opened now: {error}") from error
        except sqlite3.DatabaseError as error:
            self._writer.close()
            raise Corrupt(f"the keyring {path} cannot be read: {error}") from error
        if problem != "ok":
            self._writer.close()
            raise Corrupt(f"the keyring {path} is damaged: {problem}")
        # A second connection, so that a look-up does not wait for a commit.
        self._reader = sqlite3.connect(path, check_same_thread=False)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._cached_users: OrderedDict[tuple[str, int], User] = OrderedDict()
        # Users that are not on disk yet, by token hash, with their epoch.
        self._unsaved: dict[bytes, tuple[int, User]] = {}

    @property
    def identity(self) -> str:
        """What tells this keyring from any other, and nothing of what is in it."""
        return identity_of(self._secret)

    def user(self, token: str, now: datetime) -> User:
        """Return the user of a token in the current epoch; create one if there is none."""
        epoch = _epoch(now)
        user = self._cached_users.get((token, epoch))
        if user is not None:
            return user
        token_hash = self._hash(token, epoch)
        with self._lock:
            user = self._stored(token_hash) or self._create(token_hash, epoch)
            self._cached_users[token, epoch] = user
            if len(self._cached_users) > MAX_CACHED_USERS:
                self._cached_users.popitem(last=False)
        return user

    def pseudonym(self, token: str, now: datetime) -> str:
        """Return what the log calls the user of a token; '' for ''."""
        return self.user(token, now).pseudonym if token else ""

    def pseudonyms(self, token: str, now: datetime) -> list[str]:
        """Return the pseudonyms of a token's user in all epochs that the log covers. Creates none."""
        current = _epoch(now)
        hashes = [self._hash(token, epoch) for epoch in range(current - PAST_EPOCHS, current + 1)]
        with self._lock:
            users = [self._stored(token_hash) for token_hash in hashes]
        return [user.pseudonym for user in users if user is not None]

    def as_pseudonym(self, token: str, now: datetime) -> str:
        """Return `token` itself if it is a pseudonym already, as in a refused event, else the user's pseudonym."""
        return token if token and self.by_pseudonym(token) is not None else self.pseudonym(token, now)

    def derive_secret(self, purpose: str) -> bytes:
        """Return 32 secret bytes of this folder, the same each time for a purpose."""
        return hmac.digest(self._secret, f"secret:{purpose}".encode(), "sha256")

    def by_pseudonym(self, pseudonym: str) -> User | None:
        """Return the user of a pseudonym; None if there is none on disk."""
        with self._lock:
            row = self._reader.execute("SELECT key FROM users WHERE pseudonym = ?", [pseudonym]).fetchone()
        return User(pseudonym, row[0]) if row is not None else None

    def opened(self, ranking: RankingShown) -> RankingShown | None:
        """Return a ranking with its query and request readable; None if its user is erased or forgotten.

        Raises Corrupt if it was not sealed under their key.
        """
        return open_ranking(ranking, self.by_pseudonym(ranking.user) if ranking.sealed_query else None)

    def query_hash(self, words: str) -> str:
        """Return a hash that is the same for the same words, and tells nothing about them without this file."""
        return base64.urlsafe_b64encode(hmac.digest(self._secret, b"query\0" + words.encode(), "sha256")[:12]).decode()

    async def ensure_stored(self) -> None:
        """Wait until every user that was returned is on disk. Raises Unavailable."""
        if self._unsaved:
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write every user that was returned to disk. Blocks. Raises Unavailable if the disk refuses."""
        with self._writing:
            with self._lock:
                unsaved = dict(self._unsaved)
            rows = [(token_hash, epoch, user.pseudonym, user.key) for token_hash, (epoch, user) in unsaved.items()]
            try:
                self._writer.executemany("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?)", rows)
                self._writer.commit()
            except sqlite3.Error as error:
                self._writer.rollback()
                raise Unavailable(f"the keyring cannot be written: {error}") from error
            with self._lock:
                for token_hash in unsaved:
                    self._unsaved.pop(token_hash, None)

    def erase(self, token: str, now: datetime) -> int:
        """Destroy the pseudonyms and keys of a user in all epochs; return how many there were. Blocks."""
        current = _epoch(now)
        epochs = range(current - PAST_EPOCHS, current + 1)
        n_erased = 0
        with self._writing:
            for epoch in epochs:
                token_hash = self._hash(token, epoch)
                with self._lock:
                    unsaved = self._unsaved.pop(token_hash, None)
                n_deleted = self._writer.execute("DELETE FROM users WHERE token_hash = ?", [token_hash]).rowcount
                n_erased += max(n_deleted, int(unsaved is not None))
            self._commit_and_truncate()
            with self._lock:
                for epoch in epochs:
                    self._cached_users.pop((token, epoch), None)
        return n_erased

    def forget(self, now: datetime) -> int:
        """Destroy the keys of epochs that the log no longer covers; return how many. Blocks."""
        with self._writing:
            oldest = _epoch(now) - PAST_EPOCHS
            n_deleted = self._writer.execute("DELETE FROM users WHERE epoch < ?", [oldest]).rowcount
            self._commit_and_truncate()
        return n_deleted

    def close(self) -> None:
        """Flush, and close the file."""
        self.flush()
        self._reader.close()
        self._writer.close()

    def _commit_and_truncate(self) -> None:
        """Commit, and empty the write-ahead log, which may hold deleted rows."""
        self._writer.commit()
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _hash(self, token: str, epoch: int) -> bytes:
        return hmac.digest(self._secret, f"{epoch}:{token}".encode(), "sha256")

    def _stored(self, token_hash: bytes) -> User | None:
        if token_hash in self._unsaved:
            return self._unsaved[token_hash][1]
        query = "SELECT pseudonym, key FROM users WHERE token_hash = ?"
        row = self._reader.execute(query, [token_hash]).fetchone()
        return User(*row) if row is not None else None

    def _create(self, token_hash: bytes, epoch: int) -> User:
        user = User(secrets.token_urlsafe(12), secrets.token_bytes(16))
        self._unsaved[token_hash] = (epoch, user)
        return user


def identity_of(secret: bytes) -> str:
    """Return the identity of the keyring with a secret."""
    return hmac.digest(secret, b"identity", "sha256")[:12].hex()


def _epoch(now: datetime) -> int:
    return int(now.timestamp()) // EPOCH_S
