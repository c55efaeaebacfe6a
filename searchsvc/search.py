"""One search, from request to answer. This is the file to read first.

    one serving state, one engine snapshot
    understand the query -> encode it -> candidates of both legs, totals, facets
    feature matrix -> weighted score -> order -> hits
    the answer, and `RankingShown` for the log

Runs on one thread from end to end: the legs are shorter than the hand-over between threads would be (see
docs/decisions/one-thread-a-search.md). `Service.search` chooses it, and keeps the vector leg's deadline from outside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from events.control import IndexControl
from events.errors import InvalidInput, NotFound, Unavailable
from events.types import RankingShown
from searchsvc import ranking
from searchsvc.analysis import field_text
from searchsvc.answer import Explanation, FeatureShare, Hit, SearchAnswer, SearchOutcome, SearchRequest, TermInfo
from searchsvc.arrays import AnyArray, FloatArray, IntArray, ScoreArray
from searchsvc.embedding.embedder import Embedder
from searchsvc.engine import EngineSnapshot, Retrieval, Retrieved, TextFeatures
from searchsvc.filters import parse_filter
from searchsvc.highlight import Highlighter
from searchsvc.laps import Laps
from searchsvc.query import Query
from searchsvc.serving import ServingState
from searchsvc.suggestions import Suggestion
from searchsvc.synonyms import SynonymTables
from searchsvc.understanding import understand
from tuning.features import BM25_PREFIX, OVERLOOKED, SIGNAL_PREFIX, feature_names

log = logging.getLogger(__name__)


class Begun(msgspec.Struct, frozen=True):
    """A search whose query is understood. snapshot: that it reads. encoding: of the query. leave_out: a slot that is
    not wanted."""

    snapshot: EngineSnapshot
    laps: Laps
    query: Query
    encoding: Encoding
    leave_out: int | None


class Encoding:
    """A query's vector, worked out once, when it is first asked for. Not by two threads at a time.

    encode: gives it; raises Unavailable. vector: where it is known already. degraded: what the answer does without.
    """

    def __init__(
        self,
        encode: Callable[[], FloatArray] | None = None,
        *,
        vector: FloatArray | None = None,
        degraded: Sequence[str] = (),
    ) -> None:
        self._encode = encode
        self._vector = vector
        self.degraded = list(degraded)
        self.ms = 0.0

    def __call__(self) -> FloatArray | None:
        encode, self._encode = self._encode, None
        if encode is not None:
            laps = Laps(None)
            try:
                self._vector = encode()
            except Unavailable as error:
                # Keyword hits alone are still worth having.
                log.warning("a query was answered without vectors: %s", error)
                self.degraded = ["vector"]
            self.ms = laps.lap()
        return self._vector

    @property
    def asked(self) -> FloatArray | Callable[[], FloatArray | None] | None:
        """The vector, or itself while that is still to be worked out: so nobody waits for what is not to come."""
        return self._vector if self._encode is None else self


class Searcher:
    """Answers searches. Safe for many threads.

    embedder: None where no model could be loaded: every hybrid answer is then degraded. n_candidates: from each leg.
    """

    def __init__(self, embedder: Embedder | None, *, n_candidates: int) -> None:
        self._embedder = embedder
        self._n_candidates = n_candidates
        self._synonyms = SynonymTables()

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
        Raises NotFound for an unknown index, InvalidInput for a member that no document has, Unavailable while the
        index is being built.
        """
        begun = self.begin(state, index, request, now=now, asked_at=asked_at, vector_leg=vector_leg)
        return self.finish(state, index, request, begun, query_id=query_id, now=now)

    def is_encoded(self, state: ServingState, index: str, request: SearchRequest) -> bool:
        """Whether beginning this search needs no model: its query's vector is remembered, or it needs none."""
        query, embedder = request.query.strip(), self._embedder
        if not query or state.snapshot(index).settings.embedding is None or embedder is None:
            return True
        return embedder.cached(query) is not None

    def begin(
        self,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        now: datetime,
        asked_at: float | None = None,
        vector_leg: bool = True,
    ) -> Begun:
        """The first part of `search`: understand the query, and in a small index encode it."""
        laps = Laps(asked_at)
        laps.timings.queue = laps.lap()
        control, snapshot = state.control.index(index), state.snapshot(index).reading()
        if request.like:
            query, vector, leave_out = _like(snapshot, request.like)
            return Begun(snapshot, laps, query, Encoding(vector=vector), leave_out)
        synonyms = self._synonyms.of(index, control.rules).at(now)
        query = understand(request.query, snapshot.lexicon, synonyms, typing=request.typing, typos=request.typos)
        laps.timings.analyse = laps.lap()
        encoding = self._encoding(snapshot, query, vector_leg)
        if snapshot.is_small:
            # Elsewhere the engine may have something to do meanwhile.
            encoding()
            laps.lap()
        return Begun(snapshot, laps, query, encoding, None)

    def finish(
        self, state: ServingState, index: str, request: SearchRequest, begun: Begun, *, query_id: str, now: datetime
    ) -> SearchOutcome:
        """The second part: find, rank, answer. What was begun is used up."""
        laps, query, encoding = begun.laps, begun.query, begun.encoding
        laps.timings.queue = round(laps.timings.queue + laps.lap(), 3)
        control, snapshot = state.control.index(index), begun.snapshot
        asked = self._retrieval(control, snapshot, query, encoding, begun.leave_out, request, now.timestamp())
        retrieved = snapshot.retrieve(asked)
        vector, degraded = encoding(), [*encoding.degraded, *retrieved.degraded]
        laps.timings.encode = encoding.ms
        laps.timings.retrieve = laps.lap()
        found = _found(snapshot, query, vector, retrieved, self._n_candidates, request)
        names = feature_names(snapshot.settings)
        features = _features(snapshot, found, now.timestamp())
        weights = np.array([control.weights.get(name, 0.0) for name in names], np.float64)
        laps.timings.features = laps.lap()
        scores = _scores(found, names, features, weights)
        slots = found.slots.tolist()
        n_ordered = found.n_ranked if request.distinct else min(request.window, found.n_ranked)
        order = ranking.best(scores[: found.n_ranked], n_ordered, lambda i: snapshot.id(slots[i]))
        order += range(found.n_ranked, len(slots))
        if request.distinct:
            groups = snapshot.groups(request.distinct, found.slots)
            order = [order[i] for i in _first_of_each(groups[order]).tolist()]
        shown, documents = _there(snapshot, slots, order[request.offset : request.window])
        laps.timings.rank = laps.lap()
        hits = self._hits(snapshot, request, query, found, shown, documents, names, features, weights, scores)
        laps.timings.hits = laps.lap()
        answer = SearchAnswer(
            query_id=query_id,
            index=index,
            hits=hits,
            total=retrieved.total,
            groups=found.n_groups,
            facets=retrieved.facets,
            operator=retrieved.operator if query.terms else None,
            terms=[TermInfo.of(term, place in retrieved.left_out) for place, term in enumerate(query.terms)],
            did_you_mean=query.did_you_mean,
            vector_trust=round(retrieved.vector_trust, 3) if vector is not None else None,
            took_ms=laps.total(),
            applied_seq=state.control.seq,
            config_version=control.config_version,
            weights_version=control.weights_version,
            applied_catalog_seq=snapshot.catalog_seq,
            applied_rules=list(query.rules),
            experiment=None,
            degraded=degraded,
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
            applied_rules=query.rules,
            degraded=tuple(degraded),
            typing=request.typing,
        )
        return SearchOutcome(answer, record, laps.timings)

    def titles(self, state: ServingState, index: str, typed: str, n: int) -> list[Suggestion]:
        """The titles of the n best documents whose titles hold what was typed, the last word perhaps unfinished."""
        control, snapshot = state.control.index(index), state.snapshot(index).reading()
        settings = control.settings
        query = understand(typed, snapshot.lexicon, typing=True)
        if not query.terms:
            return []
        boosts = {field.name: float(field.name == settings.title) for field in settings.searchable}
        signals = np.zeros(len(settings.signals), np.float32)
        found = snapshot.retrieve(Retrieval(query, None, boosts, signals, k=n, window=n, operator="all")).keyword
        names = [field.name for field in settings.searchable]
        column = names.index(settings.title)
        field = settings.searchable[column]
        # Other fields match, too, but their boost is 0: they come last, and do not count.
        in_title = snapshot.text_features(found, query).bm25[:, column] > 0.0
        suggestions = []
        slots = found[in_title][:n].tolist()
        for slot, document in zip(slots, snapshot.read(slots), strict=True):
            text = field_text(msgspec.json.decode(document), field) if document is not None else ""
            if text:
                suggestions.append(Suggestion(text, "title", document_id=snapshot.id(slot)))
        return suggestions

    def _encoding(self, snapshot: EngineSnapshot, query: Query, vector_leg: bool) -> Encoding:
        if not query.text or snapshot.settings.embedding is None:
            return Encoding()
        embedder = self._embedder
        if embedder is None or not vector_leg:
            return Encoding(degraded=["vector"])
        # A misspelt word is no word to the model: what was meant is encoded.
        text = query.did_you_mean or query.text
        return Encoding(lambda: embedder.encode_query(text))

    def _retrieval(
        self,
        control: IndexControl,
        snapshot: EngineSnapshot,
        query: Query,
        encoding: Encoding,
        leave_out: int | None,
        request: SearchRequest,
        at_s: float,
    ) -> Retrieval:
        """The keyword leg weighs fields as the score does, so that what the score would rank first is found."""
        weights, settings = control.weights, snapshot.settings
        signals = [weights.get(SIGNAL_PREFIX + signal.field, 0.0) for signal in settings.signals]
        return Retrieval(
            query=query,
            vector=encoding.asked,
            boosts={field.name: weights.get(BM25_PREFIX + field.name, 0.0) for field in settings.searchable},
            signal_weights=np.array(signals, np.float32),
            k=max(self._n_candidates, request.window) if request.like else self._n_candidates,
            window=None if request.distinct else request.window,
            operator=request.operator,
            leave_out=leave_out,
            filters=parse_filter(request.filters),
            facets=request.facet_requests(),
            sort=request.sort_keys(),
            distinct=request.distinct or None,
            at_s=at_s,
        )

    def _hits(
        self,
        snapshot: EngineSnapshot,
        request: SearchRequest,
        query: Query,
        found: _Found,
        shown: list[int],
        documents: list[msgspec.Raw],
        names: tuple[str, ...],
        features: FloatArray,
        weights: ScoreArray,
        scores: ScoreArray,
    ) -> list[Hit]:
        slots = found.slots[shown].tolist()
        explained = _explain(found, shown, names, features, weights) if request.explain else [None] * len(shown)
        highlight = request.highlighting()
        highlighter = Highlighter(query, snapshot.settings, highlight) if highlight is not None else None
        hits = []
        rows = zip(shown, slots, documents, explained, strict=True)
        for rank, (i, slot, document, explanation) in enumerate(rows, request.offset + 1):
            highlights = highlighter.of(document) if highlighter is not None else None
            hits.append(Hit(snapshot.id(slot), rank, float(scores[i]), document, highlights, explanation))
        return hits


