"""Hinges: piecewise-linear features made from other features. Pure.

The hinge `bm25.title>1/3` is 0 while `bm25.title` is at most 1/3 and grows linearly from there, as a hinge function in
MARS. A weighted sum of a feature and its hinges is a curve of straight pieces. A hinge that has no weight counts as
having weight 0.

Source: Friedman, Multivariate Adaptive Regression Splines, Annals of Statistics 1991.
"""

from __future__ import annotations

from typing import Final

# The suffix of a hinge's name, and the value of the feature from which the hinge grows.
HINGES: Final = {">1/3": 1 / 3, ">2/3": 2 / 3}
SUFFIX_CHARS: Final = 4


def feature_of(name: str) -> str:
    """Return the feature that a hinge is made from; the name itself if it is not a hinge's."""
    return name[:-SUFFIX_CHARS] if name[-SUFFIX_CHARS:] in HINGES else name


def is_hinge(name: str) -> bool:
    return feature_of(name) != name
