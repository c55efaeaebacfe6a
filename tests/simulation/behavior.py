"""Pages with planted tastes for single documents."""

from __future__ import annotations

import numpy as np

from tuning.learners.coec import Coec, UserQuery

NOW_S = 1_800_000_000.0
PAGE = [f"d{i}" for i in range(10)]


def simulate_pages(coec: Coec, n: int, liked: dict[str, float], *, users: int = 1000, seed: int = 0) -> None:
    """Show n pages in random orders, with clicks by rank times popularity."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        page = [PAGE[position] for position in rng.permutation(len(PAGE))]
        coec.observe_ranking(page, 1, 1 + i % users, NOW_S + i)
        for rank, document_id in enumerate(page, start=1):
            if rng.random() < liked.get(document_id, 1.0) * 0.3 / rank:
                coec.observe_value(document_id, rank, 1.0, 1 + i % users, NOW_S + i)


def simulate_query(
    coec: Coec, n: int, liked: dict[str, float], query: str, *, seed: int = 0, first_user: int = 0
) -> None:
    """Show n pages for a query to different users, with clicks by rank times popularity for the query."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        page = [PAGE[position] for position in rng.permutation(len(PAGE))]
        user = first_user + i
        coec.observe_ranking(page, 1, user, NOW_S + i, UserQuery(query, user))
        for rank, document_id in enumerate(page, start=1):
            if rng.random() < min(liked.get(document_id, 1.0) * 0.3 / rank, 1.0):
                coec.observe_value(document_id, rank, 1.0, user, NOW_S + i, UserQuery(query, user))
