"""One search, from request to answer. This is the file to read first.

    one serving state, one engine snapshot
    analyse the query -> keyword leg -> encode -> vector leg
    candidates of both legs -> feature matrix -> weighted score -> order -> hits
    the answer, and `RankingShown` for the log

Runs on one executor thread from end to end: the legs are shorter than the hand-over between threads would be (see
docs/decisions/one-thread-a-search.md), and `Service.search` keeps the vector leg's deadline from outside.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime

import msgspec
import numpy as np

from events.control import IndexControl
from events.errors import Unavailable
from events.types import RankingShown
from searchsvc import ranking
from searchsvc.analysis import query_terms
from searchsvc.answer import Explanation, FeatureShare, Hit, SearchAnswer, SearchOutcome, SearchRequest, Timings
from searchsvc.arrays import AnyArray, FloatArray, IntArray, ScoreArray
from searchsvc.embedding.embedder import Embedder
from searchsvc.engine import EngineSnapshot, KeywordCandidates, VectorCandidates
from searchsvc.serving import ServingState
from tuning.features import BM25_PREFIX, OVERLOOKED, SIGNAL_PREFIX, feature_names

log = logging.getLogger(__name__)


class Searcher:
    """Answers searches. Safe for many threads.

    embedder: None where no model could be loaded: every hybrid answer is then degraded. n_candidates: from each leg.
    """

    def __init__(self, embedder: Embedder | None, *, n_candidates: int) -> None:
        self._embedder = embedder
        self._n_candidates = n_candidates

    def search(
        self,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        query_id: str,
        now: datetime,
        asked_at: float | None = None,
        vector_leg: bool = True,
    ) -> SearchOutcome:
        """Answer a search on one serving state.

        asked_at: time.perf_counter() when the request came, where the clock is to start. vector_leg: False leaves it
        out, and the answer says so: for when it was late.
        Raises NotFound for an unknown index, Unavailable while it is being built.
        """
        laps = _Laps(asked_at)
        laps.timings.queue = laps.lap()
        control, snapshot = state.control.index(index), state.snapshot(index)
        window = request.offset + request.limit
        if request.query.strip():
            found = self._retrieve(control, snapshot, request.query, window, laps, vector_leg)
        else:
            found = _browse(control, snapshot, window)
        names = feature_names(snapshot.settings)
        features = _features(snapshot, found)
        weights = np.array([control.weights.get(name, 0.0) for name in names], np.float64)
        scores = _scores(found, names, features, weights)
        slots = found.slots.tolist()
        ranked = ranking.best(scores[: found.n_ranked], window, lambda i: snapshot.id(slots[i]))
        shown = (ranked + list(range(found.n_ranked, len(slots))))[request.offset : window]
        laps.timings.rank = laps.lap()
        hits = [
            Hit(snapshot.id(slots[i]), rank, float(scores[i]), snapshot.document(slots[i]))
            for rank, i in enumerate(shown, start=request.offset + 1)
        ]
        if request.explain:
            explanations = _explain(found, shown, names, features, weights)
            hits = [msgspec.structs.replace(h, explanation=e) for h, e in zip(hits, explanations, strict=True)]
        laps.timings.hits = laps.lap()
        answer = SearchAnswer(
            query_id=query_id,
            index=index,
            hits=hits,
            total=found.total,
            took_ms=laps.total(),
            applied_seq=state.control.seq,
            config_version=control.config_version,
            weights_version=control.weights_version,
            applied_catalog_seq=snapshot.catalog_seq,
            applied_rules=[],
            experiment=None,
            degraded=found.degraded,
        )
        record = RankingShown(
            id=query_id,
            at=now,
            index=index,
            query=request.query,
            first_rank=request.offset + 1,
            document_ids=tuple(hit.id for hit in hits),
            feature_names=tuple(names),
            features=tuple(map(tuple, features[shown].tolist())),
            scores=tuple(hit.score for hit in hits),
            weights_version=control.weights_version,
            config_version=control.config_version,
            applied_seq=state.control.seq,
            applied_catalog_seq=snapshot.catalog_seq,
            generation=snapshot.generation,
            degraded=tuple(found.degraded),
        )
        return SearchOutcome(answer, record, laps.timings)

    def _retrieve(
        self,
        control: IndexControl,
        snapshot: EngineSnapshot,
        query: str,
        window: int,
        laps: _Laps,
        vector_leg: bool,
    ) -> _Found:
        k, timings = self._n_candidates, laps.timings
        terms = query_terms(query)
        timings.analyse = laps.lap()
        keyword = _keyword_leg(snapshot, control.weights, terms, max(k, window))
        timings.keyword = laps.lap()
        vector, degraded = None, []
        nearest = VectorCandidates(np.empty(0, np.int64), np.empty(0, np.float32))
        if snapshot.settings.embedding is not None:
            vector = self._encode(query) if vector_leg else None
            timings.encode = laps.lap()
            if vector is None:
                degraded = ["vector"]
            else:
                nearest = snapshot.nearest(vector, k)
            timings.vector = laps.lap()
        found = _fuse(snapshot, terms, keyword, vector, nearest, k, window, degraded)
        timings.fuse = laps.lap()
        return found

    def _encode(self, query: str) -> FloatArray | None:
        """None where there is no model or it failed: then keyword hits are still worth having."""
        try:
            return self._embedder.encode_query(query) if self._embedder is not None else None
        except Unavailable as error:
            log.warning("a query was answered without vectors: %s", error)
            return None


class _Laps:
    """A stopwatch over the stages of one search."""

    def __init__(self, started: float | None) -> None:
        self.timings = Timings()
        self._started = self._mark = time.perf_counter() if started is None else started

    def lap(self) -> float:
        """Milliseconds since the last lap."""
        before, self._mark = self._mark, time.perf_counter()
        return round((self._mark - before) * 1e3, 3)

    def total(self) -> float:
        """Milliseconds since the start."""
        return round((time.perf_counter() - self._started) * 1e3, 3)


class _Found(msgspec.Struct, frozen=True):
    """Candidates of one search. The first n_ranked are ordered by score; what follows is in keyword order.

    slots: (n,). bm25: (n, n_searchable). cosines: (n,), 0 without a vector leg. keyword_ranks, vector_ranks: 1-based, 0
    where a leg missed the candidate.
    """

    slots: IntArray
    n_ranked: int
    total: int
    bm25: FloatArray
    cosines: FloatArray
    keyword_ranks: IntArray
    vector_ranks: IntArray
    degraded: list[str]


def _keyword_leg(
    snapshot: EngineSnapshot, weights: Mapping[str, float], terms: tuple[str, ...], k: int
) -> KeywordCandidates:
    """The leg weighs fields as the score does, so that what the score would rank first is among the candidates."""
    if not terms:
        return KeywordCandidates(np.empty(0, np.int64), np.empty(0, np.float32), 0)
    boosts = {field.name: weights.get(BM25_PREFIX + field.name, 0.0) for field in snapshot.settings.searchable}
    return snapshot.keyword(terms, boosts, k)


def _fuse(
    snapshot: EngineSnapshot,
    terms: tuple[str, ...],
    keyword: KeywordCandidates,
    vector: FloatArray | None,
    nearest: VectorCandidates,
    k: int,
    window: int,
    degraded: list[str],
) -> _Found:
    """The union of both legs' first k, then as much of the keyword leg's rest as the page needs."""
    ranked = slots = _union(keyword.slots[:k], nearest.slots)
    keyword_ranks, vector_ranks = _ranks(ranked, keyword.slots[:k]), _ranks(ranked, nearest.slots)
    if len(keyword.slots) > k:
        # A page past the re-ranked candidates goes on in keyword order.
        tail_ranks = np.arange(k, len(keyword.slots)) + 1
        known = np.isin(keyword.slots[k:], ranked)
        keyword_ranks[np.searchsorted(ranked, keyword.slots[k:][known])] = tail_ranks[known]
        if window > len(ranked):
            slots = np.concatenate([ranked, keyword.slots[k:][~known]])
            keyword_ranks = np.concatenate([keyword_ranks, tail_ranks[~known]])
            vector_ranks = np.concatenate([vector_ranks, np.zeros(len(slots) - len(ranked), np.int64)])
    bm25 = snapshot.bm25(slots, terms)
    # A document that only the vector leg knows holds none of the words, so every BM25 of its row is 0.
    only_vector = (vector_ranks > 0) & (bm25.max(axis=1, initial=0.0) == 0.0)
    return _Found(
        slots=slots,
        n_ranked=len(ranked),
        total=keyword.total + int(only_vector.sum()),
        bm25=bm25,
        cosines=_cosines(snapshot, slots, vector, nearest, vector_ranks),
        keyword_ranks=keyword_ranks,
        vector_ranks=vector_ranks,
        degraded=degraded,
    )


def _browse(control: IndexControl, snapshot: EngineSnapshot, window: int) -> _Found:
    signals = snapshot.settings.signals
    weights = np.array([control.weights.get(SIGNAL_PREFIX + s.field, 0.0) for s in signals], np.float32)
    slots = snapshot.browse(weights, window)
    none = np.zeros(len(slots), np.int64)
    bm25 = np.zeros((len(slots), len(snapshot.settings.searchable)), np.float32)
    return _Found(slots, 0, snapshot.n_documents, bm25, np.zeros(len(slots), np.float32), none, none, [])


def _cosines(
    snapshot: EngineSnapshot,
    slots: IntArray,
    vector: FloatArray | None,
    nearest: VectorCandidates,
    vector_ranks: IntArray,
) -> FloatArray:
    """(n,) the vector leg knows those of its own candidates; only the others are worked out."""
    cosines = np.zeros(len(slots), np.float32)
    if vector is not None:
        known = vector_ranks > 0
        cosines[known] = nearest.cosines[vector_ranks[known] - 1]
        cosines[~known] = snapshot.cosines(slots[~known], vector)
    return cosines


def _features(snapshot: EngineSnapshot, found: _Found) -> FloatArray:
    """(n, n_features) in the order of `tuning.features.feature_names`; `overlooked` is left to `_scores`."""
    columns: list[AnyArray] = [found.bm25]
    if snapshot.settings.embedding is not None:
        columns += [found.cosines[:, None], np.zeros((len(found.slots), 1), np.float32)]
    columns.append(snapshot.signals(found.slots))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _scores(found: _Found, names: tuple[str, ...], features: FloatArray, weights: ScoreArray) -> ScoreArray:
    """(n,) and, in `features`, what only the scores can tell: whether the nearest vectors would be overlooked."""
    scores = ranking.score(features, weights)
    if OVERLOOKED in names:
        column = ranking.overlooked(scores[: found.n_ranked], found.vector_ranks[: found.n_ranked])
        if column.any():
            features[: found.n_ranked, names.index(OVERLOOKED)] = column
            return ranking.score(features, weights)
    return scores


def _explain(
    found: _Found, shown: list[int], names: tuple[str, ...], features: FloatArray, weights: ScoreArray
) -> list[Explanation]:
    parts = ranking.contributions(features, weights)
    return [
        Explanation(
            features={
                name: FeatureShare(float(features[i, j]), float(weights[j]), float(parts[i, j]))
                for j, name in enumerate(names)
            },
            keyword_rank=int(found.keyword_ranks[i]) or None,
            vector_rank=int(found.vector_ranks[i]) or None,
        )
        for i in shown
    ]


def _union(one: IntArray, other: IntArray) -> IntArray:
    """The distinct slots of both, ascending. A third of the time of np.union1d, which is made for larger arrays."""
    both = np.concatenate([one, other])
    both.sort()
    first = np.ones(len(both), np.bool_)
    np.not_equal(both[1:], both[:-1], out=first[1:])
    return both[first]


def _ranks(slots: IntArray, leg: IntArray) -> IntArray:
    """1-based rank of each of the ascending slots in a leg, all of which are among them; 0 where it is not there."""
    ranks = np.zeros(len(slots), np.int64)
    ranks[np.searchsorted(slots, leg)] = np.arange(1, len(leg) + 1)
    return ranks
