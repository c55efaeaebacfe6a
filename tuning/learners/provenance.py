"""Provenance: the searches whose clicks moved each weight most, in each direction. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from tuning.arrays import ScoreArray

N_KEPT: Final = 5
SIGNS: Final = (1.0, -1.0)


class Provenance:
    """The strongest pulls on each weight since the last reset.

    names: (n_weights,) names of the weights.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.reset()

    def reset(self) -> None:
        """Forget all searches so far."""
        # By sign and weight: a heap of (pull, ranking id), the weakest pull first.
        self._pulls: list[list[list[tuple[float, str]]]] = [[[] for _ in self._names] for _ in SIGNS]
        # A pull has to exceed this to be kept.
        self._weakest = np.zeros((len(SIGNS), len(self._names)))

    def observe(self, query_id: str, changes: ScoreArray) -> None:
        """Take in how far one search moved each weight. changes: (n_weights,)."""
        for row, sign in enumerate(SIGNS):
            for column in np.flatnonzero(sign * changes > self._weakest[row]).tolist():
                heap = self._pulls[row][column]
                pull = (float(sign * changes[column]), query_id)
                if len(heap) < N_KEPT:
                    heapq.heappush(heap, pull)
                else:
                    heapq.heapreplace(heap, pull)
                if len(heap) == N_KEPT:
                    self._weakest[row, column] = heap[0][0]

    def searches(self, changes: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
        """Return, by weight, the ids of the searches that pulled it most in the direction of its change.

        changes: change by weight.

        The strongest search comes first; weights without any are left out.
        """
        columns = {name: column for column, name in enumerate(self._names)}
        strongest = {}
        for name, change in changes.items():
            if name in columns and change:
                heap = self._pulls[0 if change > 0.0 else 1][columns[name]]
                strongest[name] = tuple(query_id for _, query_id in sorted(heap, reverse=True))
        return {name: ids for name, ids in strongest.items() if ids}

    def parts(self) -> list[list[list[tuple[float, str]]]]:
        """Return the state that `restore` takes."""
        return self._pulls

    def restore(self, pulls: list[list[list[tuple[float, str]]]]) -> None:
        self._pulls = pulls
        for row, by_weight in enumerate(pulls):
            for column, heap in enumerate(by_weight):
                heapq.heapify(heap)
                self._weakest[row, column] = heap[0][0] if len(heap) == N_KEPT else 0.0
