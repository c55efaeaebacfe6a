"""Load the embedding model."""

from __future__ import annotations

import logging

from events.errors import Corrupt, InvalidInput, Unavailable
from searchsvc.app.health import HealthNotes
from searchsvc.embedding.cache import VectorCache
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import exported
from searchsvc.embedding.model import find_model
from searchsvc.indexing.encoder import DocumentEncoder
from searchsvc.runtime.config import Config

log = logging.getLogger(__name__)


def load_model(config: Config, notes: HealthNotes) -> tuple[Embedder, DocumentEncoder] | None:
    """Load the model that encodes queries and documents. Blocks for seconds.

    Returns None if it cannot be loaded: keyword searches are still answered, as degraded.
    """
    embedding, data = config.embedding, config.data_path
    try:
        embedder = Embedder(
            exported(find_model(embedding.model), config.export_path),
            cache_size=embedding.query_cache,
            query_threads=embedding.query_threads,
            document_threads=embedding.document_threads,
        )
        embedder.encode_query("warm up")
    except (Unavailable, Corrupt, InvalidInput) as error:
        notes.note("embedding", str(error))
        log.error("vector search is off: %s", error)
        return None
    cache = VectorCache(data / "vectors" / f"{embedder.digest[:16]}.sqlite", embedder.dimension)
    return embedder, DocumentEncoder(embedder, cache)
