"""The bare parts of a search, as a script would call them: what our searches are compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import faiss

from benchmarks.model import packaged_model
from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.analysis.document_text import field_text
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.columnar.quantized import StoredVectors
from searchsvc.engines.columnar.sieves import build_base
from searchsvc.engines.columnar.vectors import MAX_EXHAUSTIVE_ROWS
from searchsvc.engines.embedded.storage import snapshots
from searchsvc.engines.embedded.stored_files import load_stored

CANDIDATES: Final = 100
HEAP_BYTES: Final = 256_000_000
MAX_TERMS: Final = 32
T = TypeVar("T")


class BareKeyword:
    """A tantivy index in memory, in one segment, with its English analyzer; one query over all searchable fields.

    Raises InvalidInput if tantivy is not installed.
    """

    def __init__(self, documents: Sequence[Mapping[str, Any]], settings: IndexSettings) -> None:
        try:
            import tantivy
        except ImportError as error:
            raise InvalidInput(
                "the benchmark compares with tantivy, which is not installed (requirements/dev.lock)"
            ) from error
        builder = tantivy.SchemaBuilder()
        self._fields = [f"f{i}" for i in range(len(settings.searchable))]
        for name in self._fields:
            builder.add_text_field(name, tokenizer_name="en_stem")
        self._schema = builder.build()
        index = tantivy.Index(self._schema)
        writer = index.writer(HEAP_BYTES, 1)
        for document in documents:
            row = tantivy.Document()
            for name, field in zip(self._fields, settings.searchable, strict=True):
                row.add_text(name, field_text(document, field))
            writer.add_document(row)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()
        self._analyze = (
            tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
            .filter(tantivy.Filter.lowercase())
            .filter(tantivy.Filter.stemmer("english"))
            .build()
            .analyze
        )
        self._term_query = tantivy.Query.term_query
        self._boolean_query = tantivy.Query.boolean_query
        self._should = tantivy.Occur.Should

    def terms(self, query: str) -> list[str]:
        return list(dict.fromkeys(self._analyze(query)))[:MAX_TERMS]

    def search(self, terms: Sequence[str], k: int) -> object:
        clauses = [
            (self._should, self._term_query(self._schema, field, term)) for term in terms for field in self._fields
        ]
        return self._searcher.search(self._boolean_query(clauses), k)


class BareParts:
    """The parts of a hybrid search: model, tantivy over the documents, FAISS over the service's own vectors.

    data_dir: of a service whose index `index` is saved
    """

    def __init__(
        self, data_dir: Path, index: str, settings: IndexSettings, documents: Sequence[Mapping[str, Any]]
    ) -> None:
        faiss.omp_set_num_threads(1)
        snapshot = snapshots(next((data_dir / "indexes").glob(f"{index}-*")))[0]
        self._keyword = BareKeyword(documents, settings)
        self._faiss: Any = _faiss_index(load_stored(StoredVectors, snapshot, "vectors"))
        self.model = packaged_model(data_dir)
        self.embedder = Embedder(self.model, cache_size=0)

    def run(self, query: str) -> dict[str, float]:
        """Return the milliseconds of each part for one query, and of their sum."""
        vector, encode = timed(lambda: self.embedder.encode_query(query))
        terms = self._keyword.terms(query)
        _, keyword = timed(lambda: self._keyword.search(terms, CANDIDATES))
        _, nearest = timed(lambda: self._faiss.search(vector[None, :], CANDIDATES))
        return {"encode": encode, "tantivy": keyword, "faiss": nearest, "sum": encode + keyword + nearest}


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Call something; return (its result, milliseconds)."""
    started = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - started) * 1e3


def _faiss_index(vectors: StoredVectors) -> Any:
    """Build the index that the service uses: an exhaustive one for few rows."""
    n, dimension = vectors.rows.shape
    if n >= MAX_EXHAUSTIVE_ROWS:
        return build_base(vectors)
    index: Any = faiss.IndexFlatIP(dimension)
    index.add(vectors.floats(slice(None)))
    return index
