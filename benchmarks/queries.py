"""Queries made from a catalogue's own titles, always the same for a seed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks import report
from events.errors import InvalidInput

WARM_UP: Final = 50
HEAD_WORDS: Final = 2
MAX_QUERY_LENGTH: Final = 512


def sample_queries(documents: Sequence[Mapping[str, Any]], title: str, n: int) -> list[str]:
    """Make distinct queries: titles of seeded documents, and in turn with them the first two words of others.

    title: member that holds a document's title
    n: number of queries at most; a small catalogue gives fewer

    Raises InvalidInput if no document has a title.
    """
    titles = [str(document.get(title) or "") for document in documents]
    rng = np.random.default_rng(report.SEED)
    queries: dict[str, None] = {}
    for i in rng.permutation(len(titles)):
        whole = titles[i][:MAX_QUERY_LENGTH].strip()
        query = whole if len(queries) % 2 == 0 else " ".join(whole.split()[:HEAD_WORDS])
        if query:
            queries.setdefault(query)
        if len(queries) == n:
            break
    if not queries:
        raise InvalidInput(f"no document has a {title} to make queries from", field="collection", limit="1 or more")
    return list(queries)


def warm_up_size(n_queries: int) -> int:
    """Return how many of n queries to spend on warming up: `WARM_UP`, or half of fewer, so that some are left."""
    return WARM_UP if n_queries > WARM_UP else n_queries // 2
