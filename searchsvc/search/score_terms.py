"""The terms of an index's scores, computed once for each version of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from events.index_control import IndexControl
from events.settings import IndexSettings
from tuning.arrays import ScoreArray
from tuning.curves import Curves, curves
from tuning.features import KEYWORD_RANK, default_weights, feature_names

MAX_ENTRIES: Final = 256


class ScoreTerms(msgspec.Struct, frozen=True):
    """Feature names in column order, and the terms that weights make of them.

    text_weights: (n_text_features,) default weights of the first features, which words give.
    """

    feature_names: tuple[str, ...]
    curves: Curves
    text_weights: ScoreArray


class _Entry(msgspec.Struct, frozen=True):
    settings: IndexSettings
    control: IndexControl
    terms: ScoreTerms


class ScoreTermsCache:
    """Caches the terms of each index and of each of its segments and trials, `max_entries` at most.

    An entry is valid for one settings object and one control object. Safe for many threads: the mapping is replaced,
    never changed, so that a race costs one computation at most.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: Mapping[tuple[str, str], _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(
        self, settings: IndexSettings, control: IndexControl, variant: str, weights: Mapping[str, float]
    ) -> ScoreTerms:
        """Return the terms of some weights.

        variant: which weights of the index these are, the same for the same ones of one control object.
        """
        key = control.name, variant
        entry = self._entries.get(key)
        if entry is not None and entry.settings is settings and entry.control is control:
            return entry.terms
        names = feature_names(settings)
        defaults = default_weights(settings)
        text_weights = np.array([defaults[name] for name in names[: names.index(KEYWORD_RANK)]])
        terms = ScoreTerms(names, curves(names, weights), text_weights)
        others = [(other_key, entry) for other_key, entry in self._entries.items() if other_key != key]
        self._entries = dict(
            [*others[max(len(others) - self._max_entries + 1, 0) :], (key, _Entry(settings, control, terms))]
        )
        return terms
