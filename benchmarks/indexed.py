"""A whole collection as an index in this process, as the service would infer and build it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.collection import documents_file, lines
from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded import storage
from searchsvc.engines.protocol import EngineSnapshot, Upsert
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from searchsvc.indexing.inference import infer_settings
from tuning.arrays import FloatArray

BATCH: Final = 256
N_INFERRED_FROM: Final = 1000


def usable_documents(folder: Path) -> list[AcceptedDocument]:
    """Read the documents of a collection that the service would accept. Raises InvalidInput if there is none."""
    parsed = parse_documents(b"".join(lines(documents_file(folder))))
    documents = [document for document in parsed if isinstance(document, AcceptedDocument)]
    if not documents:
        raise InvalidInput(f"{folder} has no usable document", field="collection", limit="1 or more")
    return documents


def inferred_settings(documents: Sequence[AcceptedDocument]) -> IndexSettings:
    """Return the settings that the service infers from the first documents."""
    return infer_settings([document.members for document in documents[:N_INFERRED_FROM]])


def embedded_texts(documents: Sequence[AcceptedDocument], settings: IndexSettings) -> list[str]:
    """Return what is encoded of each document."""
    embedding = settings.embedding
    if embedding is None:
        raise ValueError("inferred settings always embed")
    return [embedding_text(document.members, embedding) for document in documents]


def encode(embedder: Embedder, texts: Sequence[str], say: Callable[[str], None]) -> FloatArray:
    """Return the (n, dimension) vectors of texts."""
    say(f"encoding {len(texts)} documents")
    return embedder.encode_documents(texts, lambda n: say(f"encoded {n}") if n % 1600 == 0 else None)


def build_index(
    folder: Path, documents: Sequence[AcceptedDocument], settings: IndexSettings, vectors: FloatArray
) -> EngineSnapshot:
    """Build an embedded index in a folder. vectors: (n_documents, dimension)."""
    engine = storage.create(folder, settings, vectors.shape[1])
    upserts = [Upsert(d.id, d.text, d.members, vector) for d, vector in zip(documents, vectors, strict=True)]
    for start in range(0, len(upserts), BATCH):
        engine.apply(upserts[start : start + BATCH], start + 1)
    engine.maintain()
    return engine.snapshot()
