"""Receipts: the full account of an answer that was given, from the log alone, and whether it can be had again.

the ranking as BEHAVIOR has it   ->  the weights and rules of the CONTROL sequence that it names
its features times those weights ->  its scores, bit for bit
its query, asked again by those weights and rules, where the index still holds the documents of then
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec
import numpy as np

from events.codec import decode_behavior
from events.control import ControlState
from events.errors import Corrupt, Gone, NotFound, SearchsvcError
from events.history import ControlHistory
from events.index_control import IndexControl
from events.log import EventLog, first_stored_since
from events.rules import Rule
from events.types import PairSwap, RankingShown
from searchsvc.analysis.analyzer import query_key
from searchsvc.behavior.keyring import Keyring, open_ranking
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.redaction import REDACTED
from searchsvc.rules.directives import apply_factors
from searchsvc.search import ranking
from searchsvc.search.answer import FeatureShare, SearchOutcome
from searchsvc.search.last_known import LAST_KNOWN
from searchsvc.search.query_ids import query_id_timestamp
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.search.trials import Draw
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import BehaviorValue, IndexBehavior, ServingState
from searchsvc.state.sharded_mapping import ShardedMapping
from tuning.arrays import AnyArray, ScoreArray
from tuning.curves import Curves, curves
from tuning.features import BEHAVIOR, BM25_PREFIX, COSINE
from tuning.gate.interleaving import team_draft

# A ranking is written within a moment of being shown, unless the log is away: it waits for it then.
MAX_LATE: Final = timedelta(minutes=15)
EARLIER: Final = timedelta(seconds=2)
WRITTEN_WITHIN_S: Final = 2.0
LOOK_EVERY_S: Final = 0.05

State = Literal["holds", "differs", "not repeated"]


class RuleThen(msgspec.Struct, frozen=True):
    """A rule as it was. seq: of the change that wrote it."""

    id: str
    rule: Rule
    seq: int


class ReceiptHit(msgspec.Struct, frozen=True):
    """One hit. features: value, weight and what they contribute; their sum times `factor`, what rules multiply by, and
    `behavior`, what shoppers did with it is worth, is the score. keyword, vector: what the words and the vector leg say
    of it: the sum of BM25 as weighed, and the cosine as trusted. pinned: whether a rule gave it its rank."""

    id: str
    rank: int
    score: float
    keyword: float
    vector: float | None
    features: dict[str, FeatureShare]
    rule_factor: float
    behavior_factor: float
    pinned: bool


class LogPositions(msgspec.Struct, frozen=True):
    """Where the log has it all. behavior_seq: the message that holds the ranking, in which it is the n-th event, from
    0. control_seq: the last change that counted; catalog_seq: the last document that the index held."""

    behavior_seq: int
    behavior_event: int
    control_seq: int
    catalog_seq: int


class Receipt(msgspec.Struct, frozen=True):
    """The account of one answer. query: '' where it was tied to a user; sealed: whether that user's key is gone, or not
    here. request: the other members of the search, where they were not the usual ones. rules: that did something, as
    they
    were. exploration: which neighbours could have changed places, and did; null where none could."""

    query_id: str
    timestamp: datetime
    index: str
    query: str
    sealed: bool
    request: dict[str, Any]
    config_version: int
    weights_version: int
    weights_segment: str
    weights: dict[str, float]
    rules: list[RuleThen]
    hits: list[ReceiptHit]
    experiment: str | None
    exploration: tuple[PairSwap, ...] | None
    degraded: tuple[str, ...]
    generation: str
    log: LogPositions


class Check(msgspec.Struct, frozen=True):
    """name: scores, order, rules, or retrieval. detail: what differs, or why it was not repeated."""

    name: str
    state: State
    detail: str = ""


class Verification(msgspec.Struct, frozen=True):
    """holds: whether nothing differs of all that could be repeated."""

    query_id: str
    holds: bool
    checks: list[Check]


class _Found(msgspec.Struct, frozen=True):
    """A ranking, and where it stands in BEHAVIOR. What is tied to a user is opened, as far as it can be; query: None
    where it cannot."""

    shown: RankingShown
    seq: int
    event: int
    query: str | None


class Receipts:
    """rankings: the newest ones, by query id."""

    def __init__(
        self,
        event_log: EventLog,
        history: ControlHistory,
        serving: Serving,
        searcher: Searcher,
        rankings: RecentRankings,
        keyring: Keyring,
    ) -> None:
        self._log = event_log
        self._history = history
        self._serving = serving
        self._searcher = searcher
        self._rankings = rankings
        self._keyring = keyring
        # Who makes names up costs the log no more than one search at a time.
        self._turn = asyncio.Semaphore(1)

    async def receipt(self, query_id: str) -> Receipt:
        """Raises NotFound, Gone past the log's age, and Unavailable where the log is away."""
        found = await self._found(query_id)
        then = await asyncio.to_thread(self._then, found.shown)
        return _receipt(found, then)

    async def verify(self, query_id: str) -> Verification:
        """Whether an answer can be had again. Raises as `receipt` does."""
        found = await self._found(query_id)
        checks = await asyncio.to_thread(self._checks, found)
        return Verification(query_id, all(one.state != "differs" for one in checks), checks)

    def _then(self, shown: RankingShown) -> IndexControl:
        """The index as it was when it ranked. Raises Corrupt where CONTROL has no such index there."""
        return self._control(shown).index(shown.index)

    def _control(self, shown: RankingShown) -> ControlState:
        if shown.applied_seq > self._history.seq:
            raise Corrupt(f"ranking {shown.id} names CONTROL {shown.applied_seq}, which is not there")
        return self._history.state_at(shown.applied_seq)

    async def _found(self, query_id: str) -> _Found:
        seq = await self._seq(query_id)
        found = await self._in_message(query_id, seq) if seq else await self._searched(query_id)
        if found is None:
            raise NotFound(f"the log has no ranking {query_id[:80]!r}", field="query_id", value=query_id)
        return found

    async def _seq(self, query_id: str) -> int:
        """Where the log has a ranking of which this service knows; 0 where it knows of none."""
        deadline = asyncio.get_running_loop().time() + WRITTEN_WITHIN_S
        while query_id in self._rankings and asyncio.get_running_loop().time() < deadline:
            # One that was just shown is on its way.
            seq = self._rankings.message_seq(query_id)
            if seq:
                return seq
            await asyncio.sleep(LOOK_EVERY_S)
        return 0

    async def _searched(self, query_id: str) -> _Found | None:
        """A ranking that no service remembers, by the time that its name says."""
        at = query_id_timestamp(query_id)
        if at is None or at > datetime.now(UTC) + MAX_LATE:
            return None
        async with self._turn:
            return await self._searched_from(query_id, at)

    async def _searched_from(self, query_id: str, at: datetime) -> _Found | None:
        position = await self._log.position("BEHAVIOR")
        first = await first_stored_since(self._log, "BEHAVIOR", at - EARLIER, position)
        if first == position.first_seq > 1:
            oldest = await self._log.get("BEHAVIOR", first)
            if oldest is None or oldest.timestamp > at + MAX_LATE:
                limit = f"later than {oldest.timestamp.isoformat()}" if oldest is not None else "later"
                message = f"ranking {query_id} is past the age of the log"
                raise Gone(message, field="query_id", value=query_id, limit=limit)
        async for record in self._log.read("BEHAVIOR", after=first - 1):
            if record.timestamp > at + MAX_LATE:
                break
            found = await self._in_data(query_id, record.seq, record.data)
            if found is not None:
                return found
        return None

    async def _in_message(self, query_id: str, seq: int) -> _Found | None:
        record = await self._log.get("BEHAVIOR", seq)
        if record is None:
            raise Gone(f"ranking {query_id} is past the age of the log", field="query_id", value=query_id)
        return await self._in_data(query_id, seq, record.data)

    async def _in_data(self, query_id: str, seq: int, data: bytes) -> _Found | None:
        if query_id.encode() not in data:
            return None
        return await asyncio.to_thread(self._decoded, query_id, seq, data)

    def _decoded(self, query_id: str, seq: int, data: bytes) -> _Found | None:
        for at, event in enumerate(decode_behavior(data).events):
            if isinstance(event, RankingShown) and event.id == query_id:
                return self._opened(event, seq, at)
        return None

    def _opened(self, shown: RankingShown, seq: int, at: int) -> _Found:
        clear = open_ranking(shown, self._keyring.by_pseudonym(shown.user) if shown.sealed_query else None)
        return _Found(clear, seq, at, clear.query) if clear is not None else _Found(shown, seq, at, None)

    def _checks(self, found: _Found) -> list[Check]:
        shown, control = found.shown, self._control(found.shown)
        then = control.index(shown.index)
        request = _request(found)
        again = self._again(found, control, request)
        repeated = again if isinstance(again, SearchOutcome) else None
        return [
            _scores(shown, then),
            _order(shown, request, self._searcher.n_candidates),
            _rules(shown, then, repeated),
            Check("retrieval", "not repeated", again)
            if isinstance(again, str)
            else self._retrieval(shown, then, again),
        ]

    def _retrieval(self, shown: RankingShown, then: IndexControl, again: SearchOutcome) -> Check:
        check = _retrieval(shown, again)
        by = [_weights(shown, then)]
        if shown.interleaving is not None and then.trial is not None:
            by.append(then.trial.weights)
        counts = shown.behavior_factors or any(weights.get(name) for name in BEHAVIOR for weights in by)
        if check.state == "differs" and counts:
            detail = "what shoppers do with documents counts, and it is known of those that were shown alone"
            return Check("retrieval", "not repeated", f"{check.detail}; {detail}")
        return check

    def _again(self, found: _Found, control: ControlState, request: SearchRequest | None) -> SearchOutcome | str:
        """The same search by the weights and rules of then; or why that cannot be."""
        shown = found.shown
        if request is None:
            return "the query is sealed, and the key of its user is gone or not here"
        if REDACTED.search(request.query + shown.request):
            return "what was typed is not in the log: an e-mail address or a telephone number stood there"
        if {LAST_KNOWN, "shards"} & {*shown.degraded}:
            return f"the answer was degraded: {', '.join(shown.degraded)}"
        snapshot = self._serving.current.snapshots.get(shown.index)
        if snapshot is None:
            return f"index {shown.index} is not served"
        if (snapshot.catalog_seq, snapshot.generation) != (shown.applied_catalog_seq, shown.generation):
            held = f"the index holds CATALOG {snapshot.catalog_seq} in {snapshot.generation} by now"
            return f"{held}, then {shown.applied_catalog_seq} in {shown.generation}"
        if snapshot.settings != control.index(shown.index).settings:
            return "the settings are others by now"
        # Of what shoppers did with documents, what counted then.
        behavior = {shown.index: _likings(shown, request.query)}
        state = ServingState(control, self._serving.current.snapshots, behavior)
        vector_leg = "vector" not in shown.degraded
        try:
            prepared = self._searcher.prepare(
                state, shown.index, request, now=shown.timestamp, vector_leg=vector_leg, rehearsal=True
            )
            return self._searcher.complete(
                prepared,
                query_id=shown.id,
                now=shown.timestamp,
                draw=_drawn(shown),
                explores=shown.exploration is not None,
            )
        except SearchsvcError as error:
            return f"it cannot be searched now: {error}"


