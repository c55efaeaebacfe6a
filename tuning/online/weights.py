"""Learns the weights of an index from closed pages, and proposes candidates. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice, pairwise
from typing import Final

import msgspec
import numpy as np

from events.hinges import is_hinge
from events.index_control import IndexControl
from events.types import RankingShown
from tuning.arrays import BoolArray, ScoreArray
from tuning.clicks.fairpairs import PairVote, pair_votes, votes_on_flips
from tuning.curves import piece_names, pieces
from tuning.gate.steps import MIN_MOVED, StepLimits, exposure_moved, largest_step, rounded_weight
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.exploration import Exploration, order_uncertainty
from tuning.learners.learner import Impression
from tuning.learners.provenance import Provenance
from tuning.online.parts import under_prefix, with_prefix

# Rankings that a step is measured on, and votes on randomly ordered pairs.
N_RECENT: Final = 200
N_PAIR_VOTES: Final = 2000
# How often the uncertainty is computed, and on how many of the last pages.
UNCERTAINTY_EVERY: Final = 250
N_UNCERTAINTY_PAGES: Final = 50
# Weights whose provenance is reported.
N_EXPLAINED: Final = 12


class Proposal(msgspec.Struct, frozen=True):
    """Candidate weights by name, why, and by weight the searches that moved it most."""

    weights: Mapping[str, float]
    why: str
    moved_by: Mapping[str, tuple[str, ...]]


class WeightLearner:
    """Learns from pages that the features of one index ordered.

    names: (n_features,) names of the features.
    model: the learner.
    n_pages: number of pages learnt from.
    """

    def __init__(self, index: IndexControl) -> None:
        self.n_pages = 0
        self.exploration = Exploration()
        self.recent: deque[ScoreArray] = deque(maxlen=N_RECENT)
        self.pair_votes: deque[PairVote] = deque(maxlen=N_PAIR_VOTES)
        self.start(index)

    def start(self, index: IndexControl) -> None:
        """Start from the weights in force, for other features than before."""
        self.names = feature_names_of(index)
        self._pieces = piece_names(self.names)
        self.model = BrowsingLearner(np.array([index.weights[name] for name in self.names], np.float64))
        self.recent.clear()
        self.pair_votes.clear()
        self.provenance = Provenance(self._pieces)

    def accepts(self, ranking: RankingShown) -> bool:
        """Return whether the learner's features alone ordered a ranking: no rule moved any document."""
        if (
            ranking.feature_names != self.names
            or ranking.pinned_ids
            or any(factor != 1.0 for factor in ranking.rule_factors)
        ):
            return False
        if ranking.interleaving is not None or ranking.exploration is not None:
            return True
        return all(upper >= lower for upper, lower in pairwise(ranking.scores))

    def observe(self, ranking: RankingShown, clicked: BoolArray, index: IndexControl) -> None:
        """Learn from a page. clicked: (n,), as shown."""
        features = np.array(ranking.features, np.float64)
        before = self.model.towards
        self.model.learn(Impression(features, clicked, ranking.user))
        self.provenance.observe(ranking.id, self.model.towards - before)
        self.recent.append(features)
        if ranking.exploration is not None:
            votes = list(pair_votes(ranking.exploration, features, clicked))
            self.pair_votes.extend(votes)
            self.exploration.observe(len(votes))
        self.n_pages += 1
        if self.n_pages % UNCERTAINTY_EVERY == 0:
            last = [pieces(page) for page in islice(reversed(self.recent), N_UNCERTAINTY_PAGES)]
            self.exploration.uncertainty = order_uncertainty(self.model, last, self._in_force(index))

    def propose(self, index: IndexControl, last: RankingShown) -> Proposal | None:
        """Return a candidate on the way to the learnt weights; None if none is worth a comparison.

        last: the last ranking learnt from.
        """
        in_force = self._in_force(index)
        limits = StepLimits(index.bounds, index.locks, index.policy.max_step)
        step = largest_step(self._pieces, in_force, self.model.weights, self.recent, limits)
        if step is None:
            return None
        trial = index.trial
        if trial is not None and trial.stage == "gate":
            candidate = np.array([trial.weights.get(name, 0.0) for name in self._pieces])
            if exposure_moved(self.recent, candidate, step.weights) < MIN_MOVED:
                return None
        flips = votes_on_flips(self.pair_votes, in_force, step.weights)
        if flips is not None and flips.high < 0.5:
            # Clicks say already that it is worse: it is not shown to anyone.
            return None
        changes = zip(self._pieces, in_force.tolist(), step.weights.tolist(), strict=True)
        rounded = {name: rounded_weight(before, after) for name, before, after in changes}
        why = (
            f"learnt from {self.n_pages:,} pages up to {last.timestamp:%Y-%m-%d %H:%M:%S}: {step.share:.0%} of the way "
            f"to the learnt weights, which moves {step.exposure_moved:.0%} of exposure{flips or ''}"
        )
        return Proposal(
            weights={name: weight for name, weight in rounded.items() if weight or not is_hinge(name)},
            why=why,
            moved_by=self._searches(step.weights - in_force),
        )

    def moved_by(self, index: IndexControl) -> dict[str, tuple[str, ...]]:
        """Return the searches that moved weights most, for the weights that are furthest from the learnt ones.

        Only searches since the last publication count.
        """
        in_force = self._in_force(index)
        length = float(np.linalg.norm(in_force)) or 1.0
        return self._searches(self.model.towards - in_force / length)

    def parts(self) -> dict[str, bytes]:
        """Return the state that `restore` takes."""
        parts = {
            "names": msgspec.msgpack.encode(self.names),
            "n_pages": msgspec.msgpack.encode(self.n_pages),
            "exploration": msgspec.msgpack.encode(self.exploration),
            "recent": msgspec.msgpack.encode([features.tolist() for features in self.recent]),
            "pair_votes": msgspec.msgpack.encode(list(self.pair_votes)),
            "provenance": msgspec.msgpack.encode(self.provenance.parts()),
        }
        return parts | with_prefix("model.", self.model.parts().items())

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Continue from `parts`; if the index has other features by now, only the counts are taken.

        Raises KeyError, ValueError or msgspec.DecodeError if they are malformed.
        """
        self.n_pages = msgspec.msgpack.decode(parts["n_pages"], type=int)
        self.exploration = msgspec.msgpack.decode(parts["exploration"], type=Exploration)
        # It may not have been published before the stop.
        self.exploration.published_share = -1.0
        if msgspec.msgpack.decode(parts["names"], type=tuple[str, ...]) != self.names:
            return
        self.model.restore(under_prefix("model.", parts))
        recent = msgspec.msgpack.decode(parts["recent"], type=list[list[list[float]]])
        self.recent.extend(np.array(features, np.float64) for features in recent)
        self.pair_votes.extend(msgspec.msgpack.decode(parts["pair_votes"], type=list[PairVote]))
        pulls = list[list[list[tuple[float, str]]]]
        self.provenance.restore(msgspec.msgpack.decode(parts["provenance"], type=pulls))

    def _in_force(self, index: IndexControl) -> ScoreArray:
        """Return (n_pieces,) the weights in force."""
        return np.array([index.weights.get(name, 0.0) for name in self._pieces])

    def _searches(self, changes: ScoreArray) -> dict[str, tuple[str, ...]]:
        furthest = np.argsort(-np.abs(changes), kind="stable")[:N_EXPLAINED].tolist()
        return self.provenance.searches({self._pieces[column]: float(changes[column]) for column in furthest})


def feature_names_of(index: IndexControl) -> tuple[str, ...]:
    return tuple(name for name in index.weights if not is_hinge(name))
