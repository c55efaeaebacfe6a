"""The rankings that `bench relevance` compares: hybrid, each leg alone and two fusions, from the same candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery
from benchmarks.inprocess import INDEX, NOW
from benchmarks.queries import MAX_QUERY_LENGTH
from searchsvc.embedding.model import find_model
from searchsvc.search import ranking
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tuning import metrics
from tuning.arrays import FloatArray, ScoreArray
from tuning.features import ACCESSORY, COSINE, KEYWORD_RANK, NEIGHBOURHOOD, VECTOR_RANK, default_weights, feature_names

REFERENCE_BATCH: Final = 16
# What the plain fusions leave out, besides the cosine.
VECTOR_FEATURES: Final = (ACCESSORY, COSINE, NEIGHBOURHOOD, VECTOR_RANK)
KEYWORD: Final = "keyword"
VECTOR: Final = "vector"
RRF: Final = "RRF(60)"
ZSCORES: Final = "z-scores"
# Measures: nDCG@10 of the hits that were judged, and the share of the first ten that were not.
JUDGED_ONLY: Final = "judged@10"
UNJUDGED: Final = "unjudged"
HYBRID: Final = "hybrid (default)"
# The single contenders that the default has to reach.
SINGLE: Final = (KEYWORD, VECTOR, RRF, ZSCORES)
# Of the cosine among z-scores; the words have the rest. Source: Bruch, Gai & Ingber, TOIS 2023, a convex combination.
COSINE_SHARE: Final = 0.4
REFERENCE: Final = "vector by sentence-transformers fp32"


class Run(msgspec.Struct):
    """One pass over the queries; every list has an entry a query.

    ranked: contender -> ids, best first
    features: (n_candidates, n_features) of the hybrid ranking
    has_unknown_word: whether a word of the query is in no document
    """

    ranked: dict[str, list[list[str]]]
    features: list[FloatArray]
    has_unknown_word: list[bool]


def rank_all(
    searcher: Searcher, state: ServingState, texts: Sequence[str], say: Callable[[str], None], *, typos: bool = True
) -> Run:
    """Search for each text and rank its candidates as every contender does. typos: whether typos are tolerated."""
    settings = state.control.index(INDEX).settings
    names, weights = feature_names(settings), default_weights(settings)
    run = Run({name: [] for name in (*SINGLE, HYBRID)}, [], [])
    for done, text in enumerate(texts, start=1):
        request = SearchRequest(query=text[:MAX_QUERY_LENGTH], limit=2 * CANDIDATES, typos=typos)
        outcome = searcher.search(state, INDEX, request, query_id=str(done), now=NOW)
        ids, features = list(outcome.shown.document_ids), np.array(outcome.shown.features, np.float32)
        features = features.reshape(len(ids), len(names))
        columns = {name: features[:, i].astype(np.float64) for i, name in enumerate(names)}
        for name, ranked in _orders(ids, columns, weights).items():
            run.ranked[name].append(ranked)
        run.features.append(features)
        run.has_unknown_word.append(
            any(
                term.ignored or (term.alternatives[:1] and term.alternatives[0].kind == "typo")
                for term in outcome.answer.terms
            )
        )
        if done % 2000 == 0:
            say(f"searched {done} of {len(texts)}")
    return run


def _orders(ids: list[str], features: Mapping[str, ScoreArray], weights: Mapping[str, float]) -> dict[str, list[str]]:
    """Order candidates as each contender does.

    ids: in the order of the hybrid ranking
    features: (n,) by name; a reciprocal rank is 0 for a candidate that a leg did not retrieve
    weights: the default ones
    """
    with np.errstate(divide="ignore"):
        ranks = 1.0 / np.stack([features[KEYWORD_RANK], features[VECTOR_RANK]])
    keyword, vector = ([ids[i] for i in np.argsort(leg, kind="stable") if np.isfinite(leg[i])] for leg in ranks)
    words = sum(
        (weights[name] * features[name] for name in features if name not in VECTOR_FEATURES), np.zeros(len(ids))
    )
    zscores = (1 - COSINE_SHARE) * _zscores(words) + COSINE_SHARE * _zscores(features[COSINE])
    fused = {RRF: ranking.reciprocal_rank_fusion(ranks), ZSCORES: zscores}
    orders = {
        name: [ids[i] for i in ranking.top_k(scores, len(ids), ids.__getitem__)] for name, scores in fused.items()
    }
    return {KEYWORD: keyword, VECTOR: vector, **orders, HYBRID: ids}


def _zscores(values: ScoreArray) -> ScoreArray:
    """Return (n,) how many standard deviations each value is above the mean; 0 where all are equal."""
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def judge(ranked: Sequence[Sequence[str]], queries: Sequence[JudgedQuery]) -> dict[str, ScoreArray]:
    """Return each measure, (n_queries,).

    Labels are incomplete: nDCG counts a hit that nobody judged as not relevant, nDCG of the judged hits leaves it out.
    """
    max_grade = max(grade for query in queries for grade in query.grades.values())
    pairs = [(list(ids), query.grades) for ids, query in zip(ranked, queries, strict=True)]
    return {
        "ndcg@10": np.array([metrics.ndcg(ids, grades) for ids, grades in pairs]),
        JUDGED_ONLY: np.array([metrics.ndcg([i for i in ids if i in grades], grades) for ids, grades in pairs]),
        UNJUDGED: np.array([sum(i not in grades for i in ids[:10]) / max(len(ids[:10]), 1) for ids, grades in pairs]),
        "ndcg@5": np.array([metrics.ndcg(ids, grades, 5) for ids, grades in pairs]),
        "mrr": np.array([metrics.reciprocal_rank(ids, grades) for ids, grades in pairs]),
        "err@10": np.array([metrics.expected_reciprocal_rank(ids, grades, max_grade) for ids, grades in pairs]),
        "recall@100": np.array([metrics.recall(ids, grades) for ids, grades in pairs]),
    }


def reference_ranking(texts: Sequence[str], ids: Sequence[str], queries: Sequence[JudgedQuery]) -> list[list[str]]:
    """Rank by sentence-transformers' own fp32 vectors of the same texts, exhaustively."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(find_model("all-MiniLM-L6-v2").folder), device="cpu")
    vectors = model.encode(list(texts), batch_size=REFERENCE_BATCH, normalize_embeddings=True)
    query_texts = [query.text for query in queries]
    query_vectors = model.encode(query_texts, batch_size=REFERENCE_BATCH, normalize_embeddings=True)
    k = min(CANDIDATES, len(ids)) - 1
    ranked = []
    for vector in query_vectors:
        cosines = vectors @ vector
        best = np.argpartition(-cosines, k)[: k + 1]
        ranked.append([ids[i] for i in best[np.argsort(-cosines[best])]])
    return ranked
