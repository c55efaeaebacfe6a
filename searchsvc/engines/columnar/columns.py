"""Columns that grow at their end while readers hold views of their beginning."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tuning.arrays import AnyArray


class Column:
    """An append-only array of rows.

    `view()` gives the rows so far; it stays as it is, because rows are never rewritten and growing past the capacity
    moves to a new buffer. One writer, any number of readers. width: columns of a row; None for plain numbers.
    """

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None, rows: AnyArray | None = None) -> None:
        shape = (0,) if width is None else (0, width)
        self._buffer: AnyArray = np.empty(shape, dtype) if rows is None else rows
        self._n = len(self._buffer)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._buffer.dtype

    def __len__(self) -> int:
        return self._n

    def extend(self, rows: AnyArray) -> None:
        """Append rows of the column's width."""
        if not len(rows):
            return  # what a snapshot mapped cannot be written to, not even nothing
        n = self._n + len(rows)
        if n > len(self._buffer):
            grown = np.empty((max(n, 2 * len(self._buffer), 16), *self._buffer.shape[1:]), self._buffer.dtype)
            grown[: self._n] = self._buffer[: self._n]
            self._buffer = grown
        self._buffer[self._n : n] = rows
        self._n = n

    def view(self) -> AnyArray:
        """(n, ...) the rows so far, read-only."""
        # The number first: the writer sets the buffer first, so the buffer holds at least so many.
        n = self._n
        rows = self._buffer[:n]
        rows.flags.writeable = False
        return rows
