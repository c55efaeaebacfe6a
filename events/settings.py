"""The settings of one index, as stored in `IndexConfigured`: what is searched, embedded and weighed.

Pure data. `searchsvc.infer` makes one from sample documents; people edit it through `PUT /v1/indexes/{index}`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from events.errors import InvalidInput

INDEX_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")
FIELD_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$")
MAX_SEARCHABLE_FIELDS = 16
MAX_SIGNALS = 16

Transform = Literal["identity", "log1p"]


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
    """A number of the document that ranks it whatever the query; it gives the feature `signal.<field>`.

    The feature is transform(value) / scale, cut to [0, 1]; a missing value gives 0. `scale` is fixed when the
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
    if not INDEX_NAME.match(name):
        limit = "1 to 64 of a-z, 0-9, _ and -, not starting with _ or -"
        raise InvalidInput(f"index name {name[:70]!r} is not allowed: {limit}", field="index", value=name, limit=limit)
    return name


def check_settings(settings: IndexSettings) -> None:
    """Raise InvalidInput naming the first member that cannot be honoured."""
    if not 1 <= len(settings.searchable) <= MAX_SEARCHABLE_FIELDS:
        _refuse("searchable", len(settings.searchable), f"1 to {MAX_SEARCHABLE_FIELDS} fields")
    names = [field.name for field in settings.searchable]
    for i, field in enumerate(settings.searchable):
        if not FIELD_NAME.match(field.name):
            _refuse(f"searchable[{i}].name", field.name, FIELD_NAME.pattern)
        if field.name in names[:i]:
            _refuse(f"searchable[{i}].name", field.name, "each name once")
    if settings.title not in names:
        _refuse("title", settings.title, f"one of {', '.join(names)}")
    if settings.embedding is not None:
        if not settings.embedding.fields:
            _refuse("embedding.fields", 0, "at least one field, or embedding null")
        if not 1 <= settings.embedding.max_chars <= 2000:
            _refuse("embedding.max_chars", settings.embedding.max_chars, "1 to 2000")
    if len(settings.signals) > MAX_SIGNALS:
        _refuse("signals", len(settings.signals), f"at most {MAX_SIGNALS}")
    for i, signal in enumerate(settings.signals):
        if not FIELD_NAME.match(signal.field):
            _refuse(f"signals[{i}].field", signal.field, FIELD_NAME.pattern)
        if signal.field in [other.field for other in settings.signals[:i]]:
            _refuse(f"signals[{i}].field", signal.field, "each field once")
        if not 0.0 < signal.scale < float("inf"):
            _refuse(f"signals[{i}].scale", signal.scale, "a finite number above 0")


def _refuse(field: str, value: object, limit: str) -> None:
    raise InvalidInput(f"{field} is {value!r}; allowed: {limit}", field=field, value=value, limit=limit)