def _there(snapshot: EngineSnapshot, slots: Sequence[int], shown: Sequence[int]) -> tuple[list[int], list[msgspec.Raw]]:
    """Of the candidates that are to be shown, those that are still there, and their documents."""
    read = snapshot.read([slots[i] for i in shown])
    there = [(i, document) for i, document in zip(shown, read, strict=True) if document is not None]
    return [i for i, _ in there], [document for _, document in there]


def _like(snapshot: EngineSnapshot, document_id: str) -> tuple[Query, FloatArray, int]:
    """A query without words, the vector to be near to, and the slot that is near to itself. Raises NotFound."""
    slot = snapshot.find(document_id)
    if slot is None:
        raise NotFound(f"there is no document {document_id[:80]!r} to be like", field="like", value=document_id)
    vector = snapshot.vector(slot)
    if vector is None:
        limit = "a document of an index that embeds"
        raise InvalidInput(f"document {document_id[:80]!r} has no vector", field="like", value=document_id, limit=limit)
    return Query(document_id), vector, slot


class _Found(msgspec.Struct, frozen=True):
    """Candidates of one search. The first n_ranked are ordered by score; what follows is in its final order.

    slots: (n,). text: of all. cosines: (n,), 0 without a vector leg. vector_trust: what they count for. keyword_ranks,
    vector_ranks: 1-based, 0 where a leg missed the candidate. n_groups: where only the first of each group is
    wanted, how many there are in all.
    """

    slots: IntArray
    n_ranked: int
    text: TextFeatures
    cosines: FloatArray
    keyword_ranks: IntArray
    vector_ranks: IntArray
    vector_trust: float
    n_groups: int | None


