"""Why two engines rank a query differently: the kind of feature that contributes most to the difference."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Final

import numpy as np

from benchmarks.inprocess import INDEX
from benchmarks.queries import MAX_QUERY_LENGTH
from benchmarks.running import RunningService
from benchmarks.searching import search
from tuning.features import BM25_PREFIX, COSINE, NEIGHBOURHOOD, PHRASE, PROXIMITY, VECTOR_RANK

# How many hits of two rankings are compared.
DEPTH: Final = 30
# Contributions that differ by less move nothing.
SMALL: Final = 0.05


def cause(services: Mapping[str, RunningService], query: str) -> str:
    """Name what makes two rankings of a query differ most.

    That is the kind of feature whose contributions to the scores of common hits differ most; or the candidates, if
    contributions hardly differ.
    """
    request = {"query": query[:MAX_QUERY_LENGTH], "limit": DEPTH, "explain": True}
    answers = []
    for service in services.values():
        with closing(service.connection()) as connection:
            answers.append(search(connection, INDEX, request).answer)
    first, second = ({hit["id"]: hit["explanation"]["features"] for hit in answer["hits"]} for answer in answers)
    common = sorted({*first} & {*second})
    has_alternatives = any(len(term.get("alternatives", [])) for term in answers[0]["terms"])
    differences: dict[str, float] = {}
    for name in first[common[0]] if common else ():
        values = [first[hit][name]["contribution"] - second[hit][name]["contribution"] for hit in common]
        # A difference that all hits share changes no ranking.
        kind = _kind(name, has_alternatives=has_alternatives)
        spread = float(np.abs(values - np.median(values)).max())
        differences[kind] = differences.get(kind, 0.0) + spread
    if max(differences.values(), default=0.0) < SMALL:
        return "nearly equal scores" if len(common) > len(first) * 0.8 else "candidates"
    return max(differences, key=differences.__getitem__)


def _kind(feature: str, *, has_alternatives: bool) -> str:
    if feature.startswith(BM25_PREFIX):
        return "BM25 of words with alternatives" if has_alternatives else "BM25 of long fields"
    if feature in (PHRASE, PROXIMITY):
        return "neighbours"
    return "vectors" if feature in (COSINE, NEIGHBOURHOOD, VECTOR_RANK) else "terms held, ranks, signals"
