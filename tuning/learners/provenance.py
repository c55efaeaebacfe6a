"""Which searches moved a weight: of all that were learnt from, those that pulled most, each way. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from tuning.arrays import ScoreArray

N_KEPT: Final = 5
WAYS: Final = (1.0, -1.0)


class Provenance:
    """names: of the weights."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.begin()

    def begin(self) -> None:
        """Forget all: what comes next leads somewhere else."""
        # By way and weight: (how far, which search), the least of them first.
        self._most: list[list[list[tuple[float, str]]]] = [[[] for _ in self._names] for _ in WAYS]
        self._least = np.zeros((len(WAYS), len(self._names)))

    def take(self, query_id: str, moved: ScoreArray) -> None:
        """moved: (n_weights,) how far one search pulled each."""
        for way, sign in enumerate(WAYS):
            for at in np.flatnonzero(sign * moved > self._least[way]).tolist():
                most = self._most[way][at]
                pull = (float(sign * moved[at]), query_id)
                if len(most) < N_KEPT:
                    heapq.heappush(most, pull)
                else:
                    heapq.heapreplace(most, pull)
                if len(most) == N_KEPT:
                    self._least[way, at] = most[0][0]

    def of(self, changes: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
        """changes: by weight. Returns the searches that pulled it that way most, by weight, the strongest first."""
        at = {name: i for i, name in enumerate(self._names)}
        found = {}
        for name, change in changes.items():
            if name in at and change:
                most = self._most[0 if change > 0.0 else 1][at[name]]
                found[name] = tuple(query_id for _, query_id in sorted(most, reverse=True))
        return {name: ids for name, ids in found.items() if ids}

    def parts(self) -> list[list[list[tuple[float, str]]]]:
        """What `restore` takes."""
        return self._most

    def restore(self, most: list[list[list[tuple[float, str]]]]) -> None:
        self._most = most
        for way, by_weight in enumerate(most):
            for at, pulls in enumerate(by_weight):
                heapq.heapify(pulls)
                self._least[way, at] = pulls[0][0] if len(pulls) == N_KEPT else 0.0
