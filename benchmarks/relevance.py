"""How good are the first hits, is hybrid better than each leg alone, what do typos cost, what can tuning win?

Question   nDCG@5 and @10 (gain 2^grade - 1), MRR, ERR@10 and recall@100 of the default ranking over the whole
           collection, with inferred settings and no tuning on the labels; by query length, and by whether a word is
           unknown. The same with one typo in every query, and with weights fitted on half of the queries, on the
           other half.
Data       a judged folder: docs.jsonl[.gz], queries.jsonl, qrels.tsv[.gz] (docs/how-to/measure-relevance.md)
Baseline   keyword alone, vector alone and RRF(60) from the same candidates in the same run; for typos, keyword alone
           without typo tolerance; with --reference the vector leg over sentence-transformers' own fp32 vectors, to show
           what int8 costs; with --against a saved run, query by query
Command    searchsvc bench relevance ../shared/data/movies
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import fitting, report, saved_run
from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery, documents_file, judged_queries, lines
from benchmarks.contenders import (
    HYBRID,
    KEYWORD,
    REFERENCE,
    VECTOR,
    Run,
    build_index,
    judge,
    rank_all,
    reference_ranking,
)
from benchmarks.inprocess import serving
from benchmarks.model import packaged_model
from benchmarks.typos import mistyped
from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.embedder import Embedder
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.indexing.inference import infer_settings
from searchsvc.search.searcher import Searcher
from tuning.arrays import ScoreArray
from tuning.features import default_weights, feature_names

N_INFERRED_FROM: Final = 1000
# Queries of this many words or more are one group.
LONG: Final = 5
CLEAN: Final = "hybrid, clean"
TYPO: Final = "hybrid, one typo"
INTOLERANT: Final = "keyword without tolerance, one typo"
FITTED: Final = "ndcg@10 on the other half"


class _Ranked(msgspec.Struct, frozen=True):
    """All passes over the queries.

    judged: contender -> measure -> (n_queries,) values
    misspelt: nDCG@10 with and without typos, (n_queries,)
    """

    run: Run
    encoded_per_s: float
    judged: dict[str, dict[str, ScoreArray]]
    misspelt: dict[str, ScoreArray]

    @property
    def ndcg(self) -> ScoreArray:
        """Of the default ranking, (n_queries,)."""
        return self.judged[HYBRID]["ndcg@10"]


def measure(
    folder: Path,
    *,
    n_queries: int | None,
    reference: bool,
    save_run: Path | None,
    against: Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Rank all judged queries; return the result as it is written to JSON.

    n_queries: size of a seeded sample, for a quick look; None for all queries
    reference: also rank by sentence-transformers' own vectors
    save_run: file to write the run to
    against: file of an earlier run to compare with

    Raises InvalidInput if the collection or the earlier run is not usable.
    """
    before = saved_run.load(against)
    queries = judged_queries(folder)
    if n_queries is not None and n_queries < len(queries):
        chosen = np.random.default_rng(report.SEED).choice(len(queries), n_queries, replace=False)
        queries = [queries[i] for i in sorted(chosen)]
    documents = _documents(folder)
    settings = infer_settings([document.members for document in documents[:N_INFERRED_FROM]])
    names, weights = feature_names(settings), default_weights(settings)
    ranked = _rank(documents, settings, queries, say, reference=reference)
    say("fitting weights on half of the queries")
    fitted = _fit_on_halves(ranked.run, queries, names, weights)
    figures = {
        name: {measure: report.mean_interval(values) for measure, values in by_measure.items()}
        for name, by_measure in ranked.judged.items()
    }
    differences = {
        name: report.mean_interval(ranked.ndcg - by_measure["ndcg@10"])
        for name, by_measure in ranked.judged.items()
        if name != HYBRID
    }
    if save_run is not None:
        saved_run.save(save_run, queries, ranked.run.ranked[HYBRID], ranked.ndcg)
    return {
        "benchmark": "relevance",
        "question": "the default ranking against each leg alone and RRF; typos; fitted weights",
        "collection": folder.name,
        **report.environment(),
        "n_documents": len(documents),
        "n_queries": len(queries),
        "settings": settings,
        "weights": weights,
        "encoded_documents_per_s": round(ranked.encoded_per_s, 1),
        "figures": figures,
        "hybrid_minus": differences,
        "by_length": _by_length(queries, ranked.ndcg),
        "by_known_words": _by_group(
            {True: "some word unknown", False: "all words known"}, ranked.run.has_unknown_word, ranked.ndcg
        ),
        "typos": {name: report.mean_interval(values) for name, values in ranked.misspelt.items()},
        "fitted": fitted,
        "against": saved_run.compare(before, queries, ranked.run.ranked[HYBRID], ranked.ndcg),
        "checks": _checks(figures, differences, ranked.misspelt, fitted),
    }


def _documents(folder: Path) -> list[AcceptedDocument]:
    parsed = parse_documents(b"".join(lines(documents_file(folder))))
    documents = [document for document in parsed if isinstance(document, AcceptedDocument)]
    if not documents:
        raise InvalidInput(f"{folder} has no usable document", field="collection", limit="1 or more")
    return documents


