"""What a search answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from events.settings import RetrievalMode
from events.types import RankingShown
from searchsvc.analysis.highlight import Highlight
from searchsvc.analysis.query import AlternativeKind, Operator, QueryTerm
from searchsvc.engines.retrieval import Facet
from searchsvc.rules.directives import Effect
from searchsvc.runtime.stopwatch import Timings


class FeatureShare(msgspec.Struct, frozen=True):
    """What one feature adds to a score: contribution = value * weight."""

    value: float
    weight: float
    contribution: float


class BoostShare(msgspec.Struct, frozen=True):
    """What a rule's boost multiplies a score by."""

    rule: str
    factor: float


class Explanation(msgspec.Struct, frozen=True):
    """How a score came about: the sum of all contributions, times `rule_factor`, times `behavior_factor`.

    A sum below 0 is divided by the factors instead.

    features: contributions by feature name.
    keyword_rank: 1-based rank in the keyword leg; None if it missed the document.
    vector_rank: 1-based rank in the vector leg; None if it missed the document.
    rule_factor: product of the boosts, within bounds.
    boosts: the boosts that apply.
    behavior_factor: factor for shoppers' behavior.
    pinned_by: id of the rule whose pin gave the hit its rank regardless of its score.
    """

    features: dict[str, FeatureShare]
    keyword_rank: int | None
    vector_rank: int | None
    rule_factor: float = 1.0
    boosts: list[BoostShare] = []
    behavior_factor: float = 1.0
    pinned_by: str | None = None


class Hit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document of the answer.

    rank: 1-based over all pages.
    document: the document's JSON as stored.
    """

    id: str
    rank: int
    score: float
    document: msgspec.Raw
    highlights: dict[str, Highlight] | None = None
    explanation: Explanation | None = None


class AlternativeInfo(msgspec.Struct, frozen=True):
    """A word that stands for a word of the query.

    weight: what finding it counts, compared with finding the word itself; in (0, 1].
    """

    word: str
    kind: AlternativeKind
    weight: float


class TermInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one word of the query was understood.

    optional: whether it is a stop word.
    ignored: whether no document contains it or any alternative.
    """

    word: str
    alternatives: list[AlternativeInfo] = []
    optional: bool = False
    ignored: bool = False

    @staticmethod
    def from_term(term: QueryTerm, ignored: bool) -> TermInfo:
        """Describe a query term; the exact word is not listed among its alternatives."""
        alternatives = [
            AlternativeInfo(alternative.word, alternative.kind, alternative.weight)
            for alternative in term.alternatives
            if alternative.kind != "exact"
        ]
        return TermInfo(term.word, alternatives, term.optional, ignored)


class Relaxation(msgspec.Struct, frozen=True):
    """What an answer allows that the request did not ask for, because there would be too little else.

    part: `words`: some of them are in no document, and the others are searched; `operator`: not all words have to be
        there; `neighbours`: nothing that matches passes the filters, and these are the documents within them that are
        nearest in meaning.
    message: the same in words.
    """

    part: Literal["words", "operator", "neighbours"]
    message: str


class SearchWarning(msgspec.Struct, frozen=True):
    """What is odd about a request.

    field: member of the request
    """

    field: str
    message: str


class SearchAnswer(msgspec.Struct, frozen=True):
    """The answer to one search.

    total: number of documents of the match set that pass the filters; the same on every page.
    groups: number of groups to page through, if the request was `distinct`.
    facets: counts over these documents.
    retrieval: how documents matched.
    relaxed: what was relaxed.
    warnings: what is odd about the request, such as a filter by a member that no document has; and what rules asked for
        beyond what they may cost a search.
    operator: which query terms a document had to contain: all, or any if all would not fill a page; null without a
        query.
    terms: how each word was understood.
    did_you_mean: the query with its misspelt words corrected.
    vector_trust: how far the vector leg counted, in [0, 1]; null without one.
    took_ms: inside the service, from the request to the hits.
    applied_seq: CONTROL sequence that was applied.
    applied_catalog_seq: CATALOG sequence that was applied.
    config_version: CONTROL sequence of the index's last change.
    weights_segment: segment whose weights ranked; null for those of the index.
    applied_rules: ids of the rules that had an effect, in order of precedence.
    rule_effects: what they did.
    redirect: where a rule sends the shopper instead.
    user_data: data of rules for the website.
    experiment: as in the request.
    cursor: of the next hits of an export; null for other searches and at its end.
    degraded: missing parts: `vector` if the encoder failed or was late, `shards` if some of a cluster's did not answer,
        `last_known` if nothing could be searched and this is an earlier answer.
    """

    query_id: str
    index: str
    hits: list[Hit]
    total: int
    groups: int | None
    facets: dict[str, Facet]
    retrieval: RetrievalMode
    relaxed: list[Relaxation]
    warnings: list[SearchWarning]
    operator: Operator | None
    terms: list[TermInfo]
    did_you_mean: str | None
    vector_trust: float | None
    took_ms: float
    applied_seq: int
    config_version: int
    weights_version: int
    weights_segment: str | None
    applied_catalog_seq: int
    applied_rules: list[str]
    rule_effects: list[Effect]
    redirect: str | None
    user_data: list[object]
    experiment: str | None
    cursor: str | None
    degraded: list[str]


class SearchOutcome(msgspec.Struct, frozen=True):
    """One answered search.

    answer: what the caller receives.
    shown: the record for the log.
    timings: milliseconds by stage.
    encoding_failure: why the query could not be encoded; '' if it was, or needed no vector.
    """

    answer: SearchAnswer
    shown: RankingShown
    timings: Timings
    encoding_failure: str = ""
