"""Pages: first pages of rankings with the interactions on them, closed once no more are expected. Pure.

A page closes a fixed time after it was shown, and pages close in the order in which they were shown. Later interactions
count for the documents alone. All times are those of events, so the same events give the same pages whenever they are
read.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.learning import VALUES
from events.types import InteractionRecorded, RankingShown

SETTLE: Final = timedelta(seconds=30)
# How long an interaction may take through the log.
LOG_DELAY: Final = timedelta(seconds=2)
MAX_OPEN: Final = 10_000


def interaction_grade(interaction: InteractionRecorded) -> float:
    """Return the grade of a feedback, in [-1, 1], below 0 if the user disliked the document; else 1.

    Feedback that was logged before grades were checked may be out of range; its grade is 0.
    """
    if interaction.kind != "feedback":
        return 1.0
    grade = interaction.value or 0.0
    return grade if -1.0 <= grade <= 1.0 else 0.0


class Page(msgspec.Struct):
    """A ranking and the documents that the user acted on, by id.

    clicked: documents with an interaction and without negative feedback.
    disliked: documents with negative feedback.
    bought: documents that were put into a cart or bought.
    """

    ranking: RankingShown
    clicked: set[str] = msgspec.field(default_factory=set)
    disliked: set[str] = msgspec.field(default_factory=set)
    bought: set[str] = msgspec.field(default_factory=set)


class Pages:
    """Open pages.

    settle: how long a page stays open.
    """

    def __init__(self, settle: timedelta = SETTLE) -> None:
        self._settle = settle
        self._open: OrderedDict[str, Page] = OrderedDict()

    def observe_ranking(self, ranking: RankingShown) -> None:
        """Open the ranking's page."""
        if ranking.id not in self._open:
            self._open[ranking.id] = Page(ranking)

    def observe_interaction(self, interaction: InteractionRecorded) -> None:
        """Add an interaction to its page, if that is open."""
        page = self._open.get(interaction.query_id or "")
        in_time = page is not None and interaction.received_at - page.ranking.timestamp <= self._settle
        if page is None or not in_time or interaction.kind not in VALUES:
            return
        if interaction.kind in ("add_to_cart", "purchase"):
            page.bought.add(interaction.document_id)
        grade = interaction_grade(interaction)
        if grade < 0.0:
            page.disliked.add(interaction.document_id)
            page.clicked.discard(interaction.document_id)
        elif grade > 0.0 and interaction.document_id not in page.disliked:
            page.clicked.add(interaction.document_id)

    def close(self, now: datetime) -> list[Page]:
        """Remove and return the pages that are due, in the order in which they were opened."""
        closed = []
        while self._open:
            page = next(iter(self._open.values()))
            if page.ranking.timestamp + self._settle + LOG_DELAY > now and len(self._open) <= MAX_OPEN:
                break
            closed.append(self._open.pop(page.ranking.id))
        return closed

    def open(self) -> list[Page]:
        """Return the open pages, for `restore`."""
        return list(self._open.values())

    def restore(self, pages: list[Page]) -> None:
        self._open = OrderedDict((page.ranking.id, page) for page in pages)
