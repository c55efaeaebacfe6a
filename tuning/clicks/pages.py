"""Pages as shoppers left them: rankings with all that was done on them, once nothing more is to be expected. Pure.

A page is closed some time after it was shown, in the order in which pages were shown; what comes later counts for the
documents, not for the page. Times are those of events, so the same events give the same pages, whenever they are read.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.learning import VALUES
from events.types import InteractionRecorded, RankingShown

SETTLE: Final = timedelta(seconds=30)
# A click may be on its way through the log for so long.
ON_ITS_WAY: Final = timedelta(seconds=2)
MAX_OPEN: Final = 10_000


def graded(interaction: InteractionRecorded) -> float:
    """Whether somebody likes what they did something with, in [-1, 1]; only feedback has it another than 1. Feedback of
    before grades were checked says nothing where it is none."""
    if interaction.kind != "feedback":
        return 1.0
    grade = interaction.value or 0.0
    return grade if -1.0 <= grade <= 1.0 else 0.0


class Page(msgspec.Struct):
    """clicked: ids of documents that somebody did something with, and was not sorry. disliked: of which they said that
    they do not belong there. bought: what went into a cart, or further."""

    ranking: RankingShown
    clicked: set[str] = msgspec.field(default_factory=set)
    disliked: set[str] = msgspec.field(default_factory=set)
    bought: set[str] = msgspec.field(default_factory=set)


class Pages:
    """Open pages. settle: how long one stays open."""

    def __init__(self, settle: timedelta = SETTLE) -> None:
        self._settle = settle
        self._open: OrderedDict[str, Page] = OrderedDict()

    def show(self, ranking: RankingShown) -> None:
        if ranking.id not in self._open:
            self._open[ranking.id] = Page(ranking)

    def act(self, interaction: InteractionRecorded) -> None:
        page = self._open.get(interaction.query_id or "")
        in_time = page is not None and interaction.received_at - page.ranking.timestamp <= self._settle
        if page is None or not in_time or interaction.kind not in VALUES:
            return
        if interaction.kind in ("add_to_cart", "purchase"):
            page.bought.add(interaction.document_id)
        grade = graded(interaction)
        if grade < 0.0:
            page.disliked.add(interaction.document_id)
            page.clicked.discard(interaction.document_id)
        elif grade > 0.0 and interaction.document_id not in page.disliked:
            page.clicked.add(interaction.document_id)

    def closed(self, now: datetime) -> list[Page]:
        """Those that are to be closed by now, in the order in which they came; taken out."""
        found = []
        while self._open:
            page = next(iter(self._open.values()))
            if page.ranking.timestamp + self._settle + ON_ITS_WAY > now and len(self._open) <= MAX_OPEN:
                break
            found.append(self._open.pop(page.ranking.id))
        return found

    def open(self) -> list[Page]:
        return list(self._open.values())

    def restore(self, pages: list[Page]) -> None:
        self._open = OrderedDict((page.ranking.id, page) for page in pages)
