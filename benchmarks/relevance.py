"""How good are the first ten hits, and is hybrid better than each leg alone?

Question   nDCG@10 (gain 2^grade - 1) of the default ranking, whole collection as the corpus, settings inferred, no
           tuning on the labels; beside keyword alone, vector alone and reciprocal rank fusion of the two.
Data       a judged folder: docs.jsonl[.gz], queries.jsonl, qrels.tsv[.gz]
Baseline   the two legs and RRF(60), from the same candidates in the same run; with --reference the vector leg over
           sentence-transformers' own fp32 vectors, to show what int8 costs
Command    searchsvc bench relevance ../shared/data/movies
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.collection import JudgedQuery, documents_file, judged_queries, lines
from events import control
from events.settings import IndexSettings
from events.types import IndexConfigured
from searchsvc import ranking
from searchsvc.analysis import embedding_text
from searchsvc.answer import Hit, SearchRequest
from searchsvc.arrays import FloatArray, ScoreArray
from searchsvc.documents import AcceptedDocument, parse_documents
from searchsvc.embedded import storage
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import exported
from searchsvc.embedding.model import find_model
from searchsvc.engine import EngineSnapshot, Upsert
from searchsvc.infer import infer_settings
from searchsvc.search import Searcher
from searchsvc.serving import ServingState
from tuning.features import default_weights

K: Final = 10
INDEX: Final = "bench"
CANDIDATES: Final = 100
SAMPLE: Final = 1000
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Run(msgspec.Struct, frozen=True):
    """nDCG@10 of each query, in query order."""

    name: str
    ndcg: ScoreArray


def ndcg(ranked: Sequence[str], grades: dict[str, int], k: int = K) -> float:
    """Normalised discounted cumulative gain of a ranking, in [0, 1].

    Unjudged documents gain nothing; the ideal orders all judged documents of the query.
    Source: Järvelin & Kekäläinen 2002, with gain 2^grade - 1 and discount log2(rank + 1).
    """
    gains = [2.0 ** grades.get(document_id, 0) - 1.0 for document_id in ranked[:k]]
    ideal = sorted((2.0**grade - 1.0 for grade in grades.values()), reverse=True)[:k]
    best = sum(gain / np.log2(rank + 1) for rank, gain in enumerate(ideal, start=1))
    return float(sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1)) / best) if best else 0.0


def measure(folder: Path, *, n_queries: int | None, reference: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The result as JSON would have it; n_queries limits the run (a seeded sample), for a quick look."""
    queries = judged_queries(folder)
    if n_queries is not None and n_queries < len(queries):
        chosen = np.random.default_rng(report.SEED).choice(len(queries), n_queries, replace=False)
        queries = [queries[i] for i in sorted(chosen)]
    documents = [d for d in parse_documents(b"".join(lines(documents_file(folder)))) if isinstance(d, AcceptedDocument)]
    settings = infer_settings([document.members for document in documents[:SAMPLE]])
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        embedder = Embedder(exported(find_model("all-MiniLM-L6-v2"), Path(scratch) / "models"), cache_size=0)
        say(f"encoding {len(documents)} documents")
        started = time.monotonic()
        texts = _texts(documents, settings)
        vectors = embedder.encode_documents(texts, lambda n: say(f"encoded {n}") if n % 1600 == 0 else None)
        encoded_per_s = len(texts) / (time.monotonic() - started)
        snapshot = _index(Path(scratch), documents, settings, vectors)
        searcher = Searcher(embedder, n_candidates=CANDIDATES)
        runs = _runs(searcher, _state(settings, snapshot), queries, say)
        if reference:
            runs.append(_reference(texts, documents, queries, say))
    by_name = {run.name: run.ndcg for run in runs}
    hybrid = by_name["hybrid (default)"]
    differences = {run.name: report.mean_interval(hybrid - run.ndcg) for run in runs if run.name != "hybrid (default)"}
    figures = {run.name: report.mean_interval(run.ndcg) for run in runs}
    return {
        "benchmark": "relevance",
        "question": "nDCG@10 of the default ranking against each leg alone and RRF",
        "collection": folder.name,
        **report.environment(),
        "n_documents": len(documents),
        "n_queries": len(queries),
        "settings": settings,
        "weights": default_weights(settings),
        "encoded_documents_per_s": round(encoded_per_s, 1),
        "ndcg_at_10": figures,
        "hybrid_minus": differences,
        "checks": _checks(figures, differences),
    }


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}: {result['n_documents']} documents, {result['n_queries']} queries, nDCG@10 [95 %]")
    for name, figure in result["ndcg_at_10"].items():
        print(f"  {name:42} {figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]")
    print("hybrid minus")
    for name, figure in result["hybrid_minus"].items():
        print(f"  {name:42} {figure.value:+.4f} [{figure.low:+.4f}, {figure.high:+.4f}]")
    report.print_checks(result["checks"])


