"""The refusals that were logged lately, so that repeated requests do not fill CONTROL with them. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.codec import encode
from events.errors import Forbidden
from events.policies import Part
from events.sizes import KIB
from events.types import ChangeRefused

# The same refusal is logged once in this time.
LOGGED_EVERY: Final = timedelta(minutes=1)
MAX_REFUSALS: Final = 1000
MAX_REFUSED_BYTES: Final = 64 * KIB

# Index, actor, kind of event, member of the policy, parts of the index.
_Key = tuple[str, str, str, str, frozenset[Part]]


class RecentRefusals:
    """When and where each refusal was last logged."""

    def __init__(self) -> None:
        self._logged: dict[_Key, tuple[datetime, int]] = {}

    def logged_seq(self, refused: ChangeRefused) -> int | None:
        """Return the CONTROL sequence where the same refusal was logged lately; None if it is to be logged."""
        logged = self._logged.get(_key(refused))
        if logged is None or refused.timestamp - logged[0] >= LOGGED_EVERY:
            return None
        return logged[1]

    def remember(self, refused: ChangeRefused, seq: int) -> None:
        """Note that a refusal was logged at a CONTROL sequence."""
        self._logged[_key(refused)] = refused.timestamp, seq
        while len(self._logged) > MAX_REFUSALS:
            del self._logged[next(iter(self._logged))]


def shortened(refused: ChangeRefused) -> ChangeRefused:
    """Return a refusal, without its edits if they are long: CONTROL keeps it for ever."""
    if len(encode(refused)) <= MAX_REFUSED_BYTES:
        return refused
    detail = f"{refused.detail} (its {len(refused.edits)} edits are too long to be stored)"
    return msgspec.structs.replace(refused, edits=(), detail=detail)


def forbidden(refused: ChangeRefused, seq: int) -> Forbidden:
    """Return the error for a refusal that is logged at a CONTROL sequence."""
    message = f"the policy of index {refused.index} does not allow it: {refused.detail} (sequence {seq})"
    return Forbidden(message, field=f"policy.{refused.policy}", value=refused.actor, limit=refused.detail)


def _key(refused: ChangeRefused) -> _Key:
    parts = frozenset(edit.part for edit in refused.edits)
    return refused.index, refused.actor, refused.kind, refused.policy, parts
