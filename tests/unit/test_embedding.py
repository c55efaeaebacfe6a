"""The encoder: our graph is the model's, lateness and failure are said, caches are keyed right."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from events.errors import Corrupt, InvalidInput, Unavailable
from searchsvc.embedding import bert
from searchsvc.embedding.cache import VectorCache
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import exported, quantise, read_manifest, trace
from searchsvc.embedding.model import find_model

TEXTS = ["wireless mouse", "HP toner cartridge black, 2,300 pages", "Zahnbürste für Kinder", "x " * 300]
MODEL = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def sentence_transformer(torch: None) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(find_model(MODEL).folder), device="cpu")


def test_our_graph_gives_the_vectors_of_sentence_transformers(tmp_path: Path, sentence_transformer: Any) -> None:
    import onnx

    folder = find_model(MODEL).folder
    assert folder is not None
    config = bert.supported(folder)
    assert config is not None
    onnx.save(bert.build(folder, config), tmp_path / "full.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "full.onnx"), providers=["CPUExecutionProvider"])
    tokens = sentence_transformer.tokenizer(TEXTS[:3])["input_ids"]
    ours = [session.run(None, {"input_ids": np.array([ids], np.int64)})[0][0] for ids in tokens]
    np.testing.assert_allclose(ours, sentence_transformer.encode(TEXTS[:3]), atol=1e-5)


def test_the_int8_model_stays_close_to_the_original(model_export: Path, sentence_transformer: Any) -> None:
    ours = Embedder(model_export).encode_documents(TEXTS)
    cosines = (ours * sentence_transformer.encode(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.98


def test_a_traced_model_gives_the_same_vectors_as_the_built_one(
    tmp_path: Path, sentence_transformer: Any, model_export: Path
) -> None:
    source = find_model(MODEL)
    dimension, max_tokens = trace(source, tmp_path, tmp_path / "full.onnx")
    assert (dimension, max_tokens) == (384, 256)
    quantise(tmp_path / "full.onnx", tmp_path / "model.onnx")
    tokens = sentence_transformer.tokenizer(TEXTS[:1], return_tensors="np")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    traced = session.run(None, {"input_ids": tokens["input_ids"].astype(np.int64)})[0][0]
    assert float(traced @ Embedder(model_export).encode_query(TEXTS[0])) > 0.98


def test_a_query_is_encoded_once_and_remembered(model_export: Path) -> None:
    embedder = Embedder(model_export, cache_size=2)
    first = embedder.encode_query("a")
    assert embedder.encode_query("a") is first
    embedder.encode_query("b")
    embedder.encode_query("c")
    assert embedder.cached("a") is None
    np.testing.assert_array_equal(embedder.encode_query("a"), first)


def test_documents_come_back_in_the_order_given_each_as_if_it_were_the_only_one(model_export: Path) -> None:
    embedder = Embedder(model_export)
    texts = [TEXTS[i % 3] + " more" * (i % 5) for i in range(40)]
    said: list[int] = []
    together = embedder.encode_documents(texts, said.append)
    assert said == [16, 32, 40]
    np.testing.assert_array_equal(together, [embedder.encode_documents([text])[0] for text in texts])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("n_words", [1, 7, 12, 29])
def test_a_query_has_the_same_vector_on_one_core_and_on_several(model_export: Path, n_words: int) -> None:
    query = " ".join(f"word {i}" for i in range(n_words))
    busy, quiet = (Embedder(model_export, query_threads=2).encode_query(query, alone=alone) for alone in (False, True))
    np.testing.assert_array_equal(busy, quiet)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_who_asks_for_a_query_alone_shares_no_core_with_the_other_threads_meanwhile(model_export: Path) -> None:
    asking: set[int] = set()

    class WatchedSession:
        def run(self, *_: object) -> None:
            asking.update(os.sched_getaffinity(0))
            raise RuntimeError("seen enough")

    everywhere, before = os.sched_getaffinity(0), _threads()
    embedder = Embedder(model_export, query_threads=2)
    workers = [os.sched_getaffinity(thread) for thread in _threads() - before]
    embedder._session_alone = WatchedSession()
    with pytest.raises(Unavailable):
        embedder.encode_query("a", alone=True)
    assert asking
    assert any(cores and cores.isdisjoint(asking) for cores in workers), (workers, asking)
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


def test_an_export_with_a_flipped_bit_is_found_and_made_again(tmp_path: Path) -> None:
    folder = exported(find_model(MODEL), tmp_path)
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(Corrupt, match="not what was exported"):
        read_manifest(folder)
    good = read_manifest(exported(find_model(MODEL), tmp_path))
    assert good.files["model.onnx"] == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["", "no-such-model", "/no/such/folder"])
def test_an_unknown_model_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        find_model(name or "./nothing")
    assert refused.value.field == "embedding.model"


def test_cached_vectors_come_back_in_half_precision(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite", 3)
    vectors = np.array([[0.1, 0.2, 0.3], [1, 0, 0]], np.float32)
    cache.put(["a", "b"], vectors)
    cache.close()
    again = VectorCache(tmp_path / "v.sqlite", 3).get(["b", "a", "c"])
    assert set(again) == {"a", "b"}
    np.testing.assert_array_equal(again["a"], vectors[0].astype(np.float16).astype(np.float32))
    assert VectorCache(tmp_path / "v.sqlite", 4).get(["a"]) == {}
