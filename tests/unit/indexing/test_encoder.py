"""Vectors of documents: from the cache if the text was encoded before, the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from events.settings import Embedding
from searchsvc.embedding.cache import VectorCache
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.indexing.encoder import DocumentEncoder
from tests.factories import DIMENSION, upsert, vector
from tuning.arrays import FloatArray


class CountingEmbedder(Embedder):
    """Encodes a text by its length, and records what it encodes."""

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.dimension = DIMENSION
        self.digest = "model"

    def encode_documents(self, texts: Sequence[str], progress: Callable[[int], None] = lambda _: None) -> FloatArray:
        self.encoded += texts
        return np.stack([vector(len(text)) for text in texts])


def test_a_text_is_encoded_once_and_its_cached_vector_is_equal(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    cache = VectorCache(tmp_path / "cache.sqlite", DIMENSION)
    encoder = DocumentEncoder(embedder, cache)
    first, second, third = encoder.encode(["red", "blue", "red"])
    assert embedder.encoded == ["red", "blue"]
    np.testing.assert_array_equal(first, third)
    again = encoder.encode(["blue", "green"])
    assert embedder.encoded == ["red", "blue", "green"]
    np.testing.assert_array_equal(again[0], second)


def test_upserts_get_the_vector_of_their_text_and_deletions_stay(tmp_path: Path) -> None:
    encoder = DocumentEncoder(CountingEmbedder(), VectorCache(tmp_path / "cache.sqlite", DIMENSION))
    changes: list[Upsert | Delete] = [upsert("1", "red shoe"), Delete("2"), upsert("3", "hat")]
    with_vectors = encoder.add_vectors(changes, Embedding(("title",)))
    assert [change.id for change in with_vectors] == ["1", "2", "3"]
    assert with_vectors[1] is changes[1]
    expected = encoder.encode(["red shoe", "hat"])
    for change, text_vector in zip((with_vectors[0], with_vectors[2]), expected, strict=True):
        assert not isinstance(change, Delete)
        assert change.vector is not None
        np.testing.assert_array_equal(change.vector, text_vector)


def test_a_document_without_text_gets_no_vector(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    encoder = DocumentEncoder(embedder, VectorCache(tmp_path / "cache.sqlite", DIMENSION))
    empty = [msgspec.structs.replace(upsert(str(i), title), vector=None) for i, title in enumerate(("", "  ", "red"))]
    encoded = encoder.add_vectors([*empty, Delete("x")], Embedding(("title", "nothing"), 100))
    assert [isinstance(change, Upsert) and change.vector is not None for change in encoded] == [
        False,
        False,
        True,
        False,
    ]
    assert embedder.encoded == ["red"]
