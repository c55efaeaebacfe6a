"""What is odd about a search, and was answered all the same. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from events.errors import InvalidInput
from searchsvc.analysis.understanding import MAX_ADDED_WORDS
from searchsvc.engines.filters import Exists, Filter, clauses
from searchsvc.rules.costs import MAX_SEARCH_COST
from searchsvc.search.answer import Hit, SearchWarning
from searchsvc.search.prepared_search import PreparedSearch

# Of a name, shown in a message.
MAX_NAME_CHARS: Final = 80
# Ids of rules that a warning names.
MAX_LISTED: Final = 3
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def warnings_of(prepared: PreparedSearch, hits: Sequence[Hit]) -> list[SearchWarning]:
    """Return what is odd.

    Each attribute of the request that no document has, or not of the kind that a range needs: it may be a misspelt
    name, or one that documents will have or had, and nothing matches it. So may a member that hits should have and none
    has. And what rules ask for beyond what they may.

    hits: of the answer, with the members that the request asks for
    """
    warnings = _without_hits(prepared, hits)
    for field, clause in _named(prepared):
        try:
            prepared.reading.snapshot.check_filter(clause, field)
        except InvalidInput as error:
            warnings.setdefault(str(error), SearchWarning(field, str(error)))
    return [*warnings.values(), *_left_out(prepared)]


def _left_out(prepared: PreparedSearch) -> Iterator[SearchWarning]:
    rules, synonyms = prepared.applied.left_out, prepared.query.left_out
    if rules:
        message = (
            f"rules may cost a search {MAX_SEARCH_COST}: those of lower precedence were left out, {_listed(rules)}"
        )
        yield SearchWarning("query", message)
    if synonyms:
        message = f"synonyms may add {MAX_ADDED_WORDS} words to a query: others were left out, of {_listed(synonyms)}"
        yield SearchWarning("query", message)


def _listed(rules: Sequence[str]) -> str:
    more = len(rules) - MAX_LISTED
    return ", ".join(rules[:MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _without_hits(prepared: PreparedSearch, hits: Sequence[Hit]) -> dict[str, SearchWarning]:
    """Return warnings by their messages: of members of `fields` that no hit has, nor any document as a value."""
    warnings: dict[str, SearchWarning] = {}
    names = prepared.request.returned_fields() if hits else ()
    shown = {name for hit in hits for name in _members.decode(hit.document)} if names else set()
    snapshot = prepared.reading.snapshot
    for name in names:
        if name in shown or snapshot.settings.searches(name):
            continue
        try:
            snapshot.check_filter(Exists(name), "fields")
        except InvalidInput as error:
            message = f"fields names {name[:MAX_NAME_CHARS]!r}, which none of these hits has; allowed: {error.limit}"
            warnings.setdefault(message, SearchWarning("fields", message))
    return warnings


def _named(prepared: PreparedSearch) -> Iterator[tuple[str, Filter]]:
    """Yield what a request asks of attributes, each with the member of the request that does."""
    request = prepared.request
    for field, condition in (("scope", prepared.filters.scope), ("filters", prepared.filters.refined)):
        if condition is not None:
            yield from ((field, clause) for clause in clauses(condition))
    yield from (("facets", Exists(facet.field)) for facet in request.facet_requests())
    yield from (("sort", Exists(key.field)) for key in request.sort_keys())
    if request.distinct:
        yield "distinct", Exists(request.distinct)
