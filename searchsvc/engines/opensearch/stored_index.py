"""Read back what an index on the node contains, when it is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.attribute_columns import KINDS, CountedKinds
from searchsvc.engines.opensearch.clauses import LIVE, REFUSED
from searchsvc.engines.opensearch.columns import from_base64, unpack_vectors
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from tuning.arrays import FloatArray, ScoreArray

PAGE_OF_TERMS: Final = 10_000
PAGE_OF_DOCUMENTS: Final = 1000


class Totals(msgspec.Struct, frozen=True):
    """The digest of all live documents, and the (dimension,) sum of their vectors."""

    digest: DocumentsDigest
    vector_sum: ScoreArray


class StoredIndex:
    """Reads an index on the node. Every method raises Unavailable. dimension: of its vectors, 0 without any."""

    def __init__(self, index: ConcreteIndex, dimension: int) -> None:
        self._index = index
        self._dimension = dimension

    def progress(self) -> replies.Progress:
        """Return the progress that the last write recorded."""
        return self._index.documents([mapping.PROGRESS_ID], ["state"])[0].source.state

    def attribute_kinds(self) -> CountedKinds:
        """Return how many documents have values of each kind in each attribute."""
        return CountedKinds(self.counts(KINDS))

    def refusals(self, n: int) -> dict[str, str]:
        """Return why the node refused documents, by id; at most n of them."""
        body = {"query": REFUSED, "size": n, "_source": ["id", "refused"]}
        hits = self._index.ask_all("/_search", replies.Searched, body).hits.hits
        return {hit.source.id: hit.source.refused for hit in hits}

    def is_ahead_of(self, catalog_seq: int) -> bool:
        """Return whether it has documents past a sequence: then its recorded totals are not its own."""
        later = {"query": {"range": {"seq": {"gt": catalog_seq}}}}
        return bool(self._index.ask_all("/_count", replies.Count, later).count)

    def recount(self) -> Totals:
        """Add up all live documents."""
        digest, vector_sum = DocumentsDigest(), np.zeros(self._dimension)
        for hits in self._pages(["document", "bytes"]):
            digest = digest.changed([hit.source.document.encode() for hit in hits], [])
            if self._dimension:
                vector_sum = vector_sum + self._vectors(hits).sum(axis=0, dtype=np.float64)
        return Totals(digest, vector_sum)

    def vectors(self) -> Iterator[list[tuple[str, FloatArray]]]:
        """Yield pages of ids and vectors of the live documents that have a vector."""
        for hits in self._pages(["id", "bytes"]):
            with_vector = [hit for hit in hits if hit.source.bytes]
            yield list(zip((hit.source.id for hit in with_vector), self._vectors(with_vector), strict=True))

    def counts(self, field: str) -> dict[str, int]:
        """Return how many live documents have each value of a field."""
        counts: dict[str, int] = {}
        sources = [{"key": {"terms": {"field": field}}}]
        composite: dict[str, Any] = {"size": PAGE_OF_TERMS, "sources": sources}
        while True:
            body = {"size": 0, "query": LIVE, "aggs": {"terms": {"composite": composite}}}
            page = self._index.ask_all("/_search", replies.CompositeSearched, body)
            terms = page.aggregations["terms"]
            counts |= {bucket.key["key"]: bucket.doc_count for bucket in terms.buckets}
            if terms.after_key is None:
                return counts
            composite["after"] = terms.after_key

    def _vectors(self, hits: Sequence[replies.Hit]) -> FloatArray:
        return unpack_vectors([from_base64(hit.source.bytes) for hit in hits], self._dimension)

    def _pages(self, members: Sequence[str]) -> Iterator[Sequence[replies.Hit]]:
        """Yield pages of all live documents in the order of their ids, with some of their members."""
        body: dict[str, Any] = {
            "size": PAGE_OF_DOCUMENTS,
            "query": {"bool": {"filter": [LIVE]}},
            "sort": [{"id": "asc"}],
            "_source": ["id", *members],
        }
        while hits := self._index.ask_all("/_search", replies.Searched, body).hits.hits:
            yield hits
            body["search_after"] = [hits[-1].source.id]
