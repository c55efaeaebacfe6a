"""Text to words, for documents and queries alike. Pure.

A text is a row of *words*, one at each position, and of *compounds* that stand beside them: `dv7-1211ea` is the words
dv, 7, 1211, ea and the compounds dv7, 1211ea and dv71211ea; `17"` is 17, inch and 17inch; wi-fi is wi, fi and wifi. So
a model number is found whole and in parts, and `1 TB` by `1tb`. Words are folded (case, accents, width); their English
stem is what the index counts, and the folded word itself is kept beside it.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import Stemmer

from events.settings import Embedding, SearchableField

MAX_WORD_CHARS: Final = 64
MAX_NESTING: Final = 16
MAX_ASKED_CHARS: Final = 100
MAX_COMPOUND_CHARS: Final = 32
# More parts than these in a row are an address, a date or a path: nobody types them as one word.
MAX_COMPOUND_PARTS: Final = 4
CONNECTORS: Final = "-./'’_&+"
INCH: Final = "inch"
# Written apart from their number as often as beside it.
_UNITS: Final = """
    inch inches gb tb mb kb ghz mhz khz hz mm cm m km ml cl l g kg mg w kw v mv a ma ah mah wh mp dpi ppm rpm fps bit
    pin oz lb ft
"""
UNITS: Final = frozenset(_UNITS.split())

_MARKS: Final = "\u0300-\u036f"
_IDEOGRAMS: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"(?:[^\W_]|[{_MARKS}])+|(?<=\d)\s?(?:''|[\"″”])")
_PARTS: Final = re.compile(rf"\d+|[{_IDEOGRAMS}]|[^\d{_IDEOGRAMS}]+")
# Letters that are no base letter with a mark, so decomposing leaves them.
_LETTERS: Final = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})


class Compound(NamedTuple):
    """A word made of the words at positions start to end - 1."""

    start: int
    end: int
    text: str


class Analysis(NamedTuple):
    """words: by position. compounds: in order of their first position."""

    words: list[str]
    compounds: list[Compound]


class Span(NamedTuple):
    """Where a text holds words: code points [start, end), and the folded words that are there, or that it is a part of;
    longer forms last."""

    start: int
    end: int
    words: tuple[str, ...]


def folded(text: str) -> str:
    """The words of a text, folded: the same for those who ask for the same."""
    return " ".join(analyze_query(text).words)


def asked_for(query: str) -> str:
    """What is known of a query is known of these words; of a long one, of the first of them."""
    return folded(query)[:MAX_ASKED_CHARS]


def analyze(text: str) -> Analysis:
    """The words and compounds of a text."""
    words: list[str] = []
    compounds: list[Compound] = []
    run: list[tuple[int, str]] = []
    end_before, after_number = -1, False
    for match in _WORD.finditer(text):
        parts = _parts(match[0])
        if not parts:
            continue
        start = len(words)
        gap = match.start() - end_before
        connected = bool(run) and gap == 1 and text[end_before] in CONNECTORS
        if not connected:
            _join_run(run, len(words), compounds)
            run = []
        if after_number and parts[0] in UNITS and (gap == 0 or text[end_before : match.start()].isspace()):
            compounds.append(Compound(start - 1, start + 1, words[-1] + parts[0]))
        words.extend(parts)
        whole = "".join(parts)
        if len(parts) > 1 and len(whole) <= MAX_COMPOUND_CHARS:
            compounds.append(Compound(start, len(words), whole))
        run.append((start, whole))
        end_before, after_number = match.end(), parts[-1].isdecimal()
    _join_run(run, len(words), compounds)
    return Analysis(words, compounds)


@lru_cache(maxsize=1_000)
def analyze_query(text: str) -> Analysis:
    """The same, not to be changed: several ask it of one query, and shoppers ask for the same."""
    return analyze(text)


def spans(text: str) -> Iterator[Span]:
    """Each stretch of a text that `analyze` makes words of, in order."""
    run: list[Span] = []
    for match in _WORD.finditer(text):
        parts = _parts(match[0])
        if not parts:
            continue
        if run and not (match.start() - run[-1].end == 1 and text[run[-1].end] in CONNECTORS):
            yield from _with_joined(run)
            run = []
        whole = ("".join(parts),) if len(parts) > 1 else ()
        run.append(Span(match.start(), match.end(), (*parts, *whole)))
    yield from _with_joined(run)


def _with_joined(run: Sequence[Span]) -> Sequence[Span]:
    """Each part of what may be written as one says that, too."""
    joined = _joined([span.words[-1] for span in run])
    return [Span(span.start, span.end, (*span.words, joined)) for span in run] if joined else run


def stem(word: str) -> str:
    """What the index counts a folded word as: its English stem, or itself where it holds a digit."""
    return _stem(word)


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    if not word.isalpha() or not word.isascii():
        return word
    stemmed: str = _local.stemmer.stemWord(word)
    return stemmed


class _PerThread(threading.local):
    """A stemmer works on itself, so two threads must not share one."""

    def __init__(self) -> None:
        self.stemmer = Stemmer.Stemmer("english")


_local = _PerThread()


@lru_cache(maxsize=20_000)
def _parts(raw: str) -> tuple[str, ...]:
    """The folded words of one stretch of letters and digits; an inch mark is the word inch."""
    if not raw[-1].isalnum() and unicodedata.category(raw[-1]) != "Mn":
        return (INCH,)
    folded = fold(raw)
    parts = tuple(part for part in _PARTS.findall(folded) if len(part) <= MAX_WORD_CHARS)
    if len(parts) == 2 and parts[1] == "in" and parts[0].isdecimal():
        return (parts[0], INCH)
    return parts


def fold(word: str) -> str:
    """Without case, accents and width: what people type alike is alike."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word).casefold().translate(_LETTERS)
    return "".join(c for c in decomposed if c.isalnum())


