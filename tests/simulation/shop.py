"""A shop with planted tastes, as the learner of an index sees it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import numpy as np

from events.index_control import IndexControl
from events.learning import Learning, Trial
from events.types import InteractionRecorded, InterleavedRanking, RankingShown
from tests.factories import NOW, SETTINGS
from tuning.clicks.pages import LOG_DELAY, SETTLE
from tuning.curves import curves
from tuning.gate.interleaving import N_COINS, team_draft
from tuning.online.decision import Decision
from tuning.online.learner import IndexLearner

NAMES = ("bm25.title", "bm25.text", "cosine")
WEIGHTS = {"bm25.title": 2.0, "bm25.text": 1.0, "cosine": 0.2}
# Shoppers prefer documents by the third feature, which has a low weight in the index.
LIKED = np.array([0.2, 0.2, 2.0])


def index(**changed: object) -> IndexControl:
    control = IndexControl("shop", SETTINGS, WEIGHTS, 1, 1, 1, 1, (), learning=Learning(mode="automatic"))
    return msgspec.structs.replace(control, **changed)


class Shop:
    """Shows rankings by CONTROL's weights, with simulated clicks. Every page is closed before the next is shown."""

    def __init__(self, control: IndexControl, seed: int = 0) -> None:
        self.control = control
        self.rng = np.random.default_rng(seed)
        self.now = NOW
        self.n = 0

    def page(self) -> tuple[RankingShown, list[InteractionRecorded]]:
        self.n += 1
        self.now += timedelta(seconds=60)
        features = self.rng.random((14, 3))
        names = [f"d{self.n}-{i}" for i in range(14)]
        scores = curves(NAMES, self.control.weights)
        values = scores.columns(features) @ scores.weights
        order = np.argsort(-values, kind="stable")[:10].tolist()
        trial, interleaved = self.control.trial, None
        if trial is not None and self.rng.random() >= trial.solo_share:
            candidate = curves(NAMES, trial.weights)
            challenger = np.argsort(-(candidate.columns(features) @ candidate.weights), kind="stable")[:10].tolist()
            coins = tuple(bool(coin) for coin in self.rng.random(N_COINS) < 0.5)
            first, second = (tuple(names[i] for i in positions) for positions in (order, challenger))
            interleaved = InterleavedRanking(first, second, coins)
            order = team_draft(order, challenger, coins)
        ranking = RankingShown(
            id=f"q{self.n:012d}",
            timestamp=self.now,
            index="shop",
            query="",
            user=f"u{self.n % 500}",
            document_ids=tuple(names[i] for i in order),
            feature_names=NAMES,
            features=tuple(tuple(features[i].tolist()) for i in order),
            scores=tuple(values[i] for i in order),
            weights_version=1,
            config_version=self.control.config_version,
            applied_seq=1,
            trial=trial.id if trial is not None else "",
            interleaving=interleaved,
        )
        liked = features[order] @ LIKED > 1.7
        chance = np.where(liked, 0.6, 0.05) / (np.arange(10) + 1.0) ** 0.5
        clicked = np.flatnonzero(self.rng.random(10) < chance).tolist()
        return ranking, [click(ranking, ranking.document_ids[position], self.now) for position in clicked]


def click(ranking: RankingShown, document_id: str, timestamp: datetime, kind: str = "click") -> InteractionRecorded:
    return InteractionRecorded(
        id=f"{ranking.id}-{document_id}-{kind}",
        kind=kind,  # type: ignore[arg-type]
        index="shop",
        document_id=document_id,
        query_id=ranking.id,
        user=ranking.user,
        timestamp=timestamp,
        received_at=timestamp + timedelta(seconds=1),
    )


def teach(learner: IndexLearner, shop: Shop, n: int) -> Iterator[Decision]:
    for _ in range(n):
        ranking, clicks = shop.page()
        learner.observe_ranking(ranking)
        for interaction in clicks:
            learner.observe_interaction(ranking, interaction)
        yield from learner.decide(shop.now + SETTLE + LOG_DELAY)


def apply_decision(learner: IndexLearner, shop: Shop, decision: Decision) -> None:
    """Return CONTROL after a decision."""
    control, kind = shop.control, decision.step.kind
    trial = control.trial
    if kind == "proposed":
        control = index(trial=Trial(decision.trial, "gate", dict(decision.weights), 0.0), weights=control.weights)
    elif kind == "published" and trial is not None:
        before = dict(control.weights)
        control = index(weights=trial.weights, trial=Trial(trial.id, "ramp", before, decision.step.solo_share))
    shop.control = control
    learner.follow(control)