def _found(
    snapshot: EngineSnapshot,
    query: Query,
    vector: FloatArray | None,
    retrieved: Retrieved,
    k: int,
    request: SearchRequest,
) -> _Found:
    """The union of both legs' first k, then as much of the keyword leg's rest as the page needs.

    Where the request sorts, or asks for nothing, the order it came in is final.
    """
    ordered, nearest = retrieved.keyword, retrieved.nearest
    n_groups = None
    if request.sort or not query.text:
        slots, n_ranked = ordered, 0
        if request.distinct:
            first = _first_of_each(snapshot.groups(request.distinct, slots))
            slots, n_groups = slots[first[: request.window]], len(first)
        keyword_ranks, vector_ranks = np.zeros(len(slots), np.int64), _ranks_in(slots, nearest)
    else:
        slots = _union(ordered[:k], nearest)
        n_ranked = len(slots)
        keyword_ranks, vector_ranks = _ranks(slots, ordered[:k]), _ranks(slots, nearest)
        # A page past the re-ranked candidates goes on in keyword order.
        tail = ordered[k:]
        places = np.flatnonzero(~np.isin(tail, slots)) if request.distinct or request.window > n_ranked else tail[:0]
        if request.distinct:
            groups = snapshot.groups(request.distinct, np.concatenate([slots, tail[places]]))
            first = _first_of_each(groups)
            n_groups = len(first)
            places = places[first[first >= n_ranked] - n_ranked][: request.window]
        slots = np.concatenate([slots, tail[places]])
        keyword_ranks = np.concatenate([keyword_ranks, k + 1 + places])
        vector_ranks = np.concatenate([vector_ranks, np.zeros(len(places), np.int64)])
    text = snapshot.text_features(slots, query)
    cosines = _cosines(snapshot, slots, vector, retrieved, vector_ranks)
    return _Found(slots, n_ranked, text, cosines, keyword_ranks, vector_ranks, retrieved.vector_trust, n_groups)


