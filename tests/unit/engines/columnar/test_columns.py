"""Columns: views stay as they are while the column grows."""

from __future__ import annotations

import numpy as np
import pytest

from searchsvc.engines.columnar.columns import Column


def test_a_view_of_a_column_never_changes() -> None:
    column = Column(np.int64)
    column.extend(np.array([1, 2]))
    before = column.view()
    for i in range(5000):
        column.extend(np.array([i]))
    np.testing.assert_array_equal(before, [1, 2])
    assert len(column.view()) == 5002
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 9


def test_rows_of_a_snapshot_are_never_written_to() -> None:
    rows = np.array([[1, 2], [3, 4]], np.int32)
    rows.flags.writeable = False
    column = Column(np.int32, 2, rows=rows)
    column.extend(np.empty((0, 2), np.int32))
    column.extend(np.array([[5, 6]], np.int32))
    assert column.view().tolist() == [[1, 2], [3, 4], [5, 6]]
    assert rows.tolist() == [[1, 2], [3, 4]]
    assert len(column) == 3
    assert column.dtype == np.int32
