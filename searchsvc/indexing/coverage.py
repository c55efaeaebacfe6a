"""Which members of new documents are stored and not searched. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from events.settings import IndexSettings
from searchsvc.engines.attributes import MAX_ATTRIBUTES, MAX_VALUE_CHARS

# Of one upload. With more, something else is wrong.
MAX_WARNINGS: Final = 10


class DocumentWarning(msgspec.Struct, frozen=True):
    """What is odd about documents that were accepted.

    field: member of the documents
    """

    field: str
    message: str


def unsearched(names_with_words: Iterable[str], settings: IndexSettings) -> list[DocumentWarning]:
    """Return a warning for each member that is new to an index and belongs to no searchable field."""
    unsearched_names = (name for name in names_with_words if not settings.searches(name))
    message = "is new to this index and is not searched; a field of `searchable` may name it"
    return [DocumentWarning(name, f"{name} {message}") for name in islice(unsearched_names, MAX_WARNINGS)]


def too_many_attributes(n_attributes: int, new_names: Sequence[str]) -> list[DocumentWarning]:
    """Return a warning if documents have a new member, and their index takes no more attributes."""
    if n_attributes < MAX_ATTRIBUTES or not new_names:
        return []
    message = f"the index has {n_attributes} members already, so {new_names[0]} can neither be filtered by nor counted"
    return [DocumentWarning(new_names[0], message)]


def members_with_words(documents: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the names of members whose values have letters, each once, in order."""
    names: dict[str, None] = {}
    for document in documents:
        for name, value in document.items():
            if name not in names and name != "id" and _has_words(value):
                names[name] = None
    return list(names)


def _has_words(value: object) -> bool:
    # Longer texts are no attributes, so nothing tells whether documents had them before.
    return isinstance(value, str) and len(value) <= MAX_VALUE_CHARS and any(map(str.isalpha, value))