def _likings(shown: RankingShown, query: str) -> IndexBehavior:
    """What was known then of what shoppers do with the documents that were shown."""
    columns = [shown.feature_names.index(name) if name in shown.feature_names else None for name in BEHAVIOR]
    by_column: list[dict[str, BehaviorValue]] = []
    for column in columns:
        found = {}
        for row, document_id in enumerate(shown.document_ids):
            # One factor, wherever it came from.
            factor = shown.behavior_factors[row] if shown.behavior_factors else 1.0
            feature = shown.features[row][column] if column is not None else 0.0
            if factor != 1.0 or feature:
                found[document_id] = BehaviorValue(factor, feature)
        by_column.append(found)
    documents, of_query = by_column
    queries = ShardedMapping[dict[str, BehaviorValue]]().changed({query_key(query): of_query or None})
    return IndexBehavior(ShardedMapping[BehaviorValue]().changed(documents), queries)


def _request(found: _Found) -> SearchRequest | None:
    """The search as it was asked; None where its query is sealed."""
    if found.query is None:
        return None
    return SearchRequest.from_log(found.query, found.shown.request)


def _drawn(shown: RankingShown) -> Draw | None:
    """What chance said of the search then."""
    if not shown.trial:
        return None
    if shown.interleaving is not None:
        return Draw("both", shown.interleaving.coins)
    return Draw("trial" if shown.holdout else "in_force")


