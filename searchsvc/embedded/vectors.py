"""Vector candidates: FAISS in half precision, exact for all that a shopper can see, live under updates.

A large *base* and a small *delta* of immutable FAISS indexes. A commit builds the delta anew from the rows past the
base; when the delta has grown too large it becomes part of a new base. Tombstones are filtered by a bitmap.
"""

from __future__ import annotations

from typing import Any, Final

import faiss
import numpy as np

from searchsvc.arrays import AnyArray, BoolArray, FloatArray, IntArray
from searchsvc.embedded.columns import Column

# A search is a few hundred microseconds: threads of FAISS's own would cost more than they bring, and take the core
# that the keyword leg runs on.
faiss.omp_set_num_threads(1)

MIN_DELTA: Final = 2048
DELTA_SHARE: Final = 0.125


class VectorIndex:
    """The writer's side. Row i of the column is slot i; vectors have length 1."""

    def __init__(self, dimension: int, stored: AnyArray | None = None) -> None:
        self.dimension = dimension
        self._rows = Column(np.float16, dimension, rows=stored)
        self._base: _Segment = _Segment(self._rows.view(), 0)

    def extend(self, vectors: AnyArray) -> None:
        """Append (n, dimension) vectors."""
        self._rows.extend(vectors.astype(np.float16))

    def view(self, live: BoolArray) -> VectorView:
        """live: (n_slots,) which slots are live at this commit."""
        rows = self._rows.view()
        n_base = self._base.end
        if len(rows) - n_base > max(MIN_DELTA, DELTA_SHARE * n_base):
            self._base = _Segment(rows, 0)
        segments = [self._base]
        if len(rows) > self._base.end:
            segments.append(_Segment(rows[self._base.end :], self._base.end))
        return VectorView(rows, [_Filtered(segment, live) for segment in segments if segment.size])

    def store(self) -> AnyArray:
        return self._rows.view()


class VectorView:
    """The reader's side: immutable, at one commit."""

    def __init__(self, rows: AnyArray, segments: list[_Filtered]) -> None:
        self._rows = rows
        self._segments = segments

    def nearest(self, vector: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """The k live slots nearest to `vector` and their cosines, best first; fewer where there are fewer."""
        found = [segment.nearest(vector, k) for segment in self._segments]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if len(found) == 1:
            return found[0]
        slots = np.concatenate([slots for slots, _ in found])
        cosines = np.concatenate([cosines for _, cosines in found])
        order = np.lexsort((slots, -cosines))[:k]
        return slots[order], cosines[order]

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """(n,) cosine of each slot's vector with `vector`."""
        products: FloatArray = self._rows[slots].astype(np.float32) @ vector
        return products


class _Segment:
    """Rows [start, start + size) as one immutable FAISS index (inner product, half precision, exhaustive)."""

    def __init__(self, rows: AnyArray, start: int) -> None:
        self.start = start
        self.size = len(rows)
        self.end = start + self.size
        self.index: Any = faiss.IndexScalarQuantizer(
            rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        if self.size:
            self.index.add(rows.astype(np.float32))


class _Filtered:
    """A segment without the slots that are dead at one commit."""

    def __init__(self, segment: _Segment, live: BoolArray) -> None:
        self._segment = segment
        here = live[segment.start : segment.end]
        self._parameters: Any = None
        if not here.all():
            # FAISS keeps a bare pointer into the bitmap: both must live as long as this view.
            self._bits = np.packbits(here, bitorder="little")
            self._selector: Any = faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg,arg-type]  # numpy is wrapped at run time
            self._parameters = faiss.SearchParameters(sel=self._selector)  # type: ignore[call-arg]  # as above

    def nearest(self, vector: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        k = min(k, self._segment.size)
        cosines, rows = self._segment.index.search(vector[None, :], k, params=self._parameters)
        found = rows[0] >= 0
        return rows[0][found] + self._segment.start, cosines[0][found]
