"""Index settings, as stored in `IndexConfigured`: what is searched, embedded and ranked by. Pure data.

`searchsvc.indexing.inference` infers them from sample documents; people change them with `PUT /v1/indexes/{index}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from events.errors import require

INDEX_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")
_FIELD_NAME: Final = re.compile(r"[^\x00-\x1f\x7f\s*](?:[^\x00-\x1f\x7f*]{0,126}[^\x00-\x1f\x7f\s*])?")
FIELD_NAME_LIMIT: Final = "1 to 128 characters, none of them * or a control character, and no space at either end"
MAX_SEARCHABLE_FIELDS = 16
MAX_WORDS: Final = 1000
MAX_WORD_CHARS: Final = 64
# Those that words can be stemmed in: codes of ISO 639-1.
_LANGUAGES: Final = """
    ar ca cs da de el en eo es et eu fa fi fr ga hi hu hy id it lt nb ne nl nn no pl pt ro ru sr st sv ta tr yi
"""
LANGUAGES: Final = frozenset(_LANGUAGES.split())
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


class Typos(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How typing errors are tolerated in words that no document has.

    one_from: letters from which one error is tolerated
    two_from: letters from which two are
    exact: words that are never taken for misspelt
    """

    one_from: int = 3
    two_from: int = 8
    exact: tuple[str, ...] = ()


RetrievalMode = Literal["hybrid", "keyword", "vector"]


class IndexSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one index searches, embeds and ranks by.

    title: the searchable field that names a document to a person; it has the largest default weight
    embedding: None switches vector search off
    retrieval: how documents match where a search does not say so; unset for `hybrid`
    languages: codes of ISO 639-1; unset for words of every script, with English stems and stop words
    typos: how typing errors are tolerated; false if they are not; unset for the defaults
    stop_words: words that a document need not have, in place of those of the languages; unset for theirs
    """

    searchable: tuple[SearchableField, ...]
    title: str
    embedding: Embedding | None = None
    signals: tuple[Signal, ...] = ()
    # Unset rather than a default: an event without it keeps its bytes.
    retrieval: RetrievalMode | msgspec.UnsetType = msgspec.UNSET
    languages: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    typos: bool | Typos | msgspec.UnsetType = msgspec.UNSET
    stop_words: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    def searches(self, member: str) -> bool:
        """Return whether a searchable field is made from a member of documents, or of what it holds."""
        sources = (source for field in self.searchable for source in field.members)
        return any(
            member.startswith(source[:-1]) if source.endswith("*") else f"{source}.".startswith(f"{member}.")
            for source in sources
        )

    @property
    def indexed(self) -> IndexSettings:
        """What an index is built by: the same without what only searches read."""
        return msgspec.structs.replace(self, retrieval=msgspec.UNSET, typos=msgspec.UNSET, stop_words=msgspec.UNSET)


def check_index_name(name: str) -> str:
    """Return `name`. Raises InvalidInput if it is not a valid index name."""
    limit = "1 to 64 of a-z, 0-9, _ and -, not starting with _ or -"
    require(INDEX_NAME.fullmatch(name) is not None, "index", name, limit)
    return name


def _check_words(settings: IndexSettings) -> None:
    languages = settings.languages or ()
    for i, code in enumerate(languages):
        require(code in LANGUAGES, f"languages[{i}]", code, f"one of {', '.join(sorted(LANGUAGES))}")
        require(code not in languages[:i], f"languages[{i}]", code, "each language once")
    stop_words = settings.stop_words or ()
    require(len(stop_words) <= MAX_WORDS, "stop_words", len(stop_words), f"at most {MAX_WORDS}")
    _check_not_blank(stop_words, "stop_words")
    if isinstance(settings.typos, Typos):
        one_from, two_from = settings.typos.one_from, settings.typos.two_from
        require(1 <= one_from <= two_from, "typos.one_from", one_from, "from 1 to two_from")
        require(two_from <= MAX_WORD_CHARS, "typos.two_from", two_from, f"at most {MAX_WORD_CHARS}")
        n_exact = len(settings.typos.exact)
        require(n_exact <= MAX_WORDS, "typos.exact", n_exact, f"at most {MAX_WORDS}")
        _check_not_blank(settings.typos.exact, "typos.exact")


def _check_not_blank(entries: Sequence[str], field: str) -> None:
    for i, entry in enumerate(entries):
        require(bool(entry.strip()), f"{field}[{i}]", entry, "a text that is not blank")


def check_settings(settings: IndexSettings) -> None:
    """Raise InvalidInput, naming the first member that is invalid."""
    n_fields = len(settings.searchable)
    require(1 <= n_fields <= MAX_SEARCHABLE_FIELDS, "searchable", n_fields, f"1 to {MAX_SEARCHABLE_FIELDS} fields")
    names = [field.name for field in settings.searchable]
    for i, name in enumerate(names):
        require(is_field_name(name), f"searchable[{i}].name", name, FIELD_NAME_LIMIT)
        require(name not in names[:i], f"searchable[{i}].name", name, "each name once")
        _check_not_blank(settings.searchable[i].sources, f"searchable[{i}].sources")
    require(settings.title in names, "title", settings.title, f"one of {', '.join(names)}")
    embedding = settings.embedding
    if embedding is not None:
        require(bool(embedding.fields), "embedding.fields", 0, "at least one field, or embedding null")
        _check_not_blank(embedding.fields, "embedding.fields")
        require(1 <= embedding.max_chars <= 2000, "embedding.max_chars", embedding.max_chars, "1 to 2000")
    _check_words(settings)
    n_signals = len(settings.signals)
    require(n_signals <= MAX_SIGNALS, "signals", n_signals, f"at most {MAX_SIGNALS}")
    members = [signal.field for signal in settings.signals]
    for i, signal in enumerate(settings.signals):
        require(is_field_name(signal.field), f"signals[{i}].field", signal.field, FIELD_NAME_LIMIT)
        require(signal.field not in members[:i], f"signals[{i}].field", signal.field, "each field once")
        positive = 0.0 < signal.scale < float("inf")
        require(positive, f"signals[{i}].scale", signal.scale, "a finite number above 0")
