"""How good are the first hits, is hybrid better than each leg alone, what do typos cost, what is there to win?

Question   nDCG@5 and @10 (gain 2^grade - 1), MRR, ERR@10 and recall@100 of the default ranking, whole collection as the
           corpus, settings inferred, no tuning on the labels; by the length of the query, and where a word is unknown.
           The same with one typo in every query, and with weights fitted on half of the queries, on the other half.
Data       a judged folder: docs.jsonl[.gz], queries.jsonl, qrels.tsv[.gz] (docs/how-to/measure-relevance.md)
Baseline   keyword alone, vector alone and RRF(60) from the same candidates in the same run; for typos, keyword alone
           without typo tolerance; with --reference the vector leg over sentence-transformers' own fp32 vectors, to show
           what int8 costs; with --against a run that was saved, query by query
Command    searchsvc bench relevance ../shared/data/movies
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import fitting, report
from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery, documents_file, judged_queries, lines
from benchmarks.inprocess import INDEX, NOW, serving
from benchmarks.typos import mistyped
from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import exported
from searchsvc.embedding.model import find_model
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import EngineSnapshot, Upsert
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.indexing.inference import infer_settings
from searchsvc.search import ranking
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tuning import metrics
from tuning.arrays import FloatArray, ScoreArray
from tuning.features import KEYWORD_RANK, VECTOR_RANK, default_weights, feature_names

K: Final = 10
SAMPLE: Final = 1000
BATCH: Final = 256
LONG: Final = 5
SHOWN: Final = 10
HYBRID: Final = "hybrid (default)"


class SavedQuery(msgspec.Struct, frozen=True):
    """One query of a run, as --save-run writes it, a line each. hits: the first ten."""

    id: str
    text: str
    ndcg: float
    hits: list[str]


class _Run(msgspec.Struct):
    """One pass over the queries. ranked: by contender, ids best first, for each query."""

    ranked: dict[str, list[list[str]]]
    features: list[FloatArray]
    unknown: list[bool]


def measure(
    folder: Path,
    *,
    n_queries: int | None,
    reference: bool,
    save_run: Path | None,
    against: Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The result as JSON would have it; n_queries limits the run (a seeded sample), for a quick look."""
    before = _saved(against)
    queries = judged_queries(folder)
    if n_queries is not None and n_queries < len(queries):
        chosen = np.random.default_rng(report.SEED).choice(len(queries), n_queries, replace=False)
        queries = [queries[i] for i in sorted(chosen)]
    documents = [d for d in parse_documents(b"".join(lines(documents_file(folder)))) if isinstance(d, AcceptedDocument)]
    settings = infer_settings([document.members for document in documents[:SAMPLE]])
    names = feature_names(settings)
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        embedder = Embedder(exported(find_model("all-MiniLM-L6-v2"), Path(scratch) / "models"), cache_size=0)
        say(f"encoding {len(documents)} documents")
        started = time.monotonic()
        texts = _texts(documents, settings)
        vectors = embedder.encode_documents(texts, lambda n: say(f"encoded {n}") if n % 1600 == 0 else None)
        encoded_per_s = len(texts) / (time.monotonic() - started)
        state = serving(settings, _index(Path(scratch), documents, settings, vectors))
        searcher = Searcher(embedder, n_candidates=CANDIDATES)
        run = _search(searcher, state, [query.text for query in queries], names, say)
        say("the same with a typo in every query")
        typed = mistyped([query.text for query in queries])
        typos = _search(searcher, state, typed, names, say)
        intolerant = _search(searcher, state, typed, names, say, typos=False)
    judged = {name: _judge(ranked, queries) for name, ranked in run.ranked.items()}
    if reference:
        ranked = _reference(texts, documents, queries, say)
        judged["vector by sentence-transformers fp32"] = _judge(ranked, queries)
    hybrid = judged[HYBRID]["ndcg@10"]
    misspelt = {
        "hybrid, clean": hybrid,
        "hybrid, one typo": _judge(typos.ranked[HYBRID], queries)["ndcg@10"],
        "keyword, one typo": _judge(typos.ranked["keyword"], queries)["ndcg@10"],
        "keyword without tolerance, one typo": _judge(intolerant.ranked["keyword"], queries)["ndcg@10"],
        "keyword, clean": judged["keyword"]["ndcg@10"],
    }
    say("fitting weights on half of the queries")
    fitted = _fitted(run, queries, names, default_weights(settings))
    figures = {
        name: {measure: report.mean_interval(values) for measure, values in by_measure.items()}
        for name, by_measure in judged.items()
    }
    differences = {
        name: report.mean_interval(hybrid - by_measure["ndcg@10"])
        for name, by_measure in judged.items()
        if name != HYBRID
    }
    if save_run is not None:
        _save(save_run, queries, run.ranked[HYBRID], hybrid)
    return {
        "benchmark": "relevance",
        "question": "the default ranking against each leg alone and RRF; typos; fitted weights",
        "collection": folder.name,
        **report.environment(),
        "n_documents": len(documents),
        "n_queries": len(queries),
        "settings": settings,
        "weights": default_weights(settings),
        "encoded_documents_per_s": round(encoded_per_s, 1),
        "figures": figures,
        "hybrid_minus": differences,
        "by_length": _by_length(queries, hybrid),
        "by_known_words": _by_group({True: "some word unknown", False: "all words known"}, run.unknown, hybrid),
        "typos": {name: report.mean_interval(values) for name, values in misspelt.items()},
        "fitted": fitted,
        "against": _compared(before, queries, run.ranked[HYBRID], hybrid),
        "checks": _checks(figures, differences, misspelt, fitted),
    }


