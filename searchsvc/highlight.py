"""Where a query's words stand in a document's texts: as offsets, and as a snippet with tags. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec

from events.errors import require
from events.settings import IndexSettings
from searchsvc.analysis import spans, stem
from searchsvc.query import Query

MAX_FIELDS: Final = 32
# Looking through a longer text for words costs more than the search.
MAX_CHARS: Final = 20_000


class Wanted(Protocol):
    """See `searchsvc.answer.HighlightInput`."""

    @property
    def fields(self) -> list[str]: ...
    @property
    def pre(self) -> str: ...
    @property
    def post(self) -> str: ...
    @property
    def words(self) -> int: ...


class Highlight(msgspec.Struct, frozen=True):
    """snippet: the text around the words found, escaped for HTML, each between the tags asked for. offsets: (start,
    end) of each in the member's whole text, in Unicode code points; the items of a list are joined by a space."""

    snippet: str
    offsets: list[tuple[int, int]]


class Highlighter:
    """Highlights one query in any number of documents. Raises InvalidInput for a field that is not searchable."""

    def __init__(self, query: Query, settings: IndexSettings, wanted: Wanted) -> None:
        names = [field.name for field in settings.searchable]
        for i, name in enumerate(wanted.fields):
            require(name in names, f"highlight.fields[{i}]", name, f"one of {', '.join(names)}")
        terms = [term for term in query.terms if not term.optional]
        self._stems = {one.stem for term in terms for one in term.alternatives}
        # 14inch is written 14 inch, too.
        self._stems |= {stem(part) for term in terms for part in term.parts}
        self._members = tuple(
            member
            for field in settings.searchable
            if not wanted.fields or field.name in wanted.fields
            for member in field.members
        )
        self._wanted = wanted

    def of(self, document: msgspec.Raw) -> dict[str, Highlight]:
        """By member; those without a word of the query are left out."""
        members: dict[str, object] = msgspec.json.decode(document)
        found: dict[str, Highlight] = {}
        for name, text in self._texts(members):
            offsets = self._offsets(text[:MAX_CHARS])
            if offsets:
                found[name] = Highlight(self._snippet(text, offsets), offsets)
            if len(found) == MAX_FIELDS:
                break
        return found

    def _texts(self, members: dict[str, object]) -> Iterator[tuple[str, str]]:
        for wanted in self._members:
            names = [n for n in members if n.startswith(wanted[:-1])] if wanted.endswith("*") else [wanted]
            for name in names:
                match members.get(name):
                    case str() as text:
                        yield name, text
                    case list() as items:
                        yield name, " ".join(item for item in items if isinstance(item, str))

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        return [(span.start, span.end) for span in spans(text) if any(stem(word) in self._stems for word in span.words)]

    def _snippet(self, text: str, offsets: Sequence[tuple[int, int]]) -> str:
        start, end = self._window(text, offsets)
        parts = ["… " if start else ""]
        at = start
        for begin, stop in offsets:
            if begin >= start and stop <= end:
                parts += [
                    html.escape(text[at:begin]),
                    self._wanted.pre,
                    html.escape(text[begin:stop]),
                    self._wanted.post,
                ]
                at = stop
        parts += [html.escape(text[at:end]), " …" if end < len(text) else ""]
        return "".join(parts)

    def _window(self, text: str, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The stretch of so many words that holds most of the words found, the first of equal ones."""
        n = self._wanted.words
        words = [(span.start, span.end) for span in spans(text[:MAX_CHARS])]
        if not n or len(words) <= n:
            return 0, len(text)
        starts = {start for start, _ in offsets}
        marks = [start in starts for start, _ in words]
        count = best = sum(marks[:n])
        first = 0
        for at in range(n, len(words)):
            count += marks[at] - marks[at - n]
            if count > best:
                best, first = count, at - n + 1
        # Some words before what was found say what it is about.
        found = next((i for i in range(first, first + n) if marks[i]), first)
        first = min(first, max(0, found - n // 5))
        return (0 if first == 0 else words[first][0]), words[min(first + n, len(words)) - 1][1]
