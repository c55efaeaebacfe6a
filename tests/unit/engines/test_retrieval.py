"""The request of a search to an engine, and the defaults of its parts."""

from __future__ import annotations

import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import Retrieval, TextFeatures
from tests.factories import vector


def test_a_query_vector_is_given_or_computed() -> None:
    weights = np.zeros(1, np.float32)
    for source in (vector(1), lambda: vector(1)):
        query_vector = Retrieval(Query("x"), source, {}, weights, k=1, window=1).query_vector()
        np.testing.assert_array_equal(query_vector, vector(1))
    assert Retrieval(Query("x"), None, {}, weights, k=1, window=1).query_vector() is None


def test_features_of_documents_without_a_term_are_zero() -> None:
    features = TextFeatures.zeros(3, 2)
    assert features.bm25.shape == (3, 2)
    assert not any(getattr(features, name).any() for name in features.__struct_fields__)


def test_an_upsert_is_decoded_from_json() -> None:
    upsert = Upsert.from_json(b'{"id": "7", "title": "shoe"}', 3)
    assert (upsert.id, upsert.members["title"], upsert.vector, upsert.seq) == ("7", "shoe", None, 3)
