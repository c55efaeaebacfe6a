"""Columns that grow at their end while readers hold views of their beginning."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tuning.arrays import AnyArray


class Column:
    """An append-only array of rows, for one writer and any number of readers.

    A view stays as it is: rows are never written again, and a full buffer is copied to a larger one.

    width: columns of a row; None for plain numbers
    rows: the first rows; the column does not write to them
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
            return  # A mapped buffer cannot be written to, not even nothing.
        n = self._n + len(rows)
        if n > len(self._buffer):
            grown = np.empty((max(n, 2 * len(self._buffer), 16), *self._buffer.shape[1:]), self._buffer.dtype)
            grown[: self._n] = self._buffer[: self._n]
            self._buffer = grown
        self._buffer[self._n : n] = rows
        self._n = n

    def view(self) -> AnyArray:
        """Return (n, ...) the rows so far, read-only."""
        # Read the number first: the writer sets the buffer first, so the buffer has at least this many rows.
        n = self._n
        rows = self._buffer[:n]
        rows.flags.writeable = False
        return rows