def _asked(shown: RankingShown) -> dict[str, Any]:
    asked: dict[str, Any] = msgspec.json.decode(shown.request) if shown.request else {}
    return asked


def _weights(shown: RankingShown, then: IndexControl) -> dict[str, float]:
    if shown.holdout and then.trial is not None:
        return dict(then.trial.weights)
    segment = then.segments.get(shown.weights_segment)
    return {**then.weights, **(segment.segment.weights if segment is not None else {})}


def _recomputed(shown: RankingShown, then: IndexControl) -> tuple[Curves, AnyArray, ScoreArray, ScoreArray]:
    """What the scores are sums of; (n, n_columns) the values, (n, n_columns) what each contributes, (n,) the scores."""
    by = curves(shown.feature_names, _weights(shown, then))
    features = np.array(shown.features, np.float32).reshape(len(shown.document_ids), len(shown.feature_names))
    columns = by.columns(features)
    scores = ranking.score(columns, by.weights)
    for factors in (shown.rule_factors, shown.behavior_factors):
        if factors:
            scores = apply_factors(scores, np.array(factors, np.float64))
    return by, columns, ranking.contributions(columns, by.weights), scores


def _receipt(found: _Found, then: IndexControl) -> Receipt:
    shown = found.shown
    by, columns, parts, _ = _recomputed(shown, then)
    names = by.names
    words = [at for at, name in enumerate(names) if name.startswith(BM25_PREFIX)]
    vector = names.index(COSINE) if COSINE in names else None
    hits = []
    for at, document_id in enumerate(shown.document_ids):
        hits.append(
            ReceiptHit(
                id=document_id,
                rank=shown.first_rank + at,
                score=shown.scores[at],
                keyword=float(parts[at, words].sum()),
                vector=float(columns[at, vector]) if vector is not None else None,
                features={
                    name: FeatureShare(float(columns[at, j]), float(by.weights[j]), float(parts[at, j]))
                    for j, name in enumerate(names)
                },
                rule_factor=shown.rule_factors[at] if shown.rule_factors else 1.0,
                behavior_factor=shown.behavior_factors[at] if shown.behavior_factors else 1.0,
                pinned=document_id in shown.pinned_ids,
            )
        )
    rules = [then.rules[name] for name in shown.applied_rules if name in then.rules]
    return Receipt(
        query_id=shown.id,
        timestamp=shown.timestamp,
        index=shown.index,
        query=found.query or "",
        sealed=found.query is None,
        request=_asked(shown),
        config_version=shown.config_version,
        weights_version=shown.weights_version,
        weights_segment=shown.weights_segment,
        weights=dict(zip(names, map(float, by.weights), strict=True)),
        rules=[RuleThen(one.id, one.rule, one.seq) for one in rules],
        hits=hits,
        experiment=shown.experiment,
        exploration=shown.exploration,
        degraded=shown.degraded,
        generation=shown.generation,
        log=LogPositions(found.seq, found.event, shown.applied_seq, shown.applied_catalog_seq),
    )


