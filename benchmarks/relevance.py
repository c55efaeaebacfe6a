"""How good are the first hits, is hybrid better than each leg alone, what do typos cost, what can tuning win?

Question   On catalogues that nothing was set for: nDCG@5 and @10 (gain 2^grade - 1), MRR, ERR@10 and recall@100 of the
           default ranking over the whole collection, with inferred settings and no tuning on the labels; by query
           length, and by whether a word is unknown. The same with one typo in every query, and with weights fitted on
           half of the queries, on the other half. Beside it the share of the first ten that nobody judged, and nDCG@10
           of the judged hits only.
Data       judged folders: docs.jsonl[.gz], queries.jsonl, qrels.tsv[.gz] (docs/how-to/measure-relevance.md)
Baseline   keyword alone, vector alone, RRF(60) and z-scores from the same candidates in the same run; for typos,
           keyword alone without typo tolerance; with --reference the vector leg over sentence-transformers' own fp32
           vectors, to show what int8 costs; with --against a saved run, query by query
Command    searchsvc bench relevance ../shared/data/electronics ../shared/data/movies
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
from benchmarks.collection import JudgedQuery, judged_queries
from benchmarks.contenders import (
    HYBRID,
    KEYWORD,
    REFERENCE,
    SINGLE,
    Run,
    judge,
    rank_all,
    reference_ranking,
)
from benchmarks.indexed import build_index, embedded_texts, encode, inferred_settings, usable_documents
from benchmarks.inprocess import serving
from benchmarks.model import packaged_model
from benchmarks.typos import mistyped
from events.errors import require
from events.settings import IndexSettings
from searchsvc.embedding.embedder import Embedder
from searchsvc.indexing.documents import AcceptedDocument
from searchsvc.search.searcher import Searcher
from tuning.arrays import ScoreArray
from tuning.features import default_weights, feature_names

# Queries of this many words or more are one group.
LONG: Final = 5
CLEAN: Final = "hybrid, clean"
TYPO: Final = "hybrid, one typo"
INTOLERANT: Final = "keyword without tolerance, one typo"
FITTED: Final = "ndcg@10 on the other half"
# How far the default may be behind the best single contender of a collection, and what one typo may cost.
MAX_BEHIND: Final = 0.005
MAX_LOST: Final = 0.06


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


class _Measured(msgspec.Struct, frozen=True):
    """One collection.

    result: as written to JSON
    ndcg: contender -> nDCG@10, (n_queries,)
    """

    result: dict[str, Any]
    ndcg: dict[str, ScoreArray]


def measure(
    folders: Sequence[Path],
    *,
    n_queries: int | None,
    reference: bool,
    save_run: Path | None,
    against: Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Rank all judged queries of each collection; return the result as it is written to JSON.

    n_queries: size of a seeded sample of each, for a quick look; None for all queries
    reference: also rank by sentence-transformers' own vectors
    save_run: file to write the run of a single collection to
    against: file of an earlier run of it to compare with

    Raises InvalidInput if a collection or the earlier run is not usable.
    """
    names = [folder.resolve().name for folder in folders]
    require(len(set(names)) == len(names), "collection", ", ".join(names), "folders of different names")
    if save_run is not None or against is not None:
        require(len(folders) == 1, "collection", ", ".join(names), "one folder, to save a run or compare with one")
    before = saved_run.load(against)
    measured: dict[str, _Measured] = {}
    for name, folder in zip(names, folders, strict=True):
        say(name)
        measured[name] = _measure_one(folder, before, say, n_queries=n_queries, reference=reference, save_run=save_run)
    means = {
        name: round(float(np.mean([one.ndcg[name].mean() for one in measured.values()])), 5)
        for name in (*SINGLE, HYBRID)
    }
    pooled = {
        name: report.mean_interval(np.concatenate([one.ndcg[HYBRID] - one.ndcg[name] for one in measured.values()]))
        for name in SINGLE
    }
    return {
        "benchmark": "relevance",
        "question": "the default ranking against each leg alone and two fusions; typos; fitted weights",
        **report.environment(),
        "collections": {name: one.result for name, one in measured.items()},
        "mean_ndcg@10": means,
        "hybrid_minus_over_all_queries": pooled,
        "checks": [
            *(check for name, one in measured.items() for check in _checks_of_one(name, one)),
            *(_above(f"all queries: hybrid above {name}", lead) for name, lead in pooled.items()),
        ],
    }


