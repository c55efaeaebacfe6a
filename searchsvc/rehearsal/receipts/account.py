"""The account of a logged answer: its scores from its logged features, and the weights and rules then. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from events.index_control import IndexControl
from events.rules import Rule
from events.types import PairSwap, RankingShown
from searchsvc.rehearsal.receipts.located_ranking import LocatedRanking
from searchsvc.rules.directives import apply_factors
from searchsvc.search import ranking
from searchsvc.search.answer import FeatureShare
from tuning.arrays import AnyArray, ScoreArray
from tuning.curves import curves
from tuning.features import BM25_PREFIX, COSINE


class RuleThen(msgspec.Struct, frozen=True):
    """A rule as it was when it fired.

    seq: CONTROL sequence of the change that wrote it
    """

    id: str
    rule: Rule
    seq: int


class ReceiptHit(msgspec.Struct, frozen=True):
    """One hit. Its score is the sum of the contributions of its features, times both factors.

    keyword: the contributions of all BM25 features
    vector: the trusted cosine; None if the index has no vectors
    features: value, weight and contribution of each feature
    rule_factor: what rules multiplied the score by
    behavior_factor: what shoppers' behavior multiplied the score by
    pinned: whether a rule gave it its rank
    """

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
    """Where the log has everything that the answer was made from.

    behavior_seq: message of BEHAVIOR that holds the ranking
    behavior_event: 0-based, the event of that message
    control_seq: last change that was in force
    catalog_seq: last document message in the index
    """

    behavior_seq: int
    behavior_event: int
    control_seq: int
    catalog_seq: int


class Receipt(msgspec.Struct, frozen=True):
    """The account of one answer.

    query: '' if it is sealed
    sealed: whether the query belongs to a user whose key is gone or not on this machine
    request: the other members of the search that were not at their defaults
    rules: the rules that fired, as they were then
    exploration: which neighbours could have been swapped, and were; None if none could
    log: where the log has it all
    """

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


class Recomputed(msgspec.Struct, frozen=True):
    """Scores computed again from logged features.

    names: (n_columns,) the features, hinges included
    weights: (n_columns,)
    values: (n_hits, n_columns)
    contributions: (n_hits, n_columns), value times weight
    scores: (n_hits,)
    """

    names: tuple[str, ...]
    weights: AnyArray
    values: AnyArray
    contributions: ScoreArray
    scores: ScoreArray


def recompute(shown: RankingShown, past_index: IndexControl) -> Recomputed:
    """Compute the scores of a ranking from its logged features and the weights that ranked it."""
    columns = curves(shown.feature_names, weights_then(shown, past_index))
    features = np.array(shown.features, np.float32).reshape(len(shown.document_ids), len(shown.feature_names))
    values = columns.columns(features)
    scores = ranking.score(values, columns.weights)
    for factors in (shown.rule_factors, shown.behavior_factors):
        if factors:
            scores = apply_factors(scores, np.array(factors, np.float64))
    contributions = ranking.contributions(values, columns.weights)
    return Recomputed(tuple(columns.names), columns.weights, values, contributions, scores)


def weights_then(shown: RankingShown, past_index: IndexControl) -> dict[str, float]:
    """Return the weights that ranked: those of a trial on the ramp, or of the index with its segment's."""
    if shown.holdout and past_index.trial is not None:
        return dict(past_index.trial.weights)
    segment = past_index.segments.get(shown.weights_segment)
    return {**past_index.weights, **(segment.segment.weights if segment is not None else {})}


def account(located: LocatedRanking, past_index: IndexControl) -> Receipt:
    """Return the receipt of a ranking.

    past_index: the index at the CONTROL sequence that the ranking names
    """
    shown = located.shown
    recomputed = recompute(shown, past_index)
    fired = [past_index.rules[rule_id] for rule_id in shown.applied_rules if rule_id in past_index.rules]
    return Receipt(
        query_id=shown.id,
        timestamp=shown.timestamp,
        index=shown.index,
        query=located.query or "",
        sealed=located.query is None,
        request=msgspec.json.decode(shown.request) if shown.request else {},
        config_version=shown.config_version,
        weights_version=shown.weights_version,
        weights_segment=shown.weights_segment,
        weights=dict(zip(recomputed.names, map(float, recomputed.weights), strict=True)),
        rules=[RuleThen(stored.id, stored.rule, stored.seq) for stored in fired],
        hits=[_hit(shown, recomputed, row) for row in range(len(shown.document_ids))],
        experiment=shown.experiment,
        exploration=shown.exploration,
        degraded=shown.degraded,
        generation=shown.generation,
        log=LogPositions(located.seq, located.position, shown.applied_seq, shown.applied_catalog_seq),
    )


def _hit(shown: RankingShown, recomputed: Recomputed, row: int) -> ReceiptHit:
    names, contributions = recomputed.names, recomputed.contributions
    keyword_columns = [column for column, name in enumerate(names) if name.startswith(BM25_PREFIX)]
    document_id = shown.document_ids[row]
    return ReceiptHit(
        id=document_id,
        rank=shown.first_rank + row,
        score=shown.scores[row],
        keyword=float(contributions[row, keyword_columns].sum()),
        vector=float(recomputed.values[row, names.index(COSINE)]) if COSINE in names else None,
        features={
            name: FeatureShare(
                float(recomputed.values[row, column]),
                float(recomputed.weights[column]),
                float(contributions[row, column]),
            )
            for column, name in enumerate(names)
        },
        rule_factor=shown.rule_factors[row] if shown.rule_factors else 1.0,
        behavior_factor=shown.behavior_factors[row] if shown.behavior_factors else 1.0,
        pinned=document_id in shown.pinned_ids,
    )
