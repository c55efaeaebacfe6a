"""Suggest titles of documents while a query is typed."""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np

from events.settings import IndexSettings
from searchsvc.analysis.adjacent_words import AdjacentWords
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.markup import shown
from searchsvc.analysis.understanding import understand
from searchsvc.engines.protocol import Reading
from searchsvc.engines.retrieval import Retrieval
from searchsvc.rules.rulebook import Rulebook
from searchsvc.search.applied_rules import apply_rules_without_query
from searchsvc.search.request import SearchFilters, SearchRequest
from searchsvc.search.suggestions import Suggestion


def suggest_titles(
    reading: Reading,
    settings: IndexSettings,
    book: Rulebook,
    adjacent: AdjacentWords,
    typed: str,
    n: int,
    *,
    now: datetime,
) -> list[Suggestion]:
    """Return the titles of the n best documents whose titles contain what was typed.

    settings: of the index, as CONTROL has them.
    adjacent: words side by side in its titles.
    typed: its last word may be unfinished.
    """
    query = understand(typed, reading.snapshot.lexicon, typing=True, adjacent=adjacent)
    if not query.terms:
        return []
    applied = apply_rules_without_query(reading.snapshot, book, SearchRequest(), SearchFilters(), now, query)
    retrieval = Retrieval(
        query=query,
        vector=None,
        field_boosts={field.name: float(field.name == settings.title) for field in settings.searchable},
        signal_weights=np.zeros(len(settings.signals), np.float32),
        k=n,
        window=n,
        operator="all",
        scope=applied.directives.scope,
    )
    slots = reading.retrieve(retrieval).keyword
    column = [field.name for field in settings.searchable].index(settings.title)
    # Other fields match too, but their boost is 0: documents that match in them alone come last, and are left out.
    in_title = reading.text_features(slots, query).bm25[:, column] > 0.0
    suggestions = []
    title_slots = slots[in_title][:n].tolist()
    for slot, document in zip(title_slots, reading.read(title_slots), strict=True):
        text = field_text(msgspec.json.decode(document), settings.searchable[column]) if document is not None else ""
        if text:
            suggestions.append(Suggestion(shown(text), "title", document_id=reading.id(slot)))
    return suggestions
