"""The embedder: queries are cached, documents keep their order, and a query uses one core or all as requested."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from events.errors import Unavailable
from searchsvc.embedding.embedder import Embedder
from tests.unit.embedding.texts import TEXTS


def test_a_query_is_encoded_once_and_remembered(model_export: Path) -> None:
    embedder = Embedder(model_export, cache_size=2)
    first = embedder.encode_query("a")
    assert embedder.encode_query("a") is first
    embedder.encode_query("b")
    embedder.encode_query("c")
    assert embedder.cached("a") is None
    np.testing.assert_array_equal(embedder.encode_query("a"), first)


def test_documents_keep_their_order_and_are_encoded_as_if_each_was_the_only_one(model_export: Path) -> None:
    embedder = Embedder(model_export)
    texts = [TEXTS[i % 3] + " more" * (i % 5) for i in range(40)]
    reported: list[int] = []
    together = embedder.encode_documents(texts, reported.append)
    assert reported == [8, 16, 24, 32, 40]
    np.testing.assert_array_equal(together, [embedder.encode_documents([text])[0] for text in texts])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("n_words", [1, 7, 12, 29])
def test_a_query_has_the_same_vector_on_one_core_and_on_several(model_export: Path, n_words: int) -> None:
    query = " ".join(f"word {i}" for i in range(n_words))
    on_one, on_all = (
        Embedder(model_export, query_threads=2).encode_query(query, all_cores=each) for each in (False, True)
    )
    np.testing.assert_array_equal(on_one, on_all)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_query_on_all_cores_is_encoded_on_other_cores_than_its_workers(model_export: Path) -> None:
    calling_cores: set[int] = set()

    class WatchedSession:
        def run(self, *_: object) -> None:
            calling_cores.update(os.sched_getaffinity(0))
            raise RuntimeError("seen enough")

    everywhere, before = os.sched_getaffinity(0), _threads()
    embedder = Embedder(model_export, query_threads=2)
    workers = [os.sched_getaffinity(thread) for thread in _threads() - before]
    embedder._parallel_session = WatchedSession()
    with pytest.raises(Unavailable):
        embedder.encode_query("a", all_cores=True)
    assert calling_cores
    assert any(cores and cores.isdisjoint(calling_cores) for cores in workers), (workers, calling_cores)
    assert os.sched_getaffinity(0) == everywhere, "also where the model fails"


def _threads() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}


def test_a_failing_model_is_unavailable_and_not_remembered(model_export: Path) -> None:
    class Broken:
        def run(self, *_: object) -> None:
            raise RuntimeError("no memory")

    embedder = Embedder(model_export)
    embedder._session = Broken()
    with pytest.raises(Unavailable, match="no memory"):
        embedder.encode_query("a")
    assert embedder.cached("a") is None
    with pytest.raises(Unavailable, match="no memory"):
        embedder.encode_documents(["a"])
