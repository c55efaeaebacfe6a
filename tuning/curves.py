"""Scores as sums of curves: each feature and its hinges (`events.hinges`), times their weights. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from events.hinges import HINGES, SUFFIX_CHARS
from tuning.arrays import AnyArray, IntArray, ScoreArray

KNOTS: Final = tuple(HINGES.values())


class Curves(msgspec.Struct, frozen=True):
    """The terms of a score.

    names: (n_columns,) names of the features, then of the hinges that have a weight.
    weights: (n_columns,).
    hinged: (n_hinges,) column of the feature that each hinge is made from.
    knots: (n_hinges,) value of the feature from which each hinge grows.
    """

    names: tuple[str, ...]
    weights: ScoreArray
    hinged: IntArray
    knots: ScoreArray

    def columns(self, features: AnyArray) -> AnyArray:
        """Append the hinges' columns to (n, n_features) features; returns (n, n_columns)."""
        if not len(self.hinged):
            return features
        # In double precision: single precision cannot represent the knots.
        exact = features.astype(np.float64)
        return np.concatenate([exact, np.maximum(exact[:, self.hinged] - self.knots, 0.0)], axis=1)


def curves(names: Sequence[str], weights: Mapping[str, float]) -> Curves:
    """Return the terms of a score.

    names: (n_features,) in column order.
    weights: by name of a feature or hinge; 0 where missing.
    """
    column = {name: i for i, name in enumerate(names)}
    hinges, hinged, knots = list[str](), list[int](), list[float]()
    # Most indexes have no hinges, and every search calls this. Hinges keep the order of the weights, so that sums are
    # the same to the bit each time.
    for name in weights if weights.keys() - column.keys() else ():
        feature, suffix = name[:-SUFFIX_CHARS], name[-SUFFIX_CHARS:]
        if suffix in HINGES and feature in column and weights[name]:
            hinges.append(name)
            hinged.append(column[feature])
            knots.append(HINGES[suffix])
    terms = (*names, *hinges)
    values = [weights.get(name, 0.0) for name in terms]
    return Curves(terms, np.array(values, np.float64), np.array(hinged, np.int64), np.array(knots, np.float64))


def piece_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the features, then of all their hinges: the columns of `pieces`."""
    return (*names, *(name + suffix for suffix in HINGES for name in names))


def pieces(features: AnyArray, knots: Iterable[float] = KNOTS) -> ScoreArray:
    """Return the features and all their hinges, (n, n_features * (1 + n_knots)).

    features: (n, n_features) in [0, 1].
    """
    exact = features.astype(np.float64)
    return np.ascontiguousarray(np.concatenate([exact, *(np.maximum(exact - knot, 0.0) for knot in knots)], axis=1))
