"""One search, from request to answer. This is the file to read first.

    one serving state, one reading of an engine snapshot
    understand the query, as rules steer it -> encode it -> candidates of both legs, totals, facets
    feature matrix -> weighted score -> boosts -> order -> pins -> hits
    the answer, and `RankingShown` for the log

Runs on one thread from end to end: the legs are shorter than the hand-over between threads would be (see
docs/decisions/one-thread-a-search.md). `Service.search` chooses it, and keeps the vector leg's deadline from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from events.errors import InvalidInput, NotFound, Unavailable
from events.index_control import IndexControl
from events.settings import IndexSettings
from events.types import RankingShown
from searchsvc.analysis.analyzer import query_key
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.highlight import Highlighter
from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.filters import Filter, parse_filter
from searchsvc.engines.protocol import Reading
from searchsvc.engines.retrieval import Retrieval
from searchsvc.rules.directives import apply_factors, place_pins
from searchsvc.rules.rulebook import Rulebook, Rulebooks
from searchsvc.runtime.stopwatch import Laps
from searchsvc.search import ranking
from searchsvc.search.answer import Explanation, Hit, SearchAnswer, SearchOutcome, TermInfo
from searchsvc.search.applied_rules import (
    AppliedRules,
    boost_factors,
    pin_effects,
    pinned_positions,
    steer,
    steer_without_query,
)
from searchsvc.search.candidates import Candidates, explained, feature_matrix, first_of_each, gathered, scored
from searchsvc.search.exploration import swap_neighbors
from searchsvc.search.request import SearchRequest
from searchsvc.search.suggestions import Suggestion
from searchsvc.search.trials import Draw, interleave, is_comparable
from searchsvc.state.serving_state import IndexBehavior, ServingState
from tuning.arrays import FloatArray, ScoreArray
from tuning.curves import Curves, curves
from tuning.features import BEHAVIOR, BM25_PREFIX, SIGNAL_PREFIX, feature_names


class PreparedSearch(msgspec.Struct, frozen=True):
    """A search whose query is understood. reading: what it reads from. weights: of its segment, where it has one, on
    those of the index. encoding: of the query. leave_out: a slot that is not wanted."""

    state: ServingState
    index: str
    request: SearchRequest
    reading: Reading
    laps: Laps
    steering: AppliedRules
    weights: Mapping[str, float]
    segment: str | None
    filters: Filter | None
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
        self.failure = ""
        self.ms = 0.0

    def __call__(self) -> FloatArray | None:
        encode, self._encode = self._encode, None
        if encode is not None:
            laps = Laps(None)
            try:
                self._vector = encode()
            except Unavailable as error:
                # Keyword hits alone are still worth having.
                self.failure = str(error)
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
    rulebooks: the rules of each index, prepared.
    """

    def __init__(self, embedder: Embedder | None, *, n_candidates: int) -> None:
        self._embedder = embedder
        self.n_candidates = n_candidates
        self.rulebooks = Rulebooks()
        self._last_curves: tuple[IndexSettings, IndexControl, Mapping[str, float], tuple[str, ...], Curves] | None = (
            None
        )
        self._rehearsed = Rulebooks()

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
        alone: bool = True,
    ) -> SearchOutcome:
        """Answer a search on one serving state.

        asked_at: time.perf_counter() when the request came, where the clock is to start. vector_leg: False leaves it
        out, and the answer says so: for when it was late. alone: nobody else needs the cores.
        Raises NotFound for an unknown index, InvalidInput for a member that no document has, Unavailable while the
        index is being built.
        """
        prepared = self.prepare(state, index, request, now=now, asked_at=asked_at, vector_leg=vector_leg, alone=alone)
        return self.complete(prepared, query_id=query_id, now=now)

    def needs_encoder(self, state: ServingState, index: str, request: SearchRequest) -> bool:
        """Return whether `prepare` has to run the model for this request: its query has no cached vector."""
        query, embedder = request.query.strip(), self._embedder
        if not query or state.snapshot(index).settings.embedding is None or embedder is None:
            return False
        return embedder.cached(query) is None

    def prepare(
        self,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        now: datetime,
        asked_at: float | None = None,
        vector_leg: bool = True,
        rehearsal: bool = False,
        alone: bool = False,
    ) -> PreparedSearch:
        """The first part of `search`: understand the query, and in a small index encode it.

        rehearsal: by rules that are not those in force, whose preparation may take a while and is kept apart. alone:
        nobody else needs the cores.
        """
        laps = Laps(asked_at)
        laps.timings.queue = laps.lap()
        control, reading = state.control.index(index), state.snapshot(index).reading()
        book = (self._rehearsed if rehearsal else self.rulebooks).get(control)
        filters = parse_filter(request.filters)
        if request.like:
            query, vector, leave_out = _like(reading, request.like)
            steering = steer_without_query(reading.snapshot, book, request, filters, now, query)
            weights, segment = _weights(control, book, steering)
            return PreparedSearch(
                state,
                index,
                request,
                reading,
                laps,
                steering,
                weights,
                segment,
                filters,
                Encoding(vector=vector),
                leave_out,
            )
        steering = steer(reading.snapshot, book, request, filters, now)
        laps.timings.analyse = laps.lap()
        encoding = self._encoding(reading, steering.query, vector_leg, alone)
        if reading.snapshot.is_fast:
            # Elsewhere the engine may have something to do meanwhile.
            encoding()
            laps.lap()
        weights, segment = _weights(control, book, steering)
        return PreparedSearch(state, index, request, reading, laps, steering, weights, segment, filters, encoding, None)

    def complete(
        self,
        begun: PreparedSearch,
        *,
        query_id: str,
        now: datetime,
        draw: Draw | None = None,
        explores: bool = False,
    ) -> SearchOutcome:
        """The second part: find, rank, answer. What was begun is used up. drawn: what chance says, where two versions
        of the weights are compared. explores: whether neighbours may change places."""
        drawn = draw
        state, index, request = begun.state, begun.index, begun.request
        laps, encoding, steering = begun.laps, begun.encoding, begun.steering
        query, wanted = steering.query, steering.directives
        laps.timings.queue = round(laps.timings.queue + laps.lap(), 3)
        control, reading = state.control.index(index), begun.reading
        comparable = is_comparable(request, steering, begun.segment)
        trial, compared, swaps = control.trial if drawn is not None and comparable else None, None, None
        held_back = trial is not None and drawn is not None and drawn.by == "trial"
        weights = trial.weights if trial is not None and held_back else begun.weights
        retrieved = reading.retrieve(self._retrieval(begun, weights, request, now.timestamp()))
        vector, degraded = encoding(), [*encoding.degraded, *retrieved.degraded]
        laps.timings.encode = encoding.ms
        laps.timings.retrieve = laps.lap()
        boosted = bool(wanted.boosts)
        found = gathered(reading, query, vector, retrieved, self.n_candidates, request, boosted=boosted)
        liked, behavior = None, None
        if BEHAVIOR[0] in control.weights:
            liked, behavior = _behavior(control, state.behavior.get(index), reading, found, request.query)
        features = feature_matrix(reading, found, liked, now.timestamp())
        names, by = self._curves(reading, control, weights)
        laps.timings.features = laps.lap()

        def ranked(by: Curves, features: FloatArray) -> ScoreArray:
            scores = scored(found, by, features)
            if boosted:
                scores = apply_factors(scores, factors)
            return apply_factors(scores, behavior) if behavior is not None else scores

        factors, shares, boost_effects = boost_factors(reading, wanted.boosts, found, names, features)
        scores = ranked(by, features)
        pins = pinned_positions(reading, found, steering, retrieved.pinned.tolist())
        order = _in_order(reading, request, found, scores, pins)
        if trial is not None and drawn is not None and drawn.by == "both":
            others = ranked(curves(names, trial.weights), features.copy())
            other = _in_order(reading, request, found, others, pins)
            order, compared = interleave(order, other, drawn.coins, lambda at: reading.id(int(found.slots[at])))
        elif explores and comparable and not boosted and not held_back:
            order, swaps = swap_neighbors(order, scores, query_id)
        shown, documents = _there(reading, found.slots.tolist(), order[request.offset : request.window])
        laps.timings.rank = laps.lap()
        pinned_ids = {position: reading.id(int(found.slots[position])) for _, position in pins}
        rule_of = {pin.document_id: pin.rule for pin in wanted.pins}
        explained_by = (
            explained(
                found,
                shown,
                by,
                features,
                factors,
                behavior if behavior is not None else np.ones(len(found.slots)),
                shares,
                {position: rule_of[name] for position, name in pinned_ids.items()},
            )
            if request.explain
            else [None] * len(shown)
        )
        hits = _hits(reading, request, query, found, shown, documents, scores, explained_by)
        rank_at = {position: rank for rank, position in enumerate(order, start=1)} if pins else {}
        ranks = {name: rank_at[position] for position, name in pinned_ids.items() if position in rank_at}
        applied, effects = steering.applied([*boost_effects, *pin_effects(steering, ranks, request.window)])
        laps.timings.hits = laps.lap()
        answer = SearchAnswer(
            query_id=query_id,
            index=index,
            hits=hits,
            total=retrieved.total,
            groups=found.n_groups,
            facets=retrieved.facets,
            operator=retrieved.operator if query.terms else None,
            terms=[TermInfo.of(term, place in retrieved.unmatched_terms) for place, term in enumerate(query.terms)],
            did_you_mean=query.did_you_mean,
            vector_trust=round(retrieved.vector_trust, 3) if vector is not None else None,
            took_ms=laps.total(),
            applied_seq=state.control.seq,
            config_version=control.config_version,
            weights_version=control.weights_version,
            weights_segment=begun.segment,
            applied_catalog_seq=reading.snapshot.catalog_seq,
            applied_rules=applied,
            rule_effects=effects,
            redirect=wanted.redirect,
            user_data=list(wanted.user_data),
            experiment=request.experiment or None,
            degraded=degraded,
        )
        record = RankingShown(
            id=query_id,
            timestamp=now,
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
            applied_catalog_seq=reading.snapshot.catalog_seq,
            generation=reading.snapshot.generation,
            experiment=request.experiment or None,
            applied_rules=tuple(applied),
            weights_segment=begun.segment or "",
            rule_factors=tuple(factors[shown].tolist()) if boosted else (),
            pinned_ids=tuple(name for position, name in pinned_ids.items() if position in shown),
            degraded=tuple(degraded),
            typing=request.typing,
            request=request.to_log(),
            behavior_factors=tuple(behavior[shown].tolist()) if behavior is not None else (),
            trial=trial.id if trial is not None else "",
            interleaving=compared,
            holdout=held_back,
            took_ms=answer.took_ms,
            exploration=swaps,
        )
        return SearchOutcome(answer, record, laps.timings, encoding.failure)

    def suggest_titles(self, state: ServingState, index: str, typed: str, n: int, *, now: datetime) -> list[Suggestion]:
        """The titles of the n best documents whose titles hold what was typed, the last word perhaps unfinished."""
        control, reading = state.control.index(index), state.snapshot(index).reading()
        settings = control.settings
        query = understand(typed, reading.snapshot.lexicon, typing=True)
        if not query.terms:
            return []
        book = self.rulebooks.get(control)
        steering = steer_without_query(reading.snapshot, book, SearchRequest(), None, now, query)
        boosts = {field.name: float(field.name == settings.title) for field in settings.searchable}
        signals = np.zeros(len(settings.signals), np.float32)
        retrieval = Retrieval(query, None, boosts, signals, k=n, window=n, operator="all")
        within = steering.directives.within
        found = reading.retrieve(msgspec.structs.replace(retrieval, scope=within)).keyword
        names = [field.name for field in settings.searchable]
        column = names.index(settings.title)
        field = settings.searchable[column]
        # Other fields match, too, but their boost is 0: they come last, and do not count.
        in_title = reading.text_features(found, query).bm25[:, column] > 0.0
        suggestions = []
        slots = found[in_title][:n].tolist()
        for slot, document in zip(slots, reading.read(slots), strict=True):
            text = field_text(msgspec.json.decode(document), field) if document is not None else ""
            if text:
                suggestions.append(Suggestion(text, "title", document_id=reading.id(slot)))
        return suggestions

    def _curves(
        self, reading: Reading, control: IndexControl, weights: Mapping[str, float]
    ) -> tuple[tuple[str, ...], Curves]:
        """The features' names, and the curves of some weights: the last ones again where nothing has changed."""
        settings, before = reading.snapshot.settings, self._last_curves
        if before is not None and before[0] is settings and before[1] is control and before[2] is weights:
            return before[3], before[4]
        names = feature_names(settings)
        if BEHAVIOR[0] not in control.weights:
            # An index of before there were such features has them once its settings are written again.
            names = names[: -len(BEHAVIOR)]
        by = curves(names, weights)
        self._last_curves = settings, control, weights, names, by
        return names, by

    def _encoding(self, reading: Reading, query: Query, vector_leg: bool, alone: bool) -> Encoding:
        if not query.text or reading.snapshot.settings.embedding is None:
            return Encoding()
        embedder = self._embedder
        if embedder is None or not vector_leg:
            return Encoding(degraded=["vector"])
        # A misspelt word is no word to the model: what was meant is encoded.
        text = query.did_you_mean or query.text
        return Encoding(
            lambda: embedder.encode_query(text, all_cores=alone and not reading.snapshot.encodes_concurrently)
        )

    def _retrieval(
        self, begun: PreparedSearch, weights: Mapping[str, float], request: SearchRequest, at_s: float
    ) -> Retrieval:
        """The keyword leg weighs fields as the score does, so that what the score would rank first is found."""
        settings, wanted = begun.reading.snapshot.settings, begun.steering.directives
        signals = [weights.get(SIGNAL_PREFIX + signal.field, 0.0) for signal in settings.signals]
        return Retrieval(
            query=begun.steering.query,
            vector=begun.encoding.asked,
            field_boosts={field.name: weights.get(BM25_PREFIX + field.name, 0.0) for field in settings.searchable},
            signal_weights=np.array(signals, np.float32),
            k=max(self.n_candidates, request.window) if request.like else self.n_candidates,
            # What is pinned further down leaves its place on a page to another.
            window=None if request.distinct else request.window + len(wanted.pins),
            operator=request.operator,
            excluded_slot=begun.leave_out,
            filters=begun.filters,
            facets=request.facet_requests(),
            sort=request.sort_keys(),
            distinct=request.distinct or None,
            timestamp_s=at_s,
            scope=wanted.within,
            pinned_ids=tuple(pin.document_id for pin in wanted.pins),
            boosted=wanted.lifted,
            test_filters=tuple(dict.fromkeys(one.filter for one in wanted.boosts if one.filter is not None)),
        )


