"""Text to terms, for documents and queries alike.

One analyzer (tantivy's, in Rust) serves tantivy's index, our forward index and queries: they agree by construction.
Letters and digits make words; case and accents are folded; English words are stemmed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import tantivy

from events.settings import Embedding, SearchableField

ANALYZER_NAME = "searchsvc"
MAX_TERM_BYTES = 64
MAX_QUERY_TERMS = 32


def build_analyzer() -> tantivy.TextAnalyzer:
    """The analyzer, to be registered with tantivy under `ANALYZER_NAME`."""
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(r"[\p{L}\p{N}]+"))
        .filter(tantivy.Filter.remove_long(MAX_TERM_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


class _PerThread(threading.local):
    """A tantivy analyzer works on itself, so two threads must not share one."""

    def __init__(self) -> None:
        self.analyzer = build_analyzer()


_local = _PerThread()


def analyze(text: str) -> list[str]:
    """The terms of a text in order, repeats included."""
    terms: list[str] = _local.analyzer.analyze(text)
    return terms


def query_terms(query: str) -> tuple[str, ...]:
    """The distinct terms of a query in order, at most `MAX_QUERY_TERMS`."""
    return tuple(dict.fromkeys(analyze(query)))[:MAX_QUERY_TERMS]


def field_text(document: Mapping[str, object], field: SearchableField) -> str:
    """The text of one searchable field: its members' values joined, '' where there are none."""
    parts: list[str] = []
    for member in field.members:
        if member.endswith("*"):
            prefix = member[:-1]
            parts.extend(_text(value) for name, value in document.items() if name.startswith(prefix))
        else:
            parts.append(_text(document.get(member)))
    return " ".join(part for part in parts if part)


def embedding_text(document: Mapping[str, object], embedding: Embedding) -> str:
    """The text that is encoded for a document: its members in order, each cut, joined by full stops."""
    parts = [_text(document.get(name), ", ")[: embedding.max_chars] for name in embedding.fields]
    return ". ".join(part for part in parts if part)


def _text(value: object, between: str = " ") -> str:
    match value:
        case str():
            return value
        case bool() | None:
            return ""
        case int() | float():
            return str(value)
        case Sequence():
            return between.join(text for text in (_text(item, between) for item in value) if text)
        case Mapping():
            return between.join(text for text in (_text(item, between) for item in value.values()) if text)
        case _:
            return ""
