"""Keyword candidates from tantivy. It finds; the forward index scores what it found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tantivy

from searchsvc.analysis import ANALYZER_NAME, build_analyzer
from searchsvc.engine import KeywordCandidates

WRITER_HEAP_BYTES = 64_000_000
# What is added to a writer of this size before a commit becomes one segment: some 100,000 documents of a shop.
REBUILD_HEAP_BYTES = 256_000_000


class KeywordIndex:
    """The writer's side. Text fields are numbered; the slot stands beside them. heap_bytes: of the writer."""

    def __init__(self, folder: Path, n_fields: int, heap_bytes: int = WRITER_HEAP_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        builder = tantivy.SchemaBuilder()
        for i in range(n_fields):
            builder.add_text_field(f"f{i}", tokenizer_name=ANALYZER_NAME)
        builder.add_integer_field("slot", indexed=True, fast=True)
        self.folder = folder
        self._schema = builder.build()
        self._n_fields = n_fields
        self._index = tantivy.Index(self._schema, path=str(folder))
        self._index.register_tokenizer(ANALYZER_NAME, build_analyzer())
        self._writer = self._index.writer(heap_bytes, 1)

    @property
    def n_segments(self) -> int:
        """A search looks every term up in each of them."""
        return self._index.searcher().num_segments

    def add(self, slot: int, texts: Sequence[str]) -> None:
        document = tantivy.Document()
        document.add_integer("slot", slot)
        for i, text in enumerate(texts):
            if text:
                document.add_text(f"f{i}", text)
        self._writer.add_document(document)

    def remove(self, slot: int) -> None:
        self._writer.delete_documents_by_term("slot", slot)

    def commit(self) -> KeywordView:
        self._writer.commit()
        self._index.reload()
        return self.view()

    def view(self) -> KeywordView:
        return KeywordView(self._schema, self._index.searcher(), self._n_fields)

    def settle(self) -> None:
        """Wait for merges, so that the folder's files are final. The writer is made anew for what comes next."""
        self._writer.wait_merging_threads()
        self._writer = self._index.writer(WRITER_HEAP_BYTES, 1)
        self._index.reload()

    def close(self) -> None:
        self._writer.wait_merging_threads()


class KeywordView:
    """The reader's side: one tantivy searcher."""

    def __init__(self, schema: tantivy.Schema, searcher: tantivy.Searcher, n_fields: int) -> None:
        self._schema = schema
        self._searcher = searcher
        self._n_fields = n_fields

    def search(self, terms: Sequence[tuple[str, int]], boosts: Sequence[float], k: int) -> KeywordCandidates:
        """The k best documents that hold any of the terms in its field. boosts: one per field, at least 0."""
        should = tantivy.Occur.Should
        clauses = []
        for term, i in terms:
            clause = tantivy.Query.term_query(self._schema, f"f{i}", term)
            clauses.append((should, clause if boosts[i] == 1.0 else tantivy.Query.boost_query(clause, boosts[i])))
        result = self._searcher.search(tantivy.Query.boolean_query(clauses), k, count=True)
        slots = self._searcher.fast_field_values("slot", [address for _, address in result.hits])
        scores = np.array([score for score, _ in result.hits], np.float32)
        return KeywordCandidates(np.array(slots, np.int64), scores, int(result.count))  # type: ignore[attr-defined]  # missing in tantivy's stubs