def _cosines(
    snapshot: EngineSnapshot,
    slots: IntArray,
    vector: FloatArray | None,
    retrieved: Retrieved,
    vector_ranks: IntArray,
) -> FloatArray:
    """(n,) the vector leg knows those of its own candidates; only the others are worked out."""
    cosines = np.zeros(len(slots), np.float32)
    if vector is not None:
        known = vector_ranks > 0
        cosines[known] = retrieved.cosines[vector_ranks[known] - 1]
        cosines[~known] = snapshot.cosines(slots[~known], vector)
    return cosines


def _features(snapshot: EngineSnapshot, found: _Found, at_s: float) -> FloatArray:
    """(n, n_features) in the order of `tuning.features.feature_names`; `overlooked` is left to `_scores`."""
    text = found.text
    columns: list[AnyArray] = [
        text.bm25,
        text.exact_title[:, None],
        text.all_terms[:, None],
        text.coverage[:, None],
        text.phrase[:, None],
        text.proximity[:, None],
        _reciprocal(found.keyword_ranks),
    ]
    if snapshot.settings.embedding is not None:
        trust = np.float32(found.vector_trust)
        overlooked = np.zeros((len(found.slots), 1), np.float32)
        columns += [found.cosines[:, None] * trust, _reciprocal(found.vector_ranks) * trust, overlooked]
    columns.append(snapshot.signals(found.slots, at_s))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _reciprocal(ranks: IntArray) -> FloatArray:
    """(n, 1) 1 / rank, 0 where the rank is 0."""
    return np.where(ranks > 0, 1.0 / np.maximum(ranks, 1), 0.0).astype(np.float32)[:, None]


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
) -> list[Explanation | None]:
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


def _first_of_each(groups: IntArray) -> IntArray:
    """Positions of the first of each group, ascending. groups: (n,)."""
    _, first = np.unique(groups, return_index=True)
    first.sort()
    return first


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


def _ranks_in(slots: IntArray, leg: IntArray) -> IntArray:
    """The same for slots in any order, not all of which need hold the leg's."""
    rank_of: Mapping[int, int] = {slot: rank for rank, slot in enumerate(leg.tolist(), start=1)}
    return np.array([rank_of.get(slot, 0) for slot in slots.tolist()], np.int64)
