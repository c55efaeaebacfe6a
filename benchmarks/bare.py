"""The bare keyword part that ours is held against: one tantivy query over the searchable fields, as a script has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.analysis.document_text import field_text

HEAP_BYTES: Final = 256_000_000
MAX_TERMS: Final = 32


class BareKeyword:
    """A tantivy index in memory, in one segment, with its English analyzer."""

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
            made = tantivy.Document()
            for name, field in zip(self._fields, settings.searchable, strict=True):
                made.add_text(name, field_text(document, field))
            writer.add_document(made)
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
        self._term, self._any, self._should = (
            tantivy.Query.term_query,
            tantivy.Query.boolean_query,
            tantivy.Occur.Should,
        )

    def terms(self, query: str) -> list[str]:
        return list(dict.fromkeys(self._analyze(query)))[:MAX_TERMS]

    def search(self, terms: Sequence[str], k: int) -> object:
        clauses = [(self._should, self._term(self._schema, field, term)) for term in terms for field in self._fields]
        return self._searcher.search(self._any(clauses), k)
