"""The default learner: what shoppers look at, leave and click, as one model, kept as a distribution.

Shoppers look from the top down. What they look at they click or leave, each document for itself: logistic in its
features, in its rank, and in what the query is worth to them, which differs from one search to the next. After a click
they stop for good with a probability that is learnt as well; after the last one it is not known whether they stopped,
so what stands below counts as far as it was likely looked at. So a cascade and a position bias are both found in the
clicks themselves, and nobody has to say which it is.

Several *members*, from shy to bold, start from production's weights at different distances, with and without
differences between searches. Each is judged by how well it foretells clicks before it learns from them: so one that is
too bold for what the data hold is not listened to. What is shown is their mean, over the last impressions.

The score stays a sum that can be read: each feature has a curve of straight pieces (`Curves`).

Sources: Chapelle & Zhang, A Dynamic Bayesian Network Click Model for Web Search Ranking, WWW 2009; assumed density
filtering of a logistic model: Spiegelhalter & Lauritzen 1990, MacKay 1992. See docs/decisions/browsing-model.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import AnyArray, ScoreArray
from tuning.compiled import compiled
from tuning.learner import Impression

MAX_RANKS: Final = 10
KNOTS: Final = (1 / 3, 2 / 3)
# How far a member is from production's weights (1: as far as they are from nothing), and the variance between searches.
MEMBERS: Final = tuple((distance, variance) for distance in (0.1, 0.3, 0.6) for variance in (0.0, 1.0))
# Of the weights: across production's direction, and along it.
ACROSS: Final = 0.7
ALONG: Final = 10.0
BENDS: Final = 0.7
RANKS: Final = 0.3
# Wide: or pages without clicks would speak against what production likes.
INTERCEPT: Final = 25.0
# Of a hundred clicks' worth: what is believed of stopping before there are any.
STOPS: Final = (3.0, 10.0)
# The mean that is shown goes over the last hundred impressions, fewer at the start.
SLOWEST: Final = 0.01
# A user's impressions count up to so many times the mean of all, so that nobody outvotes the others.
TIMES_MEAN: Final = 2.0
# Nobody who means it clicks more of a page, unless it is short.
MAX_CLICKED: Final = 0.6
SHORT: Final = 4
MAX_USERS: Final = 100_000


class Curves:
    """Features in [0, 1] as the pieces of straight lines that bend at `knots`."""

    def __init__(self, n_features: int, knots: tuple[float, ...] = KNOTS) -> None:
        self.n_features = n_features
        self.knots = knots
        self.n_pieces = n_features * (1 + len(knots))

    def of(self, features: ScoreArray) -> ScoreArray:
        """(n, n_pieces)"""
        bends = [np.maximum(features - knot, 0.0) for knot in self.knots]
        return np.ascontiguousarray(np.concatenate([features, *bends], axis=1), np.float64)


class BrowsingLearner:
    """weights: (n_features,) of production."""

    def __init__(self, weights: ScoreArray, *, knots: tuple[float, ...] = KNOTS) -> None:
        d = len(weights)
        self.curves = Curves(d, knots)
        n, n_members = self.curves.n_pieces, len(MEMBERS)
        # Behind the pieces: an intercept, one for each rank but the first, one for this search alone.
        width = n + 1 + (MAX_RANKS - 1) + 1
        norm = float(np.linalg.norm(weights)) or 1.0
        # Production says in which direction, and its length is of no account.
        start = 4.0 * weights / norm
        along = weights / norm
        self._means = np.zeros((n_members, width))
        self._covariances = np.zeros((n_members, width, width))
        for m, (distance, _) in enumerate(MEMBERS):
            held = self._covariances[m]
            held[:d, :d] = distance**2 * (ACROSS * np.eye(d) + (ALONG - ACROSS) * np.outer(along, along))
            variances = [BENDS * distance**2] * (n - d) + [INTERCEPT] + [RANKS] * (MAX_RANKS - 1)
            held[range(d, width - 1), range(d, width - 1)] = variances
            self._means[m, :d] = distance * start
            self._means[m, n] = -1.0 - 0.3 * distance * start.sum()
            self._means[m, n + 1 : width - 1] = -0.5 * np.log(np.arange(2, MAX_RANKS + 1))
        self._between = np.array([variance for _, variance in MEMBERS])
        self._stops = np.tile(np.array(STOPS), (n_members, 1))
        self._evidence = np.zeros(n_members)
        self._shown_by = self._directions()
        self._n = self._n_seen = 0
        self._users: dict[str, int] = {}
        self.weights = self._mixed()

    def scores(self, features: ScoreArray) -> ScoreArray:
        found: ScoreArray = self.curves.of(features) @ self.weights
        return found

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        return self.scores(features)

    def learn(self, impression: Impression) -> None:
        self._n_seen += 1
        n = min(len(impression.clicked), MAX_RANKS)
        implausible = n > SHORT and np.count_nonzero(impression.clicked[:n]) > MAX_CLICKED * n
        if not self._may_vote(impression.user) or implausible:
            return
        clicked = np.ascontiguousarray(impression.clicked[:n])
        last = int(np.flatnonzero(clicked)[-1]) + 1 if clicked.any() else 0
        pieces = self.curves.of(impression.features[:n])
        _learn(self._covariances, self._means, pieces, clicked, last, self._between, self._stops, self._evidence)
        self._n += 1
        self._shown_by += max(3.0 / (self._n + 20.0), SLOWEST) * (self._directions() - self._shown_by)
        self.weights = self._mixed()

    def _may_vote(self, user: str) -> bool:
        if not user:
            return True
        if user not in self._users and len(self._users) >= MAX_USERS:
            del self._users[next(iter(self._users))]
        self._users[user] = n = self._users.get(user, 0) + 1
        return n <= max(TIMES_MEAN * self._n_seen / len(self._users), TIMES_MEAN)

    def _directions(self) -> ScoreArray:
        """(n_members, n_pieces) of length one."""
        own = self._means[:, : self.curves.n_pieces]
        lengths = np.linalg.norm(own, axis=1, keepdims=True)
        found: ScoreArray = own / np.where(lengths > 0.0, lengths, 1.0)
        return found

    def _mixed(self) -> ScoreArray:
        """(n_pieces,) of all members, each by its evidence."""
        shares = np.exp(self._evidence - self._evidence.max())
        mixed: ScoreArray = (shares / shares.sum()) @ self._shown_by
        return mixed


@compiled("f8[3]! f8[2]! f8[2] b1[1] i8 f8[1] f8[2]! f8[1]!")
def _learn(
    covariances: ScoreArray,
    means: ScoreArray,
    pieces: ScoreArray,
    clicked: AnyArray,
    last: int,
    between: ScoreArray,
    stops: ScoreArray,
    evidence: ScoreArray,
) -> None:
    """Take one impression in, document by document, and add to evidence how well each member foretold it.

    covariances, means: of the members. pieces: (n, n_pieces). last: 1-based rank of the last click, 0 without one.
    between: variance between searches. stops: (n_members, 2) after how many clicks it is believed that shoppers
    stopped, of how many.
    """
    n_members, width = means.shape
    n, n_pieces = pieces.shape
    own = width - 1
    x, moved = np.zeros(width), np.zeros(width)
    for m in range(n_members):
        covariance, mean = covariances[m], means[m]
        for j in range(width):
            covariance[own, j] = 0.0
            covariance[j, own] = 0.0
        covariance[own, own] = between[m]
        mean[own] = 0.0
        stopping = min(max(stops[m, 0] / stops[m, 1], 0.001), 0.999)
        looked = 1.0
        for i in range(n):
            if i == last and last > 0:
                # Stopped, or went on and liked nothing more.
                nothing = 1.0
                for k in range(last, n):
                    total = mean[n_pieces] + mean[own]
                    if k > 0:
                        total += mean[n_pieces + k]
                    for j in range(n_pieces):
                        total += mean[j] * pieces[k, j]
                    nothing *= 1.0 / (1.0 + np.exp(total))
                went_on = (1.0 - stopping) * nothing
                looked = went_on / (stopping + went_on)
                stops[m, 0] += 1.0 - looked
                evidence[m] += np.log(stopping + went_on)
                if looked < 1e-3:
                    break
            for j in range(n_pieces):
                x[j] = pieces[i, j]
            for j in range(n_pieces, width):
                x[j] = 0.0
            x[n_pieces] = 1.0
            if i > 0:
                x[n_pieces + i] = 1.0
            x[own] = 1.0
            total = 0.0
            for j in range(width):
                moved[j] = 0.0
            for k in range(width):
                if x[k] != 0.0:
                    total += x[k] * mean[k]
                    for j in range(width):
                        moved[j] += x[k] * covariance[k, j]
            unsure = 0.0
            for j in range(width):
                unsure += x[j] * moved[j]
            expected = 1.0 / (1.0 + np.exp(-total))
            if i < last or last == 0:
                foretold = 1.0 / (1.0 + np.exp(-total / np.sqrt(1.0 + np.pi * unsure / 8.0)))
                foretold = min(max(foretold, 1e-9), 1.0 - 1e-9)
                evidence[m] += np.log(foretold if clicked[i] else 1.0 - foretold)
            if clicked[i]:
                stops[m, 1] += 1.0
                if i < last - 1:
                    evidence[m] += np.log(1.0 - stopping)
            slope = expected * (1.0 - expected) * looked
            shrink = 1.0 / (1.0 + slope * unsure)
            pull = ((1.0 if clicked[i] else 0.0) - expected) * looked * shrink
            for k in range(width):
                mean[k] += pull * moved[k]
                less = slope * shrink * moved[k]
                for j in range(width):
                    covariance[k, j] -= less * moved[j]
