"""What a search asks for."""

from __future__ import annotations

from typing import Final

import msgspec

from events.errors import require
from events.point_in_time import parse_point_in_time
from events.rules import MAX_NAME_CHARS, MAX_TAGS
from searchsvc.analysis.highlight import HighlightInput
from searchsvc.analysis.query import RequestedOperator
from searchsvc.engines.retrieval import FacetRequest, SortKey
from searchsvc.runtime.limits import MAX_QUERY_CHARS, MAX_TOKEN_CHARS

MAX_WINDOW: Final = 1000
MAX_FACETS: Final = 50
MAX_FACET_VALUES: Final = 1000
MAX_SORT_KEYS: Final = 5
MAX_TAG_CHARS: Final = 64


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
            parse_point_in_time(self.as_of, "as_of")
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
    def from_log(query: str, asked: str) -> SearchRequest:
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
