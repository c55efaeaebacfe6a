"""The vectors of an index in the service, for a node without k-NN: FAISS here, documents and filters there.

They are read from the node at a start and kept up to date with each write. A row is used for one version of a document
only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from searchsvc.engines.columnar.vectors import VectorIndex, VectorView
from tuning.arrays import BoolArray, FloatArray

# With more dead rows than this, and than live rows, the index is rebuilt without them.
REBUILD_FROM: Final = 10_000


class ServiceVectors:
    """The writer's side. Vectors have length 1."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = VectorIndex(dimension)
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}

    def change(self, removed: Iterable[str], added: Sequence[tuple[str, FloatArray]]) -> None:
        """Remove documents, then add some.

        removed: ids
        added: ids and vectors; a document that is there already gets this vector
        """
        ids = [document_id for document_id, _ in added]
        replaced = dict.fromkeys([*removed, *ids])
        dead = [row for document_id in replaced if (row := self._row_of.pop(document_id, None)) is not None]
        self._index.remove(dead)
        if added:
            self._row_of.update(zip(ids, range(len(self._ids), len(self._ids) + len(ids)), strict=True))
            self._ids += ids
            self._index.extend(np.stack([vector for _, vector in added]))

    def settle(self, timeout_s: float | None = None) -> bool:
        """Merge what many changes left in parts. See `searchsvc.engines.protocol.Engine.maintain`."""
        n_dead = len(self._ids) - len(self._row_of)
        if n_dead > max(REBUILD_FROM, len(self._row_of)):
            rows = sorted(self._row_of.values())
            vectors, ids = self._index.store().floats(rows), [self._ids[row] for row in rows]
            self._index, self._ids, self._row_of = VectorIndex(self.dimension), [], {}
            self.change([], list(zip(ids, vectors, strict=True)))
        return self._index.maintain(timeout_s)

    @property
    def building(self) -> bool:
        """Whether the vectors are being merged in the background."""
        return self._index.is_building

    def view(self) -> ServiceVectorsView:
        """Return the reader's side."""
        live = np.zeros(len(self._ids), np.bool_)
        live[list(self._row_of.values())] = True
        return ServiceVectorsView(self._index.view(), self._ids, self._row_of, live)


class ServiceVectorsView:
    """The reader's side after one write."""

    def __init__(self, view: VectorView, ids: Sequence[str], row_of: Mapping[str, int], live: BoolArray) -> None:
        self._view = view
        self._ids = ids
        self._row_of = row_of
        self._live = live

    def __len__(self) -> int:
        """Return the number of documents with a vector."""
        return int(np.count_nonzero(self._live))

    def nearest(self, vector: FloatArray, k: int) -> list[str]:
        """Return the ids of the k nearest documents and of some more, in no order."""
        rows, _ = self._view.nearest(vector, k, self._live)
        return [self._ids[row] for row in rows.tolist()]

    def nearest_of(self, ids: Iterable[str], vector: FloatArray, k: int) -> list[str]:
        """Return the ids of the k nearest of some documents, nearest first. Compares each of them."""
        # The writer goes on: what it added since this view has rows beyond it.
        n_rows = len(self._live)
        row_numbers = [row for document_id in ids if (row := self._row_of.get(document_id, n_rows)) < n_rows]
        rows = np.array(row_numbers, np.int64)
        order = np.argsort(-self._view.cosines(rows, vector), kind="stable")[:k]
        return [self._ids[row] for row in rows[order].tolist()]
