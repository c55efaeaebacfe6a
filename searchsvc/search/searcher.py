"""One search, from request to answer. This is the file to read first.

    one serving state, one reading of an engine snapshot
    prepare   understand the query, as rules change it -> encode it
    retrieve  candidates of both legs, totals, facets
    featurise feature matrix
    rank      weighted score -> boosts -> order -> pins -> interleaving or exploration
    assemble  hits -> the answer, and `RankingShown` for the log

In an index of usual size one thread runs both legs: they are shorter than a hand-over between threads (see
docs/decisions/one-thread-a-search.md). `searchsvc.execution` chooses the threads and keeps the deadline.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from searchsvc.analysis.query import Query
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.runtime.stopwatch import Laps
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.applied_rules import apply_rules, apply_rules_without_query
from searchsvc.search.assembly import assemble_answer, assemble_page, read_page
from searchsvc.search.candidates import collect_candidates
from searchsvc.search.encoding import QueryEncoding
from searchsvc.search.features import featurise
from searchsvc.search.meaning import has_meaning
from searchsvc.search.ordering import Chance, rank
from searchsvc.search.prepared_search import PreparedSearch, choose_weights, find_similar_to
from searchsvc.search.ranking_record import record_ranking
from searchsvc.search.request import SearchRequest
from searchsvc.search.retrieval import retrieve
from searchsvc.search.score_terms import ScoreTerms, ScoreTermsCache
from searchsvc.search.suggestions import Suggestion
from searchsvc.search.title_suggestions import suggest_titles
from searchsvc.search.trials import Draw, TrialPart, is_comparable
from searchsvc.state.serving_state import ServingState


class Searcher:
    """Answers searches. Safe for many threads.

    embedder: None if no model could be loaded: every hybrid answer is then degraded.
    n_candidates: candidates of each leg.
    rulebooks: of the rules in force; None for some of its own, which its first searches prepare.
    """

    def __init__(self, embedder: Embedder | None, *, n_candidates: int, rulebooks: Rulebooks | None = None) -> None:
        self._embedder = embedder
        self.n_candidates = n_candidates
        self.rulebooks = rulebooks if rulebooks is not None else Rulebooks()
        # Rules of rehearsals change often; they must not displace those in force.
        self._rehearsal_rulebooks = Rulebooks()
        self._terms = ScoreTermsCache()

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget the prepared rules of all indexes but these."""
        self.rulebooks.drop_others(indexes)
        self._rehearsal_rulebooks.drop_others(indexes)

    def search(
        self,
        state: ServingState,
        index: str,
        request: SearchRequest,
        *,
        query_id: str,
        now: datetime,
        received_at: float | None = None,
        vector_leg: bool = True,
        all_cores: bool = True,
    ) -> SearchOutcome:
        """Answer a search on one serving state.

        query_id: id of the answer.
        now: time of the search; rules must be in force at it.
        received_at: see `prepare`.
        vector_leg: see `prepare`.
        all_cores: see `prepare`.
        Raises NotFound for an unknown index, InvalidInput for an attribute that no document has, Unavailable while the
        index is being built.
        """
        prepared = self.prepare(
            state, index, request, now=now, received_at=received_at, vector_leg=vector_leg, all_cores=all_cores
        )
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
        received_at: float | None = None,
        vector_leg: bool = True,
        rehearsal: bool = False,
        all_cores: bool = False,
    ) -> PreparedSearch:
        """Understand the query, and encode it if the index is fast to search.

        now: time at which rules must be in force.
        received_at: `time.perf_counter()` when the request came, from which it is timed; None for now.
        vector_leg: False leaves it out, because it was late; the answer is then degraded.
        rehearsal: use rules that are not in force, whose preparation may take long and is cached apart.
        all_cores: whether the encoder may use every core.
        """
        laps = Laps(received_at)
        laps.timings.queue = laps.lap()
        control, reading = state.control.index(index), state.snapshot(index).reading()
        measured = state.measured(index)
        book = (self._rehearsal_rulebooks if rehearsal else self.rulebooks).get(control)
        filters = request.parsed_filters()
        if request.like:
            similar = find_similar_to(reading, request.like)
            applied = apply_rules_without_query(reading.snapshot, book, request, filters, now, Query(request.like))
            encoding, excluded_slot = QueryEncoding(vector=similar.vector), similar.slot
        else:
            applied = apply_rules(reading.snapshot, book, control.settings, request, filters, now, measured.adjacent)
            laps.timings.analyse = laps.lap()
            encoding, excluded_slot = QueryEncoding(), None
            if request.retrieval_mode(control.settings) != "keyword":
                encoding = self._encoding(reading.snapshot, applied.query, vector_leg, all_cores)
            if reading.snapshot.is_fast:
                # A slower engine computes it during retrieval, at the same time as other work.
                encoding()
                laps.lap()
        return PreparedSearch(
            state=state,
            index=index,
            request=request,
            reading=reading,
            laps=laps,
            applied=applied,
            chosen=choose_weights(control, book, applied),
            filters=filters,
            measured=measured,
            encoding=encoding,
            excluded_slot=excluded_slot,
        )

    def complete(
        self,
        prepared: PreparedSearch,
        *,
        query_id: str,
        now: datetime,
        draw: Draw | None = None,
        explores: bool = False,
    ) -> SearchOutcome:
        """Retrieve, rank and answer. Consumes `prepared`: call it once.

        query_id: id of the answer, from which exploration is drawn.
        now: time of the search, at which ageing signals are valued.
        draw: which weights a trial gives this search; None without a trial.
        explores: whether neighbours may swap places.
        """
        laps, timestamp_s = prepared.laps, now.timestamp()
        laps.timings.queue = round(laps.timings.queue + laps.lap(), 3)
        comparable = is_comparable(prepared.request, prepared.applied, prepared.chosen.segment)
        trial = prepared.control.trial
        part = TrialPart(trial, draw) if trial is not None and draw is not None and comparable else None
        is_holdout = part is not None and part.is_holdout
        weights = part.trial.weights if part is not None and is_holdout else prepared.chosen.weights
        retrieval = retrieve(prepared, weights, self.n_candidates, timestamp_s)
        laps.timings.encode = prepared.encoding.ms
        laps.timings.retrieve = laps.lap()
        candidates = collect_candidates(prepared, retrieval, self.n_candidates)
        terms = self._trial_terms(prepared, part) if part is not None and is_holdout else self._chosen_terms(prepared)
        features = featurise(prepared, candidates, terms, timestamp_s)
        laps.timings.features = laps.lap()
        challenger = self._trial_terms(prepared, part) if part is not None and part.is_interleaved else None
        chance = Chance(query_id, part, challenger, explores=explores and comparable and not is_holdout)
        ranked = rank(prepared, candidates, features, terms, retrieval.retrieved.pinned, chance)
        page = read_page(prepared, candidates, ranked.order)
        laps.timings.rank = laps.lap()
        answered = assemble_page(prepared, candidates, ranked, page)
        laps.timings.hits = laps.lap()
        answer = assemble_answer(prepared, retrieval, candidates, answered, query_id)
        record = record_ranking(prepared, ranked, answered, answer, part, now)
        return SearchOutcome(answer, record, laps.timings, prepared.encoding.failure)

    def suggest_titles(self, state: ServingState, index: str, typed: str, n: int, *, now: datetime) -> list[Suggestion]:
        """Return the titles of the n best documents whose titles contain what was typed."""
        control, reading = state.control.index(index), state.snapshot(index).reading()
        book, adjacent = self.rulebooks.get(control), state.measured(index).adjacent
        return suggest_titles(reading, control.settings, book, adjacent, typed, n, now=now)

    def _encoding(self, snapshot: EngineSnapshot, query: Query, vector_leg: bool, all_cores: bool) -> QueryEncoding:
        if not query.text or snapshot.settings.embedding is None:
            return QueryEncoding()
        embedder = self._embedder
        if embedder is None or not vector_leg:
            return QueryEncoding(degraded=["vector"])
        if not has_meaning(query, embedder.knows):
            return QueryEncoding()
        # The model does not know misspelt words: encode the correction.
        text = query.did_you_mean or query.text
        return QueryEncoding(
            lambda: embedder.encode_query(text, all_cores=all_cores and not snapshot.encodes_concurrently)
        )

    def _chosen_terms(self, prepared: PreparedSearch) -> ScoreTerms:
        chosen, settings = prepared.chosen, prepared.reading.snapshot.settings
        variant = f"segment {chosen.segment}" if chosen.segment is not None else "index"
        return self._terms.get(settings, prepared.control, variant, chosen.weights)

    def _trial_terms(self, prepared: PreparedSearch, part: TrialPart) -> ScoreTerms:
        settings = prepared.reading.snapshot.settings
        return self._terms.get(settings, prepared.control, "trial", part.trial.weights)
