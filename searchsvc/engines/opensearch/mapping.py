"""The mapping of an index: the fields of its documents on the node. Pure.

Texts are analyzed by the service (`searchsvc.analysis.analyzer`) and sent as stems separated by spaces, so both engines
find the same words. Stems at the same position (a word and the compounds that begin there) are joined by `|`.

Attributes are in columns of their own: see `searchsvc.engines.opensearch.attribute_columns`.

A deleted document stays as a tombstone that is not `live`, so that an older version of it never comes back. One more
document, which is not live either, records how much of CATALOG the index contains.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from events.settings import IndexSettings
from searchsvc.engines.columnar.statistics import K1, B
from searchsvc.engines.opensearch.attribute_columns import COLUMN_KINDS, KINDS, N_COLUMNS

# Part of an index's fingerprint: an index with another schema, or with words found otherwise in texts, is rebuilt.
SCHEMA: Final = 16
# Joins the stems at one position.
SAME_POSITION: Final = "|"
# Our analyzer on the node.
STEMS: Final = "stems"
# Positions between two fields in `all`: further apart than any phrase reaches.
FIELD_GAP: Final = 100
# The node takes ids of up to 512 bytes.
MAX_ID_BYTES: Final = 500
MAX_TOKEN_CHARS: Final = 1000
PROGRESS_ID: Final = "progress"
VECTOR: Final = "vector"
COLUMNS: Final = "columns"
SHORT: Final = "short"


def index_body(
    settings: IndexSettings, dimension: int, *, knn: bool = True, n_shards: int = 1, n_replicas: int = 0
) -> dict[str, Any]:
    """Return settings and mapping of a new index.

    dimension: of vectors, 0 without any
    knn: whether the node searches the vectors; otherwise it only stores them
    """
    # A node without the plugin does not know the setting.
    vector_settings = {"knn": True} if dimension and knn else {}
    return {
        "settings": {
            "index": {
                "number_of_shards": n_shards,
                "number_of_replicas": n_replicas,
                "refresh_interval": "-1",
                **vector_settings,
                "similarity": {
                    "default": {"type": "BM25", "k1": K1, "b": B},
                    "nearness": {"type": "scripted", "script": {"source": "return query.boost * doc.freq;"}},
                },
            },
            "analysis": _analysis(),
        },
        "mappings": {
            "dynamic": "strict",
            "_meta": {"schema": SCHEMA},
            # Other fields are derived from the document; the node would read them again with each hit.
            "_source": {"includes": ["id", "document", "bytes", "live", "state", "refused"]},
            "properties": _properties(settings, dimension if knn else 0),
        },
    }


def node_id(document_id: str) -> str:
    """Return the id that the node uses for a document. It is never `PROGRESS_ID`."""
    encoded = document_id.encode()
    return f"d{document_id}" if len(encoded) < MAX_ID_BYTES else f"h{hashlib.sha256(encoded).hexdigest()}"


def _analysis() -> dict[str, Any]:
    return {
        "tokenizer": {"positions": {"type": "whitespace", "max_token_length": MAX_TOKEN_CHARS}},
        "filter": {
            "beside": {"type": "pattern_capture", "preserve_original": False, "patterns": [r"([^|]+)"]},
        },
        "analyzer": {STEMS: {"type": "custom", "tokenizer": "positions", "filter": ["beside"]}},
    }


def _properties(settings: IndexSettings, knn_dimension: int) -> dict[str, Any]:
    """Return the fields. knn_dimension: of vectors that the node searches, 0 without any."""
    text = {"type": "text", "analyzer": STEMS}
    signal = {"type": "double", "index": False}
    properties: dict[str, Any] = {
        "id": {"type": "keyword"},
        "live": {"type": "boolean"},
        "seq": {"type": "long"},
        "document": {"type": "keyword", "index": False, "doc_values": False},
        "bytes": {"type": "binary"},
        COLUMNS: {"type": "binary", "doc_values": True},
        SHORT: {"type": "binary", "doc_values": True},
        "refused": {"type": "keyword"},
        "state": {"type": "object", "enabled": False},
        "text": {"properties": {str(column): text for column, _ in enumerate(settings.searchable)}},
        # All searchable fields, one after another: which terms a document contains, and how near to each other.
        "all": {
            "type": "text",
            "analyzer": STEMS,
            "similarity": "nearness",
            "norms": False,
            "position_increment_gap": FIELD_GAP,
        },
        "title": {"type": "keyword"},
        "words": {"type": "keyword"},
        "stems": {"type": "keyword"},
        "signals": {"properties": {str(column): signal for column, _ in enumerate(settings.signals)}},
        KINDS: {"type": "keyword"},
        "a": {"properties": {f"{kind}{i}": {"type": "keyword"} for kind in COLUMN_KINDS for i in range(N_COLUMNS)}},
    }
    if knn_dimension:
        method = {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"}
        properties[VECTOR] = {"type": "knn_vector", "dimension": knn_dimension, "method": method}
    return properties
