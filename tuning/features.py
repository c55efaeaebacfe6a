"""The feature schema: which numbers describe a candidate, in which order. One definition for serving and learning.

    bm25.<field>    BM25 of one searchable field, as a share of the query's ceiling; about [0, 1]
    cosine          cosine of query and document vectors; [-1, 1], 0 where either is missing
    overlooked      1.0, 0.9 ... 0.1 for the ten nearest vectors where the best ten would hold none of them; else 0
    signal.<field>  a number of the document, transformed and scaled; [0, 1]

The ceiling is the largest sum that the query's terms could earn if each were as rare as in the field that holds it
most often. It belongs to the query and the collection, not to the candidates: the best of a bad list stays bad.

`overlooked` is for queries whose words and meaning point at different things: in a catalogue that says "Notebook", the
word "laptop" finds sleeves and locks. See docs/decisions/overlooked.md.
"""

from __future__ import annotations

from typing import Final

from events.settings import IndexSettings

COSINE: Final = "cosine"
OVERLOOKED: Final = "overlooked"
BM25_PREFIX: Final = "bm25."
SIGNAL_PREFIX: Final = "signal."

# One unit for every field, three for the title (the usual first boost of a shop), half for a field that gathers many
# members, where a word is easily found by chance. A cosine of well-matching texts is some 0.6 above that of unrelated
# ones, so at 2.0 it moves about as much as a good title match. No label was used.
TITLE_WEIGHT: Final = 3.0
FIELD_WEIGHT: Final = 1.0
GROUP_WEIGHT: Final = 0.5
COSINE_WEIGHT: Final = 2.0
# About what a document earns that holds the query's words in its title and elsewhere: both kinds share the first page.
OVERLOOKED_WEIGHT: Final = 4.0
SIGNALS_WEIGHT: Final = 0.15


def feature_names(settings: IndexSettings) -> tuple[str, ...]:
    """The names of an index's features in column order: text fields, vector leg, signals."""
    fields = [BM25_PREFIX + field.name for field in settings.searchable]
    vector = [COSINE, OVERLOOKED] if settings.embedding is not None else []
    signals = [SIGNAL_PREFIX + signal.field for signal in settings.signals]
    return (*fields, *vector, *signals)


def default_weights(settings: IndexSettings) -> dict[str, float]:
    """Weights that work without labels on an unseen catalogue. Keys are `feature_names(settings)`, in order.

    Several signals share one small budget, so that popularity breaks ties and never drowns a match.
    """
    weights: dict[str, float] = {}
    for field in settings.searchable:
        gathers = any(member.endswith("*") for member in field.members)
        usual = GROUP_WEIGHT if gathers else FIELD_WEIGHT
        weights[BM25_PREFIX + field.name] = TITLE_WEIGHT if field.name == settings.title else usual
    if settings.embedding is not None:
        weights[COSINE] = COSINE_WEIGHT
        weights[OVERLOOKED] = OVERLOOKED_WEIGHT
    for signal in settings.signals:
        weights[SIGNAL_PREFIX + signal.field] = round(SIGNALS_WEIGHT / len(settings.signals), 4)
    return weights
