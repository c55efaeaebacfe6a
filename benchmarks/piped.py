"""A learner as shoppers meet it in a service: behind the publish pipeline and the guard, with CONTROL folded in memory.

What the service has beside it is left out: a step is not measured on whole searches, for there are none here.
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
from tuning.online.learner import IndexLearner, edits_of, frozen

INDEX: Final = "bench"
# One search a second: so many pages are open when something is decided as are shown until one is closed.
PACE: Final = timedelta(seconds=1)


class Piped:
    """weights: (n_features,) of production. steps: as they were decided. versions: weights of the pieces that were
    published."""

    def __init__(self, names: Sequence[str], weights: ScoreArray) -> None:
        self._names = tuple(names)
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        given = dict(zip(self._names, weights.tolist(), strict=True))
        settings = IndexSettings((SearchableField("title"),), "title")
        configured = IndexConfigured(
            id="configured", timestamp=self._now, index=INDEX, settings=settings, default_weights=given
        )
        self._control = fold(ControlState(), configured, 1)
        self._publish([SetLearning(Learning(mode="automatic"))])
        self.learner = IndexLearner(self._index, SETTLE)
        self.steps: list[Step] = []
        self.versions: list[ScoreArray] = []
        self._compared: InterleavedRanking | None = None
        self._held_back = False
        self._query = 0

    def scores(self, features: ScoreArray) -> ScoreArray:
        found: ScoreArray = pieces(features) @ self._in_pieces()
        return found

    def show(self, features: ScoreArray, rng: np.random.Generator, query: int) -> IntArray:
        """(n,) positions as they are shown. query: which one it is."""
        self._query, self._compared, self._held_back = query, None, False
        now, trial = self._order(features, self._index.weights), self._index.trial
        drawn = rng.random()
        if trial is None or drawn < trial.solo_share:
            return np.array(now, np.int64)
        other = self._order(features, trial.weights)
        self._held_back = trial.stage == "ramp" and drawn >= 1.0 - display_shares(trial.solo_share)[1]
        if self._held_back:
            return np.array(other, np.int64)
        coins = tuple(bool(coin) for coin in rng.random(N_COINS) < 0.5)
        self._compared = InterleavedRanking(self._ids(now), self._ids(other), coins)
        return np.array(team_draft(now, other, coins), np.int64)

    def take(self, features: ScoreArray, order: IntArray, clicked: BoolArray, user: str) -> None:
        """What came of what was shown last."""
        self._now += PACE
        index, name = self._index, uuid.uuid5(uuid.NAMESPACE_OID, self._now.isoformat()).hex
        by = curves(self._names, index.trial.weights if index.trial and self._held_back else index.weights)
        ids = self._ids(order.tolist())
        ranking = RankingShown(
            id=name,
            timestamp=self._now,
            index=INDEX,
            query="",
            query_key=str(self._query),
            user=user,
            document_ids=ids,
            feature_names=self._names,
            features=tuple(map(tuple, features[order].tolist())),
            scores=tuple((by.columns(features[order]) @ by.weights).tolist()),
            weights_version=index.weights_version,
            config_version=index.config_version,
            applied_seq=self._control.seq,
            trial=index.trial.id if index.trial is not None else "",
            interleaving=self._compared,
            holdout=self._held_back,
        )
        self.learner.show(ranking)
        for at in np.flatnonzero(clicked).tolist():
            click = InteractionRecorded(
                id=f"{name}-{at}",
                kind="click",
                index=INDEX,
                document_id=ids[at],
                query_id=name,
                user=user,
                timestamp=self._now,
                received_at=self._now,
            )
            self.learner.act(ranking, click)
        for decision in self.learner.decide(self._now):
            self.steps.append(decision.step)
            self._publish(edits_of(self._index, decision))
            if decision.step.kind in ("rolled_back", "frozen"):
                self._publish([SetLearning(frozen(self._index.learning, why=decision.step.why, now=self._now))])
            self.learner.follow(self._index)
            if decision.step.kind == "published":
                self.versions.append(self._in_pieces())

    @property
    def _index(self) -> IndexControl:
        return self._control.index(INDEX)

    def _publish(self, edits: Sequence[Edit]) -> None:
        seq = self._control.seq + 1
        event = ChangePublished(id=str(seq), timestamp=self._now, index=INDEX, edits=tuple(edits))
        self._control = fold(self._control, event, seq)

    def _in_pieces(self) -> ScoreArray:
        weights = self._index.weights
        return np.array([weights.get(name, 0.0) for name in piece_names(self._names)])

    def _order(self, features: ScoreArray, weights: Mapping[str, float]) -> list[int]:
        by = curves(self._names, weights)
        order: list[int] = np.argsort(-(by.columns(features) @ by.weights), kind="stable")[:DEPTH].tolist()
        return order

    def _ids(self, order: Sequence[int]) -> tuple[str, ...]:
        return tuple(f"{self._query}-{at}" for at in order)