def _rank(
    documents: Sequence[AcceptedDocument],
    settings: IndexSettings,
    queries: Sequence[JudgedQuery],
    say: Callable[[str], None],
    *,
    reference: bool,
) -> _Ranked:
    """Index the documents, and rank all queries as they are, with typos, and with typos but without tolerance."""
    embedding = settings.embedding
    if embedding is None:
        raise ValueError("inferred settings always embed")
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        embedder = Embedder(packaged_model(Path(scratch)), cache_size=0)
        say(f"encoding {len(documents)} documents")
        started = time.monotonic()
        texts = [embedding_text(document.members, embedding) for document in documents]
        vectors = embedder.encode_documents(texts, lambda n: say(f"encoded {n}") if n % 1600 == 0 else None)
        encoded_per_s = len(texts) / (time.monotonic() - started)
        snapshot = build_index(Path(scratch) / "index", documents, settings, vectors)
        state = serving(settings, snapshot, embedder)
        searcher = Searcher(embedder, n_candidates=CANDIDATES)
        run = rank_all(searcher, state, [query.text for query in queries], say)
        say("the same with a typo in every query")
        typed = mistyped([query.text for query in queries])
        with_typos = rank_all(searcher, state, typed, say)
        intolerant = rank_all(searcher, state, typed, say, typos=False)
    judged = {name: judge(ranked, queries) for name, ranked in run.ranked.items()}
    if reference:
        say("encoding the same with sentence-transformers (fp32)")
        ids = [document.id for document in documents]
        judged[REFERENCE] = judge(reference_ranking(texts, ids, queries), queries)
    misspelt = {
        CLEAN: judged[HYBRID]["ndcg@10"],
        TYPO: judge(with_typos.ranked[HYBRID], queries)["ndcg@10"],
        "keyword, one typo": judge(with_typos.ranked[KEYWORD], queries)["ndcg@10"],
        INTOLERANT: judge(intolerant.ranked[KEYWORD], queries)["ndcg@10"],
        "keyword, clean": judged[KEYWORD]["ndcg@10"],
    }
    return _Ranked(run, encoded_per_s, judged, misspelt)


def _fit_on_halves(
    run: Run, queries: Sequence[JudgedQuery], names: Sequence[str], start: Mapping[str, float]
) -> dict[str, Any]:
    """Fit weights on every second query and measure them on the others, and the other way round; take the mean."""
    grades = [
        np.array([query.grades.get(document_id, 0) for document_id in ids], np.int64)
        for ids, query in zip(run.ranked[HYBRID], queries, strict=True)
    ]
    ideal = [np.array(list(query.grades.values()), np.int64) for query in queries]
    candidates = fitting.candidates(run.features, grades, ideal)
    default = np.array([start[name] for name in names])
    halves = [np.arange(first, len(queries), 2) for first in (0, 1)]
    values, weights = np.zeros(len(queries)), []
    for fitted_on, measured_on in (halves, halves[::-1]):
        fitted = fitting.fit(candidates.part(fitted_on), default)
        values[measured_on] = fitting.ndcg(candidates.part(measured_on), fitted)
        weights.append({name: round(float(value), 3) for name, value in zip(names, fitted, strict=True)})
    return {FITTED: report.mean_interval(values), "weights": weights}


def _by_length(queries: Sequence[JudgedQuery], values: ScoreArray) -> dict[str, Any]:
    lengths = [min(len(query.text.split()), LONG) for query in queries]
    names = {n: f"{n} word{'s' if n > 1 else ''}{' or more' if n == LONG else ''}" for n in range(1, LONG + 1)}
    return _by_group(names, lengths, values)


def _by_group(names: Mapping[Any, str], groups: Sequence[Any], values: ScoreArray) -> dict[str, Any]:
    """Return nDCG@10 of each group that has a query. names: of the groups. groups: of each query."""
    group_of = np.array(groups)
    return {
        name: {"n_queries": int((group_of == key).sum()), "ndcg@10": report.mean_interval(values[group_of == key])}
        for key, name in names.items()
        if (group_of == key).any()
    }


def _checks(
    figures: Mapping[str, Mapping[str, report.Interval]],
    differences: Mapping[str, report.Interval],
    misspelt: Mapping[str, ScoreArray],
    fitted: Mapping[str, Any],
) -> list[report.Check]:
    """Check against figures that were set for the movies collection."""
    hybrid, tuned = figures[HYBRID]["ndcg@10"].value, fitted[FITTED].value
    lost = 1.0 - float(misspelt[TYPO].mean()) / max(float(misspelt[CLEAN].mean()), 1e-9)
    without = float(misspelt[INTOLERANT].mean())
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
    for leg in (KEYWORD, VECTOR):
        lead = differences[leg]
        interval = f"{lead.value:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}]"
        checks.append(report.Check(f"hybrid above {leg} alone", "> 0", interval, lead.low > 0))
    return checks


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
        _print_intervals({f"{name} (n {group['n_queries']})": group["ndcg@10"] for name, group in groups.items()})
    print("with one typo in every query")
    _print_intervals(result["typos"])
    print("with weights fitted on half of the queries")
    _print_intervals({"on the other half": result["fitted"][FITTED]})
    if result["against"] and result["against"]["n_queries"]:
        saved_run.print_comparison(result["against"])
    report.print_checks(result["checks"])


def _print_intervals(figures: Mapping[str, report.Interval], *, signed: bool = False) -> None:
    form = "+.4f" if signed else ".4f"
    for name, figure in figures.items():
        print(f"  {name:42} {figure.value:{form}} [{figure.low:{form}}, {figure.high:{form}}]")