def _weights(control: IndexControl, book: Rulebook, steering: AppliedRules) -> tuple[Mapping[str, float], str | None]:
    """The weights that count for a search, and the segment that they are of; None for those of the index."""
    stored = book.segment(steering.occasion)
    return (control.weights, None) if stored is None else ({**control.weights, **stored.segment.weights}, stored.id)


def _behavior(
    control: IndexControl, known: IndexBehavior | None, reading: Reading, found: Candidates, asked: str
) -> tuple[FloatArray, ScoreArray | None]:
    """(n, 2) the features of what shoppers do with documents, whatever is asked and where this is, and (n,) what scores
    are multiplied by for it; None where nothing is known of any, or it is not to count."""
    features = np.zeros((len(found.slots), len(BEHAVIOR)), np.float32)
    learning = control.learning
    if known is None or not found.n_ranked or learning.mode == "off":
        return features, None
    factors = np.ones(len(found.slots))
    ids = [reading.id(slot) for slot in found.slots.tolist()]
    # What is known of the very query comes last: it has the word, where it says something.
    of_query = known.queries.get(query_key(asked)) if known.queries else None
    for column, of in enumerate((known.documents, of_query or {})):
        for row, document_id in enumerate(ids):
            liking = of.get(document_id)
            if liking is not None:
                features[row, column] = liking.feature
                factors[row] = liking.factor
    if learning.mode != "automatic" or not (factors != 1.0).any():
        return features, None
    return features, factors.clip(1.0 / learning.max_boost, learning.max_boost)


