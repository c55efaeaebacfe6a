"""A learner as shoppers meet it in a service: behind gate and guard, with CONTROL folded in memory.

The service also measures a proposed step on whole searches; that is left out here, where there are none.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from events.control import ControlState, fold
from events.edits import Edit, SetLearning
from events.index_control import IndexControl
from events.learning import Learning
from events.settings import IndexSettings, SearchableField
from events.types import ChangePublished, IndexConfigured, InteractionRecorded, InterleavedRanking, RankingShown
from tuning.arrays import BoolArray, IntArray, ScoreArray
from tuning.clicks.pages import SETTLE
from tuning.curves import curves, piece_names, pieces
from tuning.gate.guard import display_shares
from tuning.gate.interleaving import DEPTH, N_COINS, team_draft
from tuning.gate.pipeline import Step
from tuning.online.decision import edits_of, frozen_learning
from tuning.online.learner import IndexLearner

INDEX: Final = "bench"
# One search a second: it sets how many pages are open when something is decided.
PACE: Final = timedelta(seconds=1)


class GuardedLearner:
    """The service's learner of one index, whose weights have to pass gate and guard before they are shown alone.

    names: of the features
    weights: (n_features,) of production

    steps: decisions so far, in order
    versions: (n_pieces,) weights of each published version
    """

    def __init__(self, names: Sequence[str], weights: ScoreArray) -> None:
        self._names = tuple(names)
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        default_weights = dict(zip(self._names, weights.tolist(), strict=True))
        settings = IndexSettings((SearchableField("title"),), "title")
        configured = IndexConfigured(
            id="configured", timestamp=self._now, index=INDEX, settings=settings, default_weights=default_weights
        )
        self._control = fold(ControlState(), configured, 1)
        self._publish([SetLearning(Learning(mode="automatic"))])
        self.learner = IndexLearner(self._index, SETTLE)
        self.steps: list[Step] = []
        self.versions: list[ScoreArray] = []
        # What was shown last: the query, and how.
        self._query = 0
        self._interleaved: InterleavedRanking | None = None
        self._is_holdout = False

    def scores(self, features: ScoreArray) -> ScoreArray:
        """Return (n,) scores by the weights in force."""
        scores: ScoreArray = pieces(features) @ self._piece_weights()
        return scores

    def rank(self, features: ScoreArray, rng: np.random.Generator, query: int) -> IntArray:
        """Rank the candidates of a query; return their positions in the order they are shown.

        features: (n, n_features) of the candidates
        query: number of the query
        """
        self._query, self._interleaved, self._is_holdout = query, None, False
        in_force, trial = self._order(features, self._index.weights), self._index.trial
        share = rng.random()
        if trial is None or share < trial.solo_share:
            return np.array(in_force, np.int64)
        challenger = self._order(features, trial.weights)
        self._is_holdout = trial.stage == "ramp" and share >= 1.0 - display_shares(trial.solo_share)[1]
        if self._is_holdout:
            return np.array(challenger, np.int64)
        coins = tuple(bool(coin) for coin in rng.random(N_COINS) < 0.5)
        self._interleaved = InterleavedRanking(self._ids(in_force), self._ids(challenger), coins)
        return np.array(team_draft(in_force, challenger, coins), np.int64)

    def learn(self, features: ScoreArray, order: IntArray, clicked: BoolArray, user: str) -> None:
        """Learn from the ranking that was shown last, and publish what the learner decides.

        order: (n,) positions as `rank` returned them
        clicked: (n,) whether each was clicked
        """
        self._now += PACE
        ranking = self._ranking(features, order, user)
        self.learner.observe_ranking(ranking)
        for position in np.flatnonzero(clicked).tolist():
            click = InteractionRecorded(
                id=f"{ranking.id}-{position}",
                kind="click",
                index=INDEX,
                document_id=ranking.document_ids[position],
                query_id=ranking.id,
                user=user,
                timestamp=self._now,
                received_at=self._now,
            )
            self.learner.observe_interaction(ranking, click)
        for decision in self.learner.decide(self._now):
            self.steps.append(decision.step)
            self._publish(edits_of(self._index, decision))
            if decision.step.kind in ("rolled_back", "frozen"):
                frozen = frozen_learning(self._index.learning, why=decision.step.why, now=self._now)
                self._publish([SetLearning(frozen)])
            self.learner.follow(self._index)
            if decision.step.kind == "published":
                self.versions.append(self._piece_weights())

    def _ranking(self, features: ScoreArray, order: IntArray, user: str) -> RankingShown:
        index, name = self._index, uuid.uuid5(uuid.NAMESPACE_OID, self._now.isoformat()).hex
        by_curve = curves(self._names, index.trial.weights if index.trial and self._is_holdout else index.weights)
        ids = self._ids(order.tolist())
        return RankingShown(
            id=name,
            timestamp=self._now,
            index=INDEX,
            query="",
            query_key=str(self._query),
            user=user,
            document_ids=ids,
            feature_names=self._names,
            features=tuple(map(tuple, features[order].tolist())),
            scores=tuple((by_curve.columns(features[order]) @ by_curve.weights).tolist()),
            weights_version=index.weights_version,
            config_version=index.config_version,
            applied_seq=self._control.seq,
            trial=index.trial.id if index.trial is not None else "",
            interleaving=self._interleaved,
            holdout=self._is_holdout,
        )

    @property
    def _index(self) -> IndexControl:
        return self._control.index(INDEX)

    def _publish(self, edits: Sequence[Edit]) -> None:
        seq = self._control.seq + 1
        event = ChangePublished(id=str(seq), timestamp=self._now, index=INDEX, edits=tuple(edits))
        self._control = fold(self._control, event, seq)

    def _piece_weights(self) -> ScoreArray:
        weights = self._index.weights
        return np.array([weights.get(name, 0.0) for name in piece_names(self._names)])

    def _order(self, features: ScoreArray, weights: Mapping[str, float]) -> list[int]:
        by_curve = curves(self._names, weights)
        scores = by_curve.columns(features) @ by_curve.weights
        order: list[int] = np.argsort(-scores, kind="stable")[:DEPTH].tolist()
        return order

    def _ids(self, order: Sequence[int]) -> tuple[str, ...]:
        return tuple(f"{self._query}-{position}" for position in order)
