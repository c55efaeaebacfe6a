"""The default learner: a Bayesian model of how shoppers examine, click and leave a page.

Shoppers examine a page from the top down. The probability that they click an examined document is logistic in its
features, in its rank, and in an effect of the search, which differs from one search to the next. After a click they
leave for good with a probability that is learnt too. After the last click it is unknown whether they left, so the
documents below count by their examination probability. The model thus estimates a cascade and a position bias from the
clicks themselves; neither has to be assumed.

Several *members*, from cautious to bold, are models with different priors: how strongly production's weights tell what
is clicked, and whether searches differ. Each is weighted by its evidence: how well it predicted every impression before
it learnt from it. The learnt weights are their mean, averaged over the last impressions.

The learnt weights are shrunk towards production's: little if they are far from production relative to their
uncertainty, much if they hardly differ, because a small difference is likely noise.

A page that fair coins predict better than the model does is not learnt from: that finds bots.

The score stays a readable sum: each feature has a curve of straight pieces (`tuning.curves`).

Sources: Chapelle & Zhang, A Dynamic Bayesian Network Click Model for Web Search Ranking, WWW 2009; assumed density
filtering of a logistic model: Spiegelhalter & Lauritzen 1990, MacKay 1992; shrinkage: James & Stein 1961. See
docs/decisions/browsing-model.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from tuning.arrays import ScoreArray
from tuning.clicks.limits import VoteLimiter
from tuning.curves import KNOTS, pieces
from tuning.learners.browsing_update import update_members
from tuning.learners.learner import Impression

MAX_RANKS: Final = 10
# Of each member: the scale of its weights (logits that a weight of length 4 stands for), and the variance between
# searches.
MEMBERS: Final = tuple((scale, variance) for scale in (0.03, 0.1, 0.3, 0.6) for variance in (0.0, 1.0))
# The prior probability of a member is proportional to scale ** -CAUTION. Otherwise a bold member that was lucky in the
# first hundred impressions would show shoppers bad pages for the next.
CAUTION: Final = 5.0
# Prior variances, relative to the squared scale: of the features' weights across production's direction and along it,
# and of the hinges' weights.
ACROSS_VARIANCE: Final = 0.7
ALONG_VARIANCE: Final = 10.0
HINGE_VARIANCE: Final = 0.7
RANK_VARIANCE: Final = 0.3
# Wide, so that pages without clicks are not evidence against production's weights.
INTERCEPT_VARIANCE: Final = 25.0
# Beta prior of leaving after a click: (shoppers who left, clicks).
LEAVE_PRIOR: Final = (3.0, 10.0)
# The mean over the last impressions: its rate falls to this, about the last hundred.
MIN_RATE: Final = 0.01
# Prior probability that a page is from a user who clicks at random.
RANDOM_SHARE: Final = 0.1
# The weight of what was learnt is distance / (distance + UNCERTAINTY_COST * variance + MIN_DISTANCE), where distance
# is the squared distance of its scores from production's, both of variance 1, and variance that of what was learnt.
UNCERTAINTY_COST: Final = 0.5
MIN_DISTANCE: Final = 0.05
# The covariance of the features comes from the last thousand pages or so.
SPREAD_RATE: Final = 0.001

_POSTERIOR: Final = ("_covariances", "_means", "_leaving", "_evidence")
_STORED: Final = ("_means", "_covariances", "_leaving", "_evidence", "_averaged", "_spread", "_production")


class BrowsingLearner:
    """Learns from impressions, one by one.

    weights: (n_features,) production weights. The learnt `weights` are of the pieces (`tuning.curves`).
    towards: (n_pieces,) weights that the mean moves towards; each impression's effect on these is its own.
    """

    def __init__(self, weights: ScoreArray) -> None:
        n_features = len(weights)
        n_pieces, n_members = n_features * (1 + len(KNOTS)), len(MEMBERS)
        self._n_pieces = n_pieces
        # After the pieces: an intercept, one effect for each rank but the first, one for the present search.
        width = n_pieces + 1 + (MAX_RANKS - 1) + 1
        norm = float(np.linalg.norm(weights)) or 1.0
        # Production's weights give the direction; their length says nothing.
        start = 4.0 * weights / norm
        direction = weights / norm
        self._means = np.zeros((n_members, width))
        self._covariances = np.zeros((n_members, width, width))
        for m, (scale, _) in enumerate(MEMBERS):
            covariance = self._covariances[m]
            across, along = ACROSS_VARIANCE * np.eye(n_features), np.outer(direction, direction)
            covariance[:n_features, :n_features] = scale**2 * (across + (ALONG_VARIANCE - ACROSS_VARIANCE) * along)
            variances = [HINGE_VARIANCE * scale**2] * (n_pieces - n_features)
            variances += [INTERCEPT_VARIANCE] + [RANK_VARIANCE] * (MAX_RANKS - 1)
            covariance[range(n_features, width - 1), range(n_features, width - 1)] = variances
            self._means[m, :n_features] = scale * start
            self._means[m, n_pieces] = -1.0 - 0.3 * scale * start.sum()
            self._means[m, n_pieces + 1 : width - 1] = -0.5 * np.log(np.arange(2, MAX_RANKS + 1))
        self._between = np.array([variance for _, variance in MEMBERS])
        self._leaving = np.tile(np.array(LEAVE_PRIOR), (n_members, 1))
        scales = np.array([scale for scale, _ in MEMBERS])
        self._evidence = -CAUTION * np.log(scales / scales.min())
        # Covariance of the pieces around their mean on a page; 0 past the pieces.
        self._spread = np.zeros((width, width))
        self._production = np.zeros(n_pieces)
        self._production[:n_features] = direction
        self._averaged = self._directions()
        self._n = 0
        self._limiter = VoteLimiter()
        self.weights, self.towards = self._mixed(self._averaged, self._averaged)

    def scores(self, features: ScoreArray) -> ScoreArray:
        scores: ScoreArray = pieces(features) @ self.weights
        return scores

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        return self.scores(features)

    def learn(self, impression: Impression) -> None:
        n = min(len(impression.clicked), MAX_RANKS)
        clicked = np.ascontiguousarray(impression.clicked[:n])
        if not n or not self._limiter.accepts(impression.user, clicked):
            return
        last_click = int(np.flatnonzero(clicked)[-1]) + 1 if clicked.any() else 0
        shown = pieces(impression.features[:n])
        before = [getattr(self, name).copy() for name in _POSTERIOR]
        shares = self._shares()
        covariances, means, evidence = self._covariances, self._means, self._evidence
        update_members(covariances, means, shown, clicked, last_click, self._between, self._leaving, evidence)
        log_likelihood = float(np.log(shares @ np.exp(np.maximum(self._evidence - before[-1], -700.0))))
        # The threshold is that of a whole page for a short one too: on a short page, a click is soon improbable where
        # few documents are clicked.
        if log_likelihood < MAX_RANKS * np.log(0.5) + np.log(RANDOM_SHARE):
            for name, values in zip(_POSTERIOR, before, strict=True):
                setattr(self, name, values)
            return
        self._n += 1
        centred = shown - shown.mean(axis=0)
        spread = self._spread[: self._n_pieces, : self._n_pieces]
        spread += max(1.0 / self._n, SPREAD_RATE) * (centred.T @ centred / len(centred) - spread)
        directions = self._directions()
        self._averaged += max(3.0 / (self._n + 20.0), MIN_RATE) * (directions - self._averaged)
        self.weights, self.towards = self._mixed(self._averaged, directions)

    def better_probabilities(self, differences: ScoreArray) -> ScoreArray:
        """Return (n,) the probabilities that one document is better than another.

        differences: (n, n_pieces) the pieces of the one less those of the other.
        """
        means = self._means[:, : self._n_pieces]
        covariances = self._covariances[:, : self._n_pieces, : self._n_pieces]
        variances = np.einsum("nj,mjk,nk->mn", differences, covariances, differences, optimize=True)
        deviations = np.sqrt(np.maximum(variances, 1e-12))
        # The logistic curve of 1.702 x is within 0.01 of the normal distribution function of x.
        better = 1.0 / (1.0 + np.exp(-np.clip(1.702 * (means @ differences.T) / deviations, -50.0, 50.0)))
        probabilities: ScoreArray = self._shares() @ better
        return probabilities

    def parts(self) -> dict[str, bytes]:
        """Return the state; `restore` takes it, in a learner of as many features."""
        arrays = {name.lstrip("_"): getattr(self, name).tobytes() for name in _STORED}
        return {**arrays, "counts": msgspec.msgpack.encode((self._n, self._limiter.parts()))}

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Continue from `parts`. Raises KeyError if one is missing, ValueError if its shape does not fit."""
        for name in _STORED:
            shape = getattr(self, name).shape
            setattr(self, name, np.frombuffer(parts[name.lstrip("_")], np.float64).reshape(shape).copy())
        self._n, limiter = msgspec.msgpack.decode(parts["counts"], type=tuple[int, tuple[int, dict[str, int]]])
        self._limiter.restore(*limiter)
        self.weights, self.towards = self._mixed(self._averaged, self._directions())

    def _directions(self) -> ScoreArray:
        """Return (n_members, n_pieces) the members' weights, scaled to length 1."""
        weights = self._means[:, : self._n_pieces]
        lengths = np.linalg.norm(weights, axis=1, keepdims=True)
        directions: ScoreArray = weights / np.where(lengths > 0.0, lengths, 1.0)
        return directions

    def _mixed(self, averaged: ScoreArray, directions: ScoreArray) -> tuple[ScoreArray, ScoreArray]:
        """Mix the members by their evidence, and shrink the mixture towards production.

        averaged: (n_members, n_pieces) averaged weights of the members.
        directions: (n_members, n_pieces) weights of the members, scaled to length 1.

        Returns the mixtures of both, (n_pieces,) each.
        """
        shares, production, spread = self._shares(), self._production, self._spread
        mixture = shares @ averaged
        both = np.stack([production, mixture])
        products = both @ spread[: self._n_pieces, : self._n_pieces] @ both.T
        production_length, length = np.sqrt(np.maximum(products.diagonal(), 0.0)).tolist()
        if length <= 0.0:
            return production, production
        if production_length <= 0.0:
            # Production's weights are all 0: there is nothing to shrink towards.
            return mixture, shares @ directions
        distance = max(2.0 - 2.0 * float(products[0, 1]) / (production_length * length), 0.0)
        # Of each member's scores: the variance from the uncertainty of its weights, over the variance of the scores.
        own = ((self._means @ spread) * self._means).sum(axis=1)
        uncertainty = (self._covariances.reshape(len(own), -1) @ spread.ravel()) / np.maximum(own, 1e-12)
        belief = distance / (distance + UNCERTAINTY_COST * float(shares @ uncertainty) + MIN_DISTANCE)
        scale, rest = belief * production_length / length, (1.0 - belief) * production
        return scale * mixture + rest, scale * (shares @ directions) + rest

    def _shares(self) -> ScoreArray:
        """Return (n_members,) the posterior probabilities of the members."""
        shares = np.exp(self._evidence - self._evidence.max())
        normalized: ScoreArray = shares / shares.sum()
        return normalized
