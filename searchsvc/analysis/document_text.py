"""The texts of a document: of a searchable field, and for its embedding. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from events.settings import Embedding, SearchableField
from searchsvc.analysis.markup import shown, without_markup

MAX_NESTING: Final = 16
_LARGEST: Final = 1e300


def field_text(document: Mapping[str, object], field: SearchableField) -> str:
    """Return the text of one searchable field: the values of its members joined by spaces, '' without any."""
    parts: list[str] = []
    for member in field.members:
        if member.endswith("*"):
            prefix = member[:-1]
            parts.extend(_text(value) for name, value in document.items() if name.startswith(prefix))
        else:
            parts.append(_text(member_value(document, member)))
    return " ".join(part for part in parts if part)


def embedding_text(document: Mapping[str, object], embedding: Embedding) -> str:
    """Return the text that is encoded for a document: its members in order, each cut, joined by full stops."""
    parts = [shown(_text(member_value(document, name), ", "))[: embedding.max_chars] for name in embedding.fields]
    return ". ".join(part for part in parts if part)


def member_value(document: Mapping[str, object], name: str) -> object:
    """Return the value of a member, or of a member of the objects in it: `variants.colour`. None if there is none."""
    if name in document or "." not in name:
        return document.get(name)
    for end in (position for position, character in enumerate(name) if character == "."):
        outer, inner = document.get(name[:end]), name[end + 1 :]
        if isinstance(outer, Mapping):
            return member_value(outer, inner)
        if isinstance(outer, list):
            values = [member_value(item, inner) for item in outer if isinstance(item, Mapping)]
            return [value for value in values if value is not None]
    return None


def _text(value: object, separator: str = " ", depth: int = 0) -> str:
    """Return the text of a value. True, false, null and what is nested deeper than `MAX_NESTING` have none."""
    if depth > MAX_NESTING:
        return ""
    match value:
        case str():
            return without_markup(value)
        case bool() | None:
            return ""
        case int() | float():
            return str(value) if abs(value) < _LARGEST else ""
        case Sequence() | Mapping():
            items = value.values() if isinstance(value, Mapping) else value
            return separator.join(text for text in (_text(item, separator, depth + 1) for item in items) if text)
        case _:
            return ""
