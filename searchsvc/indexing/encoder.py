"""Vectors of documents, from the cache if their text was encoded before, else from the model."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from events.settings import Embedding
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.cache import VectorCache, half_precision
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.protocol import Delete, Upsert
from tuning.arrays import FloatArray


class DocumentEncoder:
    """Encodes documents. For the indexing thread.

    dimension: of the model's vectors.
    digest: of the model.
    """

    def __init__(self, embedder: Embedder, cache: VectorCache) -> None:
        self._embedder = embedder
        self._cache = cache
        self.dimension = embedder.dimension
        self.digest = embedder.digest

    def encode(self, texts: Sequence[str]) -> list[FloatArray]:
        """Return the (dimension,) vector of each text."""
        distinct = list(dict.fromkeys(texts))
        vectors = self._cache.get(distinct)
        missing = [text for text in distinct if text not in vectors]
        if missing:
            encoded = self._embedder.encode_documents(missing)
            self._cache.put(missing, encoded)
            # In the precision that the cache returns, so that a rebuilt index is equal to the last bit.
            vectors.update(zip(missing, half_precision(encoded), strict=True))
        return [vectors[text] for text in texts]

    def add_vectors(self, changes: Sequence[Upsert | Delete], embedding: Embedding) -> Sequence[Upsert | Delete]:
        """Return the same changes, each upsert with its vector."""
        upserts = [change for change in changes if isinstance(change, Upsert)]
        if not upserts:
            return changes
        vectors = self.encode([embedding_text(upsert.members, embedding) for upsert in upserts])
        with_vector = {id(u): msgspec.structs.replace(u, vector=v) for u, v in zip(upserts, vectors, strict=True)}
        return [with_vector.get(id(change), change) for change in changes]
