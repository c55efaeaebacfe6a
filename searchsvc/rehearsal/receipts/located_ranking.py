"""A logged ranking, as it was located in BEHAVIOR. Pure data."""

from __future__ import annotations

import msgspec

from events.types import RankingShown


class LocatedRanking(msgspec.Struct, frozen=True):
    """A ranking, and where BEHAVIOR has it.

    shown: the ranking; its query and request are in clear text where `query` is not None
    seq: sequence of the message
    position: 0-based, among the events of the message
    query: None if it is sealed, and the key of the user is gone or not on this machine
    """

    shown: RankingShown
    seq: int
    position: int
    query: str | None
