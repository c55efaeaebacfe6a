"""Index settings, as stored in `IndexConfigured`: what is searched, embedded and ranked by. Pure data.

`searchsvc.indexing.inference` infers them from sample documents; people change them with `PUT /v1/indexes/{index}`.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from events.errors import require

INDEX_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")
_FIELD_NAME: Final = re.compile(r"[^\x00-\x1f\x7f\s*](?:[^\x00-\x1f\x7f*]{0,126}[^\x00-\x1f\x7f\s*])?")
FIELD_NAME_LIMIT: Final = "1 to 128 characters, none of them * or a control character, and no space at either end"
MAX_SEARCHABLE_FIELDS = 16
MAX_SIGNALS = 16

Transform = Literal["identity", "log1p", "inverse", "decay", "boolean"]


def is_field_name(name: str) -> bool:
    """Return whether a member of documents can be named in settings and weights."""
    return _FIELD_NAME.fullmatch(name) is not None


class SearchableField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text field that keyword search covers. It has the feature `bm25.<name>`.

    sources: members whose texts are joined; a trailing `*` takes every member with that prefix, so that thousands of
        sparse attributes become one field; empty for the member called `name`
    """

    name: str
    sources: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        return self.sources or (self.name,)


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document's own number that ranks it for every query. It has the feature `signal.<field>`, in [0, 1].

    A missing value gives 0.

    transform: how the number becomes a feature:
        identity, log1p: the number, or log(1 + number), divided by `scale`, at most 1
        inverse: scale / (scale + number), for prices
        decay: of a date; one half after `scale` days
        boolean: 1 where true or above 0, such as in stock
    scale: fixed when the settings are written, so that a new document never shifts the scores of the others
    """

    field: str
    transform: Transform = "log1p"
    scale: float = 1.0


class Embedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text that is embedded for a document: members in order, each cut to `max_chars` code points."""

    fields: tuple[str, ...]
    max_chars: int = 120


RetrievalMode = Literal["hybrid", "keyword", "vector"]


class IndexSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one index searches, embeds and ranks by.

    title: the searchable field that names a document to a person; it has the largest default weight
    embedding: None switches vector search off
    retrieval: how documents match where a search does not say so; unset for `hybrid`
    """

    searchable: tuple[SearchableField, ...]
    title: str
    embedding: Embedding | None = None
    signals: tuple[Signal, ...] = ()
    # Unset rather than a default: an event without it keeps its bytes.
    retrieval: RetrievalMode | msgspec.UnsetType = msgspec.UNSET

    @property
    def indexed(self) -> IndexSettings:
        """What an index is built by: the same without what only searches read."""
        return msgspec.structs.replace(self, retrieval=msgspec.UNSET)


def check_index_name(name: str) -> str:
    """Return `name`. Raises InvalidInput if it is not a valid index name."""
    limit = "1 to 64 of a-z, 0-9, _ and -, not starting with _ or -"
    require(INDEX_NAME.fullmatch(name) is not None, "index", name, limit)
    return name


def check_settings(settings: IndexSettings) -> None:
    """Raise InvalidInput, naming the first member that is invalid."""
    n_fields = len(settings.searchable)
    require(1 <= n_fields <= MAX_SEARCHABLE_FIELDS, "searchable", n_fields, f"1 to {MAX_SEARCHABLE_FIELDS} fields")
    names = [field.name for field in settings.searchable]
    for i, name in enumerate(names):
        require(is_field_name(name), f"searchable[{i}].name", name, FIELD_NAME_LIMIT)
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
        require(is_field_name(signal.field), f"signals[{i}].field", signal.field, FIELD_NAME_LIMIT)
        require(signal.field not in members[:i], f"signals[{i}].field", signal.field, "each field once")
        positive = 0.0 < signal.scale < float("inf")
        require(positive, f"signals[{i}].scale", signal.scale, "a finite number above 0")