def _scores(shown: RankingShown, then: IndexControl) -> Check:
    if (then.weights_version, then.config_version) != (shown.weights_version, shown.config_version):
        versions = f"weights {then.weights_version} and configuration {then.config_version}"
        named = f"weights {shown.weights_version} and configuration {shown.config_version}"
        return Check("scores", "differs", f"CONTROL {shown.applied_seq} has {versions}; the ranking names {named}")
    *_, scores = _recomputed(shown, then)
    wrong = [i for i, score in enumerate(scores.tolist()) if score != shown.scores[i]]
    if wrong:
        first = wrong[0]
        detail = f"{shown.document_ids[first]} scored {shown.scores[first]!r}, and {float(scores[first])!r} now"
        return Check("scores", "differs", f"{len(wrong)} of {len(scores)}: {detail}")
    return Check("scores", "holds", f"{len(scores)} scores from the logged features and weights, bit for bit")


def _order(shown: RankingShown, request: SearchRequest | None, n_ranked: int) -> Check:
    """Best first, equal ones by id, but for what a rule put in its place. n_ranked: hits that are ordered by score;
    those beyond go on as their words were found."""
    if request is None:
        return Check("order", "not repeated", "the query is sealed: it may have asked for an order of its own")
    if request.sort or not (request.query or shown.rule_factors):
        return Check("order", "not repeated", "the order was not that of the scores")
    if shown.interleaving is not None and shown.first_rank == 1:
        expected = team_draft(shown.interleaving.in_force, shown.interleaving.challenger, shown.interleaving.coins)
        if list(shown.document_ids[: len(expected)]) != expected[: len(shown.document_ids)]:
            return Check("order", "differs", "it is not what the two versions and the coins come to")
        return Check("order", "holds", f"two versions in one: {len(expected)} hits, as the coins fell")
    if shown.interleaving is not None:
        return Check("order", "not repeated", "a later page of two versions in one")
    if shown.exploration:
        return Check("order", "not repeated", "neighbours may have changed places, to learn from it")
    ranked = [
        (-score, name)
        for score, name in zip(shown.scores, shown.document_ids, strict=True)
        if name not in shown.pinned_ids
    ][: max(n_ranked - shown.first_rank + 1, 0)]
    for before, after in pairwise(ranked):
        if before > after:
            return Check("order", "differs", f"{after[1]} belongs before {before[1]}")
    return Check("order", "holds", f"{len(ranked)} hits by their scores, {len(shown.pinned_ids)} pinned")


