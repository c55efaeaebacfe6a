"""Scores as sums of curves: each feature, and its bends (`events.bends`), times their weights. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from events.bends import BENDS, MARK_CHARS
from tuning.arrays import AnyArray, IntArray, ScoreArray

KNOTS: Final = tuple(BENDS.values())


class Curves(msgspec.Struct, frozen=True):
    """What a score is the sum of. names: (n_columns,) of the features, then of the bends that have a weight. weights:
    (n_columns,). of: (n_bends,) the feature that each bend is of; knots: (n_bends,) where it begins."""

    names: tuple[str, ...]
    weights: ScoreArray
    of: IntArray
    knots: ScoreArray

    def columns(self, features: AnyArray) -> AnyArray:
        """(n, n_columns). features: (n, n_features)."""
        if not len(self.of):
            return features
        # In double precision: knots are no numbers of single precision.
        exact = features.astype(np.float64)
        return np.concatenate([exact, np.maximum(exact[:, self.of] - self.knots, 0.0)], axis=1)


def curves(names: Sequence[str], weights: Mapping[str, float]) -> Curves:
    """names: of the features in column order. weights: by name; what is not named has none."""
    # Most indexes have none, and this is asked at every search.
    column = {name: at for at, name in enumerate(names)}
    bends, of, knots = list[str](), list[int](), list[float]()
    # In their order: sums are the same, bit for bit, whenever they are worked out.
    for name in weights if weights.keys() - column.keys() else ():
        feature, mark = name[:-MARK_CHARS], name[-MARK_CHARS:]
        if mark in BENDS and feature in column and weights[name]:
            bends.append(name)
            of.append(column[feature])
            knots.append(BENDS[mark])
    every = (*names, *bends)
    values = [weights.get(name, 0.0) for name in every]
    return Curves(every, np.array(values, np.float64), np.array(of, np.int64), np.array(knots, np.float64))


def piece_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features themselves, then all their bends: the columns of `pieces`."""
    return (*names, *(name + mark for mark in BENDS for name in names))


def pieces(features: AnyArray, knots: Iterable[float] = KNOTS) -> ScoreArray:
    """(n, n_features * (1 + n_knots)). features: (n, n_features) in [0, 1]."""
    exact = features.astype(np.float64)
    return np.ascontiguousarray(np.concatenate([exact, *(np.maximum(exact - knot, 0.0) for knot in knots)], axis=1))
