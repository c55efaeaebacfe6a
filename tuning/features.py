"""The feature schema: which numbers describe a candidate, in which order. One definition for serving and learning.

    bm25.<field>    BM25 of one searchable field, as a share of the query's ceiling; about [0, 1]
    exact_title     1 where the title is the query, word for word
    all_terms       1 where the document holds every word of the query that any document holds, stop words aside
    coverage        the share of the query's idf that the document holds, in any field; [0, 1]
    phrase          the share of the query's neighbouring words that stand side by side, in order, in one field; [0, 1]
    proximity       the same for words near each other, nearer ones counting more; [0, 1]
    rr.keyword      1 / rank in the keyword leg, 0 where it missed the candidate
    cosine          cosine of query and document vectors, times how far vectors can be trusted; [-1, 1], 0 where missing
    rr.vector       1 / rank in the vector leg, times the same, 0 where it missed the candidate
    overlooked      1.0, 0.9 ... 0.1 for the ten nearest vectors where the best ten would hold none of them, times the
                    same; else 0
    signal.<field>  a number of the document, transformed and scaled; [0, 1]
    behavior.document  how often shoppers choose it, wherever it is shown: 1 for twice as often as the average document
                    in its places, -1 for half as often; [-1, 1], 0 where it is not known (`tuning.learners.coec`)
    behavior.query  the same where they ask for this, on top of that

The ceiling is the largest sum that the query's terms could earn if each were as rare as in the field that holds it
most often. It belongs to the query and the collection, not to the candidates: the best of a bad list stays bad.

`overlooked` is for queries whose words and meaning point at different things: in a catalogue that says "Notebook", the
word "laptop" finds sleeves and locks. See docs/decisions/overlooked.md.
"""

from __future__ import annotations

from typing import Final

from events.settings import IndexSettings

EXACT_TITLE: Final = "exact_title"
ALL_TERMS: Final = "all_terms"
COVERAGE: Final = "coverage"
PHRASE: Final = "phrase"
PROXIMITY: Final = "proximity"
KEYWORD_RANK: Final = "rr.keyword"
VECTOR_RANK: Final = "rr.vector"
COSINE: Final = "cosine"
OVERLOOKED: Final = "overlooked"
BM25_PREFIX: Final = "bm25."
SIGNAL_PREFIX: Final = "signal."
# In this order, after all others.
BEHAVIOR: Final = ("behavior.document", "behavior.query")

# One unit for every field, three for the title (the usual first boost of a shop), half for a field that gathers many
# members, where a word is easily found by chance. A cosine of well-matching texts is some 0.6 above that of unrelated
# ones, so at 2.0 it moves about as much as a good title match. No label was used.
TITLE_WEIGHT: Final = 3.0
FIELD_WEIGHT: Final = 1.0
GROUP_WEIGHT: Final = 0.5
COSINE_WEIGHT: Final = 2.0
# Holding all of the query is worth about as much as holding its words in another field; how the words stand to each
# other decides among documents that hold as many. Reciprocal ranks are there to be tuned and learnt: they say what
# scores and cosines say, only rougher.
TEXT_WEIGHTS: Final = {EXACT_TITLE: 1.0, ALL_TERMS: 0.2, COVERAGE: 1.0, PHRASE: 0.3, PROXIMITY: 0.3}
# About what a document earns that holds the query's words in its title and elsewhere: both kinds share the first page.
OVERLOOKED_WEIGHT: Final = 4.0
SIGNALS_WEIGHT: Final = 0.15


def feature_names(settings: IndexSettings) -> tuple[str, ...]:
    """The names of an index's features in column order: text fields, query's words, vector leg, signals, shoppers."""
    fields = [BM25_PREFIX + field.name for field in settings.searchable]
    text = [EXACT_TITLE, ALL_TERMS, COVERAGE, PHRASE, PROXIMITY, KEYWORD_RANK]
    vector = [COSINE, VECTOR_RANK, OVERLOOKED] if settings.embedding is not None else []
    signals = [SIGNAL_PREFIX + signal.field for signal in settings.signals]
    return (*fields, *text, *vector, *signals, *BEHAVIOR)


def default_weights(settings: IndexSettings) -> dict[str, float]:
    """Weights that work without labels on an unseen catalogue. Keys are `feature_names(settings)`, in order.

    Several signals share one small budget, so that popularity breaks ties and never drowns a match.
    """
    weights: dict[str, float] = {}
    for field in settings.searchable:
        gathers = any(member.endswith("*") for member in field.members)
        usual = GROUP_WEIGHT if gathers else FIELD_WEIGHT
        weights[BM25_PREFIX + field.name] = TITLE_WEIGHT if field.name == settings.title else usual
    weights |= {**TEXT_WEIGHTS, KEYWORD_RANK: 0.0}
    if settings.embedding is not None:
        weights[COSINE] = COSINE_WEIGHT
        weights[VECTOR_RANK] = 0.0
        weights[OVERLOOKED] = OVERLOOKED_WEIGHT
    for signal in settings.signals:
        weights[SIGNAL_PREFIX + signal.field] = round(SIGNALS_WEIGHT / len(settings.signals), 4)
    # What shoppers do is for the learner to weigh.
    return weights | dict.fromkeys(BEHAVIOR, 0.0)
