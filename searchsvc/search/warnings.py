"""What is odd about a search, and was answered all the same. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from events.errors import InvalidInput
from searchsvc.engines.filters import Exists, Filter, clauses
from searchsvc.search.answer import SearchWarning
from searchsvc.search.prepared_search import PreparedSearch


def warnings_of(prepared: PreparedSearch) -> list[SearchWarning]:
    """Return a warning for each attribute of the request that no document has, or not of the kind that a range needs.

    It may be a misspelt name, or one that documents will have or had: nothing matches it.
    """
    found: dict[str, SearchWarning] = {}
    for field, clause in _named(prepared):
        try:
            prepared.reading.snapshot.check_filter(clause, field)
        except InvalidInput as error:
            found.setdefault(str(error), SearchWarning(field, str(error)))
    return list(found.values())


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
