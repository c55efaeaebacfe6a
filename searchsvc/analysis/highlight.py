"""Highlight the words of a query in the texts of a document: as offsets, and as a snippet with tags. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from events.errors import require
from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Span, spans
from searchsvc.analysis.document_text import member_value
from searchsvc.analysis.languages import Languages
from searchsvc.analysis.markup import shown, without_markup
from searchsvc.analysis.query import Query

MAX_MEMBERS: Final = 64
# Reading a longer text costs more than the search.
MAX_CHARS: Final = 20_000
# For all hits of one search together: nothing is highlighted beyond it.
MAX_CHARS_A_SEARCH: Final = 500_000
ELLIPSIS: Final = "…"
_TAG_NAME: Final = re.compile(r"<([A-Za-z][\w-]*)")


class HighlightInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to highlight.

    fields: searchable fields to highlight; empty for all
    pre: tag before each word
    post: what comes after each word; None for the tags that end those of `pre`
    words: length of a snippet in words; 0 for the whole text
    """

    fields: list[str] = []
    pre: str = "<em>"
    post: str | None = None
    words: int = 30

    def after(self) -> str:
        """Return what comes after each word: `</b></i>` for `<i><b class="x">`; what is no tag ends with itself."""
        if self.post is not None:
            return self.post
        names = _TAG_NAME.findall(self.pre)
        return "".join(f"</{name}>" for name in reversed(names)) if names else self.pre


class Highlight(msgspec.Struct, frozen=True):
    """The query's words in one member of a document.

    snippet: text around the words, escaped for HTML, with the tags
    offsets: (start, end) of each word in the member's whole text, in Unicode code points; the items of a list are
        joined by a space
    """

    snippet: str
    offsets: list[tuple[int, int]]


class Highlighter:
    """Highlights one query in the hits of one search.

    Raises InvalidInput for a field that is not searchable.
    """

    def __init__(self, query: Query, settings: IndexSettings, options: HighlightInput) -> None:
        names = [field.name for field in settings.searchable]
        for i, name in enumerate(options.fields):
            require(name in names, f"highlight.fields[{i}]", name, f"one of {', '.join(names)}")
        self._stem = Languages.of_index(settings).stem
        terms = [term for term in query.terms if not term.optional]
        self._stems = {stemmed for term in terms for stemmed in term.stems}
        self._phrases = [alternative.phrase.stems for alternative in query.phrase_alternatives]
        # The compound 14inch is also written 14 inch.
        self._stems |= {self._stem(part) for term in terms for part in term.parts}
        self._members = tuple(
            member
            for field in settings.searchable
            if not options.fields or field.name in options.fields
            for member in field.members
        )
        self._options = options
        self._n_chars_left = MAX_CHARS_A_SEARCH

    def highlight(self, document: msgspec.Raw) -> dict[str, Highlight]:
        """Return the highlights of a document, by member; members without a word of the query are left out."""
        members: dict[str, object] = msgspec.json.decode(document)
        highlights: dict[str, Highlight] = {}
        for name, original in islice(self._texts(members), MAX_MEMBERS):
            whole = without_markup(original)
            text = whole[: min(MAX_CHARS, self._n_chars_left)]
            self._n_chars_left -= len(text)
            runs = list(spans(text))
            offsets = [(runs[i].start, runs[i].end) for i in self._matching(runs)]
            if offsets:
                snippet = self._snippet(text, runs, offsets) + (f" {ELLIPSIS}" if len(whole) > len(text) else "")
                highlights[name] = Highlight(snippet, offsets)
        return highlights

    def _matching(self, runs: Sequence[Span]) -> list[int]:
        """Return the positions of the runs that hold a word of the query, or one of a phrase that stands for some."""
        stems = [{self._stem(word) for word in run.words} for run in runs]
        matching = {i for i, of_run in enumerate(stems) if not self._stems.isdisjoint(of_run)}
        for phrase in self._phrases:
            for start in range(len(runs) - len(phrase) + 1):
                if all(word in of_run for word, of_run in zip(phrase, stems[start:], strict=False)):
                    matching.update(range(start, start + len(phrase)))
        return sorted(matching)

    def _texts(self, members: dict[str, object]) -> Iterator[tuple[str, str]]:
        for pattern in self._members:
            names = [n for n in members if n.startswith(pattern[:-1])] if pattern.endswith("*") else [pattern]
            for name in names:
                match member_value(members, name):
                    case str() as text:
                        yield name, text
                    case list() as items:
                        yield name, " ".join(item for item in items if isinstance(item, str))

    def _snippet(self, text: str, runs: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> str:
        window_start, window_end = _window(text, runs, offsets, self._options.words)
        pre, post = self._options.pre, self._options.after()
        parts = [f"{ELLIPSIS} " if window_start else ""]
        position = window_start
        for start, end in offsets:
            if start >= window_start and end <= window_end:
                parts += [_escaped(text[position:start]), pre, _escaped(text[start:end]), post]
                position = end
        parts += [_escaped(text[position:window_end]), f" {ELLIPSIS}" if window_end < len(text) else ""]
        return "".join(parts)


def _escaped(text: str) -> str:
    return html.escape(shown(text), quote=False)


def _window(text: str, runs: Sequence[Span], offsets: Sequence[tuple[int, int]], n_words: int) -> tuple[int, int]:
    """Return where the n_words of a text start and end that contain most matches; the first of equal windows."""
    if not n_words or len(runs) <= n_words:
        return 0, len(text)
    starts = {start for start, _ in offsets}
    matches = [run.start in starts for run in runs]
    count = best_count = sum(matches[:n_words])
    first = 0
    for position in range(n_words, len(runs)):
        count += matches[position] - matches[position - n_words]
        if count > best_count:
            best_count, first = count, position - n_words + 1
    # Some words of context before the first match.
    first_match = next((i for i in range(first, first + n_words) if matches[i]), first)
    first = min(first, max(0, first_match - n_words // 5))
    return (0 if first == 0 else runs[first].start), runs[min(first + n_words, len(runs)) - 1].end
