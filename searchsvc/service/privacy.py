"""Erase a user, or what was learnt from users."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from events.errors import NotFound, require
from events.learning import Ignored
from searchsvc.behavior.keyring import Keyring
from searchsvc.changes.author import Author
from searchsvc.changes.commands import Commands
from searchsvc.changes.control_writer import Changed
from searchsvc.runtime.limits import MAX_TOKEN_CHARS


class Privacy:
    """Carries out requests about the data of users."""

    def __init__(self, keyring: Keyring, commands: Commands) -> None:
        self._keyring = keyring
        self._commands = commands

    async def erase_user(self, user_token: str) -> int:
        """Destroy the keys that tie the log to a user; return how many there were."""
        limit = f"1 to {MAX_TOKEN_CHARS} characters"
        require(0 < len(user_token) <= MAX_TOKEN_CHARS, "user_token", user_token, limit)
        return await asyncio.to_thread(self._keyring.erase, user_token, datetime.now(UTC))

    async def forget_behavior(
        self, index: str, since: datetime, until: datetime, user_token: str, author: Author
    ) -> Changed:
        """Have an index ignore the behavior of a period, and relearn without it.

        user_token: the user whose behavior is ignored; '' for all users

        Raises InvalidInput, and NotFound if the log has no such user.
        """
        pseudonyms = [""]
        if user_token:
            limit = f"at most {MAX_TOKEN_CHARS} characters"
            require(len(user_token) <= MAX_TOKEN_CHARS, "user_token", user_token, limit)
            pseudonyms = await asyncio.to_thread(self._keyring.pseudonyms, user_token, datetime.now(UTC))
            if not pseudonyms:
                message = "the log has no such user, or the user's keys were destroyed"
                raise NotFound(message, field="user_token")
        windows = tuple(Ignored(since, until, pseudonym, author.reason) for pseudonym in pseudonyms)
        return await self._commands.set_learning(
            index, lambda learning: msgspec.structs.replace(learning, ignored=(*learning.ignored, *windows)), author
        )
