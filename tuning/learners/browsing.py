"""The default learner: what shoppers look at, leave and click, as one model, kept as a distribution.

Shoppers look from the top down. What they look at they click or leave, each document for itself: logistic in its
features, in its rank, and in what the query is worth to them, which differs from one search to the next. After a click
they stop for good with a probability that is learnt as well; after the last one it is not known whether they stopped,
so what stands below counts as far as it was likely looked at. So a cascade and a position bias are both found in the
clicks themselves, and nobody has to say which it is.

Several *members*, from shy to bold, start from production's weights at different distances, with and without
differences between searches. Each is judged by how well it foretells clicks before it learns from them: so one that is
too bold for what the data hold is not listened to. What is shown is their mean, over the last impressions.

Production is shown with it, as far as what was learnt is not to be believed: what is far from production, and far
beyond what is still unsure, is; what hardly differs from it would be paid for with what chance makes of it.

A page that is foretold better by the toss of a coin for each document is not learnt from: bots who click what nobody
else would.

The score stays a sum that can be read: each feature has a curve of straight pieces (`tuning.curves`).

Sources: Chapelle & Zhang, A Dynamic Bayesian Network Click Model for Web Search Ranking, WWW 2009; assumed density
filtering of a logistic model: Spiegelhalter & Lauritzen 1990, MacKay 1992; shrinking towards what was believed before:
James & Stein 1961. See docs/decisions/browsing-model.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from tuning.arrays import AnyArray, ScoreArray
from tuning.clicks.limits import VoteLimiter
from tuning.compiled import compiled
from tuning.curves import KNOTS, pieces
from tuning.learners.learner import Impression

MAX_RANKS: Final = 10
# How much a member takes features to say (logits a weight of length 4 stands for), and the variance between searches.
MEMBERS: Final = tuple((distance, variance) for distance in (0.03, 0.1, 0.3, 0.6) for variance in (0.0, 1.0))
# Before there is evidence, one that is three times as bold has a chance 3 ** CAUTION times as small: one that is lucky
# for its first hundred impressions would show shoppers bad pages for the next.
CAUTION: Final = 5.0
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
# One page in ten, it is believed, is that of somebody who clicks anything at the toss of a coin: what such a one
# foretells better than what was learnt so far is not learnt from.
COINS: Final = 0.1
# What was learnt is believed away / (away + UNSURE * variance + ALIKE): away, how far its scores are from production's
# (squared, both of variance 1), against the variance of what is learnt, and a distance that is not worth a risk.
UNSURE: Final = 0.5
ALIKE: Final = 0.05
# How far weights move scores is known from the last thousand pages.
SPREAD_RATE: Final = 0.001

_TAKEN_IN: Final = ("_covariances", "_means", "_stops", "_evidence")
_LEARNT: Final = ("_means", "_covariances", "_stops", "_evidence", "_shown_by", "_spread", "_production")


class BrowsingLearner:
    """weights: (n_features,) of production. `weights` are those of the pieces (`tuning.curves`)."""

    def __init__(self, weights: ScoreArray) -> None:
        d = len(weights)
        n, n_members = d * (1 + len(KNOTS)), len(MEMBERS)
        self._n_pieces = n
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
        distances = np.array([distance for distance, _ in MEMBERS])
        self._evidence = -CAUTION * np.log(distances / distances.min())
        # Of the pieces, around their mean on a page; 0 for all that is behind them.
        self._spread = np.zeros((width, width))
        self._production = np.zeros(n)
        self._production[:d] = along
        self._shown_by = self._directions()
        self._n = 0
        self._voters = VoteLimiter()
        # towards: where the weights are on the way to; what the last impression changed of it, it alone changed.
        self.weights, self.towards = self._mixed(self._shown_by, self._shown_by)

    def scores(self, features: ScoreArray) -> ScoreArray:
        found: ScoreArray = pieces(features) @ self.weights
        return found

    def order(self, features: ScoreArray, rng: np.random.Generator) -> ScoreArray:
        return self.scores(features)

    def learn(self, impression: Impression) -> None:
        n = min(len(impression.clicked), MAX_RANKS)
        clicked = np.ascontiguousarray(impression.clicked[:n])
        if not n or not self._voters.hear(impression.user, clicked):
            return
        last = int(np.flatnonzero(clicked)[-1]) + 1 if clicked.any() else 0
        shown = pieces(impression.features[:n])
        before = [getattr(self, name).copy() for name in _TAKEN_IN]
        shares = self._shares()
        _learn(self._covariances, self._means, shown, clicked, last, self._between, self._stops, self._evidence)
        foretold = float(np.log(shares @ np.exp(np.maximum(self._evidence - before[-1], -700.0))))
        # Of a short page as much is asked as of a whole one: there, a click is soon unlikely where few are clicked.
        if foretold < MAX_RANKS * np.log(0.5) + np.log(COINS):
            for name, held in zip(_TAKEN_IN, before, strict=True):
                setattr(self, name, held)
            return
        self._n += 1
        around = shown - shown.mean(axis=0)
        spread = self._spread[: self._n_pieces, : self._n_pieces]
        spread += max(1.0 / self._n, SPREAD_RATE) * (around.T @ around / len(around) - spread)
        towards = self._directions()
        self._shown_by += max(3.0 / (self._n + 20.0), SLOWEST) * (towards - self._shown_by)
        self.weights, self.towards = self._mixed(self._shown_by, towards)

    def chances(self, apart: ScoreArray) -> ScoreArray:
        """(n,) how likely a document is better than another that it differs from by so much. apart: (n, n_pieces)."""
        means, held = self._means[:, : self._n_pieces], self._covariances[:, : self._n_pieces, : self._n_pieces]
        unsure = np.sqrt(np.maximum(np.einsum("nj,mjk,nk->mn", apart, held, apart, optimize=True), 1e-12))
        # The logistic curve is within .01 of the normal one.
        better = 1.0 / (1.0 + np.exp(-np.clip(1.702 * (means @ apart.T) / unsure, -50.0, 50.0)))
        found: ScoreArray = self._shares() @ better
        return found

    def parts(self) -> dict[str, bytes]:
        """All that was learnt; `restore` takes it, in a learner of as many features."""
        held = {name: getattr(self, name).tobytes() for name in _LEARNT}
        counts = (self._n, self._voters.parts())
        return {**held, "counts": msgspec.msgpack.encode(counts)}

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Raises ValueError where they are of another number of features, and KeyError where they are no parts."""
        for name in _LEARNT:
            before = getattr(self, name)
            setattr(self, name, np.frombuffer(parts[name], np.float64).reshape(before.shape).copy())
        self._n, users = msgspec.msgpack.decode(parts["counts"], type=tuple[int, tuple[int, dict[str, int]]])
        self._voters.restore(*users)
        self.weights, self.towards = self._mixed(self._shown_by, self._directions())

    def _directions(self) -> ScoreArray:
        """(n_members, n_pieces) of length one."""
        own = self._means[:, : self._n_pieces]
        lengths = np.linalg.norm(own, axis=1, keepdims=True)
        found: ScoreArray = own / np.where(lengths > 0.0, lengths, 1.0)
        return found

    def _mixed(self, shown_by: ScoreArray, towards: ScoreArray) -> tuple[ScoreArray, ScoreArray]:
        """(n_pieces,) each, of all members, each by its evidence, and of production as far as these are not to be
        believed. shown_by, towards: (n_members, n_pieces)."""
        shares, production, spread = self._shares(), self._production, self._spread
        mixed = shares @ shown_by
        both = np.stack([production, mixed])
        products = both @ spread[: self._n_pieces, : self._n_pieces] @ both.T
        usual, length = np.sqrt(np.maximum(products.diagonal(), 0.0)).tolist()
        if length <= 0.0:
            return production, production
        if usual <= 0.0:
            # Of weights of nothing there is nothing to keep.
            return mixed, shares @ towards
        away = max(2.0 - 2.0 * float(products[0, 1]) / (usual * length), 0.0)
        # Of each member's scores: the variance that comes of what it does not know, over their own.
        own = ((self._means @ spread) * self._means).sum(axis=1)
        unsure = (self._covariances.reshape(len(own), -1) @ spread.ravel()) / np.maximum(own, 1e-12)
        believed = away / (away + UNSURE * float(shares @ unsure) + ALIKE)
        scale, rest = believed * usual / length, (1.0 - believed) * production
        return scale * mixed + rest, scale * (shares @ towards) + rest

    def _shares(self) -> ScoreArray:
        """(n_members,) how likely each is the right one."""
        shares = np.exp(self._evidence - self._evidence.max())
        found: ScoreArray = shares / shares.sum()
        return found


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
