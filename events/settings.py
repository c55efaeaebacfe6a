"""The settings of one index, as stored in `IndexConfigured`: what is searched, embedded and weighed.

Pure data. `searchsvc.indexing.inference` makes one from sample documents;
people edit it through `PUT /v1/indexes/{index}`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from events.errors import require

INDEX_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")
FIELD_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$")
MAX_SEARCHABLE_FIELDS = 16
MAX_SIGNALS = 16

Transform = Literal["identity", "log1p", "inverse", "decay", "boolean"]


class SearchableField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named text field that keyword search covers; it gives the feature `bm25.<name>`.

    sources: document members whose text is joined; a trailing `*` takes every member with that prefix
        (thousands of sparse attributes become one field). Empty means the member called `name`.
    """

    name: str
    sources: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        return self.sources or (self.name,)


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number of the document that ranks it whatever the query; it gives the feature `signal.<field>`, in [0, 1].

    identity, log1p: the number, or the logarithm of 1 + it, divided by scale and cut to 1. inverse: scale / (scale +
    number), for prices: one half where the price is the scale. decay: a date; one half once it is scale days old.
    boolean: 1 where it is true, or a number above 0: in stock. A missing value gives 0. `scale` is fixed when the
    settings are written, so that one new document never shifts the scores of all others.
    """

    field: str
    transform: Transform = "log1p"
    scale: float = 1.0


class Embedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text that stands for a document in vector search: members in order, each cut to `max_chars` code points."""

    fields: tuple[str, ...]
    max_chars: int = 120


class IndexSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one index searches.

    title: the searchable field that names a document to a person; its matches weigh most by default.
    embedding: None switches vector search off for this index.
    """

    searchable: tuple[SearchableField, ...]
    title: str
    embedding: Embedding | None = None
    signals: tuple[Signal, ...] = ()


def check_index_name(name: str) -> str:
    """Return `name`, or raise InvalidInput where it is no index name."""
    limit = "1 to 64 of a-z, 0-9, _ and -, not starting with _ or -"
    require(INDEX_NAME.fullmatch(name) is not None, "index", name, limit)
    return name


def check_settings(settings: IndexSettings) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    n_fields = len(settings.searchable)
    require(1 <= n_fields <= MAX_SEARCHABLE_FIELDS, "searchable", n_fields, f"1 to {MAX_SEARCHABLE_FIELDS} fields")
    names = [field.name for field in settings.searchable]
    for i, name in enumerate(names):
        require(FIELD_NAME.fullmatch(name) is not None, f"searchable[{i}].name", name, FIELD_NAME.pattern)
        require(name not in names[:i], f"searchable[{i}].name", name, "each name once")
    require(settings.title in names, "title", settings.title, f"one of {', '.join(names)}")
    embedding = settings.embedding
    if embedding is not None:
        require(bool(embedding.fields), "embedding.fields", 0, "at least one field, or embedding null")
        require(1 <= embedding.max_chars <= 2000, "embedding.max_chars", embedding.max_chars, "1 to 2000")
    n_signals = len(settings.signals)
    require(n_signals <= MAX_SIGNALS, "signals", n_signals, f"at most {MAX_SIGNALS}")
    members = [signal.field for signal in settings.signals]
    for i, signal in enumerate(settings.signals):
        require(FIELD_NAME.fullmatch(signal.field) is not None, f"signals[{i}].field", signal.field, FIELD_NAME.pattern)
        require(signal.field not in members[:i], f"signals[{i}].field", signal.field, "each field once")
        positive = 0.0 < signal.scale < float("inf")
        require(positive, f"signals[{i}].scale", signal.scale, "a finite number above 0")
