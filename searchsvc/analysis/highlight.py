"""Where a query's words stand in a document's texts: as offsets, and as a snippet with tags. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from events.errors import require
from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Span, spans, stem
from searchsvc.analysis.query import Query

MAX_MEMBERS: Final = 64
# Looking through a longer text for words costs more than the search.
MAX_CHARS: Final = 20_000
# Of all hits of one search together: past it, no more is highlighted.
MAX_CHARS_A_SEARCH: Final = 500_000


class HighlightInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the query's words stand. fields: of the searchable ones; none given means all. pre, post: around each.

    words: of a snippet around the words found; 0 gives the whole text.
    """

    fields: list[str] = []
    pre: str = "<em>"
    post: str = "</em>"
    words: int = 30


class Highlight(msgspec.Struct, frozen=True):
    """snippet: the text around the words found, escaped for HTML, each between the tags asked for. offsets: (start,
    end) of each in the member's whole text, in Unicode code points; the items of a list are joined by a space."""

    snippet: str
    offsets: list[tuple[int, int]]


class Highlighter:
    """Highlights one query in any number of documents. Raises InvalidInput for a field that is not searchable."""

    def __init__(self, query: Query, settings: IndexSettings, wanted: HighlightInput) -> None:
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
        self._n_chars_left = MAX_CHARS_A_SEARCH

    def of(self, document: msgspec.Raw) -> dict[str, Highlight]:
        """By member; those without a word of the query are left out."""
        members: dict[str, object] = msgspec.json.decode(document)
        found: dict[str, Highlight] = {}
        for name, whole in islice(self._texts(members), MAX_MEMBERS):
            text = whole[: min(MAX_CHARS, self._n_chars_left)]
            self._n_chars_left -= len(text)
            words = list(spans(text))
            offsets = [(s.start, s.end) for s in words if any(stem(word) in self._stems for word in s.words)]
            if offsets:
                snippet = self._snippet(text, words, offsets) + (" …" if len(whole) > len(text) else "")
                found[name] = Highlight(snippet, offsets)
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

    def _snippet(self, text: str, words: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> str:
        start, end = self._window(text, words, offsets)
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

    def _window(self, text: str, words: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The stretch of so many words that holds most of the words found, the first of equal ones."""
        n = self._wanted.words
        if not n or len(words) <= n:
            return 0, len(text)
        starts = {start for start, _ in offsets}
        marks = [span.start in starts for span in words]
        count = best = sum(marks[:n])
        first = 0
        for at in range(n, len(words)):
            count += marks[at] - marks[at - n]
            if count > best:
                best, first = count, at - n + 1
        # Some words before what was found say what it is about.
        found = next((i for i in range(first, first + n) if marks[i]), first)
        first = min(first, max(0, found - n // 5))
        return (0 if first == 0 else words[first].start), words[min(first + n, len(words)) - 1].end