def _measure_one(
    folder: Path,
    before: Mapping[str, saved_run.SavedQuery],
    say: Callable[[str], None],
    *,
    n_queries: int | None,
    reference: bool,
    save_run: Path | None,
) -> _Measured:
    queries = judged_queries(folder)
    if n_queries is not None and n_queries < len(queries):
        chosen = np.random.default_rng(report.SEED).choice(len(queries), n_queries, replace=False)
        queries = [queries[i] for i in sorted(chosen)]
    documents = usable_documents(folder)
    settings = inferred_settings(documents)
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
    result = {
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
        "typos_by_length": _by_length(queries, ranked.misspelt[TYPO]),
        "fitted": fitted,
        "against": saved_run.compare(before, queries, ranked.run.ranked[HYBRID], ranked.ndcg),
    }
    return _Measured(result, {name: by_measure["ndcg@10"] for name, by_measure in ranked.judged.items()})


def _rank(
    documents: Sequence[AcceptedDocument],
    settings: IndexSettings,
    queries: Sequence[JudgedQuery],
    say: Callable[[str], None],
    *,
    reference: bool,
) -> _Ranked:
    """Index the documents, and rank all queries as they are, with typos, and with typos but without tolerance."""
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        embedder = Embedder(packaged_model(Path(scratch)), cache_size=0)
        started = time.monotonic()
        texts = embedded_texts(documents, settings)
        vectors = encode(embedder, texts, say)
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


def _checks_of_one(name: str, measured: _Measured) -> list[report.Check]:
    """Check a collection against figures that are the same for each."""
    result = measured.result
    hybrid, tuned = float(measured.ndcg[HYBRID].mean()), result["fitted"][FITTED].value
    best = max(SINGLE, key=lambda contender: float(measured.ndcg[contender].mean()))
    needed = float(measured.ndcg[best].mean()) - MAX_BEHIND
    lost = 1.0 - result["typos"][TYPO].value / max(result["typos"][CLEAN].value, 1e-9)
    return [
        report.Check(
            f"{name}: nDCG@10, as good as the best single contender ({best})",
            f">= {needed:.4f}",
            f"{hybrid:.4f}",
            hybrid >= needed,
        ),
        report.Check(f"{name}: fitted on half, on the other", f">= {hybrid:.4f}", f"{tuned:.4f}", tuned >= hybrid),
        report.Check(f"{name}: lost to one typo in every query", f"<= {MAX_LOST:.0%}", f"{lost:.1%}", lost <= MAX_LOST),
    ]


def _above(name: str, lead: report.Interval) -> report.Check:
    return report.Check(name, "> 0", f"{lead.value:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}]", lead.low > 0)


def print_result(result: dict[str, Any]) -> None:
    collections = result["collections"]
    print(f"nDCG@10 [95 %]{'':16}" + "".join(f"{name[:26]:>28}" for name in collections) + f"{'mean':>10}")
    for contender, mean in result["mean_ndcg@10"].items():
        cells = [one["figures"][contender]["ndcg@10"] for one in collections.values()]
        _print_row(contender, cells, mean)
    fitted = [one["fitted"][FITTED] for one in collections.values()]
    _print_row("fitted, on the other half", fitted, float(np.mean([cell.value for cell in fitted])))
    for name, one in collections.items():
        _print_one(name, one)
    report.print_checks(result["checks"])


def _print_row(name: str, cells: Sequence[report.Interval], mean: float) -> None:
    row = "".join(f"{f'{cell.value:.4f} [{cell.low:.4f}, {cell.high:.4f}]':>28}" for cell in cells)
    print(f"  {name:28}{row}{mean:10.4f}")


def _print_one(name: str, result: Mapping[str, Any]) -> None:
    print(f"{name}: {result['n_documents']} documents, {result['n_queries']} queries")
    measures = list(result["figures"][HYBRID])
    print(f"  {'':42}" + "".join(f"{measure:>12}" for measure in measures))
    for contender, by_measure in result["figures"].items():
        print(f"  {contender:42}" + "".join(f"{by_measure[measure].value:12.4f}" for measure in measures))
    print("  hybrid minus")
    _print_intervals(result["hybrid_minus"], signed=True)
    print("  by length, and by whether documents hold every word")
    for groups in (result["by_length"], result["by_known_words"]):
        _print_groups(groups)
    print("  with one typo in every query, and that by length")
    _print_intervals(result["typos"])
    _print_groups(result["typos_by_length"])
    if result["against"] and result["against"]["n_queries"]:
        saved_run.print_comparison(result["against"])


def _print_groups(groups: Mapping[str, Any]) -> None:
    _print_intervals({f"{name} (n {group['n_queries']})": group["ndcg@10"] for name, group in groups.items()})


def _print_intervals(figures: Mapping[str, report.Interval], *, signed: bool = False) -> None:
    form = "+.4f" if signed else ".4f"
    for name, figure in figures.items():
        print(f"  {name:42} {figure.value:{form}} [{figure.low:{form}}, {figure.high:{form}}]")
