"""What a search answers."""

from __future__ import annotations

import msgspec

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
    """Why a hit stands where it stands. Ranks are None where a leg missed it.

    The contributions add up to what is multiplied by `factor` and `behavior` (divided, where it is below 0) and is the
    score then. boosts: the factors that make `factor` up, within bounds. behavior_factor: what shoppers did with the
    document
    is worth. pinned_by: the rule whose pin gave it its rank, whatever its
    score.
    """

    features: dict[str, FeatureShare]
    keyword_rank: int | None
    vector_rank: int | None
    rule_factor: float = 1.0
    boosts: list[BoostShare] = []
    behavior_factor: float = 1.0
    pinned_by: str | None = None


class Hit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document of the answer. rank: 1-based over all pages."""

    id: str
    rank: int
    score: float
    document: msgspec.Raw
    highlights: dict[str, Highlight] | None = None
    explanation: Explanation | None = None


class AlternativeInfo(msgspec.Struct, frozen=True):
    """A word that stands for one of the query. weight: what finding it is worth beside the word itself."""

    word: str
    kind: AlternativeKind
    weight: float


class TermInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was made of a word of the query. optional: a stop word. ignored: no document holds anything like it."""

    word: str
    alternatives: list[AlternativeInfo] = []
    optional: bool = False
    ignored: bool = False

    @staticmethod
    def of(term: QueryTerm, ignored: bool) -> TermInfo:
        others = [AlternativeInfo(one.word, one.kind, one.weight) for one in term.alternatives if one.kind != "exact"]
        return TermInfo(term.word, others, term.optional, ignored)


class SearchAnswer(msgspec.Struct, frozen=True):
    """total: documents that match the query's words or are among the nearest vectors, within the filters. groups: how
    many there are to page through where the request was `distinct`. facets: counted over all that match. took_ms:
    inside the service, from the request to the hits.

    operator: what a document had to hold of the query's words: all, or any where all would not fill a page; null where
    there was no query. terms: what was made of each word. did_you_mean: the query with its misspelt words replaced.
    vector_trust: 0 to 1, how far the vector leg counted; null without one.

    applied_rules: ids of the rules that did something, in order of precedence; rule_effects: what. redirect: where a
    rule wants the website to go instead. user_data: what rules want the website to know. experiment: as the request
    said. config_version: CONTROL sequence of the index's last change. weights_segment: whose weights counted; null for
    the index's. applied_seq, applied_catalog_seq: what was applied. degraded: parts that were missing: `vector` where
    the encoder failed or was late, `shards` where some of a cluster's did; `last_known` where nothing could be found,
    and this is what was found last.
    """

    query_id: str
    index: str
    hits: list[Hit]
    total: int
    groups: int | None
    facets: dict[str, Facet]
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
    degraded: list[str]


class SearchOutcome(msgspec.Struct, frozen=True):
    """One answered search.

    answer: what the caller receives.
    shown: the record for the log.
    timings: milliseconds by stage.
    encoding_failure: why the query could not be encoded; '' where it was, or needed no vector.
    """

    answer: SearchAnswer
    shown: RankingShown
    timings: Timings
    encoding_failure: str = ""
