"""What a search is asked and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from events.errors import InvalidInput, require
from events.rules import MAX_NAME_CHARS, MAX_TAGS
from events.types import RankingShown
from searchsvc.analysis.highlight import Highlight, HighlightInput
from searchsvc.analysis.query import AlternativeKind, Operator, QueryTerm, RequestedOperator
from searchsvc.engines.retrieval import Facet, FacetRequest, SortKey
from searchsvc.rules.directives import Effect
from searchsvc.runtime.limits import MAX_QUERY_CHARS, MAX_TOKEN_CHARS
from searchsvc.runtime.stopwatch import Timings

MAX_WINDOW: Final = 1000
MAX_FACETS: Final = 50
MAX_FACET_VALUES: Final = 1000
MAX_SORT_KEYS: Final = 5
MAX_TAG_CHARS: Final = 64
MAX_SEQ_DIGITS: Final = 18


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search. An empty query browses: all documents, by signals.

    like: the id of a document, in place of a query: what is near to it in meaning. typing: the last word may be
    unfinished. typos: also find what differs from a word by a typing error. operator: what a document has to hold of
    the query's words; auto is all of them where that fills a first page, else any. filters: see
    `searchsvc.engines.filters`,
    as
    text or as JSON. facets: members to count the values of. sort: `field:asc` or `field:desc`, in place of the score.
    distinct: only the best of those with the same value in this member.
    context, user_segment, experiment: what rules can ask for: tags, the segment of shoppers that this one is of, and
    the arm of an experiment that the search is in.
    as_of: search by the rules and weights of a CONTROL sequence, or of a time (RFC 3339, with its zone), over today's
    documents; draft: as if this draft was published. Such an answer is no impression, and is not logged.
    min_seq: wait (bounded) until this CONTROL sequence is applied, to read one's own write. min_catalog_seq: the same
    for documents. user_token: a pseudonym of the shopper.
    """

    query: str = ""
    limit: int = 10
    offset: int = 0
    like: str = ""
    typing: bool = False
    typos: bool = True
    operator: RequestedOperator = "auto"
    filters: str | dict[str, object] | None = None
    facets: list[str | FacetRequest] = []
    sort: list[str] = []
    distinct: str = ""
    highlight: bool | HighlightInput = False
    explain: bool = False
    context: list[str] = []
    user_segment: str = ""
    experiment: str = ""
    user_token: str = ""
    as_of: int | str | None = None
    draft: str = ""
    min_seq: int = 0
    min_catalog_seq: int = 0

    @property
    def window(self) -> int:
        """How many of the best are needed to answer."""
        return self.offset + self.limit

    def check(self) -> None:
        """Raise InvalidInput naming the first member out of its limits."""
        require(len(self.query) <= MAX_QUERY_CHARS, "query", self.query, f"at most {MAX_QUERY_CHARS} characters")
        require(not (self.query and self.like), "like", self.like, "a query or a document to be like, not both")
        require(0 <= self.limit <= MAX_WINDOW, "limit", self.limit, f"0 to {MAX_WINDOW}")
        require(0 <= self.offset <= MAX_WINDOW, "offset", self.offset, f"0 to {MAX_WINDOW}")
        limit = f"offset + limit at most {MAX_WINDOW}, here {self.window}"
        require(self.window <= MAX_WINDOW, "offset", self.offset, limit)
        tokens = f"at most {MAX_TOKEN_CHARS} characters"
        require(len(self.user_token) <= MAX_TOKEN_CHARS, "user_token", self.user_token, tokens)
        require(len(self.context) <= MAX_TAGS, "context", len(self.context), f"at most {MAX_TAGS} tags")
        names = [(f"context[{i}]", tag) for i, tag in enumerate(self.context)]
        for field, name in (*names, ("user_segment", self.user_segment), ("experiment", self.experiment)):
            require(len(name) <= MAX_NAME_CHARS, field, name, f"at most {MAX_NAME_CHARS} characters")
        if self.as_of is not None:
            moment(self.as_of, "as_of")
        require(not self.draft or self.as_of is None, "draft", self.draft, "as_of or a draft, not both")
        require(self.min_seq >= 0, "min_seq", self.min_seq, "0 or more")
        require(self.min_catalog_seq >= 0, "min_catalog_seq", self.min_catalog_seq, "0 or more")
        require(len(self.facets) <= MAX_FACETS, "facets", len(self.facets), f"at most {MAX_FACETS}")
        for i, facet in enumerate(self.facet_requests()):
            limit = f"1 to {MAX_FACET_VALUES}"
            require(1 <= facet.max_values <= MAX_FACET_VALUES, f"facets[{i}].max_values", facet.max_values, limit)
        require(len(self.sort) <= MAX_SORT_KEYS, "sort", len(self.sort), f"at most {MAX_SORT_KEYS} keys")
        for i, key in enumerate(self.sort):
            field, _, direction = key.rpartition(":")
            well = bool(field) and direction in ("asc", "desc")
            require(well, f"sort[{i}]", key, "field:asc or field:desc")
        highlight = self.highlighting()
        if highlight is not None:
            for name, tag in (("pre", highlight.pre), ("post", highlight.post)):
                require(len(tag) <= MAX_TAG_CHARS, f"highlight.{name}", tag, f"at most {MAX_TAG_CHARS} characters")
            require(0 <= highlight.words <= 1000, "highlight.words", highlight.words, "0 to 1000")

    def to_log(self) -> str:
        """JSON of what makes this search find what it finds, its query aside, where it is not the usual; '' where all
        is."""
        given = {name: value for name in _LOGGED if (value := getattr(self, name)) != getattr(_USUAL, name)}
        return msgspec.json.encode(given).decode() if given else ""

    @staticmethod
    def of_log(query: str, asked: str) -> SearchRequest:
        """The search that was logged. asked: as `to_log` gave it."""
        given: dict[str, object] = msgspec.json.decode(asked) if asked else {}
        return msgspec.convert({**given, "query": query}, SearchRequest)

    def facet_requests(self) -> tuple[FacetRequest, ...]:
        return tuple(FacetRequest(one) if isinstance(one, str) else one for one in self.facets)

    def sort_keys(self) -> tuple[SortKey, ...]:
        """Of a request that was checked."""
        split = [key.rpartition(":") for key in self.sort]
        return tuple(SortKey(field, direction == "desc") for field, _, direction in split)

    def highlighting(self) -> HighlightInput | None:
        if isinstance(self.highlight, HighlightInput):
            return self.highlight
        return HighlightInput() if self.highlight else None


_USUAL: Final = SearchRequest()
# Not who asked, nor what is only shown, nor how fresh it had to be.
_LOGGED: Final = (
    "limit",
    "offset",
    "like",
    "typing",
    "typos",
    "operator",
    "filters",
    "sort",
    "distinct",
    "context",
    "user_segment",
    "experiment",
)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def moment(given: int | str, field: str) -> int | datetime:
    """A CONTROL sequence, or a time. field: what errors call it. Raises InvalidInput where it is neither."""
    limit = "a CONTROL sequence from 1, or a time with its zone, such as 2026-11-27T00:00:00Z"
    if isinstance(given, str) and not (given.isdecimal() and len(given) <= MAX_SEQ_DIGITS):
        # In a link, a plus that is not written as %2B arrives as a space.
        at = _time(given) or _time(given.replace(" ", "+"))
        if at is None or at.tzinfo is None:
            raise InvalidInput(f"{field} is {given[:80]!r}; allowed: {limit}", field=field, value=given, limit=limit)
        return at
    require(int(given) >= 1, field, given, limit)
    return int(given)


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
    answer: SearchAnswer
    shown: RankingShown
    timings: Timings