def _search(
    searcher: Searcher,
    state: ServingState,
    texts: Sequence[str],
    names: Sequence[str],
    say: Callable[[str], None],
    *,
    typos: bool = True,
) -> _Run:
    columns = [names.index(KEYWORD_RANK), names.index(VECTOR_RANK)]
    run = _Run({name: [] for name in ("keyword", "vector", "RRF(60)", HYBRID)}, [], [])
    for done, text in enumerate(texts, start=1):
        request = SearchRequest(query=text[:512], limit=2 * CANDIDATES, typos=typos)
        outcome = searcher.search(state, INDEX, request, query_id=str(done), now=NOW)
        ids, features = list(outcome.shown.document_ids), np.array(outcome.shown.features, np.float32)
        features = features.reshape(len(ids), len(names))
        for name, ranked in _orders(ids, features[:, columns]).items():
            run.ranked[name].append(ranked)
        run.features.append(features)
        run.unknown.append(
            any(t.ignored or (t.alternatives[:1] and t.alternatives[0].kind == "typo") for t in outcome.answer.terms)
        )
        if done % 2000 == 0:
            say(f"searched {done} of {len(texts)}")
    return run


def _orders(ids: list[str], reciprocal_ranks: FloatArray) -> dict[str, list[str]]:
    """The same candidates in the order of each contender. reciprocal_ranks: (n, 2) of the legs, 0 where missed."""
    with np.errstate(divide="ignore"):
        ranks = (1.0 / reciprocal_ranks.astype(np.float64)).T
    fused = ranking.reciprocal_rank_fusion(ranks)
    by_leg = [[ids[i] for i in np.argsort(leg, kind="stable") if np.isfinite(leg[i])] for leg in ranks]
    rrf = [ids[i] for i in ranking.top_k(fused, len(ids), ids.__getitem__)]
    return {"keyword": by_leg[0], "vector": by_leg[1], "RRF(60)": rrf, HYBRID: ids}


def _judge(ranked: Sequence[Sequence[str]], queries: Sequence[JudgedQuery]) -> dict[str, ScoreArray]:
    """Each measure, by query."""
    max_grade = max(grade for query in queries for grade in query.grades.values())
    pairs = [(list(ids), query.grades) for ids, query in zip(ranked, queries, strict=True)]
    return {
        "ndcg@10": np.array([metrics.ndcg(ids, grades) for ids, grades in pairs]),
        "ndcg@5": np.array([metrics.ndcg(ids, grades, 5) for ids, grades in pairs]),
        "mrr": np.array([metrics.reciprocal_rank(ids, grades) for ids, grades in pairs]),
        "err@10": np.array([metrics.expected_reciprocal_rank(ids, grades, max_grade) for ids, grades in pairs]),
        "recall@100": np.array([metrics.recall(ids, grades) for ids, grades in pairs]),
    }


