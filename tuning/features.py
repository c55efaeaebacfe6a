"""The feature schema: which numbers describe a candidate, in which order. Serving and learning both use it.

    bm25.<field>    BM25 of one searchable field, divided by the query's ceiling
    exact_title     1 if the title is the query, word for word
    all_terms       1 if the document holds every word of the query that any document holds, except stop words
    coverage        the share of the query's idf whose terms the document holds, in any field; a term counts a little
                    less where the document has only another inflection: shoe for shoes
    phrase          the share of the query's adjacent words that are adjacent, in order, in one field
    proximity       the same for words near each other; nearer words count more
    rr.keyword      1 / rank in the keyword leg; 0 where it did not retrieve the candidate
    accessory       1 if the title says that the document only goes with what the query is after: a sleeve for a laptop
                    (`searchsvc.analysis.title_heads`)
    cosine          cosine of query and document vectors, times the vector trust
    neighbourhood   cosine of the document with the mean of the query's nearest documents, accessories left out, times
                    the vector trust
    rr.vector       1 / rank in the vector leg, times the vector trust; 0 where it did not retrieve the candidate
    signal.<field>  a signal of the document, transformed and scaled; [0, 1]
    behavior.document  how often shoppers choose the document over all queries, as a binary logarithm: 1 for twice as
                    often as the average document at its ranks, -1 for half as often; [-1, 1], 0 where unknown
                    (`tuning.learners.coec`)
    behavior.query  the same under this query, relative to behavior.document

The ceiling is the largest sum that the query's terms could reach if each were as rare as in the field that holds it
most often. It depends on the query and the collection and not on the candidates: the best candidate of a poor match
set stays poor.

Each search brings words and vectors to one scale: the features before `rr.keyword` are divided by how much its
candidates differ in them; `cosine` and `neighbourhood` count from the lowest among the candidates, divided by how much
these differ, and are about [0, 1]. So one weight carries over between collections and models. See
docs/decisions/score-scale.md.
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
ACCESSORY: Final = "accessory"
VECTOR_RANK: Final = "rr.vector"
COSINE: Final = "cosine"
NEIGHBOURHOOD: Final = "neighbourhood"
BM25_PREFIX: Final = "bm25."
SIGNAL_PREFIX: Final = "signal."
# The last features, in this order.
BEHAVIOR: Final = ("behavior.document", "behavior.query")

# Default weights, chosen without labels. The title weighs three times as much as a field, the usual first boost of a
# shop. A field that gathers many members weighs half, because it holds a word by chance more easily.
TITLE_WEIGHT: Final = 3.0
FIELD_WEIGHT: Final = 1.0
GROUP_WEIGHT: Final = 0.5
# A query of one or two words says little by itself, so its neighbourhood says more. Together, nearness decides about as
# much as a good title match.
COSINE_WEIGHT: Final = 0.5
NEIGHBOURHOOD_WEIGHT: Final = 1.2
# Holding all of the query weighs about as much as holding its words in another field; phrase and proximity decide among
# documents that hold equally many. Reciprocal ranks are there to be tuned and learnt; they repeat scores and cosines.
TEXT_WEIGHTS: Final = {EXACT_TITLE: 1.0, ALL_TERMS: 0.2, COVERAGE: 1.0, PHRASE: 0.3, PROXIMITY: 0.3}
# What goes with a thing is shown after the things, if these are about as good a match.
ACCESSORY_WEIGHT: Final = -0.5
SIGNALS_WEIGHT: Final = 0.15


def feature_names(settings: IndexSettings) -> tuple[str, ...]:
    """Return the names of an index's features in column order: fields, words, vector leg, signals, behavior."""
    fields = [BM25_PREFIX + field.name for field in settings.searchable]
    text = [EXACT_TITLE, ALL_TERMS, COVERAGE, PHRASE, PROXIMITY, KEYWORD_RANK, ACCESSORY]
    vector = [COSINE, NEIGHBOURHOOD, VECTOR_RANK] if settings.embedding is not None else []
    signals = [SIGNAL_PREFIX + signal.field for signal in settings.signals]
    return (*fields, *text, *vector, *signals, *BEHAVIOR)


def default_weights(settings: IndexSettings) -> dict[str, float]:
    """Return weights for a catalogue without labels. The keys are `feature_names(settings)`, in order.

    All signals share one small budget, so that popularity breaks ties and does not outweigh a match.
    """
    weights: dict[str, float] = {}
    for field in settings.searchable:
        gathers = any(member.endswith("*") for member in field.members)
        weight = GROUP_WEIGHT if gathers else FIELD_WEIGHT
        weights[BM25_PREFIX + field.name] = TITLE_WEIGHT if field.name == settings.title else weight
    weights |= {**TEXT_WEIGHTS, KEYWORD_RANK: 0.0, ACCESSORY: ACCESSORY_WEIGHT}
    if settings.embedding is not None:
        weights |= {COSINE: COSINE_WEIGHT, NEIGHBOURHOOD: NEIGHBOURHOOD_WEIGHT, VECTOR_RANK: 0.0}
    for signal in settings.signals:
        weights[SIGNAL_PREFIX + signal.field] = round(SIGNALS_WEIGHT / len(settings.signals), 4)
    # The learner weighs behavior.
    return weights | dict.fromkeys(BEHAVIOR, 0.0)
