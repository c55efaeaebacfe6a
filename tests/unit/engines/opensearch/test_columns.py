"""Signals, vector and title of a document in one field."""

from __future__ import annotations

import numpy as np

from searchsvc.engines.opensearch.columns import Columns, from_base64, pack_vector, unpack_vectors
from tests.factories import DIMENSION, vector


def test_signals_vectors_and_titles_come_back() -> None:
    columns = Columns(2, DIMENSION)
    signals = np.array([[0.5, np.nan], [1.0, 0.25]], np.float32)
    # The node returns base64 without padding.
    rows = [
        columns.packed(row, each, title).rstrip("=")
        for row, each, title in zip(signals, (vector(1), None), (["usb", "größe"], []), strict=True)
    ]
    np.testing.assert_array_equal(columns.signals(rows), signals)
    vectors = columns.vectors(rows)
    np.testing.assert_allclose(vectors[0], vector(1), atol=1 / 127)
    assert not vectors[1].any()
    assert columns.titles(rows) == [["usb", "größe"], []]


def test_an_index_without_vectors_stores_signals_only() -> None:
    columns = Columns(1, 0)
    assert len(from_base64(columns.packed(np.array([0.5], np.float32), vector(1), []))) == 4


def test_packing_a_packed_vector_again_changes_nothing() -> None:
    packed = pack_vector(vector(3))
    (unpacked,) = unpack_vectors([packed], DIMENSION)
    assert pack_vector(unpacked) == packed
    assert not unpack_vectors([b""], DIMENSION).any()