def _fitted(
    run: _Run, queries: Sequence[JudgedQuery], names: Sequence[str], start: Mapping[str, float]
) -> dict[str, Any]:
    """Weights fitted on every second query and measured on the others, and the other way round; the mean of both."""
    grades = [
        np.array([query.grades.get(one, 0) for one in ids], np.int64)
        for ids, query in zip(run.ranked[HYBRID], queries, strict=True)
    ]
    ideal = [np.array(list(query.grades.values()), np.int64) for query in queries]
    given = fitting.candidates(run.features, grades, ideal)
    default = np.array([start[name] for name in names])
    halves = [np.arange(first, len(queries), 2) for first in (0, 1)]
    values, weights = np.zeros(len(queries)), []
    for one, other in (halves, halves[::-1]):
        fitted = fitting.fit(given.part(one), default)
        values[other] = fitting.ndcg(given.part(other), fitted)
        weights.append({name: round(float(value), 3) for name, value in zip(names, fitted, strict=True)})
    return {"ndcg@10 on the other half": report.mean_interval(values), "weights": weights}


def _by_length(queries: Sequence[JudgedQuery], values: ScoreArray) -> dict[str, Any]:
    lengths = [min(len(query.text.split()), LONG) for query in queries]
    names = {n: f"{n} word{'s' if n > 1 else ''}{' or more' if n == LONG else ''}" for n in range(1, LONG + 1)}
    return _by_group(names, lengths, values)


def _by_group(names: Mapping[Any, str], groups: Sequence[Any], values: ScoreArray) -> dict[str, Any]:
    """nDCG@10 of each group that has any query."""
    of = np.array(groups)
    return {
        name: {"n_queries": int((of == key).sum()), "ndcg@10": report.mean_interval(values[of == key])}
        for key, name in names.items()
        if (of == key).any()
    }


def _saved(file: Path | None) -> dict[str, SavedQuery]:
    """Raises InvalidInput where a file is no run."""
    if file is None:
        return {}
    try:
        found = msgspec.json.Decoder(SavedQuery).decode_lines(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInput(f"{file} is no saved run: {error}", field="against", value=str(file)) from error
    return {one.id: one for one in found}


def _save(file: Path, queries: Sequence[JudgedQuery], ranked: Sequence[list[str]], values: ScoreArray) -> None:
    rows = [
        SavedQuery(query.id, query.text, round(float(value), 5), ids[:K])
        for query, ids, value in zip(queries, ranked, values, strict=True)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.Encoder().encode_lines(rows))


def _compared(
    before: Mapping[str, SavedQuery], queries: Sequence[JudgedQuery], ranked: Sequence[list[str]], values: ScoreArray
) -> dict[str, Any] | None:
    """Against a saved run, on the queries that both have: how many won and lost, and which most."""
    if not before:
        return None
    rows = list(_differences(before, queries, ranked, values))
    if not rows:
        return {"n_queries": 0}
    changes = np.array([row["change"] for row in rows])
    rows.sort(key=lambda row: row["change"])
    return {
        "n_queries": len(rows),
        "won": int((changes > 0).sum()),
        "lost": int((changes < 0).sum()),
        "same": int((changes == 0).sum()),
        "change": report.mean_interval(changes),
        "biggest_losses": [row for row in rows[:SHOWN] if row["change"] < 0],
        "biggest_wins": [row for row in rows[::-1][:SHOWN] if row["change"] > 0],
    }


def _differences(
    before: Mapping[str, SavedQuery], queries: Sequence[JudgedQuery], ranked: Sequence[list[str]], values: ScoreArray
) -> Iterator[dict[str, Any]]:
    for query, ids, value in zip(queries, ranked, values, strict=True):
        was = before.get(query.id)
        if was is not None:
            change = round(float(value) - was.ndcg, 4)
            yield {"query": query.text, "was": was.ndcg, "change": change, "first": ids[:1], "first_was": was.hits[:1]}


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}: {result['n_documents']} documents, {result['n_queries']} queries")
    measures = list(result["figures"][HYBRID])
    print(f"  {'':42}" + "".join(f"{name:>12}" for name in measures))
    for name, by_measure in result["figures"].items():
        print(f"  {name:42}" + "".join(f"{by_measure[measure].value:12.4f}" for measure in measures))
    print("nDCG@10 [95 %]")
    _print_intervals({name: by_measure["ndcg@10"] for name, by_measure in result["figures"].items()})
    print("hybrid minus")
    _print_intervals(result["hybrid_minus"], signed=True)
    print("by length, and by whether documents hold every word")
    for groups in (result["by_length"], result["by_known_words"]):
        _print_intervals({f"{name} (n {one['n_queries']})": one["ndcg@10"] for name, one in groups.items()})
    print("with one typo in every query")
    _print_intervals(result["typos"])
    print("with weights fitted on half of the queries")
    _print_intervals({"on the other half": result["fitted"]["ndcg@10 on the other half"]})
    if result["against"] and result["against"]["n_queries"]:
        _print_comparison(result["against"])
    report.print_checks(result["checks"])


