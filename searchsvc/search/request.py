"""What a search asks for."""

from __future__ import annotations

import base64
from typing import Final, Literal, TypeVar

import msgspec

from events.errors import InvalidInput, require
from events.point_in_time import parse_point_in_time
from events.rules import MAX_NAME_CHARS, MAX_TAGS
from events.settings import IndexSettings, RetrievalMode
from searchsvc.analysis.highlight import HighlightInput
from searchsvc.analysis.query import RequestedOperator
from searchsvc.engines.filters import Filter, clauses, parse_filter
from searchsvc.engines.retrieval import FacetRequest, SortKey
from searchsvc.runtime.limits import MAX_QUERY_CHARS, MAX_TOKEN_CHARS

MAX_WINDOW: Final = 1000
MAX_FACETS: Final = 50
MAX_FACET_VALUES: Final = 1000
MAX_FACET_RANGES: Final = 100
MAX_SORT_KEYS: Final = 5
MAX_TAG_CHARS: Final = 64
MAX_HIGHLIGHT_WORDS: Final = 1000


FIRST_CURSOR: Final = "*"

T = TypeVar("T")


class SearchFilters(msgspec.Struct, frozen=True):
    """Filters of a request, parsed; None for none.

    scope: what the collection is.
    refined: what the shopper refines by.
    """

    scope: Filter | None = None
    refined: Filter | None = None


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search. An empty query browses: all documents, by signals.

    like: id of a document whose nearest neighbours are searched, instead of a query.
    typing: the last word may be unfinished.
    typos: also match words that differ by a typing error.
    operator: which query terms a document must contain; `auto` is all if that fills a first page, else any.
    retrieval: whether documents match by words, by meaning, or by either; '' takes what the index's settings say, and
        `keyword` for a search that sorts.
    scope: filter that says what the collection is, such as a store or a category page. Which documents match is
        decided within it; written as `filters`.
    filters: what the shopper refines by. See `searchsvc.engines.filters`; text or JSON.
    facets: attributes whose values are counted: a list, or a text with commas.
    sort: `field:asc` or `field:desc`, instead of the score: a list, or a text with commas.
    fields: members of a document that a hit has; all if there are none: a list, or a text with commas.
    distinct: attribute; of the documents that share a value, only the best is a hit.
    highlight: whether, or how, matches are marked.
    explain: whether each hit says how its score came about.
    context: tags that conditions of rules can require.
    user_segment: segment of the shopper, for conditions of rules.
    experiment: arm of an experiment, for conditions of rules.
    user_token: pseudonym of the shopper.
    internal: it is no shopper's, but a test or a preview: it is not logged, and nothing is left to chance.
    cursor: export: hits in the order of their ids, as many as there are. '*' begins; the answer has the cursor of the
        next hits. A document that is there all the while comes exactly once.
    as_of: search by the rules and weights of a CONTROL sequence or of a time (RFC 3339 with its zone), over today's
        documents. Such an answer is not shown to shoppers and is not logged.
    draft: search as if this draft was published; not logged either.
    min_seq: wait (bounded) until this CONTROL sequence is applied, to read one's own write.
    min_catalog_seq: the same for CATALOG.
    """

    query: str = ""
    limit: int = 10
    offset: int = 0
    like: str = ""
    typing: bool = False
    typos: bool = True
    operator: RequestedOperator = "auto"
    retrieval: RetrievalMode | Literal[""] = ""
    scope: str | dict[str, object] | None = None
    filters: str | dict[str, object] | None = None
    facets: list[str | FacetRequest] | str = []
    sort: list[str] | str = []
    fields: list[str] | str = []
    distinct: str = ""
    highlight: bool | HighlightInput = False
    explain: bool = False
    context: list[str] = []
    user_segment: str = ""
    experiment: str = ""
    user_token: str = ""
    internal: bool = False
    cursor: str = ""
    as_of: int | str | None = None
    draft: str = ""
    min_seq: int = 0
    min_catalog_seq: int = 0

    def retrieval_mode(self, settings: IndexSettings) -> RetrievalMode:
        """Return how documents match. Sorted hits must not begin with mere neighbours unless the request says so."""
        return self.retrieval or ("keyword" if self.sort else settings.retrieval or "hybrid")

    @property
    def window(self) -> int:
        """Number of hits that the answer needs, counted from rank 1."""
        return self.offset + self.limit

    @property
    def has_own_order(self) -> bool:
        """Whether the request orders the hits, and not their scores."""
        return bool(self.sort or self.cursor)

    @property
    def is_shown(self) -> bool:
        """Whether the answer is shown to a shopper, and so is logged."""
        return not (self.internal or self.cursor)

    def check(self) -> None:
        """Raise InvalidInput naming the first member that is out of its limits."""
        require(len(self.query) <= MAX_QUERY_CHARS, "query", self.query, f"at most {MAX_QUERY_CHARS} characters")
        require(not (self.query and self.like), "like", self.like, "a query or a document to be like, not both")
        self._check_page()
        self._check_cursor()
        self._check_context()
        self._check_versions()
        self._check_facets_and_sort()
        self._check_highlight()

    def _check_page(self) -> None:
        require(0 <= self.limit <= MAX_WINDOW, "limit", self.limit, f"0 to {MAX_WINDOW}")
        require(0 <= self.offset <= MAX_WINDOW, "offset", self.offset, f"0 to {MAX_WINDOW}")
        limit = f"offset + limit at most {MAX_WINDOW}, here {self.window}"
        require(self.window <= MAX_WINDOW, "offset", self.offset, limit)

    def _check_cursor(self) -> None:
        if self.cursor:
            excluded = [name for name in ("offset", "sort", "distinct", "like") if getattr(self, name)]
            require(not excluded, "cursor", self.cursor, f"a cursor or {' and '.join(excluded)}, not both")
            parse_cursor(self.cursor)

    def _check_context(self) -> None:
        limit = f"at most {MAX_TOKEN_CHARS} characters"
        require(len(self.user_token) <= MAX_TOKEN_CHARS, "user_token", self.user_token, limit)
        require(len(self.context) <= MAX_TAGS, "context", len(self.context), f"at most {MAX_TAGS} tags")
        names = [(f"context[{i}]", tag) for i, tag in enumerate(self.context)]
        for field, name in (*names, ("user_segment", self.user_segment), ("experiment", self.experiment)):
            require(len(name) <= MAX_NAME_CHARS, field, name, f"at most {MAX_NAME_CHARS} characters")

    def _check_versions(self) -> None:
        if self.as_of is not None:
            parse_point_in_time(self.as_of, "as_of")
        require(not self.draft or self.as_of is None, "draft", self.draft, "as_of or a draft, not both")
        require(self.min_seq >= 0, "min_seq", self.min_seq, "0 or more")
        require(self.min_catalog_seq >= 0, "min_catalog_seq", self.min_catalog_seq, "0 or more")

    def _check_facets_and_sort(self) -> None:
        n_facets = len(_listed(self.facets))
        require(n_facets <= MAX_FACETS, "facets", n_facets, f"at most {MAX_FACETS}")
        fields = [facet.field for facet in self.facet_requests()]
        twice = next((field for field in fields if fields.count(field) > 1), None)
        require(twice is None, "facets", twice, "each member once: an answer has one count of it")
        limit = f"1 to {MAX_FACET_VALUES}"
        for i, facet in enumerate(self.facet_requests()):
            require(1 <= facet.max_values <= MAX_FACET_VALUES, f"facets[{i}].max_values", facet.max_values, limit)
            n_ranges = len(facet.ranges)
            require(n_ranges <= MAX_FACET_RANGES, f"facets[{i}].ranges", n_ranges, f"at most {MAX_FACET_RANGES}")
            facet.range_filters(f"facets[{i}].ranges")
            longest = f"at most {MAX_QUERY_CHARS} characters"
            require(len(facet.query) <= MAX_QUERY_CHARS, f"facets[{i}].query", facet.query, longest)
        keys = _listed(self.sort)
        require(len(keys) <= MAX_SORT_KEYS, "sort", len(keys), f"at most {MAX_SORT_KEYS} keys")
        for i, key in enumerate(keys):
            field, _, direction = key.rpartition(":")
            is_valid = bool(field) and direction in ("asc", "desc")
            require(is_valid, f"sort[{i}]", key, "field:asc or field:desc")

    def _check_highlight(self) -> None:
        highlight = self.highlighting()
        if highlight is not None:
            for name, tag in (("pre", highlight.pre), ("post", highlight.post or "")):
                require(len(tag) <= MAX_TAG_CHARS, f"highlight.{name}", tag, f"at most {MAX_TAG_CHARS} characters")
            limit = f"0 to {MAX_HIGHLIGHT_WORDS}"
            require(0 <= highlight.words <= MAX_HIGHLIGHT_WORDS, "highlight.words", highlight.words, limit)

    def to_log(self) -> str:
        """Return JSON of the members other than the query that decide what is found and are not at their defaults.

        '' if all are. `from_log` reads it.
        """
        members = {name: value for name in _LOGGED if (value := getattr(self, name)) != getattr(_DEFAULT, name)}
        return msgspec.json.encode(members).decode() if members else ""

    @staticmethod
    def from_log(query: str, members: str) -> SearchRequest:
        """Return the search that was logged. members: as `to_log` returned it."""
        decoded: dict[str, object] = msgspec.json.decode(members) if members else {}
        return msgspec.convert({**decoded, "query": query}, SearchRequest)

    def parsed_filters(self) -> SearchFilters:
        """Return scope and filters. Raises InvalidInput if one cannot be parsed."""
        return SearchFilters(parse_filter(self.scope, "scope"), parse_filter(self.filters))

    def facet_requests(self) -> tuple[FacetRequest, ...]:
        """Return the facets, each once, with defaults where only a name was given."""
        asked = (FacetRequest(facet) if isinstance(facet, str) else facet for facet in _listed(self.facets))
        return tuple(dict.fromkeys(asked))

    def attributes(self) -> list[str]:
        """Return the attributes whose values are compared or counted, as often as they are.

        Raises InvalidInput if a filter cannot be parsed.
        """
        filters = self.parsed_filters()
        conditions = [condition for condition in (filters.scope, filters.refined) if condition is not None]
        named = [clause.field for condition in conditions for clause in clauses(condition)]
        for facet in self.facet_requests():
            named += [facet.field] * (1 + len(facet.ranges))
        return named

    def after_id(self) -> str | None:
        """Return the id after which an export goes on, '' for its beginning; None if this is no export."""
        return parse_cursor(self.cursor) if self.cursor else None

    def returned_fields(self) -> tuple[str, ...]:
        """Return the members that hits have; () for all."""
        return tuple(_listed(self.fields))

    def sort_keys(self) -> tuple[SortKey, ...]:
        """Return the sort keys of a request that was checked."""
        split = [key.rpartition(":") for key in _listed(self.sort)]
        return tuple(SortKey(field, direction == "desc") for field, _, direction in split)

    def highlighting(self) -> HighlightInput | None:
        """Return how to highlight; None for not at all."""
        if isinstance(self.highlight, HighlightInput):
            return self.highlight
        return HighlightInput() if self.highlight else None


def cursor_after(document_id: str) -> str:
    """Return the cursor of an export that goes on after a document."""
    return base64.urlsafe_b64encode(document_id.encode("utf-8", "surrogatepass")).decode()


def parse_cursor(cursor: str) -> str:
    """Return the id after which an export goes on, '' for its beginning. Raises InvalidInput."""
    if cursor == FIRST_CURSOR:
        return ""
    try:
        return base64.b64decode(cursor, b"-_", validate=True).decode("utf-8", "surrogatepass")
    except ValueError as error:
        limit = f"{FIRST_CURSOR!r}, or the cursor of an answer"
        raise InvalidInput(f"cursor is none; allowed: {limit}", field="cursor", value=cursor, limit=limit) from error


def _listed(value: list[T] | str) -> list[T] | list[str]:
    """Return a list that may have been sent as a text with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


_DEFAULT: Final = SearchRequest()
# Neither the user, nor what only changes the presentation, nor how fresh the answer had to be.
_LOGGED: Final = (
    "limit",
    "offset",
    "like",
    "typing",
    "typos",
    "operator",
    "retrieval",
    "scope",
    "filters",
    "sort",
    "distinct",
    "context",
    "user_segment",
    "experiment",
)
