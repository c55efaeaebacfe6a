"""The vectors of an index in the service."""

from __future__ import annotations

from searchsvc.engines.opensearch.vectors import ServiceVectors
from tests.factories import DIMENSION, vector


def test_a_document_has_its_newest_vector() -> None:
    vectors = ServiceVectors(DIMENSION)
    vectors.change([], [(str(seed), vector(seed)) for seed in range(5)])
    before = vectors.view()
    vectors.change(["1"], [("0", vector(100))])
    after = vectors.view()
    assert (len(before), len(after)) == (5, 4)
    assert "1" in before.nearest(vector(1), 1)
    assert "1" not in after.nearest(vector(1), 5)
    assert "0" in after.nearest(vector(100), 1)


def test_some_documents_are_compared_exactly() -> None:
    vectors = ServiceVectors(DIMENSION)
    vectors.change([], [(str(seed), vector(seed)) for seed in range(30)])
    assert vectors.settle()
    assert not vectors.building
    view = vectors.view()
    expected = sorted(range(10), key=lambda seed: -float(vector(seed) @ vector(99)))[:3]
    assert view.nearest_of([str(seed) for seed in range(10)], vector(99), 3) == [str(seed) for seed in expected]
    vectors.change([], [("later", vector(99))])
    assert view.nearest_of(["later", "3"], vector(99), 2) == ["3"]
