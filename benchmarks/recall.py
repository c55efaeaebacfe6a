"""Recall of the vector leg: how many of the truly nearest documents it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.errors import BenchmarkFailed
from benchmarks.model import packaged_model
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.cache import VectorCache
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.columnar.quantized import StoredVectors
from searchsvc.engines.columnar.vectors import VectorIndex
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.stored_files import load_stored
from tuning.arrays import AnyArray, BoolArray, FloatArray

K: Final = 100
BLOCK: Final = 16_384
FILTERED_SHARES: Final = (0.5, 0.1, 0.02)


def vector_recall(data_dir: Path, index: str, settings: IndexSettings, queries: Sequence[str]) -> dict[str, float]:
    """Return the share of the true 100 nearest that the vector leg finds, among all and among random parts of all.

    The truth is computed from the vectors as the model gave them (the cache holds them in half precision).

    data_dir: of a service that has stopped
    """
    folder = next((data_dir / "indexes").glob(f"{index}-*"))
    snapshot = storage.snapshots(folder)[0]
    vectors = load_stored(StoredVectors, snapshot, "vectors")
    live = np.load(snapshot / "live.npy")
    vector_index = VectorIndex(vectors.rows.shape[1], vectors, storage.vector_base(snapshot))
    vector_index.maintain()
    view = vector_index.view()
    embedder = Embedder(packaged_model(data_dir))
    query_vectors = np.stack([embedder.encode_query(query) for query in queries])
    rng = np.random.default_rng(report.SEED)
    parts: dict[str, BoolArray] = {"all": live}
    parts |= {f"{share:.0%} allowed": live & (rng.random(len(live)) < share) for share in FILTERED_SHARES}
    cache = VectorCache(data_dir / "vectors" / f"{embedder.digest[:16]}.sqlite", embedder.dimension)
    products = np.concatenate(
        [query_vectors @ block.T for block in _document_vectors(folder, snapshot, settings, cache)], axis=1
    )
    cache.close()
    recalls: dict[str, float] = {}
    for name, allowed in parts.items():
        slots: AnyArray = np.flatnonzero(allowed)
        k = min(K, len(slots))
        shares = []
        for vector, row in zip(query_vectors, products, strict=True):
            nearest = set(slots[np.argpartition(-row[slots], k - 1)[:k]].tolist())
            candidates, cosines = view.nearest(vector, K, allowed)
            best = candidates[np.argsort(-cosines, kind="stable")[:K]]
            shares.append(len(set(best.tolist()) & nearest) / max(k, 1))
        recalls[name] = round(float(np.mean(shares)), 4)
    return recalls


def _document_vectors(
    folder: Path, snapshot: Path, settings: IndexSettings, cache: VectorCache
) -> Iterator[FloatArray]:
    """Yield (n, dimension) vectors of the texts of all slots, in order, block by block."""
    embedding = settings.embedding
    ends = np.load(snapshot / "document_ends.npy").tolist()
    documents = next(folder.glob("work-*/documents")).read_bytes()
    if embedding is None:
        raise BenchmarkFailed("the catalogue is not embedded")
    for first in range(0, len(ends) - 1, BLOCK):
        spans = list(pairwise(ends[first : first + BLOCK + 1]))
        texts = [embedding_text(msgspec.json.decode(documents[start:end]), embedding) for start, end in spans]
        cached = cache.get(list(dict.fromkeys(texts)))
        yield np.stack([cached[text] for text in texts])
