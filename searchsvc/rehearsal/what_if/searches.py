"""Searches that a what-if reads, and the pages that it compares. Pure data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from events.types import RankingShown
from searchsvc.rehearsal.preview import overlap, top_changed
from searchsvc.search.request import SearchRequest
from tuning.clicks.offpolicy import DEPTH

# Interactions that are estimated, and what reports call them.
INTERACTION_KINDS: Final = {"click": "clicks", "add_to_cart": "carts", "purchase": "purchases"}

# Ids of documents by query id and kind of interaction.
ActedOn = Mapping[str, Mapping[str, Collection[str]]]


class RepeatableSearch(msgspec.Struct, frozen=True):
    """A distinct search; its pages count as the same search.

    request_json: its other members as `RankingShown.request` has them; '' if all were the defaults
    """

    query: str
    request_json: str

    @property
    def members(self) -> dict[str, Any]:
        """The other members of the search that were not at their defaults."""
        members: dict[str, Any] = msgspec.json.decode(self.request_json) if self.request_json else {}
        return members

    def request(self) -> SearchRequest:
        """Return the search for the first page."""
        return msgspec.structs.replace(SearchRequest.from_log(self.query, self.request_json), offset=0, limit=DEPTH)


class LoggedSearch(msgspec.Struct, frozen=True):
    """A ranking that was shown.

    search: None if its query can no longer be read
    """

    shown: RankingShown
    search: RepeatableSearch | None


class FirstPages(msgspec.Struct, frozen=True):
    """Ids of the first ten hits, without and with the draft."""

    before: list[str]
    after: list[str]

    @property
    def overlap(self) -> float:
        """Share of the hits that stay."""
        return overlap(self.before, self.after)

    @property
    def top_changed(self) -> bool:
        """Whether the first three are others, or in another order."""
        return top_changed(self.before, self.after)
