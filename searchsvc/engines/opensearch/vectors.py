"""The vector leg in the service, for a node without k-NN: FAISS here, documents and filters there.

Vectors are read from the node at a start and kept up to date with what is written; a row is given once, and so names
one version of a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from searchsvc.engines.columnar.vectors import VectorIndex, VectorView
from tuning.arrays import BoolArray, FloatArray

# Rows of documents that changed or went are left out of searches; once they are most, all is brought together anew.
WASTEFUL_FROM: Final = 10_000


class ServiceVectors:
    """The writer's side. Vectors have length 1."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = VectorIndex(dimension)
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}

    def change(self, gone: Iterable[str], came: Sequence[tuple[str, FloatArray]]) -> None:
        """Forget documents, then take some: those that are known already have another vector from now on."""
        names = [name for name, _ in came]
        dead = [row for name in dict.fromkeys([*gone, *names]) if (row := self._row_of.pop(name, None)) is not None]
        self._index.remove(dead)
        if came:
            self._row_of.update(zip(names, range(len(self._ids), len(self._ids) + len(names)), strict=True))
            self._ids += names
            self._index.extend(np.stack([vector for _, vector in came]))

    def settle(self, patience_s: float | None = None) -> bool:
        """Bring together what many changes left in parts. Returns whether it is done."""
        n_dead = len(self._ids) - len(self._row_of)
        if n_dead > max(WASTEFUL_FROM, len(self._row_of)):
            rows = sorted(self._row_of.values())
            vectors, ids = self._index.store().floats(rows), [self._ids[row] for row in rows]
            self._index, self._ids, self._row_of = VectorIndex(self.dimension), [], {}
            self.change([], list(zip(ids, vectors, strict=True)))
        return self._index.settle(patience_s)

    @property
    def building(self) -> bool:
        return self._index.building

    def view(self) -> ServiceVectorsView:
        live = np.zeros(len(self._ids), np.bool_)
        live[list(self._row_of.values())] = True
        return ServiceVectorsView(self._index.view(), self._ids, self._row_of, live)


class ServiceVectorsView:
    """The reader's side, at one commit."""

    def __init__(self, view: VectorView, ids: Sequence[str], row_of: Mapping[str, int], live: BoolArray) -> None:
        self._view = view
        self._ids = ids
        self._row_of = row_of
        self._live = live

    def __len__(self) -> int:
        """Documents with a vector."""
        return int(np.count_nonzero(self._live))

    def nearest(self, vector: FloatArray, k: int) -> list[str]:
        """Ids of the k nearest, and some more, in no order."""
        rows, _ = self._view.nearest(vector, k, self._live)
        return [self._ids[row] for row in rows.tolist()]

    def nearest_of(self, ids: Iterable[str], vector: FloatArray, k: int) -> list[str]:
        """Ids of the k nearest of some documents, each looked at, nearest first."""
        known = [row for name in ids if (row := self._row_of.get(name, len(self._live))) < len(self._live)]
        rows = np.array(known, np.int64)
        order = np.argsort(-self._view.cosines(rows, vector), kind="stable")[:k]
        return [self._ids[row] for row in rows[order].tolist()]