def _join_run(run: list[tuple[int, str]], end: int, compounds: list[Compound]) -> None:
    joined = _joined([whole for _, whole in run])
    if joined:
        compounds.append(Compound(run[0][0], end, joined))


def _joined(parts: Sequence[str]) -> str:
    """One word of what was written with hyphens, dots and the like in between; '' where nobody would write it as one.

    4.5 keeps its point: it is not 45.
    """
    if not 1 < len(parts) <= MAX_COMPOUND_PARTS:
        return ""
    joined = parts[0]
    for before, part in pairwise(parts):
        joined += f".{part}" if before.isdecimal() and part.isdecimal() else part
    return joined if len(joined) <= MAX_COMPOUND_CHARS else ""


def field_text(document: Mapping[str, object], field: SearchableField) -> str:
    """The text of one searchable field: its members' values joined, '' where there are none."""
    parts: list[str] = []
    for member in field.members:
        if member.endswith("*"):
            prefix = member[:-1]
            parts.extend(_text(value) for name, value in document.items() if name.startswith(prefix))
        else:
            parts.append(_text(document.get(member)))
    return " ".join(part for part in parts if part)


def embedding_text(document: Mapping[str, object], embedding: Embedding) -> str:
    """The text that is encoded for a document: its members in order, each cut, joined by full stops."""
    parts = [_text(document.get(name), ", ")[: embedding.max_chars] for name in embedding.fields]
    return ". ".join(part for part in parts if part)


def _text(value: object, between: str = " ", depth: int = 0) -> str:
    """What a member says in words; '' for what is nested deeper than anybody writes."""
    if depth > MAX_NESTING:
        return ""
    match value:
        case str():
            return value
        case bool() | None:
            return ""
        case int() | float():
            return str(value) if abs(value) < 1e300 else ""
        case Sequence():
            return between.join(text for text in (_text(item, between, depth + 1) for item in value) if text)
        case Mapping():
            return between.join(text for text in (_text(item, between, depth + 1) for item in value.values()) if text)
        case _:
            return ""
