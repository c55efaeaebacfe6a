"""The rankings that `bench relevance` compares: hybrid, each leg alone and RRF(60), from the same candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery
from benchmarks.inprocess import INDEX, NOW
from benchmarks.queries import MAX_QUERY_LENGTH
from events.settings import IndexSettings
from searchsvc.embedding.model import find_model
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import EngineSnapshot, Upsert
from searchsvc.indexing.documents import AcceptedDocument
from searchsvc.search import ranking
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tuning import metrics
from tuning.arrays import FloatArray, ScoreArray
from tuning.features import KEYWORD_RANK, VECTOR_RANK, feature_names

BATCH: Final = 256
REFERENCE_BATCH: Final = 16
KEYWORD: Final = "keyword"
VECTOR: Final = "vector"
RRF: Final = "RRF(60)"
HYBRID: Final = "hybrid (default)"
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
    names = feature_names(state.control.index(INDEX).settings)
    columns = [names.index(KEYWORD_RANK), names.index(VECTOR_RANK)]
    run = Run({name: [] for name in (KEYWORD, VECTOR, RRF, HYBRID)}, [], [])
    for done, text in enumerate(texts, start=1):
        request = SearchRequest(query=text[:MAX_QUERY_LENGTH], limit=2 * CANDIDATES, typos=typos)
        outcome = searcher.search(state, INDEX, request, query_id=str(done), now=NOW)
        ids, features = list(outcome.shown.document_ids), np.array(outcome.shown.features, np.float32)
        features = features.reshape(len(ids), len(names))
        for name, ranked in _orders(ids, features[:, columns]).items():
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


def _orders(ids: list[str], reciprocal_ranks: FloatArray) -> dict[str, list[str]]:
    """Order candidates as each contender does.

    ids: in the order of the hybrid ranking
    reciprocal_ranks: (n, 2) of the legs, 0 for a candidate that a leg did not retrieve
    """
    with np.errstate(divide="ignore"):
        ranks = (1.0 / reciprocal_ranks.astype(np.float64)).T
    fused = ranking.reciprocal_rank_fusion(ranks)
    keyword, vector = ([ids[i] for i in np.argsort(leg, kind="stable") if np.isfinite(leg[i])] for leg in ranks)
    rrf = [ids[i] for i in ranking.top_k(fused, len(ids), ids.__getitem__)]
    return {KEYWORD: keyword, VECTOR: vector, RRF: rrf, HYBRID: ids}


def judge(ranked: Sequence[Sequence[str]], queries: Sequence[JudgedQuery]) -> dict[str, ScoreArray]:
    """Return each measure, (n_queries,)."""
    max_grade = max(grade for query in queries for grade in query.grades.values())
    pairs = [(list(ids), query.grades) for ids, query in zip(ranked, queries, strict=True)]
    return {
        "ndcg@10": np.array([metrics.ndcg(ids, grades) for ids, grades in pairs]),
        "ndcg@5": np.array([metrics.ndcg(ids, grades, 5) for ids, grades in pairs]),
        "mrr": np.array([metrics.reciprocal_rank(ids, grades) for ids, grades in pairs]),
        "err@10": np.array([metrics.expected_reciprocal_rank(ids, grades, max_grade) for ids, grades in pairs]),
        "recall@100": np.array([metrics.recall(ids, grades) for ids, grades in pairs]),
    }


def build_index(
    folder: Path, documents: Sequence[AcceptedDocument], settings: IndexSettings, vectors: FloatArray
) -> EngineSnapshot:
    """Build an embedded index in a folder. vectors: (n_documents, dimension)."""
    engine = storage.create(folder, settings, vectors.shape[1])
    upserts = [Upsert(d.id, d.text, d.members, vector) for d, vector in zip(documents, vectors, strict=True)]
    for start in range(0, len(upserts), BATCH):
        engine.apply(upserts[start : start + BATCH], start + 1)
    engine.maintain()
    return engine.snapshot()


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
