"""Vectors of documents, from the cache if their text was encoded before, else from the model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from events.settings import Embedding
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.cache import VectorCache, half_precision
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.protocol import Delete, Upsert
from tuning.arrays import FloatArray

# Texts after which those of another index have their turn: about a tenth of a second.
TURN: Final = 16


class DocumentEncoder:
    """Encodes documents, for many threads: they take turns, so that a long import delays no other index.

    dimension: of the model's vectors.
    digest: of the model.
    n_texts: texts that got a vector since the start.
    """

    def __init__(self, embedder: Embedder, cache: VectorCache) -> None:
        self._embedder = embedder
        self._cache = cache
        self.dimension = embedder.dimension
        self.digest = embedder.digest
        self.n_texts = 0
        # Takes turns in the order in which they were asked for, which a lock would not.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="document-encoder")

    def encode(self, texts: Sequence[str]) -> list[FloatArray]:
        """Return the (dimension,) vector of each text."""
        vectors: list[FloatArray] = []
        for start in range(0, len(texts), TURN):
            vectors += self._thread.submit(self._encode, texts[start : start + TURN]).result()
        return vectors

    def add_vectors(self, changes: Sequence[Upsert | Delete], embedding: Embedding) -> Sequence[Upsert | Delete]:
        """Return the same changes, each upsert whose document has a text to encode with its vector."""
        texts = [(u, embedding_text(u.members, embedding)) for u in changes if isinstance(u, Upsert)]
        # Nothing is as near to an empty text as another one, whatever a model makes of it.
        texts = [(upsert, text) for upsert, text in texts if text.strip()]
        if not texts:
            return changes
        vectors = self.encode([text for _, text in texts])
        with_vector = {id(u): msgspec.structs.replace(u, vector=v) for (u, _), v in zip(texts, vectors, strict=True)}
        return [with_vector.get(id(change), change) for change in changes]

    def _encode(self, texts: Sequence[str]) -> list[FloatArray]:
        distinct = list(dict.fromkeys(texts))
        vectors = self._cache.get(distinct)
        missing = [text for text in distinct if text not in vectors]
        if missing:
            encoded = self._embedder.encode_documents(missing)
            self._cache.put(missing, encoded)
            # In the precision that the cache returns, so that a rebuilt index is equal to the last bit.
            vectors.update(zip(missing, half_precision(encoded), strict=True))
        self.n_texts += len(texts)
        return [vectors[text] for text in texts]
