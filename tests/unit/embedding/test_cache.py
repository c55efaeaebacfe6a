"""The cache of document vectors."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

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


def filled(path: Path) -> None:
    cache = VectorCache(path, 2)
    cache.put(["a", "b"], np.array([[1, 2], [3, 4]], np.float32))
    cache.close()


def test_a_vector_that_was_changed_is_not_given_back(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    filled(path)
    with closing(sqlite3.connect(path)) as database, database:
        blob = bytearray(database.execute("SELECT vector FROM vectors LIMIT 1").fetchone()[0])
        blob[0] ^= 1
        database.execute("UPDATE vectors SET vector = ? WHERE text = (SELECT text FROM vectors LIMIT 1)", [bytes(blob)])
    assert len(VectorCache(path, 2).get(["a", "b"])) == 1


@pytest.mark.parametrize("damage", [b"junk" * 4096, b"", b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "v.sqlite"
    filled(path)
    path.write_bytes(damage)
    cache = VectorCache(path, 2)
    assert cache.get(["a", "b"]) == {}
    cache.put(["a"], np.array([[1, 2]], np.float32))
    assert set(cache.get(["a", "b"])) == {"a"}


def test_a_file_that_is_damaged_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    cache = VectorCache(path, 2)
    texts = [f"text {i}" for i in range(2000)]
    cache.put(texts, np.ones((2000, 2), np.float32))
    cache.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    cache = VectorCache(path, 2)
    assert cache.get(texts) == {}
    cache.put(texts, np.ones((2000, 2), np.float32))
    assert len(cache.get(texts)) == 2000