def _in_order(
    reading: Reading,
    request: SearchRequest,
    found: Candidates,
    scores: ScoreArray,
    pins: Sequence[tuple[int, int]],
) -> list[int]:
    """Positions of the candidates as they are shown, as far as the page needs them. pins: (rank, position)."""
    slots = found.slots.tolist()
    n_ordered = found.n_ranked if request.distinct else min(request.window + len(pins), found.n_ranked)
    order = ranking.top_k(scores[: found.n_ranked], n_ordered, lambda i: reading.id(slots[i]))
    order += range(found.n_ranked, len(slots))
    if request.distinct:
        # What is pinned stands for its group.
        first = dict.fromkeys(position for _, position in pins)
        order = [*first, *(position for position in order if position not in first)]
        groups = reading.groups(request.distinct, found.slots)
        order = [order[i] for i in first_of_each(groups[order]).tolist()]
        kept = set(order)
        pins = [(rank, position) for rank, position in pins if position in kept]
    return place_pins(order, pins) if pins else order


def _hits(
    reading: Reading,
    request: SearchRequest,
    query: Query,
    found: Candidates,
    shown: list[int],
    documents: list[msgspec.Raw],
    scores: ScoreArray,
    explanations: Sequence[Explanation | None],
) -> list[Hit]:
    slots = found.slots[shown].tolist()
    highlight = request.highlighting()
    highlighter = Highlighter(query, reading.snapshot.settings, highlight) if highlight is not None else None
    hits = []
    rows = zip(shown, slots, documents, explanations, strict=True)
    for rank, (i, slot, document, explanation) in enumerate(rows, request.offset + 1):
        highlights = highlighter.highlight(document) if highlighter is not None else None
        hits.append(Hit(reading.id(slot), rank, float(scores[i]), document, highlights, explanation))
    return hits


def _there(reading: Reading, slots: Sequence[int], shown: Sequence[int]) -> tuple[list[int], list[msgspec.Raw]]:
    """Of the candidates that are to be shown, those that are still there, and their documents."""
    read = reading.read([slots[i] for i in shown])
    there = [(i, document) for i, document in zip(shown, read, strict=True) if document is not None]
    return [i for i, _ in there], [document for _, document in there]


def _like(reading: Reading, document_id: str) -> tuple[Query, FloatArray, int]:
    """A query without words, the vector to be near to, and the slot that is near to itself. Raises NotFound."""
    slot = reading.find(document_id)
    if slot is None:
        raise NotFound(f"there is no document {document_id[:80]!r} to be like", field="like", value=document_id)
    vector = reading.vector(slot)
    if vector is None:
        limit = "a document of an index that embeds"
        raise InvalidInput(f"document {document_id[:80]!r} has no vector", field="like", value=document_id, limit=limit)
    return Query(document_id), vector, slot