def _print_intervals(figures: Mapping[str, report.Interval], *, signed: bool = False) -> None:
    form = "+.4f" if signed else ".4f"
    for name, figure in figures.items():
        print(f"  {name:42} {figure.value:{form}} [{figure.low:{form}}, {figure.high:{form}}]")


def _print_comparison(compared: dict[str, Any]) -> None:
    change = compared["change"]
    print(
        f"against the saved run, {compared['n_queries']} queries: {compared['won']} won, {compared['lost']} lost,",
        end=" ",
    )
    print(f"{compared['same']} the same; {change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]")
    for name in ("biggest_losses", "biggest_wins"):
        for row in compared[name]:
            print(f"  {row['change']:+.3f}  {row['query'][:60]:60} {row['first_was']} -> {row['first']}")


def _checks(
    figures: Mapping[str, Mapping[str, report.Interval]],
    differences: Mapping[str, report.Interval],
    misspelt: Mapping[str, ScoreArray],
    fitted: Mapping[str, Any],
) -> list[report.Check]:
    """The figures are set for movies."""
    hybrid, tuned = figures[HYBRID]["ndcg@10"].value, fitted["ndcg@10 on the other half"].value
    lost = 1.0 - float(misspelt["hybrid, one typo"].mean()) / max(float(misspelt["hybrid, clean"].mean()), 1e-9)
    without = float(misspelt["keyword without tolerance, one typo"].mean())
    checks = [
        report.Check("hybrid nDCG@10", ">= 0.880", f"{hybrid:.4f}", hybrid >= 0.880),
        report.Check("the same with fitted weights, on the other half", ">= 0.890", f"{tuned:.4f}", tuned >= 0.890),
        report.Check(
            "lost of nDCG@10 to one typo in every query",
            "<= 6 %",
            f"{lost:.1%} (BM25 alone: {without:.4f})",
            lost <= 0.06,
        ),
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
    upserts = [Upsert(d.id, d.text, d.members, vector) for d, vector in zip(documents, vectors, strict=True)]
    for start in range(0, len(upserts), BATCH):
        engine.apply(upserts[start : start + BATCH], start + 1)
    engine.maintain()
    return engine.snapshot()


def _reference(
    texts: list[str], documents: list[AcceptedDocument], queries: list[JudgedQuery], say: Callable[[str], None]
) -> list[list[str]]:
    """The vector leg by sentence-transformers itself: same texts, fp32, exhaustive."""
    from sentence_transformers import SentenceTransformer

    say("encoding the same with sentence-transformers (fp32)")
    model: Any = SentenceTransformer(str(find_model("all-MiniLM-L6-v2").folder), device="cpu")
    vectors = model.encode(texts, batch_size=16, normalize_embeddings=True)
    asked = model.encode([query.text for query in queries], batch_size=16, normalize_embeddings=True)
    ids = [document.id for document in documents]
    k = min(CANDIDATES, len(ids)) - 1
    ranked = []
    for vector in asked:
        cosines = vectors @ vector
        best = np.argpartition(-cosines, k)[: k + 1]
        ranked.append([ids[i] for i in best[np.argsort(-cosines[best])]])
    return ranked