def _rules(shown: RankingShown, then: IndexControl, again: SearchOutcome | None) -> Check:
    missing = [name for name in shown.applied_rules if name not in then.rules]
    if missing:
        return Check("rules", "differs", f"CONTROL {shown.applied_seq} has no rule {', '.join(missing)}")
    if again is None:
        return Check(
            "rules", "not repeated", f"{len(shown.applied_rules)} rules, each as CONTROL had it; see retrieval"
        )
    if again.shown.applied_rules != shown.applied_rules:
        detail = f"now {list(again.shown.applied_rules)}, then {list(shown.applied_rules)}"
        return Check("rules", "differs", detail)
    return Check("rules", "holds", f"the same {len(shown.applied_rules)} rules fired")


def _retrieval(shown: RankingShown, again: SearchOutcome) -> Check:
    now = again.shown
    if now.document_ids != shown.document_ids:
        return Check("retrieval", "differs", _apart(shown.document_ids, now.document_ids))
    if now.features != shown.features or now.scores != shown.scores or now.rule_factors != shown.rule_factors:
        return Check("retrieval", "differs", "the same documents in the same order, with other features or scores")
    return Check("retrieval", "holds", f"searched again: the same {len(now.document_ids)} documents, bit for bit")


def _apart(then: Sequence[str], now: Sequence[str]) -> str:
    ranks: Mapping[str, int] = {name: rank for rank, name in enumerate(now, start=1)}
    for rank, name in enumerate(then, start=1):
        if ranks.get(name) != rank:
            where = f"now at {ranks[name]}" if name in ranks else "not there now"
            return f"{name} was at {rank} of the page, {where}"
    return f"{len(now)} hits now, {len(then)} then"
