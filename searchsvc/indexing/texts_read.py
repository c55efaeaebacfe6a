"""Tell how the texts of new documents are read: as prices, dates, yes and no; and which of them cannot be. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from searchsvc.engines.attributes import MAX_VALUE_CHARS
from searchsvc.engines.values import Reading, is_number_text, kinds_of, read_text
from searchsvc.indexing.coverage import MAX_WARNINGS, DocumentWarning

# A member is meant to be read so if this share of its texts can be.
MEANT_SHARE: Final = 0.5
MAX_EXAMPLE_CHARS: Final = 40
_MEANINGS: Final = {"amount": "numbers", "date": "dates", "truth": "true and false"}


class TextsRead(msgspec.Struct, frozen=True):
    """How the texts of some documents are read.

    readings: members of which every text is read as something else
    warnings: members of which most texts could be, but not all
    """

    readings: list[DocumentWarning]
    warnings: list[DocumentWarning]


class _Member(msgspec.Struct):
    """The short values of a member. examples: a text by the kinds that it has and has not"""

    kinds: set[str] = set()
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    n_texts: int = 0


def texts_read(
    documents: Iterable[Mapping[str, object]], has_ranges: Callable[[str, bool], bool] = lambda name, dates: False
) -> TextsRead:
    """Return how texts of documents are read that are not written as programs write numbers, dates and booleans.

    has_ranges: whether a member has numbers so far in the index, or dates
    """
    read, unread = list[DocumentWarning](), list[DocumentWarning]()
    for name, member in _members(documents).items():
        reading = Reading.of_kinds(member.kinds)
        for meaning, is_read in zip(_MEANINGS, reading, strict=True):
            example, other = member.examples.get(meaning), member.examples.get(f"no {meaning}")
            count = member.counts.get(meaning, 0)
            if is_read and example is not None:
                message = f"texts of {name}, such as {example!r}, are read as {_MEANINGS[meaning]}"
                read.append(DocumentWarning(name, message))
            elif is_read or other is None:
                continue
            elif example is not None and count >= MEANT_SHARE * member.n_texts:
                others = f"{member.n_texts - count} texts of {name}, such as {other!r},"
                message = f"{others} cannot be read as {_MEANINGS[meaning]}, so none is, as {example!r} could be"
                unread.append(DocumentWarning(name, message))
            elif meaning != "truth" and not any(reading) and has_ranges(name, meaning == "date"):
                message = f"{name} has {_MEANINGS[meaning]}; as {other!r} cannot be read so, no text of it is"
                unread.append(DocumentWarning(name, message))
    return TextsRead(read[:MAX_WARNINGS], unread[:MAX_WARNINGS])


def _members(documents: Iterable[Mapping[str, object]]) -> dict[str, _Member]:
    members: dict[str, _Member] = {}
    for document in documents:
        for name, value in _short_values(document):
            member = members.setdefault(name, _Member())
            kinds = kinds_of(value)
            member.kinds.update(kinds)
            if not isinstance(value, str):
                continue
            member.n_texts += 1
            for kind in kinds[1:]:
                member.counts[kind] = member.counts.get(kind, 0) + 1
                if kind not in member.examples and (kind not in _MEANINGS or not _is_plain(value)):
                    member.examples[kind] = value[:MAX_EXAMPLE_CHARS]
    return members


def _short_values(document: Mapping[str, object]) -> Iterator[tuple[str, str | int | float]]:
    for name, value in document.items():
        if name == "id":
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, bool):
                yield name, "true" if item else "false"
            elif isinstance(item, int | float) or (isinstance(item, str) and 0 < len(item) <= MAX_VALUE_CHARS):
                yield name, item


def _is_plain(text: str) -> bool:
    """Whether a text is written as programs write a number, a date or a boolean."""
    is_iso_date = read_text(text).moment is not None and text[4:5] == "-"
    return text in ("true", "false") or is_number_text(text) or is_iso_date
