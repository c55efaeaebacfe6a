"""The cache of document vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from searchsvc.embedding.cache import VectorCache, half_precision


def test_cached_vectors_come_back_in_half_precision(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite", 3)
    vectors = np.array([[0.1, 0.2, 0.3], [1, 0, 0]], np.float32)
    cache.put(["a", "b"], vectors)
    cache.close()
    again = VectorCache(tmp_path / "v.sqlite", 3).get(["b", "a", "c"])
    assert set(again) == {"a", "b"}
    np.testing.assert_array_equal(again["a"], vectors[0].astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal([again["a"], again["b"]], half_precision(vectors))
    assert VectorCache(tmp_path / "v.sqlite", 4).get(["a"]) == {}


def test_many_texts_are_looked_up_at_once(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite", 2)
    texts = [f"text {number}" for number in range(1201)]
    cache.put(texts, np.arange(2402, dtype=np.float32).reshape(-1, 2) % 64)
    assert set(cache.get([*texts, "unknown"])) == set(texts)