def _checks(figures: dict[str, report.Interval], differences: dict[str, report.Interval]) -> list[report.Check]:
    hybrid = figures["hybrid (default)"].value
    checks = [
        report.Check("hybrid nDCG@10 (the figure is set for movies)", ">= 0.871", f"{hybrid:.4f}", hybrid >= 0.871)
    ]
    for leg in ("keyword", "vector"):
        ahead = differences[leg]
        seen = f"{ahead.value:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}]"
        checks.append(report.Check(f"hybrid above {leg} alone", "> 0", seen, ahead.low > 0))
    return checks


def _texts(documents: list[AcceptedDocument], settings: IndexSettings) -> list[str]:
    embedding = settings.embedding
    if embedding is None:
        raise ValueError("inferred settings always embed")
    return [embedding_text(document.members, embedding) for document in documents]


def _index(
    folder: Path, documents: list[AcceptedDocument], settings: IndexSettings, vectors: FloatArray
) -> EngineSnapshot:
    engine = storage.empty(folder / "index", settings, vectors.shape[1])
    pairs = zip(documents, vectors, strict=True)
    return engine.apply([Upsert(d.id, d.text, d.members, vector) for d, vector in pairs], len(documents))


def _state(settings: IndexSettings, snapshot: EngineSnapshot) -> ServingState:
    event = IndexConfigured(
        id="bench", at=NOW, index=INDEX, settings=settings, default_weights=default_weights(settings)
    )
    return ServingState(control.fold(control.ControlState(), event, 1), MappingProxyType({INDEX: snapshot}))


def _runs(searcher: Searcher, state: ServingState, queries: list[JudgedQuery], say: Callable[[str], None]) -> list[Run]:
    scores: dict[str, list[float]] = {"keyword": [], "vector": [], "RRF(60)": [], "hybrid (default)": []}
    for done, query in enumerate(queries, start=1):
        request = SearchRequest(query=query.text[:512], limit=2 * CANDIDATES, explain=True)
        hits = searcher.search(state, INDEX, request, query_id=query.id, now=NOW).answer.hits
        for name, ranked in _orders(hits).items():
            scores[name].append(ndcg(ranked, query.grades))
        if done % 2000 == 0:
            say(f"searched {done} of {len(queries)}")
    return [Run(name, np.array(values)) for name, values in scores.items()]


def _orders(hits: list[Hit]) -> dict[str, list[str]]:
    """The same candidates in the order of each contender."""
    ids = [hit.id for hit in hits]
    missing = float("inf")
    explained = [hit.explanation for hit in hits]
    ranks = np.array(
        [[(e and e.keyword_rank) or missing for e in explained], [(e and e.vector_rank) or missing for e in explained]]
    )
    fused = ranking.reciprocal_rank_fusion(ranks)
    by_leg = [[ids[i] for i in np.argsort(leg, kind="stable") if np.isfinite(leg[i])] for leg in ranks]
    rrf = [ids[i] for i in ranking.best(fused, len(ids), ids.__getitem__)]
    return {"keyword": by_leg[0], "vector": by_leg[1], "RRF(60)": rrf, "hybrid (default)": ids}


def _reference(
    texts: list[str], documents: list[AcceptedDocument], queries: list[JudgedQuery], say: Callable[[str], None]
) -> Run:
    """The vector leg by sentence-transformers itself: same texts, fp32, exhaustive."""
    from sentence_transformers import SentenceTransformer

    say("encoding the same with sentence-transformers (fp32)")
    model: Any = SentenceTransformer(str(find_model("all-MiniLM-L6-v2").folder), device="cpu")
    vectors = model.encode(texts, batch_size=16, normalize_embeddings=True)
    asked = model.encode([query.text for query in queries], batch_size=16, normalize_embeddings=True)
    ids = [document.id for document in documents]
    values = []
    for vector, query in zip(asked, queries, strict=True):
        cosines = vectors @ vector
        best = np.argpartition(-cosines, K)[: K + 1]
        values.append(ndcg([ids[i] for i in best[np.argsort(-cosines[best])]], query.grades))
    return Run("vector by sentence-transformers fp32", np.array(values))
