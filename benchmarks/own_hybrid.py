"""OpenSearch's own hybrid query, on an index built as its manual describes: what our service is compared with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery, documents_file, lines
from benchmarks.queries import MAX_QUERY_LENGTH
from events.settings import IndexSettings
from searchsvc.analysis.document_text import embedding_text, field_text
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.opensearch.client import client_of
from searchsvc.indexing.documents import AcceptedDocument, parse_documents
from tuning.arrays import FloatArray

K: Final = 10
BATCH: Final = 500
TIMEOUT_S: Final = 60
# The two ways in which a hybrid query can join its legs.
PROCESSORS: Final[Mapping[str, dict[str, Any]]] = {
    "OpenSearch hybrid, min-max": {
        "normalization-processor": {
            "normalization": {"technique": "min_max"},
            "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
        }
    },
    "OpenSearch hybrid, RRF": {"score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": 60}}},
}


class OwnHybrid:
    """An index of its own on a node.

    url: address of the node
    index: name of the index, which is created
    """

    def __init__(self, url: str, index: str, settings: IndexSettings, embedder: Embedder) -> None:
        if settings.embedding is None:
            raise ValueError("inferred settings always embed")
        self._url = url
        self._index = index
        self._settings = settings
        self._embedding = settings.embedding
        self._embedder = embedder

    async def measure(
        self, folder: Path, queries: Sequence[JudgedQuery]
    ) -> dict[str, tuple[list[list[str]], list[float]]]:
        """Index a collection and search it; return (ids of each query, milliseconds of each) by processor."""
        client = client_of([self._url], timeout=TIMEOUT_S)
        try:
            await self._fill(client, folder)
            return {name: await self._search_all(client, processor, queries) for name, processor in PROCESSORS.items()}
        finally:
            await client.close()

    async def _fill(self, client: Any, folder: Path) -> None:
        text = {"type": "text", "analyzer": "english"}
        vector = {
            "type": "knn_vector",
            "dimension": self._embedder.dimension,
            "method": {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"},
        }
        body = {
            "settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0}},
            "mappings": {"properties": {"title": text, "body": text, "vector": vector}},
        }
        await client.indices.create(index=self._index, body=body)
        parsed = parse_documents(b"".join(lines(documents_file(folder))))
        documents = [document for document in parsed if isinstance(document, AcceptedDocument)]
        for batch in _batches(documents, BATCH):
            await client.bulk(body=self._bulk_body(batch))
        await client.indices.forcemerge(index=self._index, params={"max_num_segments": "1"})
        await client.indices.refresh(index=self._index)

    def _bulk_body(self, documents: Sequence[AcceptedDocument]) -> str:
        """Encode documents for `_bulk`: a title, all other texts as a body, and a vector."""
        texts = [embedding_text(document.members, self._embedding) for document in documents]
        vectors: FloatArray = self._embedder.encode_documents(texts)
        rows = []
        for document, vector in zip(documents, vectors, strict=True):
            fields = {field.name: field_text(document.members, field) for field in self._settings.searchable}
            title = fields.pop(self._settings.title)
            row = {"title": title, "body": " ".join(fields.values()), "vector": [float(value) for value in vector]}
            action = {"index": {"_index": self._index, "_id": document.id}}
            rows += [msgspec.json.encode(action), msgspec.json.encode(row)]
        return b"\n".join(rows).decode() + "\n"

    async def _search_all(
        self, client: Any, processor: Mapping[str, Any], queries: Sequence[JudgedQuery]
    ) -> tuple[list[list[str]], list[float]]:
        ranked, times = [], []
        for query in queries:
            text = query.text[:MAX_QUERY_LENGTH]
            vector = [float(value) for value in self._embedder.encode_query(text)]
            words = {"multi_match": {"query": text, "fields": ["title^3", "body"]}}
            nearest = {"knn": {"vector": {"vector": vector, "k": CANDIDATES}}}
            body = {
                "size": K,
                "_source": False,
                "query": {"hybrid": {"queries": [words, nearest]}},
                "search_pipeline": {"phase_results_processors": [processor]},
            }
            started = time.perf_counter()
            answer = await client.search(index=self._index, body=body)
            times.append((time.perf_counter() - started) * 1e3)
            ranked.append([hit["_id"] for hit in answer["hits"]["hits"]])
        return ranked, times


def _batches(documents: Sequence[AcceptedDocument], size: int) -> Iterator[Sequence[AcceptedDocument]]:
    for start in range(0, len(documents), size):
        yield documents[start : start + size]
