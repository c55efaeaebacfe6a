"""Sum up repeated searches in a report. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from searchsvc.rehearsal.what_if.report import DocumentMoved, NdcgChange, QueryChanged, QueryNdcg, WhatIfReport
from searchsvc.rehearsal.what_if.searches import (
    INTERACTION_KINDS,
    ActedOn,
    FirstPages,
    LoggedSearch,
    RepeatableSearch,
)
from tuning.clicks.offpolicy import LoggedRanking, estimate_change, exposure

# A query that is tied to users is listed if at least this many users made it, as for suggestions.
MIN_USERS: Final = 3
N_LISTED: Final = 10

FirstPagesBySearch = Mapping[RepeatableSearch, FirstPages]


def summarize(
    logged: Sequence[LoggedSearch],
    acted_on: ActedOn,
    counts: Counter[RepeatableSearch],
    pages: FirstPagesBySearch,
    ndcg: NdcgChange | None,
) -> WhatIfReport:
    """Return the report of a what-if.

    logged: all searches that were read
    counts: how often each search that can be read was made
    pages: first pages of the searches that were repeated
    ndcg: of the judged queries
    """
    n_searches = sum(counts[search] for search in pages)
    moved = _moved_documents(counts, pages, n_searches)
    timestamps = [entry.shown.timestamp for entry in logged]
    overlaps = sum(counts[search] * page.overlap for search, page in pages.items())
    tops_changed = sum(counts[search] * page.top_changed for search, page in pages.items())
    return WhatIfReport(
        since=min(timestamps, default=None),
        until=max(timestamps, default=None),
        n_rankings=len(logged),
        n_sealed=sum(entry.search is None for entry in logged),
        n_queries=len(pages),
        coverage=n_searches / counts.total() if counts else 0.0,
        overlap=overlaps / n_searches if n_searches else 1.0,
        top_changed=tops_changed / n_searches if n_searches else 0.0,
        winners=[document for document in reversed(moved[-N_LISTED:]) if document.exposure_change > 0],
        losers=[document for document in moved[:N_LISTED] if document.exposure_change < 0],
        most_changed=_changed_queries(counts, pages, public_searches(logged))[:N_LISTED],
        expected={
            name: estimate_change(_rankings(logged, acted_on, kind, pages)) for kind, name in INTERACTION_KINDS.items()
        },
        ndcg=ndcg,
    )


def ndcg_change(judged: Sequence[QueryNdcg]) -> NdcgChange:
    """Return the mean of judged queries, and those that gain and lose most."""
    by_gain = sorted(judged, key=lambda query: query.before - query.after)
    n = max(len(judged), 1)
    return NdcgChange(
        n=len(judged),
        before=sum(query.before for query in judged) / n,
        after=sum(query.after for query in judged) / n,
        winners=[query for query in by_gain[:N_LISTED] if query.after > query.before],
        losers=[query for query in reversed(by_gain[-N_LISTED:]) if query.after < query.before],
    )


def public_searches(logged: Sequence[LoggedSearch]) -> set[RepeatableSearch]:
    """Return the searches that reveal no user: made without a user token, or by several users."""
    users: dict[RepeatableSearch, set[str]] = defaultdict(set)
    for entry in logged:
        if entry.search is not None:
            users[entry.search].add(entry.shown.user)
    return {search for search, names in users.items() if "" in names or len(names) >= MIN_USERS}


def _moved_documents(
    counts: Counter[RepeatableSearch], pages: FirstPagesBySearch, n_searches: int
) -> list[DocumentMoved]:
    """Return the documents whose exposure changes, the greatest loss first.

    n_searches: searches that `pages` stand for
    """
    exposure_changes: dict[str, float] = defaultdict(float)
    n_moved: Counter[str] = Counter()
    for search, page in pages.items():
        for document_id, change in _exposure_changes(page).items():
            if change:
                exposure_changes[document_id] += change * counts[search] / n_searches
                n_moved[document_id] += counts[search]
    moved = [
        DocumentMoved(document_id, change, n_moved[document_id]) for document_id, change in exposure_changes.items()
    ]
    return sorted(moved, key=lambda document: (document.exposure_change, document.id))


def _exposure_changes(page: FirstPages) -> dict[str, float]:
    changes: dict[str, float] = defaultdict(float)
    for document_ids, sign in ((page.before, -1.0), (page.after, 1.0)):
        for rank, document_id in enumerate(document_ids, start=1):
            changes[document_id] += sign * exposure(rank)
    return changes


def _changed_queries(
    counts: Counter[RepeatableSearch], pages: FirstPagesBySearch, public: set[RepeatableSearch]
) -> list[QueryChanged]:
    """Return the public searches whose first page changes, the greatest change first."""
    changed = [
        QueryChanged(
            query=search.query,
            request=search.members,
            n=counts[search],
            overlap=page.overlap,
            top_changed=page.top_changed,
            before=page.before,
            after=page.after,
        )
        for search, page in pages.items()
        if page.before != page.after and search in public
    ]
    return sorted(changed, key=lambda query: -query.n * (1.0 - query.overlap + query.top_changed))


def _rankings(
    logged: Sequence[LoggedSearch], acted_on: ActedOn, kind: str, pages: FirstPagesBySearch
) -> Iterator[LoggedRanking]:
    """Yield the logged rankings of repeated searches, with their interactions of one kind."""
    for entry in logged:
        page = pages.get(entry.search) if entry.search is not None else None
        if page is not None:
            shown, document_ids = entry.shown, acted_on.get(entry.shown.id, {}).get(kind, ())
            yield LoggedRanking(
                shown.document_ids, shown.exploration, document_ids, shown.user, page.before, page.after
            )
