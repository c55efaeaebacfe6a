"""Who makes a change, why, and from where."""

from __future__ import annotations

from typing import Final

import msgspec

from events.errors import require

MAX_REASON_CHARS: Final = 1000
MAX_ACTOR_CHARS: Final = 200


class Author(msgspec.Struct, frozen=True):
    """The author of a change. Unverified until keys exist.

    source: where the request came from, such as an address; '' if that is not known
    """

    actor: str = "anonymous"
    reason: str = ""
    source: str = ""

    def check(self) -> None:
        """Raise InvalidInput if actor or reason is too long."""
        require(len(self.reason) <= MAX_REASON_CHARS, "reason", self.reason, f"at most {MAX_REASON_CHARS} characters")
        require(len(self.actor) <= MAX_ACTOR_CHARS, "actor", self.actor, f"at most {MAX_ACTOR_CHARS} characters")
